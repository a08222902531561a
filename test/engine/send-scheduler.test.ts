// Whose turn it is: priority levels, rotation inside one, the guard against starvation, datagrams.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Machine } from '../../src/engine/machine.ts'
import { STARVATION_GUARD, SendScheduler } from '../../src/engine/send-scheduler.ts'
import type { Sender } from '../../src/engine/send-scheduler.ts'

class Source implements Sender {
  readonly id: number
  readonly priority: number
  readonly messages: boolean
  place = -1
  credit = Infinity
  /** Writes that wait, in bytes. */
  readonly writes: number[]

  constructor(id: number, priority: number, writes: readonly number[], messages = false) {
    this.id = id
    this.priority = priority
    this.writes = [...writes]
    this.messages = messages
  }

  get pendingBytes(): number {
    return this.writes.reduce((sum, bytes) => sum + bytes, 0)
  }

  get firstPendingBytes(): number {
    return this.writes[0] ?? 0
  }

  takePending(max: number): Uint8Array[] {
    let left = max
    while (left > 0) {
      const taken = Math.min(left, this.writes[0]!)
      left -= taken
      this.writes[0]! -= taken
      if (this.writes[0] === 0) this.writes.shift()
    }
    return [new Uint8Array(max)]
  }

  sent = (): void => {}
}

/** Pumps one Frame's room at a time and tells which stream had each turn. */
function makeTurns(sources: readonly Source[], maxPayload = 10, shaping = false) {
  const turns: number[] = []
  const sizes: number[] = []
  const byId = new Map(sources.map((source) => [source.id, source]))
  const machine = {
    maxPayload,
    shaping,
    credit: (id: number) => byId.get(id)!.credit,
    sendData: (id: number, _parts: readonly Uint8Array[], bytes: number) => {
      const source = byId.get(id)!
      source.credit -= bytes
      turns.push(id)
      sizes.push(bytes)
    },
  } as unknown as Machine
  const scheduler = new SendScheduler<Source>()
  for (const source of sources) scheduler.add(source)
  return { turns, sizes, scheduler, pump: (room: number) => scheduler.pump(machine, room, 0) }
}

