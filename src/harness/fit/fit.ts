// Finds a scheme whose records look like those of captures: what is to be imitated, as near as the language allows.

import { AnyTlsError, invalidOption } from '../../errors.ts'
import { encodeScheme, formatScheme, parsePeerScheme, parseScheme } from '../../shaping/scheme.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import type { SchemeItem } from '../../shaping/scheme-items.ts'
import { kolmogorovSmirnov, wasserstein } from '../report/distances.ts'
import { sourceFromSimulation } from '../report/from-simulation.ts'
import type { Run } from '../report/source.ts'
import { simulate, simulateRuns } from '../simulate/simulate.ts'
import type { SimulationOptions } from '../simulate/simulate.ts'
import type { Direction } from '../simulate/workload.ts'
import { fitRange } from './range.ts'
import type { FittedRange } from './range.ts'

/** Fewest connections to be imitated. */
const LEAST_TO_FIT = 20

/** Most items of an entry that a client takes from its server (`DEFAULT_SCHEME_LIMITS`). */
const MAX_ITEMS = 128

export interface FitOptions extends Pick<SimulationOptions, 'wire' | 'workload'> {
  readonly direction: Direction
  /** Records of a connection that are imitated, from its first on. */
  readonly records: number
  /** How much padding may be added to that direction in the mean, in percent of its bytes. */
  readonly maxOverhead: number
  /** The index that streams opened later are counted from: `restart` of the scheme. */
  readonly restart?: number
  /** Default: 1. */
  readonly seed?: number
}

/** How near records come to what they imitate. */
export interface Nearness {
  /** Kolmogorov-Smirnov. */
  readonly ks: number
  /** Wasserstein-1 in bytes. */
  readonly w1: number
}

/** One record of a connection. */
interface FittedRecord {
  /** Place in its direction, from 0. */
  readonly index: number
  /** How many of the captured connections have it. */
  readonly connections: number
  /** Simulated without shaping, and with the scheme; `undefined` where there is no such record. */
  readonly before: Nearness | undefined
  readonly after: Nearness | undefined
  /** Wasserstein-1 that one range cannot go below. */
  readonly least: number
  /** Why it comes no nearer, where it could. */
  readonly limit?: FitLimit
}

/**
 * - `range`: its sizes are no even spread; the nearest range is as far away;
 * - `first`: AUTH, negotiation and OPEN are longer, or nothing pads the first record of that direction;
 * - `data`: more data than the size has room for, or no record at all at that place of the workload;
 * - `overhead`: shaping ends before, as the overhead would exceed its bound, or a client refuse so much.
 */
type FitLimit = 'range' | 'first' | 'data' | 'overhead'

