// Reads captures, strictly: whatever does not fit is named with its line.
// Must never take more lines, or longer ones, than a capture may have.

import { AnyTlsError } from '../../errors.ts'
import {
  CAPTURE_FORMAT,
  CAPTURE_ORIGINS,
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
import { RECORD_HEAD_LENGTH } from '../../codec/tls-record.ts'
import { ContentType, RECORD_MAX_LENGTH } from './record-reader.ts'

/** A record of a {@link CapturedConnection}; see `RecordEvent`. */
export interface CapturedRecord {
  /** `up` from the client, `down` from the server. */
  readonly direction: Direction
  /** When its last byte was read, in ms since the connection was accepted. */
  readonly time: number
  /** The content type in its head: 22 handshake, 23 application data. */
  readonly type: number
  /** Bytes on the wire, head included. */
  readonly bytes: number
}

/** A connection as it was captured. */
export interface CapturedConnection {
  /** By the order of acceptance, from 1. */
  readonly connection: number
  /** In ms since the capture began. */
  readonly opened: number
  /** Of both directions, in the order in which they went by. */
  readonly records: readonly CapturedRecord[]
  /** Directions that ceased to be TLS. */
  readonly notTls: readonly Direction[]
  /** Directions of which bytes are missing, so that what came then is not known. */
  readonly lost: readonly Direction[]
  /** Absent when the capture ended before it. */
  readonly close?: Omit<CloseEvent, 'event' | 'connection'>
}

/** A capture that has been read. */
export interface ParsedCapture {
  /** The first line of the file. */
  readonly header: CaptureHeader
  /** In the order of acceptance. */
  readonly connections: readonly CapturedConnection[]
  /** Whether the file breaks off, as when its program was killed. A last line that is not whole is left out. */
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
  lost: Direction[]
}

/** Reads a capture in pieces of any length. */
export class CaptureParser {
  #rest = ''
  #line = 0
  #header: CaptureHeader | undefined
  readonly #connections: OpenConnection[] = []
  #records = 0
  #limit: LimitEvent['of'] | undefined
  /** Whether lines have numbers, which shows that none is missing; older captures have none. */
  #isNumbered: boolean | undefined
  #isOver = false

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
      cutOff: cutOff || (this.#isNumbered === true && !this.#isOver),
      ...(this.#limit && { limit: this.#limit }),
    }
  }

  #read(text: string): void {
    this.#line += 1
    try {
      if (text.length > LINE_MAX_LENGTH) throw problem(TOO_LONG)
      const value = parseJson(text, problem)
      if (this.#header === undefined) this.#header = readHeader(value)
      else this.#take(this.#readEvent(value))
    } catch (error) {
      if (error instanceof AnyTlsError) throw this.#invalid(this.#line, error.message)
      throw error
    }
  }

  #readEvent(value: unknown): CaptureEvent {
    const fields = new JsonFields(value, EVENT_FIELDS, 'the event', problem)
    this.#isNumbered ??= fields.has('line')
    if (this.#isNumbered && fields.whole('line', 1, Number.MAX_SAFE_INTEGER) !== this.#line) {
      throw problem(
        `it says that it is line ${Number(fields.raw('line'))}: lines are missing before it`,
      )
    }
    return readEvent(fields)
  }

  #take(event: CaptureEvent): void {
    if (this.#isOver) throw problem('there is a line behind the end')
    if (this.#limit !== undefined && event.event !== 'end') {
      throw problem('there is a line behind the limit')
    }
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
          lost: [],
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
      case 'lost':
        this.#open(event.connection, event.time).lost.push(event.direction)
        break
      case 'close': {
        const { time, reason, up, down } = event
        const connection = this.#open(event.connection, time)
        checkTotals(connection, { up, down })
        connection.close = { time, reason, up, down }
        break
      }
      case 'limit':
        this.#limit = event.of
        break
      case 'end':
        this.#isOver = true
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

/** What a connection carried is its records, and at most the beginning of one more where it was all TLS. */
function checkTotals(
  { records, notTls, lost }: CapturedConnection,
  totals: Readonly<Record<Direction, number>>,
): void {
  for (const direction of DIRECTIONS) {
    let rest = totals[direction]
    for (const record of records) if (record.direction === direction) rest -= record.bytes
    const isWhole = !notTls.includes(direction) && !lost.includes(direction)
    if (rest >= 0 && (rest < RECORD_MAX_LENGTH || !isWhole)) continue
    throw problem(
      `"${direction}" is not the sum of the records: lines are missing or added before it`,
    )
  }
}

const TOO_LONG = `the line is longer than ${LINE_MAX_LENGTH} characters`

/** All fields that there are; each event has some of them. */
const EVENT_FIELDS = [
  ...['event', 'time', 'connection', 'direction', 'type', 'bytes'],
  ...['offset', 'reason', 'up', 'down', 'of', 'line'],
]
const EVENTS = ['open', 'record', 'not-tls', 'lost', 'close', 'limit', 'end'] as const
/** Of characters: of a time stamp, and of a host with its port. */
const TEXT_MAX_LENGTH = 300

function readHeader(value: unknown): CaptureHeader {
  const known = ['format', 'version', 'to', 'from', 'started']
  const fields = new JsonFields(value, known, 'the header', problem)
  const format = fields.choice('format', [CAPTURE_FORMAT])
  if (fields.raw('version') !== CAPTURE_VERSION) {
    throw fields.problem(`"version" must be ${CAPTURE_VERSION}`)
  }
  const text = (field: string) => fields.text(field, 1, TEXT_MAX_LENGTH)
  const head = { format, version: CAPTURE_VERSION } as const
  if (!fields.has('from')) return { ...head, to: text('to'), started: text('started') }
  const from = fields.choice('from', CAPTURE_ORIGINS)
  return { ...head, from, ...(fields.has('started') && { started: text('started') }) }
}

function readEvent(fields: JsonFields): CaptureEvent {
  const event = fields.choice('event', EVENTS)
  if (event === 'end') return { event }
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
    case 'not-tls':
    case 'lost': {
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

/** The events of a capture that is known as a whole, connection by connection. */
export function* captureEvents(capture: ParsedCapture): Generator<CaptureEvent> {
  for (const { connection, opened, records, notTls, lost, close } of capture.connections) {
    yield { event: 'open', connection, time: opened }
    const passed = { up: 0, down: 0 }
    for (const record of records) {
      passed[record.direction] += record.bytes
      yield { event: 'record', connection, ...record }
    }
    const time = records.at(-1)?.time ?? 0
    for (const [event, directions] of [['not-tls', notTls] as const, ['lost', lost] as const]) {
      for (const direction of directions) {
        yield { event, connection, direction, time, offset: passed[direction] }
      }
    }
    if (close !== undefined) yield { event: 'close', connection, ...close }
  }
  if (capture.limit !== undefined) {
    const time = Math.max(0, ...capture.connections.slice(-1).map(({ opened }) => opened))
    yield { event: 'limit', time, of: capture.limit }
  }
}
