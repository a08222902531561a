// The heap of deadlines: order, moves, removal, and a plain list as its oracle.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Deadlines } from '../../src/engine/deadlines.ts'
import type { Timed } from '../../src/engine/deadlines.ts'

interface Item extends Timed {
  readonly name: number
}

const item = (name: number): Item => ({ name, due: Infinity, heapIndex: -1 })

describe('Deadlines', () => {
  it('has no next deadline when it is empty', () => {
    const deadlines = new Deadlines<Item>()
    expect(deadlines.next).toBe(Infinity)
    expect(deadlines.takeDue(Infinity)).toBeUndefined()
    deadlines.delete(item(1))
    expect(deadlines.next).toBe(Infinity)
  })

  it('gives what is due, the earliest first, to the millisecond', () => {
    const deadlines = new Deadlines<Item>()
    for (const due of [30, 10, 20]) deadlines.set(item(due), due)
    expect(deadlines.next).toBe(10)
    expect(deadlines.takeDue(9.999)).toBeUndefined()
    expect(deadlines.takeDue(10)?.name).toBe(10)
    expect(deadlines.takeDue(10)).toBeUndefined()
    expect(deadlines.takeDue(30)?.name).toBe(20)
    expect(deadlines.takeDue(30)?.name).toBe(30)
    expect(deadlines.next).toBe(Infinity)
  })

  it('an item that is set again moves, and is inside once', () => {
    const deadlines = new Deadlines<Item>()
    const [a, b] = [item(1), item(2)]
    deadlines.set(a, 10)
    deadlines.set(b, 20)
    deadlines.set(a, 30)
    expect(deadlines.takeDue(100)).toBe(b)
    expect(deadlines.takeDue(100)).toBe(a)
    expect(deadlines.takeDue(100)).toBeUndefined()
    deadlines.set(a, 5)
    expect(deadlines.takeDue(5)).toBe(a)
  })

  it('after clear nothing is inside, and every item can be set again', () => {
    const deadlines = new Deadlines<Item>()
    const items = [item(1), item(2), item(3)]
    for (const one of items) deadlines.set(one, one.name)
    deadlines.clear()
    expect(deadlines.next).toBe(Infinity)
    expect(items.map(({ heapIndex }) => heapIndex)).toEqual([-1, -1, -1])
    for (const one of items) deadlines.set(one, one.name)
    expect(deadlines.takeDue(3)?.name).toBe(1)
  })

  it('behaves like a list that is searched in full', () => {
    const action = fc.record({
      how: fc.constantFrom('set', 'set', 'set', 'delete', 'take'),
      which: fc.nat({ max: 30 }),
      due: fc.nat({ max: 20 }),
    })
    fc.assert(
      fc.property(fc.array(action, { maxLength: 200, size: 'max' }), (actions) => {
        const deadlines = new Deadlines<Item>()
        const items = Array.from({ length: 31 }, (_, name) => item(name))
        const expected = new Map<Item, number>()
        for (const { how, which, due } of actions) {
          const one = items[which]!
          if (how === 'set') {
            deadlines.set(one, due)
            expected.set(one, due)
          } else if (how === 'delete') {
            deadlines.delete(one)
            expected.delete(one)
          } else {
            const taken = deadlines.takeDue(due)
            const earliest = Math.min(...expected.values())
            expect(taken === undefined).toBe(earliest > due)
            if (taken !== undefined) {
              expect(expected.get(taken)).toBe(earliest)
              expected.delete(taken)
            }
          }
          expect(deadlines.next).toBe(Math.min(...expected.values()))
          expect(items.filter((one) => one.heapIndex >= 0 !== expected.has(one))).toEqual([])
        }
      }),
      { numRuns: 100 },
    )
  })
})
