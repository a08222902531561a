// The client's pool over sessions in memory, with a fake clock.
import { once, setMaxListeners } from 'node:events'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { SessionPool } from '../../src/session/pool.ts'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { makeSessionPair } from '../support/session-pair.ts'
import type { SessionPair } from '../support/session-pair.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { finish, makePool, openFrom } from '../support/session-pool.ts'

/** From now on nothing of what the server says arrives: a dead path, as both ends see it. */
function cutOff({ clientEnd, serverEnd }: SessionPair): void {
  clientEnd.pause()
  serverEnd.pause()
  clientEnd.pause = serverEnd.pause = () => clientEnd
  clientEnd.resume = serverEnd.resume = () => clientEnd
}

describe('SessionPool: which session', () => {
  it('opens streams on one session up to streamsPerSession, then dials another', async () => {
    const { pool, dials, pairs } = makePool({ streamsPerSession: 3 })
    const streams: Stream[] = []
    for (let count = 0; count < 7; count += 1) streams.push(await pool.openStream())
    expect(dials).toHaveLength(3)
    expect(pool.size).toBe(3)
    expect(pairs.map(({ client }) => client.streamCount)).toEqual([3, 3, 1])
  })

  it('has a default of 8 streams on a session', async () => {
    const { pool, dials } = makePool()
    for (let count = 0; count < 9; count += 1) await pool.openStream()
    expect(dials).toHaveLength(2)
  })

  it('takes the session that became idle last', async () => {
    const { pool, pairs, clock } = makePool({ streamsPerSession: 1 })
    const first = await pool.openStream()
    const second = await pool.openStream()
    const third = await pool.openStream()
    await finish(third)
    await clock.advance(10)
    await finish(first)
    await clock.advance(10)
    await finish(second)
    expect((await pool.openStream()).session).toBe(pairs[1]?.client)
    expect((await pool.openStream()).session).toBe(pairs[0]?.client)
    expect((await pool.openStream()).session).toBe(pairs[2]?.client)
  })

  it('prefers an idle session to one in use, and among those in use the one with fewest streams', async () => {
    const bench = makePool({ manual: true, autoAccept: false, streamsPerSession: 2 })
    const { pool, pairs } = bench
    const streams = []
    for (let count = 0; count < 6; count += 1) streams.push(await openFrom(bench, 11))
    await finish(streams[0]!, streams[1]!, streams[2]!)
    // Now: none, one and two streams.
    expect((await pool.openStream()).session).toBe(pairs[0]?.client)
    const next = [await pool.openStream(), await pool.openStream()].map(({ session }) => session)
    expect(next).toContain(pairs[0]?.client)
    expect(next).toContain(pairs[1]?.client)
  })

  it('never hands out a stream on a session that is closed or draining', async () => {
    const { pool, pairs } = makePool()
    const first = await pool.openStream()
    void pairs[0]?.client.close()
    const second = await pool.openStream()
    expect(second.session).toBe(pairs[1]?.client)
    pairs[1]?.client.destroy()
    expect((await pool.openStream()).session).toBe(pairs[2]?.client)
    await settle()
    void pairs[2]?.server.close()
    await settle()
    expect((await pool.openStream()).session).toBe(pairs[3]?.client)
    expect(first.destroyed).toBe(false)
  })

  it('dials again when the session ended between the dial and the stream', async () => {
    const { pool, dials } = makePool({ manual: true })
    const opened = pool.openStream()
    await settle()
    dials[0]?.succeed().client.destroy()
    await settle()
    dials[1]?.succeed()
    expect((await opened).destroyed).toBe(false)
    expect(pool.size).toBe(1)
  })

  it('gives up when three new sessions in a row end before the stream', async () => {
    const { pool, dials } = makePool({ manual: true })
    const opened = pool.openStream()
    const refused = expect(opened).rejects.toMatchObject({ code: 'ERR_SESSION_CLOSED' })
    for (let count = 0; count < 4; count += 1) {
      await settle()
      dials[count]?.succeed().client.destroy()
    }
    await refused
    expect(dials).toHaveLength(3)
  })

  it('refuses options out of their range as ERR_OPTION_INVALID', () => {
    const bad: readonly Partial<SessionPoolOptions>[] = [
      ...[0, -1, 1.5, NaN, Infinity].map((streamsPerSession) => ({ streamsPerSession })),
      ...[-1, 1.5, NaN, Infinity].map((minIdle) => ({ minIdle })),
      ...[0, -1, NaN, Infinity].map((idleTimeout) => ({ idleTimeout })),
    ]
    for (const options of bad) {
      expect(() => makePool(options), JSON.stringify(options)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error,
      )
    }
  })

  it('joins callers into as few dials as they need', async () => {
    const { pool, dials, pairs } = makePool({ manual: true, streamsPerSession: 4 })
    const opened = Array.from({ length: 10 }, () => pool.openStream())
    await settle()
    expect(dials).toHaveLength(3)
    for (const dial of [...dials].reverse()) dial.succeed()
    await Promise.all(opened)
    expect(dials).toHaveLength(3)
    expect(pairs.map(({ client }) => client.streamCount).sort()).toEqual([2, 4, 4])
  })

  it('a dial that fails costs nobody whom another serves', async () => {
    const { pool, dials } = makePool({ manual: true, streamsPerSession: 2 })
    const opened = [pool.openStream(), pool.openStream(), pool.openStream()]
    await settle()
    dials[0]?.fail(new AnyTlsError('ERR_CONNECT_FAILED'))
    dials[1]?.succeed()
    await settle()
    // Two have what has room for two; for the third it is tried once more.
    expect(dials).toHaveLength(3)
    dials[2]?.succeed()
    await Promise.all(opened)
  })

  it('rejects all that wait when the last dial fails', async () => {
    const { pool, dials } = makePool({ manual: true, streamsPerSession: 2 })
    const opened = [pool.openStream(), pool.openStream(), pool.openStream()]
    await settle()
    const failure = new AnyTlsError('ERR_CONNECT_FAILED')
    for (const dial of dials) dial.fail(failure)
    for (const result of await Promise.allSettled(opened))
      expect(result).toMatchObject({ reason: failure })
    // The next caller starts anew.
    const again = pool.openStream()
    await settle()
    dials.at(-1)?.succeed()
    await again
  })

  it('an abort while dialling rejects that caller alone; the session stays for others', async () => {
    const { pool, dials } = makePool({ manual: true })
    const abort = new AbortController()
    const aborted = pool.openStream(abort.signal)
    const patient = pool.openStream()
    await settle()
    const reason = new Error('never mind')
    abort.abort(reason)
    await expect(aborted).rejects.toBe(reason)
    expect(dials[0]?.signal.aborted).toBe(false)
    dials[0]?.succeed()
    expect((await patient).destroyed).toBe(false)
    expect(dials).toHaveLength(1)
    await expect(pool.openStream(abort.signal)).rejects.toBe(reason)
  })

  it('an abort of the only caller lets the dial become an idle session', async () => {
    const { pool, dials } = makePool({ manual: true })
    const abort = new AbortController()
    const aborted = pool.openStream(abort.signal)
    await settle()
    abort.abort()
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
    dials[0]?.succeed()
    await settle()
    expect(pool.size).toBe(1)
    await pool.openStream()
    expect(dials).toHaveLength(1)
  })

  it('callers that give up one after the other while a dial hangs leave their place to the next', async () => {
    const { pool, dials } = makePool({ manual: true, streamsPerSession: 1 })
    for (let count = 0; count < 200; count += 1) {
      const abort = new AbortController()
      const given = pool.openStream(abort.signal)
      await settle()
      abort.abort()
      await expect(given).rejects.toMatchObject({ name: 'AbortError' })
    }
    const patient = pool.openStream()
    await settle()
    expect(dials).toHaveLength(1)
    dials[0]?.succeed()
    expect((await patient).destroyed).toBe(false)
  })

  it('of many dials that nobody waits for any more one goes on, and serves the next caller', async () => {
    const { pool, dials, pairs } = makePool({ manual: true })
    const abort = new AbortController()
    setMaxListeners(0, abort.signal)
    const opened = Array.from({ length: 200 }, () => pool.openStream(abort.signal))
    await settle()
    expect(dials).toHaveLength(25)
    abort.abort()
    await Promise.allSettled(opened)
    expect(dials.filter(({ signal }) => !signal.aborted)).toHaveLength(1)
    const last = pool.openStream()
    await settle()
    expect(dials).toHaveLength(25)
    dials.find(({ signal }) => !signal.aborted)?.succeed()
    expect((await last).session).toBe(pairs[0]?.client)
    expect(pool.size).toBe(1)
  })

  it('an abort after the stream was opened destroys the stream', async () => {
    const { pool } = makePool()
    const abort = new AbortController()
    const stream = await pool.openStream(abort.signal)
    const failed = once(stream, 'error')
    abort.abort()
    expect(await failed).toMatchObject([{ name: 'AbortError' }])
  })
})

