// The clock of real time; the tests of sessions bring a fake one.
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/session/clock.ts'

describe('systemClock', () => {
  it('calls back once after the delay', async () => {
    const started = systemClock.now()
    let calls = 0
    const elapsed = await new Promise<number>((resolve) => {
      systemClock.schedule(20, () => {
        calls += 1
        resolve(systemClock.now() - started)
      })
    })
    // Node rounds a delay down to whole milliseconds.
    expect(elapsed).toBeGreaterThanOrEqual(19)
    await sleep(30)
    expect(calls).toBe(1)
  })

  it('never calls back what was cancelled, and starts afresh what was refreshed', async () => {
    let cancelled = 0
    let refreshed = 0
    systemClock.schedule(10, () => (cancelled += 1)).cancel()
    const timer = systemClock.schedule(15, () => (refreshed += 1))
    await sleep(30)
    timer.refresh()
    await sleep(30)
    expect(cancelled).toBe(0)
    expect(refreshed).toBe(2)
  })

  it('takes a delay longer than timers can have as a long one', async () => {
    let calls = 0
    const timers = [1e10, Infinity].map((delay) => systemClock.schedule(delay, () => (calls += 1)))
    await sleep(20)
    expect(calls).toBe(0)
    for (const timer of timers) timer.cancel()
  })
})
