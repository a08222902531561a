// How well two classes can be told apart: scores of connections that a forest has not seen, the area under the
// ROC curve that they give, and how sure that is.
// Must never let a connection be scored by a forest that has learned from it.

import type { RandomInt } from '../../shaping/shaper.ts'
import { growForest } from './forest.ts'
import type { Columns } from './forest.ts'

/** Connections are split into so many parts; each is scored by a forest that has learned from the others. */
export const FOLDS = 5
export const TREES = 100
/** Of each tree: with more, the AUC no longer changes as the time does. */
const MAX_DRAWS = 1_000

/**
 * By so much the error of a cross-validated AUC exceeds what its scores alone say, since each part has taught the
 * forests that score the others: the root of 1 + 5 · 1/4 (Nadeau and Bengio, "Inference for the generalization
 * error", 2003). test/harness/compare/false-alarms.test.ts measures what comes of it.
 */
const WIDENING = Math.sqrt(1 + FOLDS / (FOLDS - 1))

export interface Interval {
  readonly low: number
  readonly high: number
}

/** Scores of held-out connections, of one part. */
export interface Fold {
  /** Of class 0 and of class 1. */
  readonly scores: readonly [readonly number[], readonly number[]]
}

export interface CrossValidation {
  readonly folds: readonly Fold[]
  /** By feature, the mean over the forests; see `Forest.importance`. */
  readonly importance: Float64Array
}

/** Scores each connection by a forest that has not seen it. Both classes are spread evenly over the parts. */
export function crossValidate(
  columns: Columns,
  classes: Uint8Array,
  randomInt: RandomInt,
): CrossValidation {
  const parts = partsOf(classes, randomInt)
  const importance = new Float64Array(columns.length)
  const folds = Array.from({ length: FOLDS }, (_, fold): Fold => {
    const samples = Int32Array.from(parts, (_, sample) => sample)
    const training = samples.filter((sample) => parts[sample] !== fold)
    const forest = growForest(columns, classes, training, {
      trees: TREES,
      maxDraws: MAX_DRAWS,
      randomInt,
    })
    for (const [feature, share] of forest.importance.entries()) {
      importance[feature] = (importance[feature] ?? 0) + share / FOLDS
    }
    const scores: [number[], number[]] = [[], []]
    for (const sample of samples) {
      if (parts[sample] === fold) scores[classes[sample] === 1 ? 1 : 0].push(forest.score(sample))
    }
    return { scores }
  })
  return { folds, importance }
}

/** The part that each sample belongs to. */
function partsOf(classes: Uint8Array, randomInt: RandomInt): Uint8Array {
  const parts = new Uint8Array(classes.length)
  for (const wanted of [0, 1]) {
    const own = Array.from(classes.keys()).filter((sample) => classes[sample] === wanted)
    shuffle(own, randomInt)
    for (const [place, sample] of own.entries()) parts[sample] = place % FOLDS
  }
  return parts
}

function shuffle(items: { [place: number]: number; readonly length: number }, draw: RandomInt) {
  for (let place = items.length - 1; place > 0; place -= 1) {
    const other = draw(0, place + 1)
    const held = items[place] ?? 0
    items[place] = items[other] ?? 0
    items[other] = held
  }
}

/** An AUC and what is known of its error. */
export interface Judgement {
  /**
   * How often a connection of class 1 has the higher score than one of class 0 of the same part; ties count half.
   * 0.5: by chance; 1: always.
   */
  readonly auc: number
  /** 95 %, by drawing connections again with replacement. */
  readonly ci: Interval
  /** How often the AUC would be as high by chance, by dealing the scores out anew. */
  readonly p: number
}

