// Runs workloads through the real shaper and tells what would leave: Writes, records, times.
// Must never shape by itself: every size comes from the shaper and the wire.
import { invalidOption } from '../../errors.ts'
import type { AnyTlsError } from '../../errors.ts'
import { RECORD_SIZE } from '../../codec/tls-record.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { Shaper } from '../../shaping/shaper.ts'
import type { RandomInt } from '../../shaping/shaper.ts'
import type { Spread } from '../../shaping/scheme-summary.ts'
import { seededRandomInt } from './seeded-random.ts'
import { SIMULATION_FORMAT, SIMULATION_LIMITS, SIMULATION_VERSION } from './simulation.ts'
import type { DirectionSummary, SchemeText, SimulatedRecord, Simulation } from './simulation.ts'
import type { ModelDeliver, WireModel } from './wire-model.ts'
import type { Direction, Workload } from './workload.ts'

/**
 * How long one flush takes unless told otherwise, in ms: from a write on a TLS socket of Node 20 to its
 * callback on loopback, the median of Writes that follow a pause (0.015 in the midst of many).
 */
export const DEFAULT_FLUSH_TIME = 0.03

/** What is simulated. */
export interface SimulationOptions {
  /** The scheme of the client's direction. */
  readonly scheme: Scheme
  /** One of {@link WIRES}. */
  readonly wire: WireModel
  /** What the applications at both ends write, and when. */
  readonly workload: Workload
  /** The scheme of the server's direction, too. Default: that is not shaped. */
  readonly downlinkScheme?: Scheme | undefined
  /**
   * Pads control frames up where the scheme leaves them bare; see `Shaper.deliver`. Default: as our own ends
   * do on that wire, yes on v1 and no on the original one (N46).
   */
  readonly padControl?: boolean
  /** Whole number from 0 on. The same seed gives the same simulation. Default: 1. */
  readonly seed?: number
  /** How often the workload is run, 1 to 10,000, with other draws each time. Default: 1. */
  readonly runs?: number
  /** How long one flush takes, in ms. Default: {@link DEFAULT_FLUSH_TIME}. */
  readonly flushTime?: number
}

/** One Write. */
export interface SimulatedWrite {
  /** When it leaves, in ms. */
  readonly time: number
  /** All of it, padding included. */
  readonly bytes: number
  /** How many of them are padding. */
  readonly padding: number
}

/** One Deliver and what became of it. */
export interface SimulatedDeliver {
  /** `up` from the client, `down` from the server. */
  readonly direction: Direction
  /** Its place in its direction, from 0. */
  readonly deliver: number
  /** Its index in the scheme; `null` where none applies. */
  readonly entry: number | null
  /** When the application wrote, in ms. */
  readonly time: number
  /** Bytes of the application, of the frames around them, and of padding. */
  readonly data: number
  /** Bytes of the frames around the data. */
  readonly framing: number
  /** Bytes of padding, the heads of its frames included. */
  readonly padding: number
  /** What it leaves as, in order. */
  readonly writes: readonly SimulatedWrite[]
  /** From `time` to when the last byte that is not padding leaves, in ms. */
  readonly latency: number
}

/**
 * Simulates one connection that carries a workload. Time is modelled in one way: below stop, a Write leaves
 * when the flush of the one before it in its direction is over, and a flush takes `flushTime`; everything
 * else leaves at once, though never before what was written earlier. Without shaping no latency arises.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`, also when there would be more than 250,000 records
 * @example
 * const scheme = parseScheme('stop=3\n0=30-60\n1=200-400\n2=500-1000')
 * const { summary } = simulate({ scheme, wire: WIRES.v1, workload: WORKLOADS.handshake, runs: 100 })
 * expect(summary.up.overhead.mean).toBeLessThan(150)
 */
