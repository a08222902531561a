// The bounds of what a session keeps for applications that do not read: when its connection is held up, until when, and
// which streams are ended then.
import { describe, expect, it } from 'vitest'
import { CONNECTION_UNREAD } from '../../src/engine/receive-window.ts'
import { UnreadGuard } from '../../src/session/unread-guard.ts'
import { makeLane } from './support/lanes.ts'
import type { Laned } from './support/lanes.ts'

const KIB = 1_024
const MIB = KIB * KIB
const PATIENCE = 20_000
/** Unread bytes of one stream without credit at which the connection is held up. */
const HELD = 256 * KIB

interface Watched extends Laned {
  /** Bytes arrive. */
  receive(bytes: number, now: number, bounded?: boolean): void
  /** The application reads. */
  read(bytes: number, now: number): void
  isCut(): boolean
}

/** A stream whose reader is told that it was cut as Streams are: it is dropped with all that it holds. */
function watch(guard: UnreadGuard, now = () => 0): Watched {
  const laned = makeLane()
  const { lane } = laned
  laned.onDestroy = () => {
    lane.dropped = true
    guard.dropped(lane, now())
  }
  return Object.assign(laned, {
    receive(bytes: number, at: number, bounded = false) {
      lane.unread += bytes
      guard.received(lane, bytes, bounded, at)
    },
    read(bytes: number, at: number) {
      lane.unread -= bytes
      guard.consumed(lane, bytes, at)
    },
    isCut: () => laned.seen.some(([name]) => name === 'sink destroy'),
  })
}

describe('a stream without credit', () => {
  it('holds up the connection from 256 KiB unread on, until less than half of that is', () => {
    const guard = new UnreadGuard(PATIENCE)
    const stream = watch(guard)
    stream.receive(HELD - 1, 100)
    expect([guard.holding, guard.due]).toEqual([false, Infinity])
    stream.receive(1, 200)
    expect([guard.holding, guard.due]).toEqual([true, 200 + PATIENCE])
    stream.read(HELD / 2, 300)
    expect(guard.holding).toBe(true)
    stream.read(1, 400)
    expect([guard.holding, guard.due]).toEqual([false, Infinity])
  })

  it('has its time from when it became so, whatever still comes', () => {
    const guard = new UnreadGuard(PATIENCE)
    const stream = watch(guard)
    stream.receive(HELD, 100)
    stream.receive(HELD, 5_000)
    expect(guard.due).toBe(100 + PATIENCE)
    guard.cut([stream.lane], 99 + PATIENCE)
    expect(stream.isCut()).toBe(false)
    guard.cut([stream.lane], 100 + PATIENCE)
    expect(stream.seen).toContainEqual(['sink destroy', 'ERR_STREAM_STALLED'])
    expect(guard.holding).toBe(false)
  })

  it('is cut alone: one that stalled later has its own time, one that is read has nothing to fear', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [first, later, read] = [watch(guard), watch(guard), watch(guard)]
    first.receive(HELD, 100)
    read.receive(HELD, 100)
    later.receive(HELD, 200)
    read.read(HELD, 300)
    guard.cut(
      [first, later, read].map(({ lane }) => lane),
      100 + PATIENCE,
    )
    expect([first.isCut(), later.isCut(), read.isCut()]).toEqual([true, false, false])
    expect(guard.due).toBe(200 + PATIENCE)
  })

  it('holds nothing up once it is given up, or over', () => {
    for (const end of ['dropped', 'ended'] as const) {
      const guard = new UnreadGuard(PATIENCE)
      const stream = watch(guard)
      stream.receive(HELD, 100)
      guard[end](stream.lane, 200)
      expect(guard.holding).toBe(false)
    }
  })
})

describe('a stream that credit bounds', () => {
  it('does not hold up the connection, however much it has unread', () => {
    const guard = new UnreadGuard(PATIENCE)
    watch(guard).receive(CONNECTION_UNREAD - 1, 100, true)
    expect(guard.holding).toBe(false)
  })

  it('does so with all others at 64 MiB, until half of that is left', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [one, other] = [watch(guard), watch(guard)]
    one.receive(32 * MIB, 100, true)
    other.receive(32 * MIB - 1, 100, true)
    expect(guard.holding).toBe(false)
    other.receive(1, 200, true)
    other.receive(1, 300, true)
    expect([guard.holding, guard.due]).toEqual([true, 200 + PATIENCE])
    one.read(32 * MIB, 400)
    expect(guard.holding).toBe(true)
    other.read(1, 500)
    expect([guard.holding, guard.due]).toEqual([false, Infinity])
  })

  it('is cut when it holds most, and no more streams are than it takes', () => {
    let now = 0
    const guard = new UnreadGuard(PATIENCE)
    const streams = [1, 40, 10, 30].map((size) => {
      const stream = watch(guard, () => now)
      stream.receive(size * MIB, 100, true)
      return stream
    })
    const lanes = streams.map(({ lane }) => lane)
    now = 99 + PATIENCE
    guard.cut(lanes, now)
    expect(streams.map((stream) => stream.isCut())).toEqual([false, false, false, false])
    now += 1
    guard.cut(lanes, now)
    // 41 MiB are left after the first: too many still.
    expect(streams.map((stream) => stream.isCut())).toEqual([false, true, false, true])
    expect(guard.holding).toBe(false)
  })

  it('counts for nothing once it has been given up', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [one, other] = [watch(guard), watch(guard)]
    one.receive(64 * MIB, 100, true)
    one.lane.dropped = true
    guard.dropped(one.lane, 200)
    expect(guard.holding).toBe(false)
    // What is told of it afterwards neither.
    one.read(MIB, 300)
    other.receive(64 * MIB - 1, 400, true)
    expect(guard.holding).toBe(false)
    other.receive(1, 500, true)
    expect(guard.due).toBe(500 + PATIENCE)
  })
})

