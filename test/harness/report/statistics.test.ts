import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ecdf,
  logBins,
  meanCumulativeBytes,
  summarize,
  wilson,
} from '../../../src/harness/report/statistics.ts'

describe('summaries', () => {
  it.for([
    [[5], { count: 1, sum: 5, min: 5, median: 5, max: 5 }],
    [[3, 1, 2], { count: 3, sum: 6, min: 1, median: 2, max: 3 }],
    [[10, 1, 2, 4], { count: 4, sum: 17, min: 1, median: 3, max: 10 }],
  ] as const)('of %j', ([sample, expected]) => {
    expect(summarize(sample)).toEqual(expected)
  })

  it('of nothing: there is none', () => {
    expect(summarize([])).toBeUndefined()
  })
})

describe('logarithmic bins', () => {
  const decades = logBins(1, 10, 4)

  it('grow by their ratio', () => {
    expect(decades.bins).toEqual([
      { from: 1, to: 10 },
      { from: 10, to: 100 },
      { from: 100, to: 1000 },
      { from: 1000, to: 10_000 },
    ])
  })

  it('hold their lower edge and not their upper one; the outermost hold all beyond', () => {
    expect(decades.shares([1, 9.99, 10, 999, 1000, 0, -1, 1e9])).toEqual([
      4 / 8,
      1 / 8,
      1 / 8,
      2 / 8,
    ])
  })

  it('of powers of two: the size of a full record is in the bin that begins with it', () => {
    const sizes = logBins(1, Math.SQRT2, 29)
    expect(sizes.shares([16_384])[28]).toBe(1)
    expect(sizes.bins[28]?.from).toBeCloseTo(16_384, 6)
  })

  it('share out the whole sample', () => {
    const sample = fc.array(fc.double({ min: 0, max: 1e6, noNaN: true }), { minLength: 1 })
    fc.assert(
      fc.property(sample, (values) => {
        expect(decades.shares(values).reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9)
      }),
    )
    expect(decades.shares([])).toEqual([0, 0, 0, 0])
  })
})

describe('mean cumulative bytes', () => {
  const down = { times: [], sizes: [] }

  it('counts what was seen at a time or before, and divides by all runs', () => {
    const runs = [
      { up: { times: [0, 5, 5], sizes: [10, 20, 30] }, down },
      { up: { times: [1], sizes: [100] }, down },
    ]
    expect(meanCumulativeBytes(runs, 'up', [0, 1, 4, 5, 99])).toEqual([5, 55, 55, 80, 80])
    expect(meanCumulativeBytes(runs, 'down', [0, 1])).toEqual([0, 0])
  })
})

describe('the interval of Wilson', () => {
  // By the formula, worked with other software.
  it.for([
    [8, 10, 0.4902, 0.9433],
    [0, 10, 0, 0.2775],
    [10, 10, 0.7225, 1],
    [50, 100, 0.4038, 0.5962],
  ] as const)('of %i of %i', ([hits, count, low, high]) => {
    const found = wilson(hits, count)!
    expect(found.rate).toBe(hits / count)
    expect(found.low).toBeCloseTo(low, 4)
    expect(found.high).toBeCloseTo(high, 4)
  })

  it('there is none of nothing', () => {
    expect(wilson(0, 0)).toBeUndefined()
  })
})

describe('the empirical distribution function', () => {
  it('has a step for each value, and no more than asked', () => {
    expect(ecdf([3, 1, 2, 2], 10)).toEqual([
      { value: 1, share: 0.25 },
      { value: 2, share: 0.5 },
      { value: 2, share: 0.75 },
      { value: 3, share: 1 },
    ])
    const many = ecdf(
      Array.from({ length: 1_000 }, (_, index) => index),
      5,
    )
    expect(many).toHaveLength(5)
    expect(many[0]).toEqual({ value: 0, share: 0.001 })
    expect(many.at(-1)).toEqual({ value: 999, share: 1 })
    expect(ecdf([], 5)).toEqual([])
    expect(ecdf([7], 5)).toEqual([{ value: 7, share: 1 }])
  })
})
