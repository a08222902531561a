// Reads captures, strictly: whatever does not fit is named with its line.
// Must never take more lines, or longer ones, than a capture may have.

import { AnyTlsError } from '../../errors.ts'
import {
  CAPTURE_FORMAT,
  CAPTURE_VERSION,
  CLOSE_REASONS,
  LIMITS,
  MAX_CAPTURE_CONNECTIONS,
  MAX_CAPTURE_RECORDS,
} from './capture-event.ts'
import type { CaptureEvent, CaptureHeader, CloseEvent, LimitEvent } from './capture-event.ts'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import { JsonFields, parseJson } from '../simulate/json-fields.ts'
import { ContentType, RECORD_HEAD_LENGTH, RECORD_MAX_LENGTH } from './record-reader.ts'

/** A record of a {@link CapturedConnection}; see `RecordEvent`. */
export interface CapturedRecord {
  readonly direction: Direction
  readonly time: number
  readonly type: number
  readonly bytes: number
}

/** A connection as it was captured. */
export interface CapturedConnection {
  readonly connection: number
  /** In ms since the capture began. */
  readonly opened: number
  /** Of both directions, in the order in which they went by. */
  readonly records: readonly CapturedRecord[]
  /** Directions that ceased to be TLS. */
  readonly notTls: readonly Direction[]
  /** Absent when the capture ended before it. */
  readonly close?: Omit<CloseEvent, 'event' | 'connection'>
}

/** A capture that has been read. */
export interface ParsedCapture {
  readonly header: CaptureHeader
  readonly connections: readonly CapturedConnection[]
  /** Whether the file breaks off in its last line, as when its program was killed. That line is left out. */
  readonly cutOff: boolean
  /** What there was too much of, so that the end is missing. */
  readonly limit?: LimitEvent['of']
}

/** Far above any line that a capture has: the header may hold a host of 255 characters. */
const LINE_MAX_LENGTH = 1_024

type Growing<T> = { -readonly [Key in keyof T]: T[Key] }

interface OpenConnection extends Growing<CapturedConnection> {
  records: CapturedRecord[]
  notTls: Direction[]
}

/** Reads a capture in pieces of any length. */
export class CaptureParser {
  #rest = ''
  #line = 0
  #header: CaptureHeader | undefined
  readonly #connections: OpenConnection[] = []
  #records = 0
  #limit: LimitEvent['of'] | undefined

  /** @throws AnyTlsError `ERR_CAPTURE_INVALID`, one line that begins with the number of the line */
  push(text: string): void {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#read(line)
    if (this.#rest.length > LINE_MAX_LENGTH) throw this.#invalid(this.#line + 1, TOO_LONG)
  }

  /** No more comes. @throws AnyTlsError `ERR_CAPTURE_INVALID` */
  end(): ParsedCapture {
    const cutOff = this.#rest !== '' && !isJson(this.#rest)
    if (this.#rest !== '' && !cutOff) this.#read(this.#rest)
    if (this.#header === undefined) throw this.#invalid(1, 'there is no header of a capture')
    return {
      header: this.#header,
      connections: this.#connections,
      cutOff,
      ...(this.#limit && { limit: this.#limit }),
    }
  }

  #read(text: string): void {
    this.#line += 1
    try {
      if (text.length > LINE_MAX_LENGTH) throw problem(TOO_LONG)
      const value = parseJson(text, problem)
      if (this.#header === undefined) this.#header = readHeader(value)
      else if (this.#limit !== undefined) throw problem('there is a line behind the limit')
      else this.#take(readEvent(value))
    } catch (error) {
      if (error instanceof AnyTlsError) throw this.#invalid(this.#line, error.message)
      throw error
    }
  }

  #take(event: CaptureEvent): void {
    switch (event.event) {
      case 'open':
        if (event.connection !== this.#connections.length + 1) {
          throw problem(`connection ${event.connection} is out of order`)
        }
        this.#connections.push({
          connection: event.connection,
          opened: event.time,
          records: [],
          notTls: [],
        })
        break
      case 'record': {
        const { direction, time, type, bytes } = event
        const { records } = this.#open(event.connection, time)
        this.#records += 1
        if (this.#records > MAX_CAPTURE_RECORDS) {
          throw problem(`there are more than ${MAX_CAPTURE_RECORDS} records`)
        }
        records.push({ direction, time, type, bytes })
        break
      }
      case 'not-tls':
        this.#open(event.connection, event.time).notTls.push(event.direction)
        break
      case 'close': {
        const { time, reason, up, down } = event
        this.#open(event.connection, time).close = { time, reason, up, down }
        break
      }
      case 'limit':
        this.#limit = event.of
        break
    }
  }

  #open(number: number, time: number): OpenConnection {
    const connection = this.#connections[number - 1]
    if (connection === undefined) throw problem(`connection ${number} has not been opened`)
    if (connection.close !== undefined) throw problem(`connection ${number} has been closed`)
    if (time < (connection.records.at(-1)?.time ?? 0)) throw problem('time runs backwards')
    return connection
  }

  #invalid(line: number, text: string): AnyTlsError {
    return new AnyTlsError('ERR_CAPTURE_INVALID', `line ${line}: ${text}`)
  }
}

