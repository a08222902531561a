// What a capture is made of: a header and events, each one line of JSON in the file.
// Must never hold anything of what a record carries: sizes, times and directions are all.

import type { Direction } from '../simulate/workload.ts'

/** The first line of a capture. A reader refuses another format or version. */
export interface CaptureHeader {
  readonly format: typeof CAPTURE_FORMAT
  readonly version: typeof CAPTURE_VERSION
  /** Where the connections went, `host:port`. */
  readonly to: string
  /** When the capture began, ISO 8601. */
  readonly started: string
}

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
export interface OpenEvent {
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
  readonly event: 'record'
  readonly connection: number
  readonly direction: Direction
  /** When its last byte was read, in ms since the connection was accepted. */
  readonly time: number
  /** The content type in its head. */
  readonly type: number
  /** Bytes on the wire, head included. */
  readonly bytes: number
}

/** From `offset` on, a direction is no TLS. It is relayed, but there are no more records of it. */
export interface NotTlsEvent {
  readonly event: 'not-tls'
  readonly connection: number
  readonly direction: Direction
  /** As in {@link RecordEvent}. */
  readonly time: number
  /** Bytes of the direction that were TLS before. */
  readonly offset: number
}

/** A connection is over. */
export interface CloseEvent {
  readonly event: 'close'
  readonly connection: number
  /** As in {@link RecordEvent}. */
  readonly time: number
  readonly reason: CloseReason
  /** All bytes that came from the client and from the server, whether of records or not. */
  readonly up: number
  readonly down: number
}

/** Nothing is recorded any more, as there is too much: the last line of the file. */
export interface LimitEvent {
  readonly event: 'limit'
  /** In ms since the capture began. */
  readonly time: number
  /** What there were too many of. */
  readonly of: (typeof LIMITS)[number]
}

export const LIMITS = ['records', 'connections'] as const

export type CaptureEvent = OpenEvent | RecordEvent | NotTlsEvent | CloseEvent | LimitEvent

/** Most records of a capture, made or read: what a report of it needs must fit in memory. */
export const MAX_CAPTURE_RECORDS = 1_000_000

/** Most connections of a capture, made or read. */
export const MAX_CAPTURE_CONNECTIONS = 100_000

/** One line of a capture file, LF included. */
export function encodeCaptureLine(line: CaptureHeader | CaptureEvent): string {
  return `${JSON.stringify(line)}\n`
}
