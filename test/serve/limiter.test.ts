// Limits on sessions and addresses, and the rates of a user.
import { describe, expect, it } from 'vitest'
import { LocalLimiter } from '../../src/serve/limiter.ts'
import { changeUser, makeUser } from '../../src/serve/users/user.ts'
import type { User } from '../../src/serve/users/user.ts'
import { Pace } from '../../src/session/pace.ts'

const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)

let sessions = 0
const from = (remoteAddress: string) => ({ id: `${(sessions += 1)}`, remoteAddress })

describe('Issue 12.2: limits', () => {
  it('the newest session is refused; one that goes makes room', () => {
    const limiter = new LocalLimiter()
    const user = makeUser({ name: 'a', maxSessions: 2 }, 0)
    const [one, two] = [from('192.0.2.1'), from('192.0.2.1')]
    expect([limiter.enter(user, one), limiter.enter(user, two)]).toEqual([undefined, undefined])
    expect(limiter.enter(user, from('192.0.2.1'))).toMatchObject({ code: 'ERR_USER_LIMIT' })
    // Of another user there may be as many.
    expect(limiter.enter(makeUser({ name: 'b', maxSessions: 1 }, 0), from(''))).toBeUndefined()
    limiter.leave(user, one)
    expect(limiter.enter(user, from('192.0.2.1'))).toBeUndefined()
  })

  it('an address more is refused; more sessions from one that is there are not', () => {
    const limiter = new LocalLimiter()
    const user = makeUser({ name: 'a', maxAddresses: 1 }, 0)
    const home = from('192.0.2.1')
    for (const session of [home, from('192.0.2.1')]) {
      expect(limiter.enter(user, session)).toBeUndefined()
    }
    expect(limiter.enter(user, from('192.0.2.2'))).toMatchObject({ code: 'ERR_USER_LIMIT' })
  })

  it('sessions of a user keep one pace, which follows its user', () => {
    const limiter = new LocalLimiter()
    const user = makeUser({ name: 'a', maxUp: 10_000 }, 0)
    limiter.enter(user, from('192.0.2.1'))
    const { receive, send } = limiter.paces(user)
    expect([receive?.rate, send]).toEqual([10_000, undefined])
    const changed = limiter.paces(changeUser(user, { maxUp: 20_000, maxDown: 5_000 }))
    expect(changed.receive).toBe(receive)
    expect([receive?.rate, changed.send?.rate]).toEqual([20_000, 5_000])
  })

  it('over 10 s all sessions of a user have the rate within 10 %, whoever of them wants how much when, and slow nobody else', () => {
    const RATE = 1_000_000
    const limiter = new LocalLimiter()
    const paceOf = (user: User) => {
      const pace = limiter.paces(user).send
      if (pace === undefined) throw new Error('no rate')
      return { pace, free: 0, taken: 0 }
    }
    const enter = (name: string, count: number) => {
      const user = makeUser({ name, maxDown: RATE }, 0)
      return Array.from({ length: count }, () => {
        expect(limiter.enter(user, from('192.0.2.1'))).toBeUndefined()
        return paceOf(user)
      })
    }
    const [many, [other]] = [enter('many', 4), enter('other', 1)]
    const takeAll = (session: ReturnType<typeof paceOf>, now: number) => {
      if (now < session.free) return
      const { pace } = session
      session.taken += pace.quantum
      session.free = now + pace.take(pace.quantum, now)
    }
    for (let now = 0; now < 10_000; now += 1) {
      for (const [index, session] of many.entries()) {
        // One from the first to the last moment, the others now and then.
        if (index === 0 || Math.floor(now / 700) % (index + 1) === 0) takeAll(session, now)
      }
      takeAll(other!, now)
    }
    const rates = [sum(many.map(({ taken }) => taken)), other!.taken].map((taken) => taken / 10)
    for (const rate of rates) {
      expect(rate).toBeGreaterThan(RATE * 0.9)
      expect(rate).toBeLessThan(RATE * 1.1)
    }
  })

  it('a pace lets through its rate and a quarter of a second, whoever takes how much', () => {
    const pace = new Pace(1_000_000)
    const free = [0, 0, 0]
    let taken = 0
    for (let now = 0; now < 10_000; now += 1) {
      for (const [taker, at] of free.entries()) {
        if (now < at) continue
        const bytes = 1_000 * (taker + 1)
        taken += bytes
        free[taker] = now + pace.take(bytes, now)
      }
    }
    expect(taken).toBeGreaterThan(9_900_000)
    expect(taken).toBeLessThan(10_400_000)
  })
})