describe('SessionPool: idle sessions', () => {
  it('closes a session that has been idle for idleTimeout, not before', async () => {
    const { pool, clock } = makePool({ idleTimeout: 30_000 })
    await finish(await pool.openStream())
    await clock.advance(29_999)
    expect(pool.size).toBe(1)
    await clock.advance(1)
    expect(pool.size).toBe(0)
    expect(clock.armed).toBe(0)
  })

  it('counts the idle time of each session from its own last stream', async () => {
    const { pool, clock } = makePool({ idleTimeout: 30_000, streamsPerSession: 1 })
    const [first, second] = [await pool.openStream(), await pool.openStream()]
    await finish(first)
    await clock.advance(20_000)
    await finish(second)
    await clock.advance(10_000)
    expect(pool.size).toBe(1)
    await clock.advance(19_999)
    expect(pool.size).toBe(1)
    await clock.advance(1)
    expect(pool.size).toBe(0)
    expect(clock.armed).toBe(0)
  })

  it('never closes a session in use, and starts its idle time afresh after it', async () => {
    const { pool, clock } = makePool({ idleTimeout: 30_000 })
    await finish(await pool.openStream())
    await clock.advance(20_000)
    const stream = await pool.openStream()
    await clock.advance(100_000)
    expect(stream.destroyed).toBe(false)
    await finish(stream)
    await clock.advance(29_999)
    expect(pool.size).toBe(1)
    await clock.advance(1)
    expect(pool.size).toBe(0)
  })

  it('D52: keeps minIdle sessions, the newest, and keeps them alive past the connection timeout', async () => {
    const { pool, clock, pairs } = makePool({
      idleTimeout: 30_000,
      minIdle: 2,
      streamsPerSession: 1,
    })
    const streams = []
    for (let count = 0; count < 4; count += 1) streams.push(await pool.openStream())
    for (const stream of streams) {
      await finish(stream)
      await clock.advance(1)
    }
    await clock.advance(60_000)
    expect(pool.size).toBe(2)
    expect(pairs.map(({ client }) => client.closed)).toEqual([true, true, false, false])
    await clock.advance(600_000)
    expect(pool.size).toBe(2)
    expect((await pool.openStream()).session).toBe(pairs[3]?.client)
  })

  it('does not count a session that is still closing as one of minIdle', async () => {
    const { pool, clock, pairs } = makePool({
      idleTimeout: 5_000,
      minIdle: 1,
      streamsPerSession: 1,
    })
    const streams = [await pool.openStream(), await pool.openStream()]
    for (const stream of streams) {
      await finish(stream)
      await clock.advance(1)
    }
    // Its peer never ends, so that closing it takes a while.
    pairs[0]?.serverEnd.pause()
    await clock.advance(12_000)
    expect(pairs[0]?.client.mayOpen).toBe(false)
    expect(pairs[1]?.client.mayOpen).toBe(true)
  })

  it('N91: pings idle sessions within 12 s, and not at a fixed distance', async () => {
    const { pool, clock, pairs } = makePool({ idleTimeout: 300_000, randomInt: seededRandomInt(1) })
    await finish(await pool.openStream())
    const { serverEnd } = pairs[0]!
    const distances: number[] = []
    for (let [at, answered] = [0, serverEnd.bytesSent]; distances.length < 8; at += 1) {
      await clock.advance(1)
      if (serverEnd.bytesSent === answered) continue
      answered = serverEnd.bytesSent
      distances.push(at - distances.reduce((sum, distance) => sum + distance, 0))
    }
    expect(Math.max(...distances)).toBeLessThanOrEqual(12_000)
    expect(Math.min(...distances)).toBeGreaterThanOrEqual(5_999)
    expect(new Set(distances).size).toBeGreaterThan(2)
  })

  it('D52: keeps idle sessions alive for an idleTimeout above the connection timeout', async () => {
    const { pool, clock } = makePool({ idleTimeout: 300_000 })
    await finish(await pool.openStream())
    await clock.advance(299_999)
    expect(pool.size).toBe(1)
    await clock.advance(1)
    expect(pool.size).toBe(0)
    expect(clock.armed).toBe(0)
  })

  it('forgets a session that ended by itself', async () => {
    const { pool, pairs, clock } = makePool()
    await finish(await pool.openStream())
    pairs[0]?.serverEnd.destroy()
    await settle()
    expect(pool.size).toBe(0)
    await clock.advance(60_000)
    expect(clock.armed).toBe(0)
  })

  it('does not keep a session that had ended when its dial came back', async () => {
    const { pool, dials, clock } = makePool({ manual: true })
    const opened = pool.openStream()
    await settle()
    // In the same tick: the pool hears of the session when it is over.
    const { client } = dials[0]!.succeed()
    client.destroy()
    await settle()
    expect(pool.size).toBe(0)
    dials[1]?.fail(new Error('enough'))
    await expect(opened).rejects.toThrow('enough')
    await clock.advance(60_000)
    expect(clock.armed).toBe(0)
  })
})