/**
 * Reads a capture that is in memory.
 *
 * @throws AnyTlsError `ERR_CAPTURE_INVALID`, one line that begins with the number of the line
 */
export function parseCapture(text: string): ParsedCapture {
  const parser = new CaptureParser()
  parser.push(text)
  return parser.end()
}

const TOO_LONG = `the line is longer than ${LINE_MAX_LENGTH} characters`

/** All fields that there are; each event has some of them. */
const EVENT_FIELDS = [
  ...['event', 'time', 'connection', 'direction', 'type', 'bytes'],
  ...['offset', 'reason', 'up', 'down', 'of'],
]
const EVENTS = ['open', 'record', 'not-tls', 'close', 'limit'] as const
/** Of characters: of a time stamp, and of a host with its port. */
const TEXT_MAX_LENGTH = 300

function readHeader(value: unknown): CaptureHeader {
  const known = ['format', 'version', 'to', 'started']
  const fields = new JsonFields(value, known, 'the header', problem)
  const format = fields.choice('format', [CAPTURE_FORMAT])
  if (fields.raw('version') !== CAPTURE_VERSION) {
    throw fields.problem(`"version" must be ${CAPTURE_VERSION}`)
  }
  const text = (field: string) => fields.text(field, 1, TEXT_MAX_LENGTH)
  return { format, version: CAPTURE_VERSION, to: text('to'), started: text('started') }
}

function readEvent(value: unknown): CaptureEvent {
  const fields = new JsonFields(value, EVENT_FIELDS, 'the event', problem)
  const event = fields.choice('event', EVENTS)
  const time = fields.number('time', 0, Number.MAX_SAFE_INTEGER)
  if (event === 'limit') return { event, time, of: fields.choice('of', LIMITS) }
  const connection = fields.whole('connection', 1, MAX_CAPTURE_CONNECTIONS)
  const count = (field: string) => fields.whole(field, 0, Number.MAX_SAFE_INTEGER)
  switch (event) {
    case 'open':
      return { event, connection, time }
    case 'record': {
      const direction = fields.choice('direction', DIRECTIONS)
      const type = fields.whole('type', ContentType.ChangeCipherSpec, ContentType.Heartbeat)
      const bytes = fields.whole('bytes', RECORD_HEAD_LENGTH, RECORD_MAX_LENGTH)
      return { event, connection, direction, time, type, bytes }
    }
    case 'not-tls': {
      const direction = fields.choice('direction', DIRECTIONS)
      return { event, connection, direction, time, offset: count('offset') }
    }
    case 'close': {
      const reason = fields.choice('reason', CLOSE_REASONS)
      return { event, connection, time, reason, up: count('up'), down: count('down') }
    }
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function problem(text: string): AnyTlsError {
  return new AnyTlsError('ERR_CAPTURE_INVALID', text)
}
