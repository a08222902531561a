// How many sessions a pool makes, and who waits for them: near a server as few as can be, far from it more.
import { describe, expect, it } from 'vitest'
import type { Stream } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { finish, makePool } from '../support/session-pool.ts'
import type { Bench } from '../support/session-pool.ts'

/** Milliseconds that a dial to a server takes that is far, and to one that is near. */
const [FAR, NEAR] = [151, 149]

/** A pool with one session, which took `time` milliseconds to make. */
async function makeStanding(time: number): Promise<Bench & { readonly first: Stream }> {
  // Who is accepted has an answer without a round trip here.
  const bench = makePool({ manual: true, autoAccept: false })
  const opened = bench.pool.openStream()
  await settle()
  await bench.clock.advance(time)
  bench.dials[0]!.succeed()
  return { ...bench, first: await opened }
}

/** What the first stream wants is known by now, and its session is not quiet. */
async function makeKnown({ clock, pairs }: Bench): Promise<void> {
  await clock.advance(1_001)
  await pairs[0]!.client.ping()
}

/** The dials from the `first` on come to something, after the time that it takes to a server that is far. */
async function succeed({ clock, dials }: Bench, first = 0): Promise<void> {
  await clock.advance(FAR)
  for (const dial of dials.slice(first)) {
    dial.succeed()
    await settle()
  }
}

/** A stream each on new sessions to a server that is far. */
async function openEach(bench: Bench, count: number): Promise<Stream[]> {
  const opened = Array.from({ length: count }, () => bench.pool.openStream())
  await settle()
  await succeed(bench)
  return Promise.all(opened)
}

/** Streams that wait, each for its own dial to a server that is far: the first of them may come to something now, the others 20 ms later. */
async function makeWaiting(count: number): Promise<Bench & { readonly opened: Promise<Stream[]> }> {
  const bench = makePool({ manual: true, autoAccept: false })
  const opened = Promise.all(Array.from({ length: count }, () => bench.pool.openStream()))
  await settle()
  await bench.clock.advance(FAR)
  return { ...bench, opened }
}

const counts = ({ pairs }: Bench): readonly number[] =>
  pairs.map(({ client }) => client.streamCount)

