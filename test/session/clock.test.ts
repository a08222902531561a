// The clock of real time; the tests of sessions bring a fake one.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { systemClock } from '../../src/session/clock.ts'

/** Keeps the event loop from running, as a machine does that sleeps, for so many milliseconds. */
function standStill(time: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, time)
}

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

  it('lets what came while the process stood still be read first, and waits no more than once for it', async () => {
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    onTestFinished(() => void (client.destroy(), server.close()))
    const [socket] = (await once(server, 'connection')) as [Socket]
    const order: string[] = []
    socket.on('data', () => order.push('data'))
    client.write('.')
    const called = new Promise<void>((resolve) => {
      systemClock.schedule(50, () => resolve(void order.push('timer')))
    })
    const cancelled = systemClock.schedule(50, () => order.push('cancelled'))
    standStill(1_200)
    const second = performance.now()
    setTimeout(() => standStill(1_200), 10)
    setTimeout(() => cancelled.cancel(), 5)
    await called
    expect(order).toEqual(['data', 'timer'])
    expect(performance.now() - second).toBeLessThan(2_000)
  })

  it('starts afresh what is refreshed after it stood still', async () => {
    let calls = 0
    const timer = systemClock.schedule(100, () => (calls += 1))
    standStill(1_200)
    await sleep(50)
    timer.refresh()
    standStill(1_200)
    await sleep(50)
    expect(calls).toBe(0)
    await expect.poll(() => calls).toBe(1)
  })

  it('takes a delay longer than timers can have as a long one', async () => {
    let calls = 0
    const timers = [1e10, Infinity].map((delay) => systemClock.schedule(delay, () => (calls += 1)))
    await sleep(20)
    expect(calls).toBe(0)
    for (const timer of timers) timer.cancel()
  })
})
