// What a pool of sessions promises beside its streams: clear words for wrong options, the round trip to its server, its
// weighing of what sessions carry, and that it leaves nothing behind.
import { describe, expect, it, vi } from 'vitest'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { finish, makePool, openFrom } from '../support/session-pool.ts'
import type { Bench } from '../support/session-pool.ts'

const counts = ({ pairs }: Bench): readonly number[] =>
  pairs.map(({ client }) => client.streamCount)

describe('the options of a pool', () => {
  const whole = (name: string, least: number): string =>
    `${name} must be a whole number of at least ${least}`
  const idle = 'idleTimeout must be a finite number above 0 milliseconds'
  const probes = 'probeAfter must be at least 0 milliseconds, probeTimeout and silence above 0'

  it.each([
    [{ minIdle: -1 }, whole('minIdle', 0)],
    [{ minIdle: 0.5 }, whole('minIdle', 0)],
    [{ idleTimeout: 0 }, idle],
    [{ idleTimeout: Infinity }, idle],
    [{ streamsPerSession: 0 }, whole('streamsPerSession', 1)],
    [{ streamsNearby: 0 }, whole('streamsNearby', 1)],
    [{ streamsInAll: 0 }, whole('streamsInAll', 1)],
    [{ streamsInAll: 1.5 }, whole('streamsInAll', 1)],
    [{ spread: 0 }, whole('spread', 1)],
    [{ probeAfter: -1 }, probes],
    [{ probeAfter: NaN }, probes],
    [{ probeTimeout: 0 }, probes],
    [{ silence: 0 }, probes],
  ] as readonly (readonly [Partial<SessionPoolOptions>, string])[])(
    'are refused in clear words: %j',
    (options, message) => {
      expect(() => makePool(options)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID', message }) as Error,
      )
    },
  )

  it('may be as low as they can be, or functions', () => {
    for (const options of [
      { minIdle: 0, idleTimeout: 0.1, streamsPerSession: 1, streamsInAll: 1, spread: 1 },
      { probeAfter: 0, probeTimeout: 0.1, silence: 0.1, streamsInAll: Infinity },
      { streamsPerSession: () => 1, probeTimeout: () => 1, silence: () => 1 },
    ]) {
      expect(() => makePool(options)).not.toThrow()
    }
  })
})

