// Whom each dial is for, when there is another, and which are given up, without a pool around them: the sessions are
// names, and have room as the test says.
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { Dials } from '../../src/session/dials.ts'
import type { DialsSetup } from '../../src/session/dials.ts'
import type { Session } from '../../src/session/session.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

/** Two round trips to a server that is not far yet, in milliseconds, and to one that is. */
const [NEAR, FAR] = [150, 151]

interface FakeSession {
  readonly name: string
  destroyed: boolean
  /** Streams that it still takes. */
  room: number
}

interface FakeDial {
  readonly signal: AbortSignal
  /** The session is there. */
  succeed(room?: number): Promise<FakeSession>
  fail(error: Error): Promise<void>
}

function makeDials(options: Partial<DialsSetup> & { readonly roomOfNew?: number } = {}) {
  const { roomOfNew = 8, ...rest } = options
  const clock = new FakeClock()
  const made: FakeDial[] = []
  const standing: FakeSession[] = []
  const dials = new Dials({
    clock,
    connect: (signal) =>
      new Promise((resolve, reject) => {
        const name = `session ${made.length + 1}`
        made.push({
          signal,
          succeed: async (room = roomOfNew) => {
            const session = {
              name,
              destroyed: false,
              room,
              destroy: () => void (session.destroyed = true),
            }
            resolve(session as unknown as Session)
            await settle()
            return session
          },
          fail: async (error) => {
            reject(error)
            await settle()
          },
        })
      }),
    adopt: (session) => {
      const fake = session as unknown as FakeSession
      if (fake.room === 0) return false
      standing.push(fake)
      return true
    },
    find: () => standing.find(({ room }) => room > 0) as unknown as Session | undefined,
    room: () => roomOfNew,
    spread: 8,
    standing: () => standing.length,
    ...rest,
  })
  /** Somebody waits for a session, and takes the room of a stream on it. */
  const wait = (signal?: AbortSignal) => {
    const waiter: { got: unknown } = { got: undefined }
    dials
      .wait((session) => {
        const fake = session as unknown as FakeSession
        fake.room -= 1
        return fake.name
      }, signal)
      .then(
        (name) => (waiter.got = name),
        (error: unknown) => (waiter.got = error),
      )
    return waiter
  }
  return { dials, clock, made, standing, wait }
}

/** Dials by which it is known that a server is so far. */
async function makeKnown(took: number, options: Parameters<typeof makeDials>[0] = {}) {
  const bench = makeDials(options)
  bench.wait()
  await bench.clock.advance(took)
  const session = await bench.made[0]!.succeed()
  return { ...bench, session }
}

describe('how far a server is', () => {
  it('is by the quickest dial, or answer twice, and by a dial under way while nothing else is known', async () => {
    const { dials, clock, made, wait } = makeDials()
    expect(dials.far).toBe(false)
    wait()
    await clock.advance(19)
    expect(dials.far).toBe(false)
    await clock.advance(1)
    expect(dials.far).toBe(true)
    await clock.advance(NEAR - 20)
    await made[0]!.succeed()
    expect(dials.far).toBe(false)
    const far = await makeKnown(FAR)
    expect(far.dials.far).toBe(true)
    far.dials.answered(76)
    expect(far.dials.far).toBe(true)
    far.dials.answered(75)
    expect(far.dials.far).toBe(false)
    // It is not farther for what took long once.
    far.dials.answered(1_000)
    expect(far.dials.far).toBe(false)
  })
})

describe('a dial that has taken 20 ms', () => {
  it('may be far, though its timer came a moment early by the clock', async () => {
    const clock = new FakeClock()
    const { made, wait } = makeDials({
      clock: {
        now: () => Math.floor(clock.now() / 100) * 100,
        schedule: (delay, callback) => clock.schedule(delay, callback),
      },
    })
    for (let count = 0; count < 3; count += 1) wait()
    expect(made).toHaveLength(1)
    await clock.advance(20)
    expect(made).toHaveLength(3)
  })
})