describe('streams that are over', () => {
  /** Streams that ended with so many bytes unread. */
  function pile(guard: UnreadGuard, count: number, bytes: number, now: number): Watched[] {
    return Array.from({ length: count }, () => {
      const stream = watch(guard, () => now + PATIENCE)
      stream.receive(bytes, now, true)
      guard.ended(stream.lane, now)
      return stream
    })
  }

  it('hold up the connection above 16 MiB, 4 KiB more for each', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [first] = pile(guard, 256, 60 * KIB, 100)
    expect(guard.holding).toBe(false)
    pile(guard, 1, 1, 200)
    expect([guard.holding, guard.due]).toEqual([true, 200 + PATIENCE])
    pile(guard, 1, 1, 300)
    expect(guard.due).toBe(200 + PATIENCE)
    // 8 KiB and two bytes too many.
    first!.read(8 * KIB + 1, 400)
    expect(guard.holding).toBe(true)
    first!.read(1, 500)
    expect([guard.holding, guard.due]).toEqual([false, Infinity])
  })

  it('cost nothing once they are read to the end, or given up', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [read, dropped] = pile(guard, 257, 60 * KIB, 100)
    expect(guard.holding).toBe(true)
    read!.read(60 * KIB, 200)
    expect(guard.holding).toBe(false)
    pile(guard, 1, 60 * KIB, 300)
    expect(guard.holding).toBe(true)
    dropped!.lane.dropped = true
    guard.dropped(dropped!.lane, 400)
    expect(guard.holding).toBe(false)
    // Neither is there to be cut.
    pile(guard, 3, 8 * MIB, 500)
    guard.cut([], 500 + PATIENCE)
    expect([read!.isCut(), dropped!.isCut()]).toEqual([false, false])
  })

  it('cost nothing where all was read, or nobody wanted it, before they ended', () => {
    const guard = new UnreadGuard(PATIENCE)
    for (let count = 0; count < 5_000; count += 1) {
      const [read, dropped] = [watch(guard), watch(guard)]
      dropped.receive(10, 100, true)
      dropped.lane.dropped = true
      guard.dropped(dropped.lane, 100)
      guard.ended(dropped.lane, 100)
      guard.ended(read.lane, 100)
    }
    expect(guard.holding).toBe(false)
  })

  it('count no more among what the open ones hold', () => {
    const guard = new UnreadGuard(PATIENCE)
    pile(guard, 1, 12 * MIB, 100)
    const open = watch(guard)
    open.receive(64 * MIB - 1, 200, true)
    expect(guard.holding).toBe(false)
    open.receive(1, 300, true)
    expect(guard.holding).toBe(true)
  })

  it('are no less among what the open ones hold where they were given up before', () => {
    const guard = new UnreadGuard(PATIENCE)
    const [gone, open] = [watch(guard), watch(guard)]
    gone.receive(10 * MIB, 100, true)
    gone.lane.dropped = true
    guard.dropped(gone.lane, 100)
    guard.ended(gone.lane, 100)
    open.receive(64 * MIB, 200, true)
    expect(guard.due).toBe(200 + PATIENCE)
  })

  it('are cut, the oldest first, until they are few enough', () => {
    const guard = new UnreadGuard(PATIENCE)
    const streams = pile(guard, 5, 5 * MIB, 100)
    guard.cut([], 99 + PATIENCE)
    expect(streams.some((stream) => stream.isCut())).toBe(false)
    guard.cut([], 100 + PATIENCE)
    expect(streams.map((stream) => stream.isCut())).toEqual([true, true, false, false, false])
    expect(guard.holding).toBe(false)
  })
})

it('forgets everything with clear()', () => {
  const guard = new UnreadGuard(PATIENCE)
  const streams = [watch(guard), watch(guard), watch(guard)] as const
  streams[0].receive(64 * MIB, 100)
  streams[1].receive(17 * MIB, 100, true)
  guard.ended(streams[1].lane, 100)
  guard.clear()
  expect([guard.holding, guard.due]).toEqual([false, Infinity])
  guard.cut([], 1e9)
  expect(streams.map((stream) => stream.isCut())).toEqual([false, false, false])
  streams[2].receive(64 * MIB - 1, 200, true)
  expect(guard.holding).toBe(false)
  const [ended] = [watch(guard)]
  ended.receive(15 * MIB, 300, true)
  guard.ended(ended.lane, 300)
  expect(guard.holding).toBe(true)
})
