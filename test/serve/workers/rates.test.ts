// How a rate is shared out among workers, kept by each, and how soon a worker that died has a successor.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Pace } from '../../../src/session/pace.ts'
import { makeUser } from '../../../src/serve/users/user.ts'
import { Backoff } from '../../../src/serve/workers/crew.ts'
import type { UserRates } from '../../../src/serve/workers/messages.ts'
import { SharedPace } from '../../../src/serve/workers/shared-pace.ts'
import { shareRate, WorkerRates } from '../../../src/serve/workers/worker-rates.ts'

const sum = (numbers: readonly number[]): number => numbers.reduce((total, one) => total + one, 0)

describe('Issue 13.1: shares of a rate', () => {
  it('shares add up to the rate, and nobody is left without, whatever was taken', () => {
    const amount = fc.double({ min: 0, max: 1e9, noNaN: true })
    const shares = fc.array(fc.record({ given: amount, taken: amount }), {
      minLength: 1,
      maxLength: 20,
    })
    fc.assert(
      fc.property(fc.double({ min: 1, max: 1e9, noNaN: true }), shares, (rate, before) => {
        const next = shareRate(rate, before)
        expect(next).toHaveLength(before.length)
        expect(sum(next)).toBeCloseTo(rate, -Math.log10(rate) + 6)
        for (const share of next) expect(share).toBeGreaterThanOrEqual((rate * 0.049) / next.length)
      }),
    )
  })

  it('who takes all of a share gets what others leave; those who want all get the same', () => {
    const [busy, idle] = shareRate(100, [
      { given: 50, taken: 50 },
      { given: 50, taken: 0 },
    ])
    expect([busy, idle]).toEqual([97.5, 2.5])
    // The one that was idle takes all it may: in the next sharing both have half.
    const again = shareRate(100, [
      { given: 97.5, taken: 97 },
      { given: 2.5, taken: 2.5 },
    ])
    expect(again).toEqual([50, 50])
  })

  it('workers that share their paces let through the rate, whoever of them is busy when', () => {
    const RATE = 1_000_000
    const user = makeUser({ name: 'a', maxDown: RATE }, 0)
    const rates = new WorkerRates(() => ({ receive: undefined, send: new Pace(RATE) }))
    let now = 0
    const workers = Array.from({ length: 4 }, () => {
      const pace = new SharedPace()
      pace.whole = RATE
      const desk = {
        send: ({ rates: told }: { rates: readonly UserRates[] }) => {
          for (const [, , down] of told) pace.share(down, now)
        },
      }
      rates.enter(user, desk)
      return { pace, desk, free: 0 }
    })
    rates.share(user)
    let taken = 0
    for (; now < 20_000; now += 1) {
      // One alone, then two, then another alone.
      const busy = now < 6_000 ? [0] : now < 14_000 ? [1, 2] : [3]
      for (const index of busy) {
        const worker = workers[index]!
        if (now < worker.free) continue
        const bytes = worker.pace.quantum
        taken += bytes
        worker.free = now + worker.pace.take(bytes, now)
      }
      if (now % 250 !== 0) continue
      for (const { pace, desk } of workers) rates.taken([user.id, 0, pace.measure(0.25, now)], desk)
      rates.share(user)
    }
    expect(taken / (RATE * 20)).toBeGreaterThan(0.9)
    expect(taken / (RATE * 20)).toBeLessThan(1.1)
  })

  it('what was taken too much under a small share does not hold up a large one', () => {
    const pace = new SharedPace()
    pace.whole = 1_000_000
    pace.share(10_000, 0)
    // At the share it would be 10 s; within 0.3 s the share may be another.
    expect(pace.take(100_000, 1_000)).toBeLessThan(410)
    // Who waits wants more than it has.
    expect(pace.measure(0.25, 1_100)).toBeGreaterThanOrEqual(10_000)
    pace.share(1_000_000, 1_100)
    expect(pace.take(0, 1_100)).toBeLessThan(100)
  })
})

describe('Issue 13.1: a worker that dies', () => {
  it('is replaced at once after a long life, and in a crash loop after more and more time', () => {
    const backoff = new Backoff()
    expect([60_000, 100, 100, 100, 100].map((lived) => backoff.next(lived))).toEqual([
      0, 500, 1_000, 2_000, 4_000,
    ])
    for (let count = 0; count < 2_000; count += 1) backoff.next(0)
    expect(backoff.next(0)).toBe(30_000)
    expect(backoff.next(10_000)).toBe(0)
  })
})
