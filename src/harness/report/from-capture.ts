// Brings a capture to the terms of a report: application data alone, by the bytes that it carries.
// Must never guess silently: whatever is left out or assumed becomes a note.

import { RECORD_OVERHEAD } from '../simulate/simulation.ts'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import type {
  CapturedConnection,
  CapturedRecord,
  ParsedCapture,
} from '../capture/capture-parser.ts'
import { ContentType, RECORD_HEAD_LENGTH } from '../capture/record-reader.ts'
import { DEFAULT_HANDSHAKE_RECORDS } from './handshake-records.ts'
import type { HandshakeRecords } from './handshake-records.ts'
import type { ReportSource, Run } from './source.ts'

/** In TLS 1.2 with AES-GCM: head, explicit nonce, tag (RFC 5288). ChaCha20-Poly1305 has no explicit nonce. */
const TLS_1_2_OVERHEAD = RECORD_HEAD_LENGTH + 8 + 16

/**
 * Leaves out, of each connection: what is not application data; `skip.up` records of the client; every
 * record of the server before those have passed, its handshake, and `skip.down` more; and a last
 * record of two bytes, the alert with which TLS ends.
 */
export function sourceFromCapture(
  name: string,
  capture: ParsedCapture,
  skip: HandshakeRecords = DEFAULT_HANDSHAKE_RECORDS,
): ReportSource {
  const connections = capture.connections.map((connection) => ({
    connection,
    run: runOf(connection, skip),
  }))
  const used = connections.filter(({ run }) => run.up.sizes.length + run.down.sizes.length > 0)
  return {
    kind: 'capture',
    name,
    runs: used.map(({ run }) => run),
    schemes: {},
    facts: [
      { name: 'Target', value: capture.header.to },
      { name: 'Begun', value: capture.header.started },
    ],
    notes: notesOn(capture, connections.length - used.length),
  }
}

function runOf({ records, close }: CapturedConnection, skip: HandshakeRecords): Run {
  const isData = ({ type }: CapturedRecord) => type === ContentType.ApplicationData
  const old = isTls12(records)
  const overhead = old ? TLS_1_2_OVERHEAD : RECORD_OVERHEAD
  const data = records.filter(isData)
  const kept = old ? data : withoutHandshake(data, skip)
  const began = kept[0]?.time ?? 0
  const traceOf = (direction: Direction) => {
    const own = kept.filter((record) => record.direction === direction)
    if (close?.reason === 'end' && own.at(-1)?.bytes === overhead + CLOSE_NOTIFY) own.pop()
    return {
      times: own.map(({ time }) => time - began),
      sizes: own.map(({ bytes }) => Math.max(bytes - overhead, 0)),
    }
  }
  return { up: traceOf('up'), down: traceOf('down') }
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

/**
 * The version is not in the heads. Before TLS 1.3 the Finished follows ChangeCipherSpec as a short handshake
 * record; in TLS 1.3 at most a whole second ClientHello or a ServerHello does, and these are longer.
 */
function isTls12(records: readonly CapturedRecord[]): boolean {
  return DIRECTIONS.some((direction) => {
    const own = records.filter((record) => record.direction === direction)
    const change = own.findIndex(({ type }) => type === ContentType.ChangeCipherSpec)
    const next = change < 0 ? undefined : own[change + 1]
    return next?.type === ContentType.Handshake && next.bytes <= FINISHED_MAX_LENGTH
  })
}

/** With any cipher of TLS 1.2 it is shorter; a ServerHello of TLS 1.3 is not. */
const FINISHED_MAX_LENGTH = RECORD_HEAD_LENGTH + 100

function notesOn({ connections, cutOff, limit }: ParsedCapture, empty: number): string[] {
  const old = connections.filter(({ records }) => isTls12(records)).length
  const notTls = connections.filter((connection) => connection.notTls.length > 0).length
  const notes = [
    [empty, 'without application data left out'],
    [old, 'with TLS 1.2 or older: sizes as if the cipher were AES-GCM'],
    [notTls, 'not TLS, or not to the end: only what was TLS before counts'],
  ] as const
  return [
    ...notes
      .filter(([count]) => count > 0)
      .map(([count, text]) => `${connectionsText(count)} ${text}.`),
    ...(cutOff ? ['The file breaks off in its last line, which was left out.'] : []),
    ...(limit === undefined
      ? []
      : [`Recording stopped at the limit of ${limit}: the end is missing.`]),
  ]
}

function connectionsText(count: number): string {
  return count === 1 ? '1 connection' : `${count} connections`
}
