// Compares two sets of connections: can an onlooker who knows examples of both tell to which a connection belongs?

import { invalidOption } from '../../errors.ts'
import type { Run } from '../report/source.ts'
import { summarize } from '../report/statistics.ts'
import { seededRandomInt } from '../simulate/seeded-random.ts'
import { distancesByIndex } from './by-index.ts'
import type { IndexDistance } from './by-index.ts'
import { areaAlone, crossValidate, FOLDS, judge, TREES } from './evaluate.ts'
import type { Interval } from './evaluate.ts'
import { FEATURE_NAMES, featuresOf, firstRecords, sequenceOf } from './features.ts'
import type { Sequence } from './features.ts'
import { binColumns } from './forest.ts'

/** Fewest connections of a side. With fewer, an interval would hold nearly everything. */
export const LEAST_CONNECTIONS = 50

/** After how many records of both directions the AUC is told. */
const CHECKPOINTS = [1, 2, 4, 8, 16, 32, 64]
const KEPT_RECORDS = 64

/** How often connections are drawn for an interval, and scores dealt out for a p-value. */
const DRAWS = 2_000
const DRAWS_OF_CHECKPOINT = 500

/** What of a connection is compared. */
export interface Observation {
  readonly features: Float32Array
  readonly first: Sequence
  /** The first records by direction. */
  readonly run: Run
}

/** `undefined` for a connection without records. */
export function observe(run: Run): Observation | undefined {
  const sequence = sequenceOf(run)
  if (sequence.sizes.length === 0) return undefined
  const first = firstRecords(sequence, KEPT_RECORDS)
  const cut = ({ times, sizes }: Run['up']) => ({
    times: times.slice(0, KEPT_RECORDS),
    sizes: sizes.slice(0, KEPT_RECORDS),
  })
  return { features: featuresOf(sequence), first, run: { up: cut(run.up), down: cut(run.down) } }
}

/** One feature, and how much it tells. */
interface FeatureWeight {
  /** One of `FEATURE_NAMES`. */
  readonly name: string
  /** Its share of what the splits of all trees achieved; the shares of all features sum to 1. */
  readonly importance: number
  /** The AUC by this one alone, whichever way round: 0.5 to 1. Seen on all connections, so never quite 0.5. */
  readonly alone: number
  /** Its median on either side. */
  readonly median: { readonly a: number; readonly b: number }
}

export interface Comparison {
  readonly seed: number
  readonly connections: { readonly a: number; readonly b: number }
  readonly folds: number
  readonly trees: number
  /** How often a connection of B is taken rather for one of B than one of A is: 0.5 by chance, 1 always. */
  readonly auc: number
  /** 95 %. */
  readonly ci: Interval
  /** How often the AUC would be as high by chance. */
  readonly p: number
  /** The same when only the first records of each connection have been seen; up to those of the longest. */
  readonly byRecords: readonly {
    readonly records: number
    readonly auc: number
    readonly ci: Interval
  }[]
  /** The most telling first. */
  readonly features: readonly FeatureWeight[]
  readonly distances: readonly IndexDistance[]
}

export interface CompareOptions {
  /** Any whole number from 0 on. The same seed gives the same result. Default: 1. */
  readonly seed?: number
  /** Told before each step. */
  readonly progress?: (step: string) => void
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` when a side has fewer than {@link LEAST_CONNECTIONS} connections */
export function compare(
  a: readonly Observation[],
  b: readonly Observation[],
  { seed = 1, progress = () => {} }: CompareOptions = {},
): Comparison {
  if (Math.min(a.length, b.length) < LEAST_CONNECTIONS) {
    const found = `there are ${a.length} with records on one side and ${b.length} on the other`
    const message = `a comparison takes at least ${LEAST_CONNECTIONS} connections a side; ${found}`
    throw invalidOption(message)
  }
  const all = [...a, ...b]
  const classes = Uint8Array.from(all, (_, place) => (place < a.length ? 0 : 1))
  const classify = (rows: readonly Float32Array[], draws: number) => {
    // A step gives the same whatever other steps there are.
    const randomInt = seededRandomInt(seed)
    const { folds, importance } = crossValidate(binColumns(rows), classes, randomInt)
    return { ...judge(folds, draws, randomInt), importance }
  }
  progress('whole connections')
  const rows = all.map(({ features }) => features)
  const { importance, ...whole } = classify(rows, DRAWS)
  const longest = all.reduce((most, { first }) => Math.max(most, first.sizes.length), 0)
  const byRecords = CHECKPOINTS.filter((_, place) => (CHECKPOINTS[place - 1] ?? 0) < longest).map(
    (records) => {
      progress(`what is known after record ${records}`)
      const seen = all.map(({ first }) => featuresOf(firstRecords(first, records)))
      const { auc, ci } = classify(seen, DRAWS_OF_CHECKPOINT)
      return { records, auc, ci }
    },
  )
  progress('record by record')
  return {
    ...{ seed, connections: { a: a.length, b: b.length }, folds: FOLDS, trees: TREES },
    ...whole,
    byRecords,
    features: weigh(importance, rows, a.length),
    distances: distancesByIndex(
      a.map(({ run }) => run),
      b.map(({ run }) => run),
    ),
  }
}

function weigh(
  importance: Float64Array,
  rows: readonly Float32Array[],
  ofA: number,
): FeatureWeight[] {
  const weights = FEATURE_NAMES.map((name, feature): FeatureWeight => {
    const values = rows.map((row) => row[feature] ?? 0)
    const [a, b] = [values.slice(0, ofA), values.slice(ofA)]
    return {
      name,
      importance: importance[feature] ?? 0,
      alone: areaAlone(a, b),
      median: { a: summarize(a)?.median ?? 0, b: summarize(b)?.median ?? 0 },
    }
  })
  return weights.sort((one, other) => other.importance - one.importance)
}
