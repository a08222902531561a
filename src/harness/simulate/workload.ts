// Workloads: what applications do with the streams of one connection, and the JSON that people write.
// Must never take more of anything than its bounds say, or repair what is wrong.
import { AnyTlsError } from '../../errors.ts'
import { JsonFields, parseJson } from './json-fields.ts'

/** From the client to the server, and back. */
export const DIRECTIONS = ['up', 'down'] as const
/** `up` is from the client to the server. */
export type Direction = (typeof DIRECTIONS)[number]

/** An application writes, opens a stream, ends its direction of one, or all of that at once. */
export interface WorkloadEvent {
  /** In ms since the beginning, not before the event that stands in front of it. */
  readonly time: number
  /** Who writes: `up` the client, `down` the server. */
  readonly direction: Direction
  /** What it writes at once, in bytes; 0 when it only opens or ends. */
  readonly bytes: number
  /** The stream, by the order of opening, from 1. */
  readonly stream: number
  /** The client opens the stream; `bytes` are then its first data, such as the target's address. */
  readonly open: boolean
  /** The side that writes ends its direction of the stream, behind `bytes`. */
  readonly end: boolean
}

/** What happens on one connection. */
export interface Workload {
  /** What simulations and reports call it. */
  readonly name: string
  /** Where its numbers come from. */
  readonly about: string
  /** In the order of their times. */
  readonly events: readonly WorkloadEvent[]
}

/** Bounds on a workload, all of them inclusive. */
export const WORKLOAD_LIMITS = Object.freeze({
  /** More would be no pattern to look at any more. */
  maxEvents: 20_000,
  /** 1 GiB in all: 65,536 full records. */
  maxTotalBytes: 1024 * 1024 * 1024,
  /** A day, in ms. */
  maxTime: 86_400_000,
  /** In characters. */
  maxNameLength: 100,
  /** In characters. */
  maxAboutLength: 2000,
})

/**
 * Parses the JSON of a workload:
 *
 * ```json
 * {
 *   "name": "one question", "about": "optional: where the numbers come from",
 *   "events": [
 *     { "time": 0, "direction": "up", "bytes": 13, "open": true },
 *     { "time": 2.5, "direction": "up", "bytes": 382 },
 *     { "time": 3, "direction": "down", "bytes": 800, "stream": 1, "end": true }
 *   ]
 * }
 * ```
 *
 * The fields are those of {@link WorkloadEvent}. `open` and `end` are false where they are left out;
 * `stream` is then the one opened last. Nothing else may stand there.
 *
 * @throws AnyTlsError `ERR_WORKLOAD_INVALID`, one line that names the event, counted from 1
 */
export function parseWorkload(text: string): Workload {
  const source = parseJson(text, invalid)
  const fields = new JsonFields(source, ['name', 'about', 'events'], 'the workload', invalid)
  const { maxNameLength, maxAboutLength, maxEvents } = WORKLOAD_LIMITS
  const name = fields.text('name', 1, maxNameLength)
  const about = fields.has('about') ? fields.text('about', 0, maxAboutLength) : ''
  const events = fields.list('events', maxEvents)
  if (events.length === 0) throw fields.problem('there are no events')
  const reader = new EventReader()
  return {
    name,
    about,
    events: events.map((event, index) => reader.read(event, `event ${index + 1}`)),
  }
}

const EVENT_FIELDS = ['time', 'direction', 'bytes', 'stream', 'open', 'end']

/** Reads the events, each in the light of those before it. */
class EventReader {
  #time = 0
  #total = 0
  /** How many streams were opened. */
  #opened = 0
  /** The directions that are ended, as `stream direction`. */
  readonly #ended = new Set<string>()

  read(source: unknown, where: string): WorkloadEvent {
    const fields = new JsonFields(source, EVENT_FIELDS, where, invalid)
    const time = fields.number('time', 0, WORKLOAD_LIMITS.maxTime)
    if (time < this.#time) throw fields.problem('its time is before that of the event above it')
    this.#time = time
    const direction = fields.choice('direction', DIRECTIONS)
    const [open, end] = [fields.flag('open'), fields.flag('end')]
    const stream = this.#readStream(fields, open)
    const bytes = this.#readBytes(fields)
    if (open && direction === 'down') throw fields.problem('only "up" opens a stream')
    if (bytes === 0 && !open && !end) throw fields.problem('nothing happens in it')
    const side = `${stream} ${direction}`
    if (this.#ended.has(side)) throw fields.problem('that direction of the stream has ended')
    if (end) this.#ended.add(side)
    return { time, direction, bytes, stream, open, end }
  }

  #readBytes(fields: JsonFields): number {
    const { maxTotalBytes } = WORKLOAD_LIMITS
    const bytes = fields.whole('bytes', 0, maxTotalBytes)
    this.#total += bytes
    if (this.#total <= maxTotalBytes) return bytes
    throw fields.problem(`with it, there are more than ${maxTotalBytes} bytes in all`)
  }

  #readStream(fields: JsonFields, open: boolean): number {
    if (open) this.#opened += 1
    if (this.#opened === 0) throw fields.problem('no stream has been opened yet ("open": true)')
    if (!fields.has('stream')) return this.#opened
    const stream = fields.whole('stream', 1, this.#opened)
    if (!open || stream === this.#opened) return stream
    throw fields.problem(`the stream that it opens is number ${this.#opened}`)
  }
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_WORKLOAD_INVALID', `the workload is not valid: ${problem}`)
}
