// The forest and the judgement of its scores: what they find, what they must not find, and that they repeat.
import { describe, expect, it } from 'vitest'
import { areaAlone, crossValidate, FOLDS, judge } from '../../../src/harness/compare/evaluate.ts'
import { binColumns, growForest } from '../../../src/harness/compare/forest.ts'
import { seededRandomInt } from '../../../src/harness/simulate/seeded-random.ts'

const ALL = Int32Array.from({ length: 200 }, (_, sample) => sample)
const CLASSES = Uint8Array.from(ALL, (sample) => sample % 2)

/** Noise in all features but the third, which is `telling` for class 1. */
function rowsOf(telling: number): Float32Array[] {
  const randomInt = seededRandomInt(7)
  return Array.from(ALL, (sample) =>
    Float32Array.from({ length: 9 }, (_, feature) => {
      const noise = randomInt(0, 1000)
      return feature === 2 && CLASSES[sample] === 1 ? noise + telling : noise
    }),
  )
}

const grow = (rows: readonly Float32Array[], seed: number) =>
  growForest(binColumns(rows), CLASSES, ALL, {
    ...{ trees: 20, maxDraws: 1_000 },
    randomInt: seededRandomInt(seed),
  })

describe('bins', () => {
  it('keep the order, and every value where there are no more than 256', () => {
    const rows = [3, -1, 3, 0.5, 7].map((value) => Float32Array.of(value))
    expect(binColumns(rows)).toEqual([Uint8Array.of(2, 0, 2, 1, 3)])
  })

  it('hold about equally many where there are more', () => {
    const rows = Array.from({ length: 2560 }, (_, place) => Float32Array.of(place ** 3))
    const sizes = new Array<number>(256).fill(0)
    for (const bin of binColumns(rows)[0] ?? []) sizes[bin] = (sizes[bin] ?? 0) + 1
    expect(sizes.every((size) => size === 10)).toBe(true)
  })
})

describe('the forest', () => {
  it('learns what it was shown, and which feature told', () => {
    const forest = grow(rowsOf(600), 1)
    for (const sample of ALL) {
      expect(Math.round(forest.score(sample))).toBe(CLASSES[sample])
    }
    expect(forest.importance.indexOf(Math.max(...forest.importance))).toBe(2)
    expect(forest.importance.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1)
  })

  it('grows the same from the same seed, and another from another', () => {
    const rows = rowsOf(100)
    const scores = (seed: number) => {
      const forest = grow(rows, seed)
      return Array.from(ALL, (sample) => forest.score(sample))
    }
    const [one, again, other] = [scores(1), scores(1), scores(2)]
    expect(one).toEqual(again)
    expect(one).not.toEqual(other)
  })

  it('does not split where no feature differs', () => {
    const forest = grow(
      Array.from(ALL, () => Float32Array.of(5, 5)),
      1,
    )
    expect(Math.abs(forest.score(0) - 0.5)).toBeLessThan(0.1)
    expect([...forest.importance]).toEqual([0, 0])
  })
})

describe('cross-validation', () => {
  it('scores every sample once, by a forest that has not seen it', () => {
    const randomInt = seededRandomInt(3)
    // Noise alone can be learned by heart: an AUC above chance would be that of a sample seen before.
    const { folds } = crossValidate(binColumns(rowsOf(0)), CLASSES, randomInt)
    expect(folds).toHaveLength(FOLDS)
    for (const { scores } of folds) expect(scores.map((own) => own.length)).toEqual([20, 20])
    const { auc, ci, p } = judge(folds, 500, randomInt)
    expect(auc).toBeGreaterThan(0.35)
    expect(auc).toBeLessThan(0.65)
    expect(ci.low).toBeLessThan(0.5)
    expect(ci.high).toBeGreaterThan(0.5)
    expect(p).toBeGreaterThan(0.05)
  })

  it('finds a difference that is there', () => {
    const randomInt = seededRandomInt(3)
    const { folds } = crossValidate(binColumns(rowsOf(600)), CLASSES, randomInt)
    const { auc, ci, p } = judge(folds, 500, randomInt)
    expect(auc).toBeGreaterThan(0.85)
    expect(ci.low).toBeGreaterThan(0.75)
    expect(p).toBeCloseTo(1 / 501)
  })
})

describe('the AUC', () => {
  const aucOf = (zeros: number[], ones: number[]) =>
    judge([{ scores: [zeros, ones] }], 10, seededRandomInt(1)).auc

  it('is the share of pairs in the right order, ties as halves', () => {
    expect(aucOf([0.1, 0.4], [0.35, 0.8])).toBe(0.75)
    expect(aucOf([0.5], [0.5])).toBe(0.5)
    expect(aucOf([1, 2, 3], [0])).toBe(0)
    expect(aucOf([1, 2, 2], [2, 3])).toBeCloseTo(5 / 6)
  })

  it('compares within a part only', () => {
    const folds = [{ scores: [[1], [2]] }, { scores: [[8], [9]] }] as const
    expect(judge(folds, 10, seededRandomInt(1)).auc).toBe(1)
  })

  it('of a single value counts whichever way round', () => {
    expect(areaAlone([1, 2, 2], [2, 3])).toBeCloseTo(5 / 6)
    expect(areaAlone([2, 3], [1, 2, 2])).toBeCloseTo(5 / 6)
    expect(areaAlone([1, 1], [1])).toBe(0.5)
  })
})
