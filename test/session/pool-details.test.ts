// What a pool of sessions promises beside its streams: clear words for wrong options, the round trip to its server, its
// weighing of what sessions carry, and that it leaves nothing behind.
import { describe, expect, it } from 'vitest'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import type { Stream } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { finish, makePool } from '../support/session-pool.ts'
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
  /** A pool with two sessions in use, near its server. */
  async function makeTwo(): Promise<Bench & { readonly streams: Stream[] }> {
    const bench = makePool({ streamsPerSession: 9 })
    const streams: Stream[] = []
    for (let count = 0; count < 10; count += 1) streams.push(await bench.pool.openStream())
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
      await finish(await bench.pool.openStream())
    }
    await bench.pool.openStream()
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([2, 2])
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
