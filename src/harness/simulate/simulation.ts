// What a simulation gives: records by run and their summary; and its JSON, which reports read.
// Must never hold more records than its bound says, or believe a file.
import { AnyTlsError } from '../../errors.ts'
import { RECORD_SIZE } from '../../codec/tls-record.ts'
import type { Spread } from '../../shaping/scheme-summary.ts'
import { JsonFields, parseJson } from './json-fields.ts'
import { WIRE_NAMES } from './wire-model.ts'
import type { WireName } from './wire-model.ts'
import { DIRECTIONS, WORKLOAD_LIMITS } from './workload.ts'
import type { Direction } from './workload.ts'

export const SIMULATION_FORMAT = 'anytls-simulation'
export const SIMULATION_VERSION = 1

/** Bounds on a simulation, all of them inclusive. */
export const SIMULATION_LIMITS = Object.freeze({
  maxRuns: 10_000,
  /** Of all runs together: what shows a simulation must hold them all. */
  maxRecords: 250_000,
  /** In ms: beyond that a connection would be taken for dead. */
  maxFlushTime: 10_000,
})

/** One TLS record. */
export interface SimulatedRecord {
  /** Its place among the records of its direction, from 0. */
  readonly index: number
  /** In ms since the beginning of the workload. */
  readonly time: number
  /** `up` from the client, `down` from the server. */
  readonly direction: Direction
  /** Its content, without `RECORD_OVERHEAD`. */
  readonly bytes: number
  /** The Deliver that it belongs to, by its place in its direction, from 0. */
  readonly deliver: number
  /** The Write of that Deliver that it belongs to, from 0. One above 16,384 bytes is several records. */
  readonly write: number
  /**
   * The index of that Deliver in the scheme; `null` where none applies, at stop and above. The same as
   * `deliver` unless the scheme has a restart.
   */
  readonly entry: number | null
  /** How many of `bytes` are padding, frame heads included. */
  readonly padding: number
}

/** One direction, over all runs. */
export interface DirectionSummary {
  /** Bytes of the application, and of the frames around them, AUTH and negotiation included; in each run. */
  readonly data: number
  /** Bytes of the frames around the data, in each run. */
  readonly framing: number
  /** How many Delivers there are in each run. */
  readonly delivers: number
  /** By run: Writes, those of them beyond one a Deliver, and TLS records. */
  readonly writes: Spread
  /** By run: Writes beyond one a Deliver. */
  readonly writesAdded: Spread
  /** By run: TLS records. */
  readonly records: Spread
  /** By run: bytes of padding, and how many percent they add to data and framing. */
  readonly padding: Spread
  /** By run: how many percent the padding adds to data and framing. */
  readonly overhead: Spread
  /** By Deliver: how much later its last data leaves because of shaping, in ms. */
  readonly latency: Spread
}

/** A scheme as a file names it. */
export interface SchemeText {
  /** The scheme as it was given. */
  readonly text: string
  /** Its MD5, in lower-case hexadecimal digits, as negotiation tells it. */
  readonly digest: string
}

/** What a simulation found, as `anytls scheme simulate --json` writes it. Sizes are bytes, times ms. */
export interface Simulation {
  /** Says that the file is a simulation. */
  readonly format: typeof SIMULATION_FORMAT
  /** Of the format; a reader refuses another. */
  readonly version: typeof SIMULATION_VERSION
  /** The wire that was simulated. */
  readonly wire: WireName
  /** The scheme of the client's direction. */
  readonly scheme: SchemeText
  /** The scheme of the server's direction; `null` when that is not shaped. */
  readonly downlinkScheme: SchemeText | null
  /** Whether control frames alone were padded up. */
  readonly padControl: boolean
  /** The name of the workload. */
  readonly workload: string
  /** What the draws came of: the same seed gives the same simulation. */
  readonly seed: number
  /** How long one flush takes, in ms. */
  readonly flushTime: number
  /** One after the other, each with other draws. */
  readonly runs: readonly {
    /** In the order in which they leave. */
    readonly records: readonly SimulatedRecord[]
  }[]
  /** Over all runs, by direction. */
  readonly summary: Readonly<Record<Direction, DirectionSummary>>
}

const TOP_FIELDS = [
  ...['format', 'version', 'wire', 'scheme', 'downlinkScheme', 'padControl', 'workload'],
  ...['seed', 'flushTime', 'runs', 'summary'],
]
const RECORD_FIELDS = [
  ...['index', 'time', 'direction', 'bytes', 'deliver', 'write', 'entry', 'padding'],
]
const SUMMARY_FIELDS = [
  ...['data', 'framing', 'delivers', 'writes', 'writesAdded', 'records', 'padding', 'overhead'],
  'latency',
]