export interface Fit {
  readonly scheme: Scheme
  readonly records: readonly FittedRecord[]
  /** In percent, the mean over the simulated runs. */
  readonly overhead: number
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` when there are too few connections, or nothing fits the bound */
export function fitScheme(captured: readonly Run[], options: FitOptions): Fit {
  const { direction, maxOverhead, restart } = options
  const targets = targetsOf(captured, options)
  const ranges = targets.map((sizes, index) =>
    // Behind a restart, any of the later records may be the one.
    fitRange(restart === undefined || index < restart ? sizes : targets.slice(restart).flat()),
  )
  const bare = simulateWith(NO_SHAPING, options)
  const [delivers = []] = simulateRuns(simulationOf(NO_SHAPING, options))
  const lengths = delivers
    .filter((deliver) => deliver.direction === direction)
    .map(({ data, framing }) => data + framing)
  for (let count = ranges.length; count > 0; count -= 1) {
    const scheme = schemeOf(ranges.slice(0, count), lengths, options)
    if (direction === 'up' && !isTaken(scheme)) continue
    const made = simulateWith(scheme, options)
    if (made.overhead > maxOverhead) continue
    const records = targets.map((sizes, index): FittedRecord => {
      const before = nearness(sizes, bare.sizes[index])
      const after = nearness(sizes, made.sizes[index])
      const least = ranges[index]?.distance ?? 0
      const limit = limitOf(sizes, after, least, index, count)
      return { index, connections: sizes.length, before, after, least, ...(limit && { limit }) }
    })
    return { scheme, records, overhead: made.overhead }
  }
  const message = `no scheme keeps the overhead below ${maxOverhead} %: the first record alone exceeds it`
  throw invalidOption(message)
}

/** Whether a client takes it from its server: one of its own is bound by nothing but the language. */
function isTaken(scheme: Scheme): boolean {
  try {
    parsePeerScheme(encodeScheme(scheme))
    return true
  } catch (error) {
    if (error instanceof AnyTlsError) return false
    throw error
  }
}

/** Runs of the simulation: enough for a distance of a few per cent. */
const RUNS = 200

const NO_SHAPING = parseScheme('stop=1')

/** Sizes by place, as long as at least half of the connections have a record there. */
function targetsOf(captured: readonly Run[], { direction, records }: FitOptions): number[][] {
  const connections = captured
    .map((run) => run[direction].sizes)
    .filter((sizes) => sizes.length > 0)
  if (connections.length < LEAST_TO_FIT) {
    const found = `there are ${connections.length} with records ${direction}`
    const message = `a fit takes at least ${LEAST_TO_FIT} connections; ${found}`
    throw invalidOption(message)
  }
  const targets: number[][] = []
  for (let index = 0; index < records; index += 1) {
    const sizes = connections.flatMap((own) => own[index] ?? [])
    if (sizes.length < connections.length / 2) break
    targets.push(sizes)
  }
  return targets
}

function simulationOf(scheme: Scheme, options: FitOptions): SimulationOptions {
  const { direction, wire, workload, seed = 1 } = options
  return direction === 'up'
    ? { scheme, wire, workload, seed }
    : { scheme: NO_SHAPING, downlinkScheme: scheme, wire, workload, seed }
}

/** What becomes of the workload: sizes by place, and the overhead. */
function simulateWith(scheme: Scheme, options: FitOptions) {
  const { direction } = options
  const simulation = simulate({ ...simulationOf(scheme, options), runs: RUNS })
  const sizes: number[][] = []
  for (const run of sourceFromSimulation('', simulation).runs) {
    for (const [index, size] of run[direction].sizes.entries()) (sizes[index] ??= []).push(size)
  }
  return { sizes, overhead: simulation.summary[direction].overhead.mean }
}

/**
 * One record after the other gets its range. A Deliver has as many as its data needs at the least, so that which
 * record is which does not depend on chance, and nothing is left over.
 *
 * @param lengths bytes of each Deliver of the direction
 */
function schemeOf(
  ranges: readonly FittedRange[],
  lengths: readonly number[],
  { direction, restart }: FitOptions,
): Scheme {
  const entries = new Map<number, readonly SchemeItem[]>()
  const [first] = ranges
  const padding = { least: 0, most: 0 }
  if (direction === 'up' && first !== undefined) {
    padding.least = Math.max(first.least - (lengths[0] ?? 0), 1)
    padding.most = Math.max(first.most - (lengths[0] ?? 0), padding.least)
    if (first.most > (lengths[0] ?? 0)) entries.set(0, [itemOf(padding)])
  }
  let [record, deliver] = [1, 1]
  for (; record < ranges.length; deliver += 1) {
    const items: SchemeItem[] = []
    let room = 0
    do {
      const range = ranges[record]
      if (range === undefined) break
      items.push(itemOf(range))
      room += range.least
      record += 1
    } while (room < (lengths[deliver] ?? 0) && items.length < MAX_ITEMS)
    entries.set(deliver, items)
  }
  const counted = restart !== undefined && restart < deliver ? restart : undefined
  return parseScheme(formatScheme({ stop: deliver, restart: counted, entries }))
}

function itemOf({ least, most }: { least: number; most: number }): SchemeItem {
  return { kind: 'size', min: least, max: most }
}

function nearness(target: readonly number[], made: readonly number[] | undefined) {
  if (made === undefined || made.length === 0) return undefined
  return { ks: kolmogorovSmirnov(target, made), w1: wasserstein(target, made) }
}

/** Told where what remains is more than what chance does between two such samples. */
function limitOf(
  target: readonly number[],
  after: Nearness | undefined,
  least: number,
  index: number,
  count: number,
): FitLimit | undefined {
  const spread = (Math.max(...target) - Math.min(...target)) / Math.sqrt(target.length)
  const slack = Math.max(spread, 2)
  if (after !== undefined && after.w1 <= slack) return undefined
  if (index >= count) return 'overhead'
  if (after !== undefined && after.w1 <= least + slack) return 'range'
  return index === 0 ? 'first' : 'data'
}