describe('near a server', () => {
  it('streams share a session, however busy it is', async () => {
    const bench = await makeStanding(NEAR)
    for (let count = 0; count < 7; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([8])
    expect(bench.dials).toHaveLength(1)
  })

  it('is who answers quickly, however long the first dial took', async () => {
    const bench = makePool({ manual: true })
    const opened = bench.pool.openStream()
    await settle()
    await bench.clock.advance(10 * FAR)
    bench.dials[0]!.succeed()
    await (await opened).accepted()
    for (let count = 0; count < 7; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([8])
    expect(bench.dials).toHaveLength(1)
  })

  it('callers share dials', async () => {
    const { pool, dials, clock } = makePool({ manual: true })
    const opened = Array.from({ length: 8 }, () => pool.openStream())
    await settle()
    await clock.advance(19)
    expect(dials).toHaveLength(1)
    dials[0]!.succeed()
    await Promise.all(opened)
  })

  it('callers share the first dial that is there, though it may have been far until then', async () => {
    const bench = makePool({ manual: true })
    const opened = Array.from({ length: 8 }, () => bench.pool.openStream())
    await settle()
    await bench.clock.advance(NEAR)
    expect(bench.dials).toHaveLength(8)
    bench.dials[0]!.succeed()
    await Promise.all(opened)
    expect(counts(bench)).toEqual([8])
    // One goes on, for whoever comes next.
    expect(bench.dials.filter(({ signal }) => !signal.aborted)).toHaveLength(2)
  })

  it('a connect that throws is a dial that fails, and the next caller has another', async () => {
    const failure = new Error('no way there')
    let count = 0
    const { pool } = makePool({
      connect: () => {
        count += 1
        throw failure
      },
    })
    await expect(pool.openStream()).rejects.toBe(failure)
    await expect(pool.openStream()).rejects.toBe(failure)
    expect(count).toBe(2)
  })

  it('who waits for a dial has the place of a stream that ends meanwhile', async () => {
    const { pool, dials, pairs } = makePool({ manual: true, streamsPerSession: 1 })
    const opened = pool.openStream()
    await settle()
    dials[0]!.succeed()
    const waits = pool.openStream()
    await settle()
    expect(dials).toHaveLength(2)
    await finish(await opened)
    expect((await waits).session).toBe(pairs[0]!.client)
    // What was dialled for it is there for the next.
    dials[1]!.succeed()
    await settle()
    expect((await pool.openStream()).session).toBe(pairs[1]!.client)
  })
})

describe('far from a server', () => {
  it('each of the first callers has a dial of its own once it may be far', async () => {
    const bench = makePool({ manual: true, autoAccept: false })
    const opened = Array.from({ length: 3 }, () => bench.pool.openStream())
    await settle()
    expect(bench.dials).toHaveLength(1)
    await bench.clock.advance(20)
    expect(bench.dials).toHaveLength(3)
    await succeed(bench)
    await Promise.all(opened)
    expect(counts(bench)).toEqual([1, 1, 1])
  })

  it('a stream is opened at once on a session in use, and another is dialled meanwhile', async () => {
    const bench = await makeStanding(FAR)
    await makeKnown(bench)
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([2])
    expect(bench.dials).toHaveLength(2)
    await succeed(bench, 1)
    await bench.pool.openStream()
    expect(counts(bench)).toEqual([2, 1])
    expect(bench.dials).toHaveLength(2)
  })

  it('behind one that was opened a moment ago others wait for dials, for all may want much', async () => {
    const bench = await makeStanding(FAR)
    await bench.clock.advance(1_000)
    await bench.pairs[0]!.client.ping()
    const opened = Array.from({ length: 14 }, () => bench.pool.openStream())
    await settle()
    expect(counts(bench)).toEqual([1])
    expect(bench.dials).toHaveLength(8)
    await succeed(bench, 1)
    await Promise.all(opened)
    expect(Math.max(...counts(bench))).toBe(2)
  })

  it('a session whose streams are quiet serves as well as another', async () => {
    const bench = await makeStanding(FAR)
    await bench.clock.advance(1_001)
    await bench.pool.openStream()
    expect(bench.dials).toHaveLength(1)
    bench.pool.openStream().catch(() => {})
    await settle()
    expect(bench.dials).toHaveLength(2)
  })

  it('behind much data a stream waits for the dial, though not for ever', async () => {
    const bench = await makeStanding(FAR)
    const load = async () => {
      bench.first.write(Buffer.alloc(300_000))
      await settle()
    }
    await load()
    const own = bench.pool.openStream()
    await settle()
    expect(counts(bench)).toEqual([1])
    await bench.clock.advance(FAR)
    bench.dials[1]!.succeed()
    await own
    expect(counts(bench)).toEqual([1, 1])
    ;(await own).write(Buffer.alloc(300_000))
    await load()
    let shares = false
    const late = bench.pool.openStream().then((stream) => {
      shares = true
      return stream
    })
    await bench.clock.advance(FAR + 49)
    expect(bench.dials).toHaveLength(3)
    await bench.clock.advance(1)
    expect(bench.dials).toHaveLength(4)
    await bench.clock.advance(FAR + 49)
    expect(shares).toBe(false)
    await bench.clock.advance(1)
    await late
    expect(counts(bench)).toEqual([1, 2])
    expect(bench.dials).toHaveLength(4)
  })

  it('of idle sessions a stream goes to the one that was fastest when it last carried much, else to the newest', async () => {
    const bench = makePool({ manual: true, autoAccept: false, streamsPerSession: 1 })
    const [first, second, third] = await openEach(bench, 3)
    const sessions = [first, second, third].map((stream) => stream!.session)
    const use = async (stream: Stream, bytes: number, milliseconds: number) => {
      stream.write(Buffer.alloc(bytes))
      await bench.clock.advance(milliseconds)
      stream.destroy()
      await settle()
    }
    await use(first!, 300_000, 100)
    await use(second!, 300_000, 200)
    // However fast, it is too little to tell.
    await use(third!, 260_000, 1)
    const again = await bench.pool.openStream()
    expect(again.session).toBe(sessions[0])
    await use(again, 300_000, 1_000)
    const last = await bench.pool.openStream()
    expect(last.session).toBe(sessions[1])
    await use(last, 100, 5_000)
    const later = await bench.pool.openStream()
    expect(later.session).toBe(sessions[1])
    await use(later, 300_000, 10)
    expect((await bench.pool.openStream()).session).toBe(sessions[1])
    expect((await bench.pool.openStream()).session).toBe(sessions[0])
    expect((await bench.pool.openStream()).session).toBe(sessions[2])
  })

  it('an idle session that carried much in a long time is no faster than another', async () => {
    const bench = makePool({ manual: true, autoAccept: false, streamsPerSession: 1 })
    const [slow, other] = await openEach(bench, 2)
    slow!.write(Buffer.alloc(300_000))
    await bench.clock.advance(9_500)
    slow!.destroy()
    await settle()
    other!.destroy()
    await settle()
    expect((await bench.pool.openStream()).session).toBe(other!.session)
  })

  it('many streams at once make no more sessions than streams are spread over', async () => {
    const bench = await makeStanding(FAR)
    const opened = Array.from({ length: 6 }, () => bench.pool.openStream())
    await settle()
    await succeed(bench, 1)
    await Promise.all(opened)
    expect(bench.pairs).toHaveLength(7)
    const more = Array.from({ length: 20 }, () => bench.pool.openStream())
    await settle()
    expect(bench.dials).toHaveLength(8)
    await bench.clock.advance(FAR)
    bench.dials[7]!.succeed()
    await Promise.all(more)
    expect(bench.dials).toHaveLength(8)
    expect(counts(bench).reduce((sum, count) => sum + count)).toBe(27)
  })

  it('where all are in use a stream goes to one that carries little', async () => {
    const bench = makePool({ manual: true, autoAccept: false, spread: 2 })
    const [busy] = await openEach(bench, 2)
    busy!.write(Buffer.alloc(300_000))
    await settle()
    for (let count = 0; count < 7; count += 1) await bench.pool.openStream()
    expect(counts(bench)).toEqual([1, 8])
  })

  it('streams are spread over eight sessions, and then share', async () => {
    const bench = await makeStanding(FAR)
    const streams = [bench.first]
    for (let count = 0; count < 20; count += 1) {
      const opened = bench.pool.openStream()
      for (const stream of streams) stream.write('not quiet')
      await bench.clock.advance(FAR)
      if (bench.dials.length > bench.pairs.length) bench.dials.at(-1)!.succeed()
      streams.push(await opened)
    }
    expect(bench.dials).toHaveLength(8)
    expect(Math.max(...counts(bench)) - Math.min(...counts(bench))).toBeLessThanOrEqual(1)
  })

  it('who is left when others had theirs gets the dial that is made beside a late one', async () => {
    const bench = await makeWaiting(4)
    bench.dials[0]!.succeed()
    await bench.clock.advance(20)
    for (const dial of bench.dials.slice(1, 3)) dial.succeed()
    await bench.clock.advance(49)
    expect(bench.dials).toHaveLength(4)
    await bench.clock.advance(1)
    expect(bench.dials).toHaveLength(5)
    await bench.clock.advance(FAR)
    bench.dials[4]!.succeed()
    await bench.opened
    expect(counts(bench)).toEqual([1, 1, 1, 1])
  })

  it('the late one gives the session, too, where it comes first', async () => {
    const bench = await makeWaiting(3)
    bench.dials[0]!.succeed()
    await bench.clock.advance(70)
    expect(bench.dials).toHaveLength(5)
    bench.dials[1]!.succeed()
    await bench.clock.advance(FAR)
    // Whose own one is not late yet does not share.
    expect(counts(bench)).toEqual([1, 1])
    bench.dials[3]!.succeed()
    await bench.opened
    expect(counts(bench)).toEqual([1, 1, 1])
    expect(bench.dials).toHaveLength(5)
  })

  it('those for whom that is late as well share what stands', async () => {
    const bench = await makeWaiting(4)
    bench.dials[0]!.succeed()
    await settle()
    expect(counts(bench)).toEqual([1])
    await bench.clock.advance(70 + FAR + 49)
    expect(counts(bench)).toEqual([1])
    await bench.clock.advance(1)
    await bench.opened
    expect(counts(bench)).toEqual([4])
    expect(bench.dials).toHaveLength(7)
  })

  it('each dial that comes to something gives those that are late 50 ms more', async () => {
    const bench = await makeWaiting(4)
    for (const dial of bench.dials.slice(0, 2)) {
      dial.succeed()
      await bench.clock.advance(49)
    }
    expect(bench.dials).toHaveLength(4)
    await bench.clock.advance(1)
    expect(bench.dials).toHaveLength(6)
    expect(counts(bench)).toEqual([1, 1])
    await bench.clock.advance(FAR + 50)
    await bench.opened
    expect(counts(bench)).toEqual([2, 2])
  })

  it('sessions that drain do not count among those over which streams are spread', async () => {
    const bench = makePool({ manual: true, autoAccept: false, spread: 2 })
    const opened = [bench.pool.openStream(), bench.pool.openStream()]
    await settle()
    await bench.clock.advance(FAR)
    await succeed(bench)
    await Promise.all(opened)
    for (const { server } of bench.pairs) void server.close()
    await settle()
    const again = [bench.pool.openStream(), bench.pool.openStream()]
    await settle()
    expect(bench.dials).toHaveLength(4)
    await succeed(bench, 2)
    await Promise.all(again)
  })

  it('a pool that is closed dials no more, and tells who waits', async () => {
    const { pool, dials, clock } = await makeStanding(FAR)
    const waits = Array.from({ length: 8 }, () => {
      return expect(pool.openStream()).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
    })
    await settle()
    expect(dials).toHaveLength(8)
    pool.destroy()
    await Promise.all(waits)
    for (const { signal } of dials.slice(1)) expect(signal.aborted).toBe(true)
    await settle()
    expect(clock.armed).toBe(0)
  })
})

describe('a dial that is not heard of again', () => {
  /** A pool whose first dial is under way, and who waits for it. */
  async function dialling(options: Parameters<typeof makePool>[0] = {}) {
    const bench = makePool({ manual: true, ...options })
    const waits = bench.pool.openStream()
    await settle()
    return { ...bench, waits }
  }

  it('has another beside it after 2.5 s, which serves whoever waits', async () => {
    const { dials, clock, waits } = await dialling()
    await clock.advance(2_499)
    expect(dials).toHaveLength(1)
    await clock.advance(1)
    expect(dials).toHaveLength(2)
    const pair = dials[1]!.succeed()
    expect((await waits).session).toBe(pair.client)
    // Nobody waits any more: it is not followed by others for ever.
    await clock.advance(10_000)
    expect(dials).toHaveLength(2)
  })

  it('fails nobody while another is under way', async () => {
    const { dials, clock, waits } = await dialling()
    await clock.advance(2_500)
    dials[0]!.fail(new Error('no answer'))
    await settle()
    const pair = dials[1]!.succeed()
    expect((await waits).session).toBe(pair.client)
  })

  it('fails all who wait when the one beside it fails as well', async () => {
    const { dials, clock, waits } = await dialling()
    await clock.advance(20_000)
    const failure = new Error('no answer')
    for (const dial of dials) dial.fail(failure)
    await expect(waits).rejects.toBe(failure)
    expect(dials).toHaveLength(2)
  })

  it('has one beside it and no more, however long it takes and whoever comes', async () => {
    const { pool, dials, clock, waits } = await dialling()
    const others = Array.from({ length: 7 }, () => pool.openStream())
    for (const each of [waits, ...others]) each.catch(() => {})
    await clock.advance(600_000)
    // One for each who waits, as the server seems far.
    expect(dials).toHaveLength(16)
    pool.openStream().catch(() => {})
    await clock.advance(600_000)
    expect(dials.length).toBeLessThanOrEqual(18)
  })

  it('has the next beside it when the one beside it has failed, after a while', async () => {
    const { dials, clock, waits } = await dialling()
    await clock.advance(2_500)
    dials[1]!.fail(new Error('the network changes'))
    await clock.advance(2_499)
    expect(dials).toHaveLength(2)
    await clock.advance(1)
    const pair = dials[2]!.succeed()
    expect((await waits).session).toBe(pair.client)
  })

  it('is given longer where the quickest took long', async () => {
    const { pool, dials, clock, waits } = await dialling({
      streamsPerSession: 1,
      autoAccept: false,
    })
    await clock.advance(1_000)
    dials[0]!.succeed()
    await waits
    pool.openStream().catch(() => {})
    await settle()
    const begun = dials.length
    await clock.advance(3_999)
    expect(dials).toHaveLength(begun)
    await clock.advance(1)
    expect(dials.length).toBeGreaterThan(begun)
  })
})
