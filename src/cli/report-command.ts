// `anytls report`: turns captures and simulations into one HTML page.
// Must never read a file without a bound, or leave out a file that it was given.

import { createReadStream, statSync, writeFileSync } from 'node:fs'
import type { BigIntStats } from 'node:fs'
import { resolve } from 'node:path'
import { AnyTlsError, SchemeError } from '../errors.ts'
import { CAPTURE_FORMAT } from '../harness/capture/capture-event.ts'
import { CaptureParser } from '../harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../harness/report/from-capture.ts'
import type { HandshakeRecords } from '../harness/report/handshake-records.ts'
import { sourceFromSimulation } from '../harness/report/from-simulation.ts'
import { renderReport } from '../harness/report/page.ts'
import { MAX_SOURCES } from '../harness/report/series-style.ts'
import type { ReportSource } from '../harness/report/source.ts'
import { parseSimulation, SIMULATION_FORMAT } from '../harness/simulate/simulation.ts'
import { parseScheme } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { ReportCommandOptions } from './capture-options.ts'
import { fileProblem, readTextFile } from './files.ts'

/** The most that a file of a simulation may hold, in bytes: about twice what the most records take. */
const MAX_SIMULATION_SIZE = 64 * 1024 * 1024

/** @throws AnyTlsError `ERR_FILE`, one line with the name of the file and, where there is one, the line */
export async function runReport(
  files: readonly string[],
  options: ReportCommandOptions,
): Promise<void> {
  if (files.length > MAX_SOURCES) {
    throw new AnyTlsError('ERR_OPTION_INVALID', `a report takes at most ${MAX_SOURCES} files`)
  }
  const { out, scheme, downlinkScheme } = options
  refuseInput(out, [...files, scheme, downlinkScheme])
  const schemes = {
    ...(scheme !== undefined && { up: readScheme(scheme) }),
    ...(downlinkScheme !== undefined && { down: readScheme(downlinkScheme) }),
  }
  const skip = { up: options.skipUp, down: options.skipDown }
  const sources: ReportSource[] = []
  // One at a time: only what the report needs of each is kept.
  for (const file of files) sources.push(await readSource(file, skip))
  const page = renderReport(sources, { schemes })
  try {
    writeFileSync(out, page)
  } catch (cause) {
    throw fileError(`cannot write report '${out}': ${fileProblem(cause)}`, cause)
  }
  if (sources.every(isEmpty))
    process.stderr.write('anytls: none of the files has records to show\n')
}

/** The page would take the place of what it is made of. */
function refuseInput(out: string, inputs: readonly (string | undefined)[]): void {
  const own = fileAt(out)
  for (const input of inputs) {
    if (input === undefined) continue
    const file = fileAt(input)
    const isSame = file !== undefined && file.dev === own?.dev && file.ino === own.ino
    if (isSame || resolve(input) === resolve(out)) {
      throw fileError(`cannot write report '${out}': it is read here, too`)
    }
  }
}

/** Which file it is, whatever its name; undefined where none can be seen, which is told when it is read. */
function fileAt(path: string): BigIntStats | undefined {
  try {
    return statSync(path, { bigint: true })
  } catch {
    return undefined
  }
}

function isEmpty({ runs }: ReportSource): boolean {
  return runs.every(({ up, down }) => up.sizes.length + down.sizes.length === 0)
}

async function readSource(path: string, skip: HandshakeRecords): Promise<ReportSource> {
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
const CAPTURE_START = startOf(CAPTURE_FORMAT)
const SIMULATION_START = startOf(SIMULATION_FORMAT)
/** Characters within which either shows. */
const FIRST_LINE = 100

function readScheme(path: string): Scheme {
  const text = readTextFile(path, 'padding scheme')
  try {
    return parseScheme(text)
  } catch (cause) {
    if (!(cause instanceof SchemeError)) throw cause
    throw fileError(`padding scheme '${path}': ${cause.message}`)
  }
}

function fileError(message: string, cause?: unknown): AnyTlsError {
  return new AnyTlsError('ERR_FILE', message, { cause })
}
