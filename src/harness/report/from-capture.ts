// Brings a capture to the terms of a report: application data alone, by the bytes that it carries.
// Must never guess silently: whatever is left out or assumed becomes a note.

import { RECORD_HEAD_LENGTH, RECORD_OVERHEAD } from '../../codec/tls-record.ts'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import type {
  CapturedConnection,
  CapturedRecord,
  ParsedCapture,
} from '../capture/capture-parser.ts'
import { ContentType } from '../capture/record-reader.ts'
import type { Fact, ReportSource, Run } from './source.ts'

/**
 * Records of application data that belong to TLS itself, by direction. TLS 1.3 encrypts most of its
 * handshake as application data, so only their place tells them.
 */
export interface HandshakeRecords {
  /** At the beginning of what the client sends. */
  readonly up: number
  /** From the server, once those of the client have passed. */
  readonly down: number
}

/** Of Node and OpenSSL: Finished, without a certificate of the client; two session tickets. */
export const DEFAULT_HANDSHAKE_RECORDS: HandshakeRecords = { up: 1, down: 2 }

/**
 * Leaves out, of each connection: what is not application data; `skip.up` records of the client; every
 * record of the server before those have passed, its handshake, and `skip.down` more; and a last
 * record of two bytes, the alert with which TLS ends. Of a trace, which knows of no TLS, nothing is left out.
 */
export function sourceFromCapture(
  name: string,
  capture: ParsedCapture,
  skip: HandshakeRecords = DEFAULT_HANDSHAKE_RECORDS,
): ReportSource {
  const { connections, header } = capture
  const layers = connections.map(({ records }) => layerOf(records, header.from === 'trace'))
  const runs = connections.map((connection, index) =>
    runOf(connection, layers[index] ?? TLS_1_3, skip),
  )
  const used = runs.filter(({ up, down }) => up.sizes.length + down.sizes.length > 0)
  const fact = (name: string, value: string | undefined): Fact[] =>
    value === undefined ? [] : [{ name, value }]
  return {
    kind: 'capture',
    name,
    runs: used,
    schemes: {},
    facts: [
      ...fact('Target', header.to),
      ...fact('Made from', header.from),
      ...fact('Begun', header.started),
    ],
    notes: notesOn(capture, layers, connections.length - used.length),
  }
}

/** What carries the data, as far as its records show it. */
interface Layer {
  readonly version: '1.2' | '1.3' | 'none'
  /** Bytes that it adds to a record. */
  readonly overhead: number
  /** By how many bytes a record may carry less than its length and `overhead` say. */
  readonly blur: number
}

const TLS_1_3: Layer = { version: '1.3', overhead: RECORD_OVERHEAD, blur: 0 }
const NO_TLS: Layer = { version: 'none', overhead: 0, blur: 0 }

/** Bytes of a Finished before TLS 1.3: four of head, twelve of verify_data (RFC 5246, section 7.4.9). */
const FINISHED_LENGTH = 16
/** With any cipher of TLS 1.2 its record is shorter than this; a ServerHello of TLS 1.3 is not. */
const FINISHED_MAX_LENGTH = RECORD_HEAD_LENGTH + 100
/** Of a block cipher: its initialisation vector, and the blocks that it fills (RFC 5246, section 6.2.3.2). */
const BLOCK_LENGTH = 16
/** Bytes of the MAC by those of Finished's blocks: SHA-1 (inside and, RFC 7366, behind them), SHA-256, SHA-384. */
const BLOCK_CIPHER_MACS: ReadonlyMap<number, number> = new Map([
  [48, 20],
  [52, 20],
  [64, 32],
  [80, 48],
])
/** What AEAD ciphers add at most: head, nonce of eight, tag of sixteen (RFC 5288). */
const AEAD_MAX_OVERHEAD = RECORD_HEAD_LENGTH + 8 + 16

/**
 * The version is not in the heads. Before TLS 1.3 the Finished follows ChangeCipherSpec as a short handshake
 * record; in TLS 1.3 at most a whole second ClientHello or a ServerHello does, and these are longer. What Finished
 * holds is of a known length, so its record shows what the cipher adds: 29 bytes with AES-GCM, 21 with
 * ChaCha20-Poly1305.
 */
