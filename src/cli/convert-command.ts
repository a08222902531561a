// `anytls capture --from`: makes a capture of what another program captured, or traces of a capture.

import { createReadStream, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { AnyTlsError } from '../errors.ts'
import {
  CAPTURE_FORMAT,
  CAPTURE_VERSION,
  encodeCaptureLine,
} from '../harness/capture/capture-event.ts'
import type { CaptureHeader, CaptureOrigin } from '../harness/capture/capture-event.ts'
import { createCaptureFile } from '../harness/capture/capture-file.ts'
import { captureEvents, CaptureParser } from '../harness/capture/capture-parser.ts'
import type { ParsedCapture } from '../harness/capture/capture-parser.ts'
import { encodeTrace, isTrace, parseTrace } from '../harness/capture/trace-format.ts'
import { ConnectionTable } from '../harness/pcap/capture-from-packets.ts'
import type { LeftOut } from '../harness/pcap/capture-from-packets.ts'
import { isPacketFile, PacketReader } from '../harness/pcap/packet-reader.ts'
import type { ConvertCommandOptions } from './capture-options.ts'
import { fileError, fileProblem, makeFolder, refuseInput } from '../serve/files.ts'
import { CAPTURE_START } from './source-file.ts'
import { writeStdout } from './stdout.ts'

/** What was read, and what is not in it. */
interface Converted {
  readonly capture: ParsedCapture
  readonly leftOut?: LeftOut
}

/** @throws AnyTlsError `ERR_FILE`, one line with the name of the file and the byte or line */
export async function runConvert(options: ConvertCommandOptions): Promise<void> {
  const { from, out, toTrace } = options
  if (out !== undefined) refuseInput(`capture '${out}'`, out, [from])
  const { capture, leftOut } = await readForeign(from, options.maxRecords)
  if (out !== undefined) await writeCapture(out, capture)
  else if (toTrace === undefined) await writeStdout([...captureLines(capture)].join(''))
  if (toTrace !== undefined) writeTraces(toTrace, capture)
  process.stderr.write(`anytls: ${summaryOf(capture, leftOut).join('; ')}\n`)
}

async function readForeign(path: string, maxRecords: number): Promise<Converted> {
  try {
    return await readAny(path, maxRecords)
  } catch (cause) {
    if (cause instanceof AnyTlsError) throw fileError(`'${path}': ${cause.message}`)
    throw fileError(`cannot read '${path}': ${fileProblem(cause)}`, cause)
  }
}

/** Bytes that are read at once. */
const CHUNK_LENGTH = 1024 * 1024
/** The most that a trace may hold, in bytes: twice what the most lines take. */
const MAX_TRACE_SIZE = 64 * 1024 * 1024

/** Reads a file of any kind that there is; its first bytes tell. */
async function readAny(path: string, maxRecords: number): Promise<Converted> {
  const progress = new ReadingProgress(path)
  const text = new TextDecoder()
  const table = new ConnectionTable(maxRecords)
  let trace = ''
  let reader: PacketReader | CaptureParser | 'trace' | undefined
  let format: CaptureOrigin = 'pcap'
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_LENGTH })) {
    const bytes = chunk as Buffer
    if (reader === undefined && isPacketFile(bytes)) {
      reader = new PacketReader((packet) => table.push(packet))
      if (bytes[0] === 0x0a) format = 'pcapng'
    }
    if (reader instanceof PacketReader) {
      reader.push(bytes)
      progress.passed(bytes.length)
      if (table.isFull) break
      continue
    }
    const more = text.decode(bytes, { stream: true })
    if (reader === undefined && CAPTURE_START.test(more)) reader = new CaptureParser()
    if (reader === undefined && isTrace(more)) reader = 'trace'
    if (reader === undefined) break
    if (reader !== 'trace') reader.push(more)
    else trace += more
    if (trace.length > MAX_TRACE_SIZE) throw fileError(`it is larger than ${MAX_TRACE_SIZE} bytes`)
  }
  progress.end()
  if (reader instanceof CaptureParser) return { capture: reader.end() }
  if (reader === 'trace') {
    return {
      capture: { header: headerOf('trace'), connections: [parseTrace(trace)], cutOff: false },
    }
  }
  if (reader === undefined) {
    throw fileError('byte 0: it is neither pcap, pcapng, a trace nor a capture')
  }
  if (!table.isFull) reader.end()
  const { leftOut, ...rest } = table.end()
  return { capture: { header: headerOf(format, reader.began), cutOff: false, ...rest }, leftOut }
}

function headerOf(from: CaptureOrigin, began?: number): CaptureHeader {
  const started = began === undefined ? {} : { started: new Date(began * 1e3).toISOString() }
  return { format: CAPTURE_FORMAT, version: CAPTURE_VERSION, from, ...started }
}

async function writeCapture(out: string, capture: ParsedCapture): Promise<void> {
  try {
    const file = createCaptureFile(out, capture.header)
    for (const event of captureEvents(capture)) {
      await Promise.race([file.write(event), file.failed])
    }
    await Promise.race([file.close(), file.failed])
  } catch (cause) {
    throw fileError(`cannot write capture '${out}': ${fileProblem(cause)}`, cause)
  }
}

function* captureLines(capture: ParsedCapture): Generator<string> {
  let lines = 1
  yield encodeCaptureLine(capture.header)
  for (const event of captureEvents(capture)) yield encodeCaptureLine(event, (lines += 1))
  yield encodeCaptureLine({ event: 'end' }, lines + 1)
}

/** One file for each connection: a trace has no more than one. */
function writeTraces(folder: string, { connections }: ParsedCapture): void {
  makeFolder(folder)
  try {
    for (const connection of connections) {
      const path = join(folder, `connection-${connection.connection}.trace`)
      writeFileSync(path, encodeTrace(connection), { mode: 0o600 })
    }
  } catch (cause) {
    throw fileError(`cannot write traces to '${folder}': ${fileProblem(cause)}`, cause)
  }
}

function summaryOf({ connections, limit }: ParsedCapture, leftOut?: LeftOut): string[] {
  const records = connections.reduce((sum, connection) => sum + connection.records.length, 0)
  const { withoutTls = 0, underWay = 0 } = leftOut ?? {}
  return [
    `${countOf(connections.length, 'connection')}, ${countOf(records, 'record')}`,
    ...(withoutTls > 0 ? [`${countOf(withoutTls, 'connection')} without TLS left out`] : []),
    ...(underWay > 0
      ? [`${countOf(underWay, 'connection')} left out whose beginning is not in the file`]
      : []),
    ...(limit === undefined ? [] : [`stopped at the limit of ${limit}`]),
  ]
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Tells somebody at a terminal how far a large file has been read. */
class ReadingProgress {
  readonly #size: number
  #passed = 0
  #told = Date.now()
  #shown = false

  constructor(path: string) {
    this.#size = process.stderr.isTTY ? (statSync(path, { throwIfNoEntry: false })?.size ?? 0) : 0
  }

  passed(bytes: number): void {
    this.#passed += bytes
    if (this.#size === 0 || Date.now() - this.#told < 500) return
    this.#told = Date.now()
    this.#shown = true
    process.stderr.write(`\rread ${Math.floor((100 * this.#passed) / this.#size)} %`)
  }

  end(): void {
    if (this.#shown) process.stderr.write('\r\u001b[K')
  }
}