describe('SendScheduler', () => {
  it('D41: streams of one level take turns, one Frame each', () => {
    const { turns, pump } = makeTurns([1, 2, 3].map((id) => new Source(id, 128, [30])))
    for (let count = 0; count < 9; count += 1) pump(1)
    expect(turns).toEqual([1, 2, 3, 1, 2, 3, 1, 2, 3])
  })

  it('D41: a lower number goes first for as long as it has something to send', () => {
    const { turns, pump } = makeTurns([
      new Source(1, 200, [30]),
      new Source(2, 0, [30]),
      new Source(3, 128, [30]),
    ])
    for (let count = 0; count < 9; count += 1) pump(1)
    expect(turns).toEqual([2, 2, 2, 3, 3, 3, 1, 1, 1])
  })

  it('D41: who would starve has a turn after every STARVATION_GUARD Frames of others, each level in rotation', () => {
    const { turns, pump } = makeTurns([
      new Source(1, 0, [10_000]),
      new Source(2, 128, [100]),
      new Source(3, 255, [100]),
    ])
    for (let count = 0; count < 4 * (STARVATION_GUARD + 1); count += 1) pump(1)
    const others = turns.flatMap((id, turn) => (id === 1 ? [] : [[id, turn]]))
    expect(others.map(([id]) => id)).toEqual([2, 3, 2, 3])
    const gaps = others.map(([, turn], index) => turn! - (others[index - 1]?.[1] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(STARVATION_GUARD + 1)
  })

  it('one pump with room for all goes down the levels', () => {
    const { turns, scheduler, pump } = makeTurns([new Source(1, 9, [5]), new Source(2, 3, [5])])
    expect(pump(100)).toBe(90)
    expect(turns).toEqual([2, 1])
    expect(scheduler.size).toBe(0)
  })

  it('one pump gives each stream one Frame, as long as there is room', () => {
    const { turns, pump } = makeTurns([1, 2, 3].map((id) => new Source(id, 128, [100])))
    expect(pump(1)).toBe(-9)
    expect(turns).toEqual([1])
    expect(pump(20)).toBe(0)
    expect(turns).toEqual([1, 2, 3])
    expect(pump(1_000)).toBe(970)
    expect(turns).toEqual([1, 2, 3, 1, 2, 3])
  })

  it('D29: writes that wait are joined to one Frame, and each is its own while shaping is on', () => {
    const joined = makeTurns([new Source(1, 128, [3, 4, 5])])
    const shaped = makeTurns([new Source(1, 128, [3, 4, 5])], 10, true)
    for (const { pump } of [joined, shaped]) for (let count = 0; count < 3; count += 1) pump(100)
    expect(joined.sizes).toEqual([10, 2])
    expect(shaped.sizes).toEqual([3, 4, 5])
  })

  it('a stream waits once, however often it is added', () => {
    const [one, other] = [new Source(1, 128, [20]), new Source(2, 128, [20])]
    const { turns, scheduler, pump } = makeTurns([one, other])
    for (const source of [one, other]) scheduler.add(source)
    expect(scheduler.size).toBe(2)
    for (let count = 0; count < 3; count += 1) pump(100)
    expect(turns).toEqual([1, 2, 1, 2])
    expect(scheduler.size).toBe(0)
  })

  it('a stream may go while another has its turn', () => {
    const [one, other] = [new Source(1, 128, [5]), new Source(2, 128, [5])]
    const { turns, scheduler, pump } = makeTurns([one, other])
    one.sent = () => scheduler.delete(other)
    pump(100)
    expect(turns).toEqual([1])
    expect(scheduler.size).toBe(0)
  })

  it('after clear nobody waits, and all may wait again', () => {
    const sources = [1, 2, 3].map((id) => new Source(id, id, [10]))
    const level = [4, 5].map((id) => new Source(id, 3, [10]))
    const { turns, scheduler, pump } = makeTurns([...sources, ...level])
    scheduler.delete(sources[2]!)
    scheduler.clear()
    expect(scheduler.size).toBe(0)
    pump(100)
    expect(turns).toEqual([])
    for (const source of [...level, ...sources]) scheduler.add(source)
    pump(100)
    expect(turns).toEqual([1, 2, 4, 5, 3])
  })

  it('a stream without credit does not hold up those behind it', () => {
    const poor = new Source(1, 0, [10])
    poor.credit = 0
    const { turns, pump } = makeTurns([poor, new Source(2, 255, [10])])
    pump(100)
    expect(turns).toEqual([2])
  })

  it('D42: a datagram leaves whole or waits for credit', () => {
    const datagrams = new Source(1, 0, [7, 9], true)
    datagrams.credit = 8
    const { sizes, scheduler, pump } = makeTurns([datagrams], 100)
    pump(100)
    pump(100)
    expect(sizes).toEqual([7])
    expect(scheduler.size).toBe(0)
    datagrams.credit = 9
    scheduler.add(datagrams)
    pump(100)
    expect(sizes).toEqual([7, 9])
  })

  it('D41: the guard counts Frames, also where a single pump has room for many', () => {
    const first = Array.from({ length: 200 }, (_, id) => new Source(id, 0, [1_000]))
    const last = new Source(200, 255, [10_000])
    const { turns, sizes, pump } = makeTurns([...first, last])
    for (let count = 0; count < 10; count += 1) {
      const before = sizes.length
      const left = pump(1_000_000)
      // The turns by the guard take of the room as well.
      expect(1_000_000 - left).toBe(sizes.slice(before).reduce((sum, bytes) => sum + bytes, 0))
    }
    const gaps = turns.flatMap((id, turn) => (id === 200 ? [turn] : []))
    expect(gaps[0]).toBe(STARVATION_GUARD)
    const share = gaps.length / turns.length
    expect(share).toBeGreaterThan(1 / 19)
    expect(share).toBeLessThan(1 / 16)
  })

  it('D41: a turn by the guard is not lost on a stream that has no credit', () => {
    const poor = new Source(1, 200, [1_000])
    poor.credit = 0
    const { turns, pump } = makeTurns([new Source(0, 0, [10_000]), poor, new Source(2, 255, [100])])
    for (let count = 0; count < 3 * (STARVATION_GUARD + 1); count += 1) pump(1)
    expect(turns.filter((id) => id === 2).length).toBeGreaterThanOrEqual(2)
    expect(turns[STARVATION_GUARD]).toBe(2)
  })

  it('D41: the first turn by the guard is that of the level that would go next', () => {
    const { turns, pump } = makeTurns([0, 1, 2].map((id) => new Source(id, id, [10_000])))
    for (let count = 0; count < 3 * (STARVATION_GUARD + 1); count += 1) pump(1)
    expect(turns.filter((id) => id !== 0)).toEqual([1, 2, 1])
  })

  it('D41: nobody was passed over by Frames that left while nobody waited', () => {
    for (const before of [[], [new Source(2, 255, [5])]]) {
      const { turns, scheduler, pump } = makeTurns([new Source(1, 0, [10_000]), ...before])
      for (const source of before) scheduler.delete(source)
      for (let count = 0; count < 2 * STARVATION_GUARD; count += 1) pump(1)
      const { length } = turns
      scheduler.add(new Source(2, 255, [5]))
      for (let count = 0; count < STARVATION_GUARD; count += 1) pump(1)
      expect(new Set(turns.slice(length))).toEqual(new Set([1]))
    }
  })

  it('forgets a stream that is gone, whatever its level', () => {
    const gone = new Source(1, 3, [10])
    const { turns, scheduler, pump } = makeTurns([gone, new Source(2, 4, [10])])
    scheduler.delete(gone)
    expect(scheduler.size).toBe(1)
    scheduler.delete(gone)
    expect(scheduler.size).toBe(1)
    pump(100)
    expect(turns).toEqual([2])
    scheduler.clear()
    expect(scheduler.size).toBe(0)
  })

  it('any mix of streams is sent to its last byte, nobody waiting longer than the guard allows', () => {
    const anySource = fc.record({
      priority: fc.nat(3),
      writes: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
    })
    fc.assert(
      fc.property(fc.array(anySource, { minLength: 1, maxLength: 8 }), (plans) => {
        const sources = plans.map(({ priority, writes }, id) => new Source(id, priority, writes))
        const { turns, scheduler, pump } = makeTurns(sources)
        const levels = new Set(plans.map(({ priority }) => priority)).size
        const waited = sources.map(() => 0)
        while (scheduler.size > 0) {
          const before = turns.length
          const waiting = sources.filter((source) => source.pendingBytes > 0)
          pump(1)
          expect(turns.length).toBeGreaterThan(before)
          for (const turn of turns.slice(before)) {
            for (const { id } of waiting) waited[id]! += 1
            waited[turn] = 0
          }
          // Each level behind the first gets one turn of 17, and inside a level all have theirs.
          const most = (STARVATION_GUARD + 1) * levels * sources.length
          expect(Math.max(...waited)).toBeLessThanOrEqual(most)
        }
        expect(sources.every((source) => source.pendingBytes === 0)).toBe(true)
      }),
      { numRuns: 200 },
    )
  })
})