describe('SessionPool: the end', () => {
  it('close() lets open streams run to their end and takes no new ones', async () => {
    const { pool, clock } = makePool({ streamsPerSession: 1 })
    const streams = [await pool.openStream(), await pool.openStream()]
    await settle()
    let closed = false
    const closing = pool.close().then(() => (closed = true))
    await expect(pool.openStream()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
    await settle()
    expect(closed).toBe(false)
    await finish(...streams)
    await closing
    expect(pool.size).toBe(0)
    await settle()
    expect(clock.armed).toBe(0)
  })

  it('close() gives up dials and rejects those that wait for them', async () => {
    const { pool, dials, clock } = makePool({ manual: true })
    const opened = pool.openStream()
    await settle()
    await pool.close()
    expect(dials[0]?.signal.aborted).toBe(true)
    await expect(opened).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
    expect(clock.armed).toBe(0)
  })

  it('destroys a session that a dial brings after the end', async () => {
    const clock = new FakeClock()
    let deliver: (session: Session) => void = () => {}
    const pool = new SessionPool({
      clock,
      connect: () => new Promise<Session>((resolve) => (deliver = resolve)),
    })
    const opened = pool.openStream()
    await settle()
    await pool.close()
    const { client } = makeSessionPair({ clock })
    deliver(client)
    await expect(opened).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
    expect(client.closed).toBe(true)
    expect(pool.size).toBe(0)
  })

  it('destroy() ends every session at once', async () => {
    const { pool, clock } = makePool({ streamsPerSession: 1 })
    const streams = [await pool.openStream(), await pool.openStream()]
    for (const stream of streams) stream.on('error', () => {})
    pool.destroy()
    expect(streams.every(({ destroyed }) => destroyed)).toBe(true)
    expect(pool.size).toBe(0)
    await settle()
    expect(clock.armed).toBe(0)
    await pool.close()
  })
})

describe('SessionPool: is the peer still there?', () => {
  it('an idle session is used again at once after a short pause', async () => {
    const { pool, clock, pairs } = makePool()
    await finish(await pool.openStream())
    await clock.advance(5_999)
    const before = pairs[0]!.serverEnd.bytesSent
    const stream = await pool.openStream()
    expect(stream.session).toBe(pairs[0]?.client)
    expect(pairs[0]!.serverEnd.bytesSent).toBe(before)
  })

  it('after a longer pause an idle session is probed, and used when it answers', async () => {
    const { pool, clock, pairs, dials } = makePool({ probeAfter: 5_000 })
    await finish(await pool.openStream())
    await clock.advance(5_001)
    const before = pairs[0]!.serverEnd.bytesSent
    const stream = await pool.openStream()
    expect(stream.session).toBe(pairs[0]?.client)
    expect(pairs[0]!.serverEnd.bytesSent).toBeGreaterThan(before)
    expect(dials).toHaveLength(1)
  })

  it('an idle session that does not answer the probe within its time is ended, and another dialled', async () => {
    const { pool, clock, pairs } = makePool({ probeTimeout: 2_000 })
    await finish(await pool.openStream())
    cutOff(pairs[0]!)
    await clock.advance(15_001)
    const [first, second] = [pool.openStream(), pool.openStream()]
    await clock.advance(1_999)
    expect(pairs).toHaveLength(1)
    await clock.advance(1)
    expect((await first).session).toBe(pairs[1]?.client)
    expect((await second).session).toBe(pairs[1]?.client)
    expect(pairs[0]?.client.closed).toBe(true)
    expect(pool.size).toBe(1)
  })

  it('a session on which a stream was not answered takes no new ones until it shows itself, and keeps the others', async () => {
    const { pool, clock, pairs } = makePool()
    const sibling = await pool.openStream()
    pairs[0]!.server.removeAllListeners('stream').on('stream', () => {})
    await settle()
    const pair = pairs[0]!
    const unanswered = await pool.openStream()
    unanswered.on('error', () => {})
    cutOff(pair)
    await clock.advance(10_000)
    expect(unanswered.errored).toMatchObject({ code: 'ERR_STREAM_OPEN_TIMEOUT' })
    expect((await pool.openStream()).session).toBe(pairs[1]?.client)
    expect(sibling.destroyed).toBe(false)
  })

  it('a session in use is probed as well once no stream was accepted on it for that long', async () => {
    const { pool, clock, pairs } = makePool({ probeAfter: 5_000 })
    await pool.openStream()
    await clock.advance(5_001)
    const before = pairs[0]!.serverEnd.bytesSent
    const second = await pool.openStream()
    expect(second.session).toBe(pairs[0]?.client)
    expect(pairs[0]!.serverEnd.bytesSent).toBeGreaterThan(before)
  })

  it('a session in use that does not answer the probe gets no new streams, and keeps those it has', async () => {
    const { pool, clock, pairs } = makePool({ probeTimeout: 2_000 })
    const first = await pool.openStream()
    await settle()
    cutOff(pairs[0]!)
    await clock.advance(15_001)
    const second = pool.openStream()
    await clock.advance(2_000)
    expect((await second).session).toBe(pairs[1]?.client)
    expect(first.destroyed).toBe(false)
    expect((await pool.openStream()).session).toBe(pairs[1]?.client)
  })

  it('an accepted stream is as good as an answer', async () => {
    const { pool, clock, pairs } = makePool()
    const first = await pool.openStream()
    await clock.advance(9_000)
    await (await pool.openStream()).accepted()
    await clock.advance(9_000)
    const before = pairs[0]!.serverEnd.bytesSent
    expect((await pool.openStream()).session).toBe(first.session)
    expect(pairs[0]!.serverEnd.bytesSent).toBe(before)
  })

  it('dead idle sessions are asked all at once, not one after the other', async () => {
    const { pool, clock, pairs } = makePool({ streamsPerSession: 1, probeTimeout: 2_000 })
    const streams = [await pool.openStream(), await pool.openStream(), await pool.openStream()]
    await finish(...streams)
    for (const pair of pairs) cutOff(pair)
    await clock.advance(15_001)
    const opened = pool.openStream()
    await clock.advance(2_000)
    expect((await opened).session).toBe(pairs[3]?.client)
    expect(pool.size).toBe(1)
  })

  it('of several sessions the one that answers is used, whichever was idle last', async () => {
    const { pool, clock, pairs } = makePool({ streamsPerSession: 1 })
    const streams = [await pool.openStream(), await pool.openStream()]
    await finish(...streams)
    cutOff(pairs[1]!)
    await clock.advance(15_001)
    expect((await pool.openStream()).session).toBe(pairs[0]?.client)
    expect(pairs).toHaveLength(2)
  })

  it('a probe that was answered is enough, even where every session is asked', async () => {
    const { pool, clock, pairs } = makePool({ probeAfter: 0 })
    await finish(await pool.openStream())
    await clock.advance(1)
    expect((await pool.openStream()).session).toBe(pairs[0]?.client)
  })

  it('any frame of the peer is a sign of life: a session that receives is not asked', async () => {
    const { pool, clock, pairs } = makePool()
    const stream = await pool.openStream()
    const pair = pairs[0]!
    stream.resume()
    await clock.advance(9_000)
    void pair.server.ping()
    await clock.advance(9_000)
    const before = pair.serverEnd.bytesSent
    expect((await pool.openStream()).session).toBe(pair.client)
    expect(pair.serverEnd.bytesSent).toBe(before)
  })

  it('refuses times for the probe that are none', () => {
    expect(() => makePool({ probeAfter: -1 })).toThrow(AnyTlsError)
    expect(() => makePool({ probeTimeout: 0 })).toThrow(AnyTlsError)
  })
})

describe('SessionPool: a session that falls silent under a new stream', () => {
  /** A pool with one session that was used before, and whose server serves nobody from now on. */
  async function usedBefore(options: Partial<SessionPoolOptions> = {}) {
    const bench = makePool({ autoAccept: false, ...options })
    await finish(await bench.pool.openStream())
    await bench.clock.advance(1)
    const pair = bench.pairs[0]!
    pair.server.removeAllListeners('stream').on('stream', () => {})
    const silent: Stream[] = []
    const open = async () => {
      const stream = await bench.pool.openStream()
      stream.on('error', () => {}).on('silent', () => silent.push(stream))
      return stream
    }
    return { ...bench, pair, silent, open }
  }

  it('is asked after 2.5 s, takes no new streams until it answers, and after 2 s more its stream is told', async () => {
    const { clock, pair, silent, open, pairs } = await usedBefore()
    cutOff(pair)
    const stream = await open()
    await clock.advance(2_499)
    const before = pair.clientEnd.bytesSent
    await clock.advance(1)
    expect(pair.clientEnd.bytesSent).toBeGreaterThan(before)
    expect((await open()).session).toBe(pairs[1]?.client)
    await clock.advance(1_999)
    expect(silent).toEqual([])
    await clock.advance(1)
    expect(silent).toEqual([stream])
    expect(stream.destroyed).toBe(false)
  })

  it('is asked 2.5 s after the first stream that it left without a word, however many came since', async () => {
    const { clock, pair, silent, open } = await usedBefore()
    pair.server.once('stream', (stream) => stream.accept())
    await (await open()).accepted()
    await clock.advance(100)
    cutOff(pair)
    const first = await open()
    await clock.advance(2_300)
    const second = await open()
    await clock.advance(2_200)
    expect(silent).toEqual([first, second])
  })

  it('is asked 2.5 s after the last thing that it said, as that may have been under way before the stream', async () => {
    const { clock, pair, silent, open, pairs } = await usedBefore()
    const served = once(pair.server, 'stream') as Promise<[Stream]>
    const standing = await open()
    const [answer] = await served
    answer.accept()
    await standing.accepted()
    const stream = await open()
    await clock.advance(1)
    answer.write('late')
    await once(standing, 'data')
    cutOff(pair)
    await clock.advance(4_499)
    expect(silent).toEqual([])
    await clock.advance(1)
    expect(silent).toEqual([stream])
    expect((await open()).session).toBe(pairs[1]?.client)
  })

  it('is asked once for a stream that waits for its target, not every 2.5 s', async () => {
    const { clock, pair, open } = await usedBefore()
    await open()
    await clock.advance(2_500)
    const asked = pair.clientEnd.bytesSent
    await clock.advance(7_400)
    expect(pair.clientEnd.bytesSent).toBe(asked)
  })

  it('is left alone when it answers: the target may be what takes its time', async () => {
    const { clock, pair, silent, open, pairs } = await usedBefore()
    const stream = await open()
    await clock.advance(9_000)
    expect(silent).toEqual([])
    expect(stream.destroyed).toBe(false)
    expect((await open()).session).toBe(pair.client)
    expect(pairs).toHaveLength(1)
  })

  it('a stream that was accepted before is not told', async () => {
    const { clock, pair, silent, open } = await usedBefore()
    pair.server.once('stream', (stream) => stream.accept())
    const heard = await open()
    await heard.accepted()
    cutOff(pair)
    await clock.advance(2_000)
    const unheard = await open()
    await clock.advance(4_500)
    expect(silent).toEqual([unheard])
    expect(heard.destroyed).toBe(false)
  })

  it('a new session is not asked so soon: it has just shown itself', async () => {
    const { pool, clock, pairs } = makePool()
    const stream = await pool.openStream()
    stream.on('error', () => {})
    await settle()
    cutOff(pairs[0]!)
    const before = pairs[0]!.clientEnd.bytesSent
    await clock.advance(5_000)
    expect(pairs[0]!.clientEnd.bytesSent).toBe(before)
  })

  it('where nothing can be asked new streams go elsewhere, and the old connection stays', async () => {
    const { clock, pair, silent, open, pairs } = await usedBefore()
    Object.defineProperty(pair.client, 'pingable', { get: () => false })
    cutOff(pair)
    const stream = await open()
    await clock.advance(2_499)
    expect((await open()).session).toBe(pair.client)
    await clock.advance(1)
    expect((await open()).session).toBe(pairs[1]?.client)
    await clock.advance(5_000)
    expect(silent).toEqual([])
    expect(stream.destroyed).toBe(false)
    expect(pair.client.closed).toBe(false)
  })

  it('refuses a silence that is none', () => {
    expect(() => makePool({ silence: 0 })).toThrow(AnyTlsError)
  })
})

describe('SessionPool and the process', () => {
  it('is disposed of as it is closed', async () => {
    const { pool, pairs } = makePool()
    await finish(await pool.openStream())
    await pool[Symbol.asyncDispose]()
    expect(pairs[0]?.client.closed).toBe(true)
    await expect(pool.openStream()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
  })

  it('holds the process for sessions in use alone, and with unref() for none', async () => {
    const { pool, dials, pairs } = makePool({ manual: true })
    const opened = pool.openStream()
    await settle()
    const { client } = dials[0]!.succeed()
    let held = true
    Object.assign(client, { ref: () => (held = true), unref: () => (held = false) })
    const stream = await opened
    expect(held).toBe(true)
    pool.unref()
    expect(held).toBe(false)
    pool.ref()
    expect(held).toBe(true)
    await finish(stream)
    expect(held).toBe(false)
    pool.unref()
    await pool.openStream()
    expect(held).toBe(false)
    expect(pairs).toHaveLength(1)
  })

  it('holds the process while a caller waits for an answer on an idle session, and with unref() not then', async () => {
    const { pool, clock, pairs } = makePool({ probeAfter: 5_000 })
    await finish(await pool.openStream())
    const pair = pairs[0]!
    let held = false
    Object.assign(pair.client, { ref: () => (held = true), unref: () => (held = false) })
    const pings = [pool.ping(), pool.ping()]
    expect(held).toBe(true)
    await Promise.all(pings)
    expect(held).toBe(false)
    await clock.advance(6_000)
    const opened = pool.openStream()
    expect(held).toBe(true)
    await finish(await opened)
    expect(held).toBe(false)
    cutOff(pair)
    const abort = new AbortController()
    const given = expect(pool.ping(abort.signal)).rejects.toThrow('enough')
    expect(held).toBe(true)
    abort.abort(new Error('enough'))
    await given
    expect(held).toBe(false)
    pool.unref()
    pool.ping().catch(() => {})
    expect(held).toBe(false)
    expect(pairs).toHaveLength(1)
  })

  it('holds the process for the ping of a session that it makes for one', async () => {
    const { pool, dials } = makePool({ manual: true })
    const pinged = pool.ping()
    await settle()
    const { client } = dials[0]!.succeed()
    let held = false
    Object.assign(client, { ref: () => (held = true), unref: () => (held = false) })
    await settle()
    expect(held).toBe(true)
    await finish(await pool.openStream())
    await pinged
    expect(held).toBe(false)
  })
})

describe('SessionPool: streams in all', () => {
  it('a session that has carried streamsInAll streams takes no more, and ends when the last is over', async () => {
    const { pool, pairs } = makePool({ streamsInAll: 2 })
    const first = await pool.openStream()
    await finish(first)
    const second = await pool.openStream()
    const third = await pool.openStream()
    expect(second.session).toBe(pairs[0]?.client)
    expect(third.session).toBe(pairs[1]?.client)
    expect(pairs[0]?.client.closed).toBe(false)
    await finish(second)
    expect(pairs[0]?.client.mayOpen).toBe(false)
  })

  it('streamsPerSession may follow what is learnt in between', async () => {
    let limit = 1
    const { pool, pairs } = makePool({ streamsPerSession: () => limit })
    await pool.openStream()
    await pool.openStream()
    expect(pairs).toHaveLength(2)
    limit = 2
    await pool.openStream()
    expect(pairs).toHaveLength(2)
    expect(() => makePool({ streamsInAll: 0 })).toThrow(AnyTlsError)
  })
})