export function simulate(options: SimulationOptions): Simulation {
  const { scheme, wire, workload, downlinkScheme, padControl = wire.padControl } = options
  const { seed = 1, flushTime = DEFAULT_FLUSH_TIME } = options
  const all: SimulatedDeliver[][] = []
  const records: SimulatedRecord[][] = []
  let room = SIMULATION_LIMITS.maxRecords
  for (const delivers of simulateRuns(options)) {
    const made = recordsOf(delivers, room)
    room -= made.length
    all.push(delivers)
    records.push(made)
  }
  return {
    format: SIMULATION_FORMAT,
    version: SIMULATION_VERSION,
    wire: wire.name,
    scheme: textOf(scheme),
    downlinkScheme: downlinkScheme === undefined ? null : textOf(downlinkScheme),
    padControl,
    workload: workload.name,
    seed,
    flushTime,
    runs: records.map((list) => ({ records: list })),
    summary: summarizeRuns(all),
  }
}

/**
 * The Delivers of each run, in the order of the workload; the same that {@link simulate} makes its records of.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function* simulateRuns(options: SimulationOptions): Generator<SimulatedDeliver[]> {
  const { seed = 1, runs = 1, flushTime = DEFAULT_FLUSH_TIME } = options
  const { maxRuns, maxFlushTime } = SIMULATION_LIMITS
  if (!Number.isSafeInteger(seed) || seed < 0) throw invalid('seed', 'a whole number from 0 on')
  if (!Number.isInteger(runs) || runs < 1 || runs > maxRuns) {
    throw invalid('runs', `a whole number from 1 to ${maxRuns}`)
  }
  if (!(flushTime >= 0 && flushTime <= maxFlushTime)) {
    throw invalid('flushTime', `from 0 to ${maxFlushTime} ms`)
  }
  const randomInt = seededRandomInt(seed)
  for (let run = 0; run < runs; run += 1) yield new Run(options, flushTime, randomInt).play()
}

/** One connection. */
class Run {
  readonly #options: SimulationOptions
  readonly #padControl: boolean
  readonly #flushTime: number
  readonly #up: Side
  readonly #down: Side

  constructor(options: SimulationOptions, flushTime: number, randomInt: RandomInt) {
    const { scheme, downlinkScheme, wire, padControl = wire.padControl } = options
    this.#options = options
    this.#padControl = padControl
    this.#flushTime = flushTime
    this.#up = new Side(new Shaper(scheme, randomInt, wire.padding), scheme.stop)
    this.#down =
      downlinkScheme === undefined
        ? new Side(undefined, 0)
        : new Side(new Shaper(downlinkScheme, randomInt, wire.padding), downlinkScheme.stop)
  }