describe('those who wait', () => {
  it('share the dials that they need, and are served in order as far as there is room', async () => {
    const { made, wait } = makeDials({ roomOfNew: 2 })
    const waiters = [wait(), wait(), wait()]
    expect(made).toHaveLength(2)
    await made[1]!.succeed()
    expect(waiters.map(({ got }) => got)).toEqual(['session 2', 'session 2', undefined])
    await made[0]!.succeed()
    expect(waiters[2]!.got).toBe('session 1')
    expect(made).toHaveLength(2)
  })

  it('hear what taking a session throws, and the others are served', async () => {
    const { dials, made, wait } = makeDials()
    const failure = new Error('no request')
    const thrown = dials.wait(() => {
      throw failure
    }, undefined)
    const rejected = dials.wait(() => Promise.reject(failure), undefined)
    const other = wait()
    const both = [thrown, rejected].map((waits) => expect(waits).rejects.toBe(failure))
    await made[0]!.succeed()
    await Promise.all(both)
    expect(other.got).toBe('session 1')
  })

  it('all fail with the last dial, and those who come then have another', async () => {
    const { made, wait } = makeDials({ roomOfNew: 1 })
    const waiters = [wait(), wait()]
    await made[0]!.fail(new Error('first'))
    expect(waiters.map(({ got }) => got)).toEqual([undefined, undefined])
    const failure = new Error('last')
    await made[1]!.fail(failure)
    expect(waiters.map(({ got }) => got)).toEqual([failure, failure])
    const next = wait()
    expect(made).toHaveLength(3)
    await made[2]!.succeed()
    expect(next.got).toBe('session 3')
  })

  it('are served before the last dial fails them, where there is room by then', async () => {
    const { made, wait, standing } = makeDials({ roomOfNew: 1 })
    const waiters = [wait(), wait()]
    standing.push({ name: 'another', destroyed: false, room: 1 })
    await made[0]!.fail(new Error('first'))
    const failure = new Error('last')
    await made[1]!.fail(failure)
    expect(waiters.map(({ got }) => got)).toEqual(['another', failure])
  })

  it('are told after three sessions in a row that had no room, no sooner', async () => {
    const { made, wait } = makeDials()
    const waiter = wait()
    for (const count of [1, 2]) {
      expect(made).toHaveLength(count)
      await made[count - 1]!.succeed(0)
      expect(waiter.got).toBeUndefined()
    }
    await made[2]!.succeed(0)
    expect(waiter.got).toMatchObject({ code: 'ERR_SESSION_CLOSED' })
    expect(made).toHaveLength(3)
    // It is counted anew then, and after one that had room.
    const next = wait()
    await made[3]!.succeed(0)
    await made[4]!.succeed(0)
    expect(next.got).toBeUndefined()
    await made[5]!.succeed(1)
    expect(next.got).toBe('session 6')
    const last = wait()
    await made[6]!.succeed(0)
    await made[7]!.succeed(0)
    expect(last.got).toBeUndefined()
  })

  it('take what becomes free meanwhile, as many as are told', async () => {
    const { dials, standing, wait } = makeDials()
    const waiters = [wait(), wait(), wait()]
    standing.push({ name: 'free', destroyed: false, room: 9 })
    dials.serve(1)
    await settle()
    expect(waiters.map(({ got }) => got)).toEqual(['free', undefined, undefined])
    dials.serve()
    await settle()
    expect(waiters.map(({ got }) => got)).toEqual(['free', 'free', 'free'])
  })
})

describe('near a server', () => {
  it('whoever waits behind a session in use shares it after twice the quickest dial and 50 ms more', async () => {
    const { clock, wait, standing } = await makeKnown(100)
    const waiter = wait()
    await clock.advance(249)
    expect(waiter.got).toBeUndefined()
    await clock.advance(1)
    expect(waiter.got).toBe(standing[0]!.name)
    expect(clock.waits.every((time) => time > 250)).toBe(true)
  })

  it('those who are left when one of them was served share it no later', async () => {
    const { dials, clock, wait } = await makeKnown(100)
    const waiters = [wait(), wait()]
    dials.serve(1)
    await clock.advance(249)
    expect(waiters.map(({ got }) => got)).toEqual(['session 1', undefined])
    await clock.advance(1)
    expect(waiters[1]!.got).toBe('session 1')
  })

  it('who is left without a dial has another at once', async () => {
    const { made, wait } = makeDials({ roomOfNew: 1 })
    const waiters = [wait(), wait()]
    await made[1]!.fail(new Error('no'))
    await made[0]!.succeed()
    expect(waiters.map(({ got }) => got)).toEqual(['session 1', undefined])
    expect(made).toHaveLength(3)
  })

  it('a new dial has no timer once it is over, and nobody is waited for', async () => {
    const { clock, made, wait } = makeDials()
    wait()
    expect(clock.waits).toEqual([20, 2_500])
    await made[0]!.succeed()
    expect(clock.armed).toBe(0)
    wait()
    await made[1]?.fail(new Error('no'))
    await clock.advance(10_000)
    expect(clock.armed).toBeLessThanOrEqual(1)
  })
})