describe('the ping of a pool', () => {
  it('is the round trip of a session that stands, else of a new one', async () => {
    const { pool, dials } = makePool()
    // A new session answers once the hold of its AUTH is over (D25).
    const pinged = pool.ping()
    await settle()
    expect(dials).toHaveLength(1)
    await (await pool.openStream()).accepted()
    expect(await pinged).toBe(0)
    expect(await pool.ping()).toBe(0)
    expect(dials).toHaveLength(1)
  })

  it('rejects with what connect rejects with, with the reason of its signal, and once the pool is closed', async () => {
    const { pool, dials } = makePool({ manual: true })
    const failure = new Error('no way there')
    const failed = expect(pool.ping()).rejects.toBe(failure)
    await settle()
    dials[0]!.fail(failure)
    await failed
    const abort = new AbortController()
    const given = expect(pool.ping(abort.signal)).rejects.toBe(failure)
    abort.abort(failure)
    await given
    await pool.close()
    await expect(pool.ping()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
  })
})

describe('who has given up before', () => {
  it('gets no stream, and nothing is dialled', async () => {
    const { pool, dials } = makePool()
    const reason = new Error('enough')
    await expect(pool.openStream(AbortSignal.abort(reason))).rejects.toBe(reason)
    expect(dials).toHaveLength(0)
  })
})

describe('what a session carries', () => {
  /** A pool with two sessions in use, neither far from its server nor near by. */
  async function makeTwo(): Promise<Bench & { readonly streams: Stream[] }> {
    const bench = makePool({ manual: true, autoAccept: false, streamsPerSession: 9 })
    const streams: Stream[] = []
    for (let count = 0; count < 10; count += 1) streams.push(await openFrom(bench, 11))
    // Eight of the first end: one stream on each.
    await finish(...streams.slice(0, 8))
    expect(counts(bench)).toEqual([1, 1])
    return { ...bench, streams: streams.slice(8) }
  }

  it('counts for a stream each 32 KiB that it carried in the last second', async () => {
    const bench = await makeTwo()
    await bench.clock.advance(1_001)
    for (const stream of [await bench.pool.openStream(), await bench.pool.openStream()]) {
      stream.on('error', () => {})
    }
    expect(counts(bench)).toEqual([2, 2])
    await bench.clock.advance(1_001)
    bench.streams[0]!.write(Buffer.alloc(3 * 32_768 - 2_000))
    await settle()
    for (let count = 0; count < 3; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([2, 5])
    await bench.pool.openStream()
    expect(counts(bench)[0]).toBe(3)
  })

  it('is forgotten after two seconds in which it carried nothing', async () => {
    const bench = await makeTwo()
    bench.streams[0]!.write(Buffer.alloc(10 * 32_768))
    await settle()
    for (const time of [1_001, 1_001, 1_001]) {
      await bench.clock.advance(time)
      const stream = await bench.pool.openStream()
      // An answer at once would say that the server is near by.
      await bench.clock.advance(11)
      await finish(stream)
    }
    await bench.pool.openStream()
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([2, 2])
  })
})

const MIB = 1_048_576

/** Says that the session has carried so many bytes more, and none after. */
function carry(session: Session, bytes: number): void {
  const value = session.bytesPassed + bytes
  Object.defineProperty(session, 'bytesPassed', { value, configurable: true })
}

describe('near by', () => {
  /** Two sessions in use, with two streams and with one, to a server that answers within `distance` ms. */
  async function makeUneven(distance: number) {
    const bench = makePool({
      manual: true,
      autoAccept: false,
      streamsPerSession: 3,
    })
    const streams: Stream[] = []
    for (let count = 0; count < 4; count += 1) streams.push(await openFrom(bench, distance))
    await finish(streams[0]!)
    expect(counts(bench)).toEqual([2, 1])
    return { ...bench, alone: streams[3]! }
  }

  it('streams go where most are, and elsewhere the other way round', async () => {
    const bench = await makeUneven(10)
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([3, 1])
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([3, 2])
    const farther = await makeUneven(11)
    await farther.pool.openStream()
    expect(counts(farther)).toEqual([2, 2])
  })

  it('an idle session stays so while another is in use', async () => {
    const bench = await makeUneven(10)
    await finish(bench.alone)
    expect(counts(bench)).toEqual([2, 0])
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([3, 0])
  })

  it('more streams fit on a session, as many as streamsNearby says', async () => {
    const bench = makePool({ streamsPerSession: 1, streamsNearby: () => 5 })
    for (let count = 0; count < 11; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([5, 5, 1])
  })

  it('who waits for a dial shares it with as many', async () => {
    const bench = makePool({ manual: true, streamsPerSession: 2, streamsNearby: 6 })
    const opened = Array.from({ length: 7 }, () => bench.pool.openStream())
    await settle()
    expect(bench.dials).toHaveLength(4)
    bench.dials[0]!.succeed()
    await Promise.all(opened.slice(0, 6))
    expect(counts(bench)).toEqual([6])
    bench.dials[1]!.succeed()
    await opened[6]
    expect(counts(bench)).toEqual([6, 1])
  })

  it('as few sessions are dialled as those who wait fit on', async () => {
    const { pool, dials } = makePool({ manual: true, streamsPerSession: 1, streamsNearby: 2 })
    const opened = Array.from({ length: 2 }, () => pool.openStream())
    await settle()
    for (const dial of [...dials]) dial.succeed()
    await Promise.all(opened)
    const before = dials.length
    for (let count = 0; count < 6; count += 1) void pool.openStream().catch(() => {})
    await settle()
    expect(dials.length - before).toBe(2)
  })

  it('a session that carries more than 16 MiB a second has no more room than elsewhere, until a second after', async () => {
    const bench = makePool({ streamsPerSession: 2, streamsNearby: 9 })
    const { pool, pairs, clock } = bench
    const streams = [await pool.openStream(), await pool.openStream()]
    carry(pairs[0]!.client, 16 * MIB)
    streams.push(await pool.openStream())
    expect(counts(bench)).toEqual([3])
    carry(pairs[0]!.client, MIB)
    for (const count of [1, 2, 3]) {
      await pool.openStream()
      expect(counts(bench)).toEqual([3, count])
      await clock.advance(1_001)
    }
    await finish(...(await Promise.all([pool.openStream(), pool.openStream()])))
    // As many on each: the first that came.
    await pool.openStream()
    expect(counts(bench)).toEqual([4, 3])
  })

  it('what it carried while nobody looked counts by the second', async () => {
    const bench = makePool({ streamsPerSession: 1, streamsNearby: 9 })
    await bench.pool.openStream()
    carry(bench.pairs[0]!.client, 60 * MIB)
    await bench.clock.advance(4_000)
    for (let count = 0; count < 2; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([3])
    carry(bench.pairs[0]!.client, 60 * MIB)
    await bench.clock.advance(3_000)
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([3, 1])
  })

  it('what it carried counts no more once it has been idle', async () => {
    const bench = makePool({ streamsPerSession: 1, streamsNearby: 9 })
    const stream = await bench.pool.openStream()
    carry(bench.pairs[0]!.client, 60 * MIB)
    await finish(stream)
    for (let count = 0; count < 3; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([3])
  })

  it('a doubtful session is asked for a sign of life, however many streams share it', async () => {
    const bench = makePool({ streamsPerSession: 1, streamsNearby: 9, probeAfter: 100 })
    for (let count = 0; count < 5; count += 1) await bench.pool.openStream()
    await bench.clock.advance(101)
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([6])
  })

  it('is a matter of the last session that was made, and of answers since', async () => {
    const bench = await makeUneven(10)
    bench.pairs[0]!.client.destroy()
    await settle()
    for (let count = 0; count < 3; count += 1) await openFrom(bench, 11)
    expect(counts(bench)).toEqual([0, 3, 1])
    await finish(bench.alone)
    await openFrom(bench, 11)
    expect(counts(bench)).toEqual([0, 2, 2])
  })

  it.each([
    ['is who answers quickly, however long it took to dial', true, [3, 1]],
    ['is nobody who gives no answers, on a wire that takes streams for accepted', false, [2, 2]],
  ])('%s', async (_title, answers, expected) => {
    const bench = makePool({ manual: true, streamsPerSession: 3 })
    const streams: Stream[] = []
    for (let count = 0; count < 4; count += 1) {
      const opened = bench.pool.openStream()
      await settle()
      if (bench.dials.length > bench.pairs.length) {
        await bench.clock.advance(100)
        const { client } = bench.dials.at(-1)!.succeed()
        if (!answers) Object.defineProperty(client, 'pingable', { value: false })
      }
      streams.push(await opened)
      await settle()
    }
    await finish(streams[0]!)
    expect(counts(bench)).toEqual([2, 1])
    await bench.pool.openStream()
    expect(counts(bench)).toEqual(expected)
  })

  it('an idle session is asked for the round trip, which is longer behind streams', async () => {
    const bench = await makeUneven(10)
    await finish(bench.alone)
    const { client } = bench.pairs[1]!
    const asked = vi.spyOn(client, 'ping')
    await bench.pool.ping()
    expect(asked).toHaveBeenCalledTimes(1)
    // Not one that takes no streams any more: its server is about to go.
    Object.defineProperty(client, 'mayOpen', { value: false })
    await bench.pool.ping()
    expect(asked).toHaveBeenCalledTimes(1)
  })
})

describe('an idle session', () => {
  it('is pinged within 12 s, and closed at its time to the millisecond', async () => {
    const { pool, clock, pairs } = makePool({ idleTimeout: 20_000 })
    await finish(await pool.openStream())
    const { serverEnd } = pairs[0]!
    const before = serverEnd.bytesSent
    // The middle of 6 and 12 s.
    await clock.advance(8_999)
    expect(serverEnd.bytesSent).toBe(before)
    await clock.advance(1)
    expect(serverEnd.bytesSent).toBeGreaterThan(before)
    await clock.advance(10_999)
    expect(pool.size).toBe(1)
    await clock.advance(1)
    expect(pool.size).toBe(0)
  })

  it('that cannot be asked and is doubted is not kept beyond its time, though it would be one of minIdle', async () => {
    const { pool, clock, pairs } = makePool({ idleTimeout: 5_000, minIdle: 1 })
    await finish(await pool.openStream())
    const { client } = pairs[0]!
    client.emit('streamUnanswered')
    Object.defineProperty(client, 'pingable', { get: () => false })
    Object.defineProperty(client, 'lastAlive', { get: () => 0 })
    client.emit('streamUnanswered')
    await clock.advance(4_999)
    expect(client.closed).toBe(false)
    await clock.advance(1)
    await settle()
    expect(client.mayOpen).toBe(false)
  })

  it('is kept by minIdle alone of several that became idle together', async () => {
    const { pool, clock, pairs } = makePool({
      idleTimeout: 5_000,
      minIdle: 1,
      streamsPerSession: 1,
    })
    const streams: Stream[] = []
    for (let count = 0; count < 3; count += 1) streams.push(await pool.openStream())
    await finish(...streams)
    await clock.advance(5_000)
    await settle()
    expect(pairs.filter(({ client }) => client.mayOpen)).toHaveLength(1)
    expect(pool.size).toBe(1)
  })

  it('of those kept beyond their time is looked at again after as long', async () => {
    const { pool, clock, pairs } = makePool({
      idleTimeout: 5_000,
      minIdle: 1,
      streamsPerSession: 1,
    })
    const streams = [await pool.openStream(), await pool.openStream()]
    await finish(streams[0]!)
    await clock.advance(7_000)
    expect(pool.size).toBe(2)
    await finish(streams[1]!)
    // Two are idle now, the first for longer than its time.
    await clock.advance(4_999)
    expect(pairs.map(({ client }) => client.closed)).toEqual([true, false])
    await clock.advance(60_000)
    expect(pairs[1]!.client.closed).toBe(false)
  })
})

describe('a session that falls silent', () => {
  it('has as long as silence and probeTimeout say when it matters', async () => {
    const times = { silence: 9_000, probeTimeout: 9_000 }
    const { pool, clock, pairs } = makePool({
      autoAccept: false,
      silence: () => times.silence,
      probeTimeout: () => times.probeTimeout,
    })
    await finish(await pool.openStream())
    Object.assign(times, { silence: 700, probeTimeout: 300 })
    pairs[0]!.serverEnd.pause()
    let silent = 0
    const stream = await pool.openStream()
    stream.on('silent', () => (silent += 1))
    await clock.advance(999)
    expect(silent).toBe(0)
    await clock.advance(1)
    expect(silent).toBe(1)
  })
})

describe('the end of a pool', () => {
  it('leaves no timer and no session, whichever way', async () => {
    for (const how of ['close', 'destroy'] as const) {
      const { pool, clock, pairs } = makePool({ streamsPerSession: 1 })
      const streams = [await pool.openStream(), await pool.openStream()]
      await finish(streams[0]!)
      for (const stream of streams) stream.on('error', () => {})
      const ended = pool[how]()
      await settle()
      expect(pairs.map(({ client }) => client.closed)).toEqual([true, how === 'destroy'])
      if (how === 'close') await finish(streams[1]!)
      await ended
      expect([pool.size, clock.armed]).toEqual([0, 0])
    }
  })

  it('takes no session in that a dial brings later', async () => {
    const { pool, dials } = makePool({ manual: true })
    const waits = pool.openStream().catch((error: unknown) => error)
    await settle()
    void pool.close()
    expect(await waits).toMatchObject({ code: 'ERR_POOL_CLOSED' })
    const { client } = dials[0]!.succeed()
    await settle()
    expect(pool.size).toBe(0)
    expect(client.closed).toBe(false)
    client.destroy()
  })
})
