import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { kolmogorovSmirnov, wasserstein } from '../../../src/harness/report/distances.ts'

const sample = fc.array(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 30 })

/** The share of a sample that is at most `value`. */
const share = (values: readonly number[], value: number) =>
  values.filter((other) => other <= value).length / values.length

describe('Kolmogorov-Smirnov D', () => {
  it.for([
    ['a sample and itself', [3, 1, 2], [1, 2, 3], 0],
    ['samples that do not overlap', [1, 2, 3], [10, 20], 1],
    ['one value of four apart', [1, 2, 3, 4], [1, 2, 3, 5], 0.25],
    ['single values', [1], [2], 1],
    ['other lengths, same shares', [1, 2], [1, 1, 2, 2], 0],
    ['half of one below all of the other', [0, 1, 10, 11], [5, 6, 7], 0.5],
    ['interleaved values', [1, 3, 5, 7], [2, 4, 6, 8], 0.25],
  ] as const)('of %s', ([, a, b, d]) => {
    expect(kolmogorovSmirnov(a, b)).toBeCloseTo(d, 12)
  })

  it('is the largest difference of the empirical distribution functions', () => {
    fc.assert(
      fc.property(sample, sample, (a, b) => {
        const differences = [...a, ...b].map((value) => Math.abs(share(a, value) - share(b, value)))
        expect(kolmogorovSmirnov(a, b)).toBeCloseTo(Math.max(...differences), 12)
      }),
    )
  })
})

describe('Wasserstein distance', () => {
  it.for([
    ['a sample and itself', [3, 1, 2], [1, 2, 3], 0],
    ['all moved by five', [1, 2, 3], [6, 7, 8], 5],
    ['one of two moved by ten', [0, 0], [0, 10], 5],
    ['the textbook case', [0, 1, 3], [5, 6, 8], 5],
    ['other lengths', [0], [0, 10], 5],
    ['a mass split in two', [5, 5], [0, 10], 5],
  ] as const)('of %s', ([, a, b, distance]) => {
    expect(wasserstein(a, b)).toBeCloseTo(distance, 12)
  })

  it('is the mean distance between values of the same rank, for samples of one length', () => {
    const pair = fc
      .integer({ min: 1, max: 30 })
      .chain((length) =>
        fc.tuple(
          fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: length, maxLength: length }),
          fc.array(fc.integer({ min: 0, max: 1_000 }), { minLength: length, maxLength: length }),
        ),
      )
    fc.assert(
      fc.property(pair, ([a, b]) => {
        const [first, second] = [a, b].map((values) => values.toSorted((x, y) => x - y)) as [
          number[],
          number[],
        ]
        const moved = first.map((value, rank) => Math.abs(value - second[rank]!))
        const mean = moved.reduce((sum, way) => sum + way, 0) / a.length
        expect(wasserstein(a, b)).toBeCloseTo(mean, 9)
      }),
    )
  })
})

describe('both distances', () => {
  it('are the same in both directions, and 0 only for the same shares', () => {
    fc.assert(
      fc.property(sample, sample, (a, b) => {
        for (const distance of [kolmogorovSmirnov, wasserstein]) {
          expect(distance(a, b)).toBeCloseTo(distance(b, a), 12)
          expect(distance(a, [...a, ...a])).toBeCloseTo(0, 12)
          const same = [...a, ...b].every((value) => share(a, value) === share(b, value))
          expect(distance(a, b) < 1e-12).toBe(same)
        }
      }),
    )
  })
})
