// ChurningMap and ChurningSet against Map and Set.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
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
})
