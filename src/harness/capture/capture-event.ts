// What a capture is made of: a header and events, each one line of JSON in the file.

import type { Direction } from '../simulate/workload.ts'

/** The first line of a capture. A reader refuses another format or version. */
export interface CaptureHeader {
  /** Says that the file is a capture. */
  readonly format: typeof CAPTURE_FORMAT
  /** Of the format; a reader refuses another. */
  readonly version: typeof CAPTURE_VERSION
  /** Where a relay passed the connections on to, `host:port`. */
  readonly to?: string
  /** What it was made of, when not by a relay. No address or name is kept of that. */
  readonly from?: CaptureOrigin
  /** When the capture began, ISO 8601; absent where nobody knows. */
  readonly started?: string
}

/** What other programs write. */
export const CAPTURE_ORIGINS = ['pcap', 'pcapng', 'trace'] as const
export type CaptureOrigin = (typeof CAPTURE_ORIGINS)[number]

export const CAPTURE_FORMAT = 'anytls-capture'
export const CAPTURE_VERSION = 1

/** How a connection ended. */
export const CLOSE_REASONS = [
  /** Both sides ended it in order. */
  'end',
  /** One side reset it, or was lost. */
  'reset',
  /** The server could not be connected to. */
  'refused',
  /** It was cut because the capture ended. */
  'stopped',
] as const
export type CloseReason = (typeof CLOSE_REASONS)[number]

/** A connection was accepted. Connections are numbered from 1, in order. */
interface OpenEvent {
  readonly event: 'open'
  readonly connection: number
  /** In ms since the capture began. */
  readonly time: number
}

/**
 * A TLS record has gone by as a whole. Application data in TLS 1.3 carries `bytes` - 22: five bytes of head,
 * sixteen of tag, one inner content type (RFC 8446, section 5.2), and padding of TLS, where somebody uses it.
 */
export interface RecordEvent {
  /** Says which event it is. */
  readonly event: 'record'
  /** Which one, by the order of acceptance, from 1. */
  readonly connection: number
  /** `up` from the client, `down` from the server. */
  readonly direction: Direction
  /** When its last byte was read, in ms since the connection was accepted. */
  readonly time: number
  /** The content type in its head. */
  readonly type: number
  /** Bytes on the wire, head included. */
  readonly bytes: number
}

/** From `offset` on, a direction is no TLS. It is relayed, but there are no more records of it. */
interface NotTlsEvent {
  readonly event: 'not-tls'
  readonly connection: number
  readonly direction: Direction
  /** As in {@link RecordEvent}. */
  readonly time: number
  /** Bytes of the direction that were TLS before. */
  readonly offset: number
}

/** From `offset` on, bytes of a direction are not in the file that was converted, and so no records are known. */
interface LostEvent {
  readonly event: 'lost'
  readonly connection: number
  readonly direction: Direction
  /** As in {@link RecordEvent}. */
  readonly time: number
  /** Bytes of the direction before the record in which some are missing. */
  readonly offset: number
}

/** A connection is over. */
export interface CloseEvent {
  /** Says which event it is. */
  readonly event: 'close'
  /** Which one, by the order of acceptance, from 1. */
  readonly connection: number
  /** As in {@link RecordEvent}. */
  readonly time: number
  /** How it ended. */
  readonly reason: CloseReason
  /** Bytes that came from the client, of records or not. */
  readonly up: number
  /** Bytes that came from the server, of records or not. */
  readonly down: number
}

/** Nothing is recorded any more, as there is too much: no more events come. */
export interface LimitEvent {
  readonly event: 'limit'
  /** In ms since the capture began. */
  readonly time: number
  /** What there were too many of. */
  readonly of: (typeof LIMITS)[number]
}

export const LIMITS = ['records', 'connections'] as const

/** The last line of a capture that was not broken off. */
interface EndEvent {
  readonly event: 'end'
}

export type CaptureEvent =
  OpenEvent | RecordEvent | NotTlsEvent | LostEvent | CloseEvent | LimitEvent | EndEvent

/** Most records of a capture, made or read: what a report of it needs must fit in memory. */
export const MAX_CAPTURE_RECORDS = 1_000_000

/** Most connections of a capture, made or read. */
export const MAX_CAPTURE_CONNECTIONS = 100_000

/**
 * One line of a capture file, LF included.
 *
 * @param number of an event: its place in the file, from 2, so that a reader sees when a line is missing
 */
export function encodeCaptureLine(line: CaptureHeader | CaptureEvent, number?: number): string {
  return `${JSON.stringify(number === undefined ? line : { ...line, line: number })}\n`
}

/** A time in ms as captures have it: to the microsecond. */
export function roundTime(ms: number): number {
  return Math.round(ms * 1000) / 1000
}
