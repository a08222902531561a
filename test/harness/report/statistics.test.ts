import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { logBins, meanCumulativeBytes, summarize } from '../../../src/harness/report/statistics.ts'

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