/**
 * Parses the JSON of a simulation, strictly.
 *
 * @throws AnyTlsError `ERR_SIMULATION_INVALID`, one line that names the place
 */
export function parseSimulation(text: string): Simulation {
  const fields = new JsonFields(parseJson(text, invalid), TOP_FIELDS, 'the simulation', invalid)
  const format = fields.choice('format', [SIMULATION_FORMAT])
  if (fields.raw('version') !== SIMULATION_VERSION) {
    throw fields.problem(`"version" must be ${SIMULATION_VERSION}`)
  }
  const downlink = fields.raw('downlinkScheme')
  return {
    format,
    version: SIMULATION_VERSION,
    wire: fields.choice('wire', WIRE_NAMES),
    scheme: readScheme(fields.raw('scheme'), '"scheme"'),
    downlinkScheme: downlink === null ? null : readScheme(downlink, '"downlinkScheme"'),
    padControl: fields.flag('padControl'),
    workload: fields.text('workload', 1, WORKLOAD_LIMITS.maxNameLength),
    seed: fields.whole('seed', 0, Number.MAX_SAFE_INTEGER),
    flushTime: fields.number('flushTime', 0, WORKLOAD_LIMITS.maxTime),
    runs: readRuns(fields.list('runs', SIMULATION_LIMITS.maxRuns)),
    summary: readSummary(fields.raw('summary')),
  }
}

function readScheme(source: unknown, where: string): SchemeText {
  const fields = new JsonFields(source, ['text', 'digest'], where, invalid)
  return { text: fields.text('text', 1, 65_535), digest: fields.text('digest', 32, 32) }
}

function readRuns(runs: readonly unknown[]): Simulation['runs'] {
  let room = SIMULATION_LIMITS.maxRecords
  return runs.map((source, run) => {
    const where = `run ${run + 1}`
    const records = new JsonFields(source, ['records'], where, invalid).list('records', room)
    room -= records.length
    const next = { up: 0, down: 0 }
    return {
      records: records.map((record, place) =>
        readRecord(record, next, `${where}, record ${place + 1}`),
      ),
    }
  })
}

/** @param next the index that the next record of each direction has */
function readRecord(
  source: unknown,
  next: Record<Direction, number>,
  where: string,
): SimulatedRecord {
  const fields = new JsonFields(source, RECORD_FIELDS, where, invalid)
  const direction = fields.choice('direction', DIRECTIONS)
  const index = fields.whole('index', next[direction], next[direction])
  next[direction] += 1
  const bytes = fields.whole('bytes', 1, RECORD_SIZE)
  return {
    index,
    time: fields.number('time', 0, MAX_TIME),
    direction,
    bytes,
    deliver: fields.whole('deliver', 0, index),
    write: fields.whole('write', 0, index),
    entry: fields.raw('entry') === null ? null : fields.whole('entry', 0, 0xffff_ffff),
    padding: fields.whole('padding', 0, bytes),
  }
}

function readSummary(source: unknown): Simulation['summary'] {
  const fields = new JsonFields(source, [...DIRECTIONS], '"summary"', invalid)
  return { up: readDirection(fields.raw('up')), down: readDirection(fields.raw('down')) }
}

function readDirection(source: unknown): DirectionSummary {
  const fields = new JsonFields(source, SUMMARY_FIELDS, 'a direction of "summary"', invalid)
  const count = (field: string) => fields.whole(field, 0, Number.MAX_SAFE_INTEGER)
  const spread = (field: string): Spread => {
    const parts = new JsonFields(
      fields.raw(field),
      ['least', 'mean', 'most'],
      `"${field}"`,
      invalid,
    )
    const part = (name: string) => parts.number(name, 0, Number.MAX_VALUE)
    return { least: part('least'), mean: part('mean'), most: part('most') }
  }
  return {
    data: count('data'),
    framing: count('framing'),
    delivers: count('delivers'),
    writes: spread('writes'),
    writesAdded: spread('writesAdded'),
    records: spread('records'),
    padding: spread('padding'),
    overhead: spread('overhead'),
    latency: spread('latency'),
  }
}

/** A day of workload, and all the time that flushes may add. */
const MAX_TIME = Number.MAX_SAFE_INTEGER

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_SIMULATION_INVALID', `the simulation is not valid: ${problem}`)
}