describe('far from a server', () => {
  it('each who waits has a dial, up to the sessions over which streams are spread', async () => {
    const { made, wait } = await makeKnown(FAR, { spread: 4 })
    for (let count = 0; count < 6; count += 1) wait()
    // One stands: three more, which six share.
    expect(made).toHaveLength(1 + 3)
  })

  it('those who can have a session of their own shortly do not share the first', async () => {
    const { made, wait, clock } = await makeKnown(FAR)
    const waiters = [wait(), wait(), wait(), wait()]
    expect(made).toHaveLength(5)
    await clock.advance(FAR)
    await made[1]!.succeed()
    expect(waiters.map(({ got }) => got !== undefined)).toEqual([true, false, false, false])
    await made[2]!.fail(new Error('no'))
    await made[3]!.succeed()
    // Two are left for the one dial and this session.
    expect(waiters.map(({ got }) => got !== undefined)).toEqual([true, true, true, false])
  })

  it('they do share it when their dial and one beside it are late, each by 50 ms', async () => {
    const { made, wait, clock, session } = await makeKnown(FAR)
    session.room = 0
    const waiters = [wait(), wait()]
    await clock.advance(FAR)
    await made[1]!.succeed()
    await clock.advance(49)
    expect(made).toHaveLength(3)
    await clock.advance(1)
    expect(made).toHaveLength(4)
    await clock.advance(FAR + 49)
    expect(waiters[1]!.got).toBeUndefined()
    await clock.advance(1)
    expect(waiters[1]!.got).toBeDefined()
    expect(made).toHaveLength(4)
  })

  it('a dial ahead is made while there are fewer sessions and dials than are worth it', async () => {
    const { dials, made } = await makeKnown(FAR, { spread: 3 })
    expect([dials.ahead(), dials.ahead(), dials.ahead()]).toEqual([true, true, true])
    expect(made).toHaveLength(3)
    await made[1]!.succeed()
    expect(dials.ahead()).toBe(true)
    expect(made).toHaveLength(3)
    await made[2]!.fail(new Error('no'))
    expect(dials.ahead()).toBe(true)
    expect(made).toHaveLength(4)
    await made[3]!.succeed()
    expect(dials.ahead()).toBe(false)
    expect(made).toHaveLength(4)
  })

  it('a dial ahead is worth waiting for while there is room on it, and until twice the quickest and 50 ms are over', async () => {
    const { dials, clock, wait } = await makeKnown(FAR, { spread: 2, roomOfNew: 2 })
    expect(dials.ahead()).toBe(true)
    wait()
    expect(dials.ahead()).toBe(true)
    wait()
    expect(dials.ahead()).toBe(false)
    const lost = await makeKnown(FAR, { spread: 2 })
    lost.dials.ahead()
    await lost.clock.advance(2 * FAR + 50)
    expect(lost.dials.ahead()).toBe(true)
    await lost.clock.advance(1)
    expect(lost.dials.ahead()).toBe(false)
    expect(lost.made).toHaveLength(2)
    expect(clock.armed).toBeGreaterThan(0)
  })

  it('nobody is waited for longer than anybody waits', async () => {
    const { dials, clock, wait, session } = await makeKnown(FAR)
    session.room = 1
    dials.ahead()
    const before = clock.armed
    const abort = new AbortController()
    wait(abort.signal)
    expect(clock.armed).toBe(before + 1)
    abort.abort()
    await settle()
    expect(clock.armed).toBe(before)
  })
})