  play(): SimulatedDeliver[] {
    const { wire, workload, scheme } = this.#options
    const connection = wire.connect(scheme.digest, () => this.#up.shaper?.authPadding() ?? 0)
    const delivers: SimulatedDeliver[] = []
    for (const event of workload.events) {
      for (const made of connection(event)) delivers.push(this.#deliver(made, event.time))
    }
    return delivers
  }

  #deliver(made: ModelDeliver, time: number): SimulatedDeliver {
    // Both ends shape again, the server when the OPEN arrives.
    if (made.opens) for (const { shaper } of [this.#up, this.#down]) shaper?.streamOpened()
    const side = made.direction === 'up' ? this.#up : this.#down
    const { shaper } = side
    const index = shaper?.nextIndex ?? Infinity
    const isShaped = index < side.stop
    const control = made.control && this.#padControl
    const bytes = zeros(made.bytes)
    const sent = shaper?.deliver(bytes, { control }) ?? [bytes]
    let [leaves, rest, padding] = [Math.max(time, side.free), made.bytes, made.padding]
    let latency = 0
    const writes = sent.map(({ length }, position) => {
      const own = Math.min(rest, length)
      if (own > 0) latency = leaves - time
      const write = {
        time: leaves,
        bytes: length,
        padding: length - own + (position === 0 ? made.padding : 0),
      }
      rest -= own
      padding += length - own
      if (isShaped) leaves += this.#flushTime
      return write
    })
    side.free = leaves
    const { direction, data } = made
    const framing = made.bytes - data - made.padding
    const entry = isShaped ? index : null
    return { direction, deliver: side.next++, entry, time, data, framing, padding, writes, latency }
  }
}

/** One direction of a run. */
class Side {
  /** Undefined when the direction is not shaped. */
  readonly shaper: Shaper | undefined
  readonly stop: number
  /** When the last flush is over, in ms. */
  free = 0
  /** The place of the next Deliver. */
  next = 0

  constructor(shaper: Shaper | undefined, stop: number) {
    this.shaper = shaper
    this.stop = stop
  }
}

/** Bytes to be shaped: only their number matters. */
function zeros(length: number): Uint8Array {
  if (length > shared.length) shared = new Uint8Array(length)
  return shared.subarray(0, length)
}

let shared = new Uint8Array(0)

/** The records of a run, in the order of time. */
function recordsOf(delivers: readonly SimulatedDeliver[], room: number): SimulatedRecord[] {
  const next = { up: 0, down: 0 }
  const records: SimulatedRecord[] = []
  for (const { direction, deliver, entry, writes } of delivers) {
    for (const [write, { time, bytes, padding }] of writes.entries()) {
      for (let start = 0; start < bytes; start += RECORD_SIZE) {
        const end = Math.min(start + RECORD_SIZE, bytes)
        // Padding stands behind the data.
        const padded = Math.max(0, end - Math.max(start, bytes - padding))
        records.push({
          index: next[direction],
          time: Math.round(time * 1000) / 1000,
          direction,
          bytes: end - start,
          deliver,
          write,
          entry,
          padding: padded,
        })
        next[direction] += 1
      }
    }
    if (records.length > room) throw tooMany()
  }
  return records.sort((a, b) => a.time - b.time)
}

function tooMany(): AnyTlsError {
  const most = `more than ${SIMULATION_LIMITS.maxRecords} records in all`
  return invalidOption(`${most}: take fewer runs or a smaller workload`)
}

function textOf({ text, digest }: Scheme): SchemeText {
  return { text, digest }
}

function invalid(option: string, what: string): AnyTlsError {
  return invalidOption(`${option} must be ${what}`)
}

/** What shaping costs in each direction: least, mean and most over all runs, of which there is at least one. */
function summarizeRuns(runs: readonly (readonly SimulatedDeliver[])[]): Simulation['summary'] {
  return { up: summarize(runs, 'up'), down: summarize(runs, 'down') }
}

function summarize(
  runs: readonly (readonly SimulatedDeliver[])[],
  direction: Direction,
): DirectionSummary {
  const totals = runs.map((run) => totalOf(run.filter((made) => made.direction === direction)))
  const over = (number: (total: Total) => number) => spreadOf(totals.map(number))
  const [{ data, framing, delivers }] = totals as [Total, ...Total[]]
  return {
    data,
    framing,
    delivers,
    writes: over(({ writes }) => writes),
    writesAdded: over(({ writes }) => writes - delivers),
    records: over(({ records }) => records),
    padding: over(({ padding }) => padding),
    overhead: over(({ padding }) =>
      data + framing === 0 ? 0 : (100 * padding) / (data + framing),
    ),
    latency: spreadOf(
      runs.flatMap((run) =>
        run.filter((made) => made.direction === direction).map(({ latency }) => latency),
      ),
    ),
  }
}

/** One direction of one run. */
interface Total {
  data: number
  framing: number
  delivers: number
  writes: number
  records: number
  padding: number
}

function totalOf(made: readonly SimulatedDeliver[]): Total {
  const total = { data: 0, framing: 0, delivers: made.length, writes: 0, records: 0, padding: 0 }
  for (const { data, framing, padding, writes } of made) {
    total.data += data
    total.framing += framing
    total.padding += padding
    total.writes += writes.length
    for (const { bytes } of writes) total.records += Math.ceil(bytes / RECORD_SIZE)
  }
  return total
}

function spreadOf(numbers: readonly number[]): Spread {
  if (numbers.length === 0) return { least: 0, mean: 0, most: 0 }
  let [least, sum, most] = [Infinity, 0, 0]
  for (const number of numbers) {
    least = Math.min(least, number)
    most = Math.max(most, number)
    sum += number
  }
  return { least: rounded(least), mean: rounded(sum / numbers.length), most: rounded(most) }
}

/** Digits beyond these say nothing and fill the file. */
function rounded(number: number): number {
  return Math.round(number * 1e6) / 1e6
}
