// The comparison as a whole: what it tells, and when it refuses.
import { describe, expect, it } from 'vitest'
import { compare, LEAST_CONNECTIONS, observe } from '../../../src/harness/compare/compare.ts'
import { makeRuns } from './runs.ts'

const observeAll = (count: number, seed: number, shift?: number) =>
  makeRuns(count, seed, shift).map((run) => observe(run)!)

describe('a comparison', { timeout: 120_000 }, () => {
  const a = observeAll(60, 1)

  it('of what differs from the second record on grows with the records seen', () => {
    const b = makeRuns(70, 2).map((run) => {
      const down = { ...run.down, sizes: run.down.sizes.map((size) => size + 3000) }
      return observe({ ...run, down })!
    })
    const steps: string[] = []
    const found = compare(a, b, { progress: (step) => steps.push(step) })
    expect(found.connections).toEqual({ a: 60, b: 70 })
    expect(found.auc).toBeGreaterThan(0.99)
    expect(found.ci.low).toBeGreaterThan(0.95)
    expect(found.p).toBeLessThan(0.001)
    expect(found.byRecords.map(({ records }) => records)).toEqual([1, 2, 4, 8, 16, 32])
    const [first, second] = found.byRecords
    expect(first?.ci.low).toBeLessThan(0.5)
    expect(second?.auc).toBeGreaterThan(0.99)
    expect(found.features[0]?.alone).toBeGreaterThan(0.99)
    expect(found.distances.filter(({ p }) => p !== null && p < 0.01)[0]).toMatchObject({
      ...{ direction: 'down', index: 0, of: 'size', samples: { a: 60, b: 70 } },
    })
    expect(steps).toHaveLength(8)
  })

  it('repeats with the same seed', () => {
    const b = observeAll(60, 2, 40)
    expect(compare(a, b, { seed: 4 })).toEqual(compare(a, b, { seed: 4 }))
  })

  it('of too few connections is refused, and says how many there are', () => {
    const few = observeAll(LEAST_CONNECTIONS - 1, 2)
    expect(() => compare(a, few)).toThrow(
      expect.objectContaining({
        code: 'ERR_OPTION_INVALID',
        message:
          'a comparison takes at least 50 connections a side; there are 60 with records on one side and 49 on the other',
      }),
    )
  })

  it('leaves out connections without records', () => {
    const none = { times: [], sizes: [] }
    expect(observe({ up: none, down: none })).toBeUndefined()
  })
})