/** @param draws how many times connections are drawn, and scores are dealt out */
export function judge(folds: readonly Fold[], draws: number, randomInt: RandomInt): Judgement {
  const ranked = folds.map(({ scores }) => rank(scores))
  const auc = areaOf(ranked.map((fold) => fold.isOne))
  const drawn = new Float64Array(draws)
  const weights = ranked.map(({ isOne }) => new Int32Array(isOne.length))
  const labels = ranked.map(({ isOne }) => isOne.slice())
  let asHigh = 0
  for (let round = 0; round < draws; round += 1) {
    for (const [fold, { places }] of ranked.entries()) {
      const weight = weights[fold]?.fill(0) ?? NO_WEIGHTS
      for (const own of places) {
        for (let count = own.length; count > 0; count -= 1) {
          const place = own[randomInt(0, own.length)] ?? 0
          weight[place] = (weight[place] ?? 0) + 1
        }
      }
    }
    drawn[round] = areaOf(
      ranked.map(({ isOne }) => isOne),
      weights,
    )
    for (const label of labels) shuffle(label, randomInt)
    if (0.5 + WIDENING * (areaOf(labels) - 0.5) >= auc) asHigh += 1
  }
  drawn.sort()
  const bound = (share: number) => {
    const value = drawn[Math.min(draws - 1, Math.floor(share * draws))] ?? auc
    return Math.min(Math.max(auc + WIDENING * (value - auc), 0), 1)
  }
  return { auc, ci: { low: bound(0.025), high: bound(0.975) }, p: (1 + asHigh) / (1 + draws) }

  /** Weighted by the pairs of each part. */
  function areaOf(ones: readonly Uint8Array[], weighted?: readonly Int32Array[]): number {
    let [won, pairs] = [0, 0]
    for (const [fold, { ties }] of ranked.entries()) {
      const isOne = ones[fold] ?? NO_LABELS
      const weight = weighted?.[fold]
      let [zeros, all] = [0, 0]
      let place = 0
      for (const end of ties) {
        let [tiedZeros, tiedOnes] = [0, 0]
        for (; place < end; place += 1) {
          const count = weight === undefined ? 1 : (weight[place] ?? 0)
          if (isOne[place] === 1) tiedOnes += count
          else tiedZeros += count
        }
        won += tiedOnes * (zeros + tiedZeros / 2)
        zeros += tiedZeros
        all += tiedOnes
      }
      pairs += zeros * all
    }
    return pairs === 0 ? 0.5 : won / pairs
  }
}

const NO_WEIGHTS = new Int32Array(0)
const NO_LABELS = new Uint8Array(0)

/** The scores of a part in ascending order. */
interface Ranked {
  /** By place, whether it is of class 1. */
  readonly isOne: Uint8Array
  /** Where each group of equal scores ends. */
  readonly ties: Int32Array
  /** The places of class 0 and of class 1. */
  readonly places: readonly [Int32Array, Int32Array]
}

function rank(scores: Fold['scores']): Ranked {
  const all = scores
    .flatMap((own, of) => own.map((score) => ({ score, of })))
    .sort((a, b) => a.score - b.score)
  const isOne = Uint8Array.from(all, ({ of }) => of)
  const places = Int32Array.from(all, (_, place) => place)
  return {
    isOne,
    ties: Int32Array.from(
      all.flatMap(({ score }, place) => (score === all[place + 1]?.score ? [] : [place + 1])),
    ),
    places: [
      places.filter((place) => isOne[place] === 0),
      places.filter((place) => isOne[place] === 1),
    ],
  }
}

/** How well a single value tells the classes apart, whichever way round: 0.5 to 1. */
export function areaAlone(zeros: readonly number[], ones: readonly number[]): number {
  const { isOne, ties } = rank([zeros, ones])
  let [won, below, place] = [0, 0, 0]
  for (const end of ties) {
    let tiedOnes = 0
    const begin = place
    for (; place < end; place += 1) tiedOnes += isOne[place] ?? 0
    const tiedZeros = end - begin - tiedOnes
    won += tiedOnes * (below + tiedZeros / 2)
    below += tiedZeros
  }
  const area = won / (zeros.length * ones.length)
  return Math.max(area, 1 - area)
}
