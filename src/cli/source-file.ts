// Reads what the commands of the harness compare: captures, and simulations as JSON.
// Must never read a file without a bound.

import { createReadStream } from 'node:fs'
import { AnyTlsError } from '../errors.ts'
import { CAPTURE_FORMAT } from '../harness/capture/capture-event.ts'
import { CaptureParser } from '../harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../harness/report/from-capture.ts'
import { sourceFromSimulation } from '../harness/report/from-simulation.ts'
import type { HandshakeRecords } from '../harness/report/from-capture.ts'
import type { ReportSource } from '../harness/report/source.ts'
import { parseSimulation, SIMULATION_FORMAT } from '../harness/simulate/simulation.ts'
import { fileError, fileProblem } from '../serve/files.ts'

/** The most that a file of a simulation may hold, in bytes: about twice what the most records take. */
const MAX_SIMULATION_SIZE = 64 * 1024 * 1024

/**
 * A capture or a simulation, whichever the file is.
 *
 * @param skip which records of a capture belong to TLS
 * @throws AnyTlsError `ERR_FILE`, one line with the name of the file and, where there is one, the line
 */
export async function readSource(path: string, skip: HandshakeRecords): Promise<ReportSource> {
  try {
    const read = await readFile(path)
    if (typeof read === 'string') return sourceFromSimulation(path, parseSimulation(read))
    return sourceFromCapture(path, read, skip)
  } catch (cause) {
    if (cause instanceof AnyTlsError) throw fileError(`'${path}': ${cause.message}`)
    throw fileError(`cannot read '${path}': ${fileProblem(cause)}`, cause)
  }
}

/** A capture, read as it comes; or the text of what must be a simulation. */
async function readFile(path: string): Promise<ParsedCapture | string> {
  const chunks: string[] = []
  let [head, length] = ['', 0]
  let capture: CaptureParser | undefined
  for await (const chunk of createReadStream(path, READING) as AsyncIterable<string>) {
    if (capture !== undefined) {
      capture.push(chunk)
      continue
    }
    chunks.push(chunk)
    length += chunk.length
    if (length > MAX_SIMULATION_SIZE) {
      throw fileError(`it is larger than ${MAX_SIMULATION_SIZE} bytes`)
    }
    // Decided by now: a simulation.
    if (head.length > FIRST_LINE) continue
    head += chunk
    if (CAPTURE_START.test(head)) {
      capture = new CaptureParser()
      capture.push(head)
    } else if (head.length > FIRST_LINE && !SIMULATION_START.test(head)) {
      break
    }
  }
  if (capture !== undefined) return capture.end()
  if (SIMULATION_START.test(head)) return chunks.join('')
  throw fileError('line 1: it begins neither as a capture nor as a simulation')
}

const READING = { encoding: 'utf8', highWaterMark: 256 * 1024 } as const

/** Both begin with their format. */
const startOf = (format: string) =>
  new RegExp(`^\\s{0,9}\\{\\s{0,9}"format"\\s{0,9}:\\s{0,9}"${format}"`)
export const CAPTURE_START = startOf(CAPTURE_FORMAT)
const SIMULATION_START = startOf(SIMULATION_FORMAT)
/** Characters within which either shows. */
const FIRST_LINE = 100
