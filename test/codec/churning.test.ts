// ChurningMap and ChurningSet against Map and Set.
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { ChurningMap, ChurningSet } from '../../src/codec/churning.ts'

const key = fc.integer({ min: 0, max: 40 })
const step = fc.oneof(
  { arbitrary: fc.record({ act: fc.constant('set' as const), key }), weight: 60 },
  { arbitrary: fc.record({ act: fc.constant('delete' as const), key }), weight: 60 },
  { arbitrary: fc.record({ act: fc.constant('clear' as const), key }), weight: 1 },
)

describe('ChurningMap and ChurningSet', () => {
  it('hold what a Map and a Set hold, in their order, however often they move', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 600, size: 'max' }), (steps) => {
        const churning = new ChurningMap<number, { place: number }>()
        const map = new Map<number, { place: number }>()
        const churningSet = new ChurningSet<number>()
        const set = new Set<number>()
        for (const [place, { act, key }] of steps.entries()) {
          if (act === 'set') {
            const value = { place }
            churning.set(key, value)
            map.set(key, value)
            churningSet.add(key)
            set.add(key)
          } else if (act === 'delete') {
            expect(churning.delete(key)).toBe(map.delete(key))
            expect(churningSet.delete(key)).toBe(set.delete(key))
          } else {
            churning.clear()
            map.clear()
          }
          expect(churning.get(key)).toBe(map.get(key))
          expect(churningSet.has(key)).toBe(set.has(key))
        }
        expect(churning.entries()).toEqual([...map])
        expect(churning.list()).toEqual([...map.values()])
        expect([...churning.values()]).toEqual([...map.values()])
        expect(churning.first).toBe([...map.values()][0])
        expect(churning.size).toBe(map.size)
        expect(churningSet.list()).toEqual([...set])
        expect(churningSet.size).toBe(set.size)
      }),
    )
  })

  it('move what is there after 64 additions and twice as many as are there, and no sooner', () => {
    const churning = new ChurningMap<number, number>()
    for (let key = 0; key < 10; key += 1) churning.set(key, key)
    /** How many entries it cost to add so many that do not stay. */
    const costOf = (additions: number): number => {
      const set = vi.spyOn(Map.prototype, 'set')
      try {
        for (let count = 0; count < additions; count += 1) {
          churning.set(-1, count)
          churning.delete(-1)
        }
        return set.mock.calls.length
      } finally {
        set.mockRestore()
      }
    }
    // Ten were added before, the first of them with the map: the 76th is the first that is too many.
    expect(costOf(75)).toBe(75)
    expect(costOf(1)).toBe(1 + 10)
    for (let time = 0; time < 3; time += 1) {
      expect(costOf(84)).toBe(84)
      expect(costOf(1)).toBe(1 + 10)
    }
    expect(churning.list()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    churning.clear()
    expect(costOf(64)).toBe(64)
  })
})
