// The clock of real time on timers that a test moves: how long it waits, and what it makes of a timer that comes late
// because the process stood still (N94).
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { systemClock } from '../../src/session/clock.ts'

/** Timers and a time that a test moves, each by itself. */
function takeTime() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  let now = 5_000.5
  vi.spyOn(performance, 'now').mockImplementation(() => now)
  const timers = vi.spyOn(globalThis, 'setTimeout')
  onTestFinished(() => {
    vi.restoreAllMocks()
    vi.useRealTimers()
  })
  return {
    timers,
    /** Time passes, and timers come in it as they are due. */
    pass: (ms: number) => {
      now += ms
      vi.advanceTimersByTime(ms)
    },
    /** The process stands still for so long. */
    stand: (ms: number) => {
      now += ms
    },
  }
}

/** A timer, and how often it called back. */
function schedule(delay: number) {
  const calls = { count: 0 }
  const timer = systemClock.schedule(delay, () => (calls.count += 1))
  return { timer, calls }
}

describe('a timer of the system clock', () => {
  it('calls back once when its delay is over, by a monotonic time', () => {
    const { pass } = takeTime()
    expect(systemClock.now()).toBe(5_000.5)
    const { calls } = schedule(100)
    pass(99)
    expect(calls.count).toBe(0)
    pass(1)
    expect(calls.count).toBe(1)
    pass(10_000)
    expect(calls.count).toBe(1)
  })

  it('does not keep the process up, not when it waits once more or is started afresh either', () => {
    const { pass, stand, timers } = takeTime()
    const { timer } = schedule(100)
    stand(2_000)
    pass(100)
    timer.refresh()
    expect(timers.mock.results).toHaveLength(3)
    for (const { value } of timers.mock.results)
      expect((value as NodeJS.Timeout).hasRef()).toBe(false)
  })

  it('has a delay from 0 to the longest that Node can have', () => {
    const { timers } = takeTime()
    const delays = [-5, 0, 7, 2_147_483_647, 2_147_483_648, Infinity]
    for (const delay of delays) schedule(delay)
    expect(timers.mock.calls.map(([, delay]) => delay)).toEqual([
      ...[0, 0, 7, 2_147_483_647, 2_147_483_647, 2_147_483_647],
    ])
  })

  it('is cancelled for good, and started afresh as if it were new', () => {
    const { pass } = takeTime()
    const cancelled = schedule(100)
    const refreshed = schedule(100)
    pass(60)
    cancelled.timer.cancel()
    refreshed.timer.refresh()
    pass(99)
    expect([cancelled.calls.count, refreshed.calls.count]).toEqual([0, 0])
    pass(1)
    expect([cancelled.calls.count, refreshed.calls.count]).toEqual([0, 1])
    refreshed.timer.refresh()
    pass(100)
    expect(refreshed.calls.count).toBe(2)
    cancelled.timer.cancel()
  })
})

it('a timer that was started afresh is not late because of what it had waited before', () => {
  const { pass } = takeTime()
  const { timer, calls } = schedule(10_000)
  pass(5_000)
  timer.refresh()
  pass(9_999)
  expect(calls.count).toBe(0)
  pass(1)
  expect(calls.count).toBe(1)
})

describe('a timer that comes late', () => {
  it('calls back at once while it is less than a second', () => {
    const { pass, stand } = takeTime()
    const { calls } = schedule(100)
    stand(999)
    pass(100)
    expect(calls.count).toBe(1)
  })

  it.each([
    [100, 100],
    [2_500, 2_500],
    [60_000, 2_500],
  ])('by a second waits once more, after %i ms for %i ms', (delay, more) => {
    const { pass, stand } = takeTime()
    const { calls } = schedule(delay)
    stand(1_000)
    pass(delay)
    expect(calls.count).toBe(0)
    pass(more - 1)
    expect(calls.count).toBe(0)
    // Once: however late it is then.
    stand(5_000)
    pass(1)
    expect(calls.count).toBe(1)
    pass(60_000)
    expect(calls.count).toBe(1)
  })

  it('and waits once more can be cancelled', () => {
    const { pass, stand } = takeTime()
    const { timer, calls } = schedule(100)
    stand(1_000)
    pass(100)
    timer.cancel()
    pass(10_000)
    expect(calls.count).toBe(0)
  })

  it('and waits once more can be started afresh: it has its whole delay, and may come late again', () => {
    const { pass, stand } = takeTime()
    const { timer, calls } = schedule(10_000)
    stand(1_000)
    pass(10_000)
    pass(1_000)
    timer.refresh()
    pass(9_999)
    expect(calls.count).toBe(0)
    stand(1_000)
    pass(1)
    expect(calls.count).toBe(0)
    pass(2_500)
    expect(calls.count).toBe(1)
  })

  it('counts from when it was started afresh', () => {
    const { pass, stand } = takeTime()
    const { timer, calls } = schedule(100)
    stand(5_000)
    timer.refresh()
    pass(100)
    expect(calls.count).toBe(1)
    // Started afresh once more after it has called back, it is an ordinary one.
    timer.refresh()
    pass(99)
    expect(calls.count).toBe(1)
    pass(1)
    expect(calls.count).toBe(2)
  })
})