function layerOf(records: readonly CapturedRecord[], isTrace: boolean): Layer {
  if (isTrace) return NO_TLS
  for (const direction of DIRECTIONS) {
    const own = records.filter((record) => record.direction === direction)
    const change = own.findIndex(({ type }) => type === ContentType.ChangeCipherSpec)
    const next = change < 0 ? undefined : own[change + 1]
    if (next?.type !== ContentType.Handshake || next.bytes > FINISHED_MAX_LENGTH) continue
    const overhead = Math.max(next.bytes - FINISHED_LENGTH, RECORD_HEAD_LENGTH)
    if (overhead <= AEAD_MAX_OVERHEAD) return { version: '1.2', overhead, blur: 0 }
    const mac = BLOCK_CIPHER_MACS.get(next.bytes - RECORD_HEAD_LENGTH - BLOCK_LENGTH) ?? 0
    const least = RECORD_HEAD_LENGTH + BLOCK_LENGTH + mac + 1
    return { version: '1.2', overhead: least, blur: BLOCK_LENGTH - 1 }
  }
  return TLS_1_3
}

function runOf({ records, close }: CapturedConnection, layer: Layer, skip: HandshakeRecords): Run {
  const { overhead, version } = layer
  const data = records.filter(({ type }) => type === ContentType.ApplicationData)
  const kept = version === '1.3' ? withoutHandshake(data, skip) : data
  const began = kept[0]?.time ?? 0
  const traceOf = (direction: Direction) => {
    const own = kept.filter((record) => record.direction === direction)
    const hasAlert = version === '1.3' && close?.reason === 'end'
    if (hasAlert && own.at(-1)?.bytes === overhead + CLOSE_NOTIFY) own.pop()
    return {
      times: own.map(({ time }) => time - began),
      sizes: own.map(({ bytes }) => Math.max(bytes - overhead, 0)),
    }
  }
  return { up: traceOf('up'), down: traceOf('down'), overhead }
}

/** Bytes of an alert. */
const CLOSE_NOTIFY = 2

function withoutHandshake(data: readonly CapturedRecord[], skip: HandshakeRecords) {
  let [up, down] = [skip.up, skip.down]
  return data.filter(({ direction }) => {
    if (direction === 'up') return up === 0 || (up -= 1) < 0
    if (up > 0) return false
    return down === 0 || (down -= 1) < 0
  })
}

function notesOn(
  { connections, cutOff, limit, header }: ParsedCapture,
  layers: readonly Layer[],
  empty: number,
): string[] {
  const withAny = (list: 'notTls' | 'lost') =>
    connections.filter((connection) => connection[list].length > 0).length
  const old = layers.filter(({ version }) => version === '1.2')
  const notes = [
    [empty, 'without application data left out'],
    [old.length, `with TLS 1.2 or older: ${overheadText(old)} a record taken for TLS`],
    [
      old.filter(({ blur }) => blur > 0).length,
      'with a block cipher: its records carry up to 15 bytes less than is shown',
    ],
    [withAny('notTls'), 'not TLS, or not to the end: only what was TLS before counts'],
    [withAny('lost'), 'with bytes missing in the file: only what came before them counts'],
  ] as const
  return [
    ...notes
      .filter(([count]) => count > 0)
      .map(([count, text]) => `${connectionsText(count)} ${text}.`),
    ...(header.from === 'trace'
      ? ['Made from a trace: every line counts, at the size that it has there.']
      : []),
    ...(cutOff ? ['The file breaks off: its end is missing.'] : []),
    ...(limit === undefined
      ? []
      : [`Recording stopped at the limit of ${limit}: the end is missing.`]),
  ]
}

/** `29 bytes`, or `21 to 29 bytes`. */
function overheadText(layers: readonly Layer[]): string {
  const overheads = layers.map(({ overhead }) => overhead)
  const [least, most] = [Math.min(...overheads), Math.max(...overheads)]
  return `${least === most ? least : `${least} to ${most}`} bytes`
}

function connectionsText(count: number): string {
  return count === 1 ? '1 connection' : `${count} connections`
}
