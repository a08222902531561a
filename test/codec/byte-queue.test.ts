import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { ByteQueue } from '../../src/codec/byte-queue.ts'
import { fromHex, toHex } from './vectors.ts'

const hexes = (views: readonly Uint8Array[]) => views.map(toHex)

describe('ByteQueue', () => {
  it('gives views back in order, splitting only the last', () => {
    const queue = new ByteQueue()
    for (const hex of ['0102', '030405', '06']) queue.push(fromHex(hex))
    expect(queue.length).toBe(6)
    expect(hexes(queue.take(4))).toEqual(['0102', '0304'])
    expect(queue.length).toBe(2)
    expect(hexes(queue.take(100))).toEqual(['05', '06'])
    expect(queue.length).toBe(0)
    expect(queue.take(1)).toEqual([])
  })

  it('never copies: what is taken lies in the memory that was pushed', () => {
    const queue = new ByteQueue()
    const bytes = fromHex('00010203040506')
    queue.push(bytes.subarray(1, 6))
    const [first] = queue.take(2)
    const [second] = queue.take(Infinity)
    expect([first!.buffer, first!.byteOffset, first!.length]).toEqual([bytes.buffer, 1, 2])
    expect([second!.buffer, second!.byteOffset, second!.length]).toEqual([bytes.buffer, 3, 3])
    queue.push(bytes)
    expect(queue.take(7)[0]).toBe(bytes)
  })

  it('takes nothing for 0 and keeps no empty view', () => {
    const queue = new ByteQueue()
    queue.push(new Uint8Array(0))
    expect(queue.take(Infinity)).toEqual([])
    queue.push(fromHex('01'))
    expect(queue.take(0)).toEqual([])
    expect(queue.length).toBe(1)
  })

  it('later pushes do not change what was taken', () => {
    const queue = new ByteQueue()
    queue.push(fromHex('01'))
    const taken = queue.take(1)
    queue.push(fromHex('02'))
    expect(hexes(taken)).toEqual(['01'])
  })

  it('clear drops everything, and the queue can be used again', () => {
    const queue = new ByteQueue()
    for (const hex of ['01', '02', '03']) queue.push(fromHex(hex))
    queue.take(1)
    queue.clear()
    expect(queue.length).toBe(0)
    expect(queue.take(10)).toEqual([])
    queue.push(fromHex('04'))
    expect(hexes(queue.take(10))).toEqual(['04'])
  })

  it('a long queue drains in linear time', () => {
    const queue = new ByteQueue()
    const view = fromHex('0102')
    for (let index = 0; index < 300_000; index += 1) queue.push(view)
    let total = 0
    while (queue.length > 0) for (const { length } of queue.take(3)) total += length
    expect(total).toBe(600_000)
  })

  it('tells how many views wait, and how long the first of them is', () => {
    const queue = new ByteQueue()
    expect([queue.viewCount, queue.firstLength]).toEqual([0, 0])
    for (const hex of ['0102', '', '030405', '06']) queue.push(fromHex(hex))
    expect([queue.viewCount, queue.firstLength]).toEqual([3, 2])
    queue.take(3)
    expect([queue.viewCount, queue.firstLength]).toEqual([2, 2])
    queue.take(3)
    expect([queue.viewCount, queue.firstLength]).toEqual([0, 0])
  })

  it('gives what comes after several views were taken at once, time and again', () => {
    const queue = new ByteQueue()
    for (let round = 0; round < 3; round += 1) {
      for (const hex of ['01', '02', '03']) queue.push(fromHex(hex))
      expect(hexes(queue.take(Infinity))).toEqual(['01', '02', '03'])
      queue.push(fromHex('04'))
      expect(hexes(queue.take(1))).toEqual(['04'])
    }
  })

  it.each([0, 10, 100])(
    'needs no more memory for what went through it, with %i views that wait',
    (waiting) => {
      setFlagsFromString('--expose-gc')
      const collectGarbage = runInNewContext('gc') as () => void
      const heap = (): number => {
        collectGarbage()
        return getHeapStatistics().used_heap_size
      }
      const queue = new ByteQueue()
      const view = fromHex('01')
      const pass = (count: number): void => {
        for (let index = 0; index < count; index += 1) {
          queue.push(view)
          if (queue.length > waiting) queue.take(1)
        }
      }
      pass(1_000)
      const before = heap()
      pass(1_000_000)
      // A place for each would be 8 MB.
      expect(heap() - before).toBeLessThan(2_000_000)
      expect(queue.length).toBe(waiting)
    },
  )

  it('moves what waits no more than once for as much that goes through it', () => {
    const queue = new ByteQueue()
    const view = fromHex('01')
    for (let index = 0; index < 1_000; index += 1) queue.push(view)
    let moved = 0
    const { splice } = Array.prototype
    const spy = vi.spyOn(Array.prototype, 'splice')
    spy.mockImplementation(function (this: unknown[], ...args: [number, number]) {
      const taken = Reflect.apply(splice, this, args) as unknown[]
      moved += this.length
      return taken
    })
    try {
      for (let index = 0; index < 10_000; index += 1) {
        queue.push(view)
        queue.take(1)
      }
    } finally {
      spy.mockRestore()
    }
    expect(moved).toBeGreaterThan(0)
    expect(moved).toBeLessThanOrEqual(10_000)
    expect(queue.length).toBe(1_000)
  })

  it('keeps no reference to a view that was taken', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const queue = new ByteQueue()
    const references: WeakRef<Uint8Array>[] = []
    for (let index = 0; index < 10; index += 1) {
      const view = new Uint8Array(8)
      references.push(new WeakRef(view))
      queue.push(view)
    }
    expect(queue.take(32).length).toBe(4)
    // References made in this turn of the event loop are held until it ends.
    await setImmediate()
    collectGarbage()
    const alive = references.map((reference) => reference.deref() !== undefined)
    expect(alive.slice(0, 4)).toEqual([false, false, false, false])
    expect(alive.slice(4)).toEqual([true, true, true, true, true, true])
    expect(queue.length).toBe(48)
  })
})
