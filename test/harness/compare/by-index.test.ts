// Distances by index and the correction for many tests, against published and reckoned numbers.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chanceOf, distancesByIndex, holm } from '../../../src/harness/compare/by-index.ts'
import { makeRuns } from './runs.ts'

describe('p of Kolmogorov-Smirnov', () => {
  it('is that of the limiting distribution: its critical values of 10, 5 and 1 %', () => {
    // Two samples of 200 make the factor 10.
    for (const [value, p] of [
      [1.2238, 0.1],
      [1.3581, 0.05],
      [1.6276, 0.01],
    ] as const) {
      expect(chanceOf(value / 10, 200, 200)).toBeCloseTo(p, 4)
    }
    expect(chanceOf(0, 200, 200)).toBe(1)
    expect(chanceOf(1, 200, 200)).toBeLessThan(1e-80)
  })
})

describe('the method of Holm', () => {
  it('multiplies the smallest by their number, the next by one less, and never falls', () => {
    expect(holm([0.01, 0.04, 0.03, 0.005]).map((p) => Number(p.toFixed(9)))).toEqual([
      0.03, 0.06, 0.06, 0.02,
    ])
    expect(holm([])).toEqual([])
  })

  it('gives no less than it was given, no more than 1, in the same order', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 50 }), (ps) => {
        const corrected = holm(ps)
        for (const [place, p] of ps.entries()) {
          expect(corrected[place]).toBeGreaterThanOrEqual(p)
          expect(corrected[place]).toBeLessThanOrEqual(1)
          for (const [other, q] of ps.entries()) {
            if (p < q) expect(corrected[place]).toBeLessThanOrEqual(corrected[other] ?? -1)
          }
        }
      }),
    )
  })
})

describe('distances by index', () => {
  it('finds the direction that differs, and says from how many connections', () => {
    const distances = distancesByIndex(makeRuns(100, 1), makeRuns(80, 2, 150))
    const found = distances.filter(({ p }) => (p ?? 1) < 0.05)
    expect(found.length).toBeGreaterThan(2)
    expect(new Set(found.map(({ direction, of }) => `${direction} ${of}`))).toEqual(
      new Set(['up size']),
    )
    expect(distances[0]?.samples).toEqual({ a: 100, b: 80 })
    expect(distances[0]?.w1).toBeGreaterThan(100)
    expect(distances[0]?.w1).toBeLessThan(200)
  })

  it('few values are told of, not tested', () => {
    const distances = distancesByIndex(makeRuns(19, 1), makeRuns(100, 2))
    expect(distances.length).toBeGreaterThan(0)
    expect(distances.every(({ p }) => p === null)).toBe(true)
  })

  it('gaps begin with the second record', () => {
    const gaps = distancesByIndex(makeRuns(30, 1), makeRuns(30, 2)).filter(({ of }) => of === 'gap')
    expect(Math.min(...gaps.map(({ index }) => index))).toBe(1)
  })
})