describe('a dial that is slow', () => {
  it('has one beside it after 2.5 s, or four times what the quickest took, and is not counted on', async () => {
    for (const [quickest, slow] of [
      [0, 2_500],
      [100, 2_500],
      [1_000, 4_000],
    ] as const) {
      const { made, clock, wait } = makeDials({ roomOfNew: 1 })
      wait()
      await clock.advance(quickest)
      await made[0]!.succeed()
      wait()
      await clock.advance(slow - 1)
      expect(made, String(quickest)).toHaveLength(2)
      await clock.advance(1)
      expect(made, String(quickest)).toHaveLength(3)
    }
  })

  it('has no other beside the one beside it, and one again when that has failed', async () => {
    const { made, clock, wait } = makeDials()
    wait()
    await clock.advance(2_500)
    expect(made).toHaveLength(2)
    await clock.advance(10_000)
    expect(made).toHaveLength(2)
    await made[1]!.fail(new Error('no'))
    await clock.advance(2_500)
    expect(made).toHaveLength(3)
  })

  it('has none where nobody waits any more', async () => {
    const { made, clock, wait } = makeDials()
    const abort = new AbortController()
    wait(abort.signal)
    abort.abort()
    await settle()
    await clock.advance(10_000)
    expect(made).toHaveLength(1)
  })
})

describe('who gives up', () => {
  it('rejects with the reason and leaves the dial to the next', async () => {
    const { made, wait } = makeDials()
    const abort = new AbortController()
    const waiter = wait(abort.signal)
    const reason = new Error('enough')
    abort.abort(reason)
    await settle()
    expect(waiter.got).toBe(reason)
    expect(made[0]!.signal.aborted).toBe(false)
    const next = wait()
    expect(made).toHaveLength(1)
    await made[0]!.succeed()
    expect(next.got).toBe('session 1')
  })

  it('gives up all dials but one with them, the slow ones first, and what they bring is destroyed', async () => {
    const { made, wait, clock } = makeDials({ roomOfNew: 1 })
    const abort = new AbortController()
    const first = wait(abort.signal)
    await clock.advance(2_500)
    wait(abort.signal)
    // One is slow, one beside it, and one for the second.
    expect(made).toHaveLength(3)
    abort.abort()
    await settle()
    expect(first.got).toMatchObject({ name: 'AbortError' })
    expect(made.map(({ signal }) => signal.aborted)).toEqual([true, false, true])
    expect(made[0]!.signal.reason).toMatchObject({
      code: 'ERR_POOL_CLOSED',
      message: 'nobody waits for the connection any more',
    })
    expect((await made[0]!.succeed()).destroyed).toBe(true)
    expect((await made[1]!.succeed()).destroyed).toBe(false)
  })

  it('leaves as many dials as the others need, and those that are made ahead', async () => {
    const { dials, made, wait } = await makeKnown(FAR, { roomOfNew: 1 })
    expect(dials.ahead()).toBe(true)
    const abort = new AbortController()
    const waiters = [wait(abort.signal), wait(), wait(abort.signal), wait()]
    expect(made).toHaveLength(5)
    abort.abort()
    await settle()
    expect(waiters.map(({ got }) => got !== undefined)).toEqual([true, false, true, false])
    expect(made.map(({ signal }) => signal.aborted).slice(1)).toEqual([false, false, false, true])
  })
})

describe('the end', () => {
  it('gives up all dials and tells all who wait, and who comes after', async () => {
    const { dials, made, wait, clock } = makeDials({ roomOfNew: 1 })
    const waiters = [wait(), wait()]
    dials.close()
    await settle()
    const closed = expect.objectContaining({ code: 'ERR_POOL_CLOSED' }) as unknown
    expect(waiters.map(({ got }) => got)).toEqual([closed, closed])
    for (const { signal } of made) expect([signal.aborted, signal.reason]).toEqual([true, closed])
    expect((await made[0]!.succeed()).destroyed).toBe(true)
    await made[1]!.fail(new AnyTlsError('ERR_POOL_CLOSED'))
    const late = wait()
    await settle()
    expect(late.got).toEqual(closed)
    expect([made.length, clock.armed]).toEqual([2, 0])
  })

  it('leaves no timer of those who would have shared', async () => {
    const { dials, wait, clock, made } = await makeKnown(100)
    wait()
    dials.close()
    await made[1]?.fail(new Error('closed'))
    expect(clock.armed).toBe(0)
  })
})
