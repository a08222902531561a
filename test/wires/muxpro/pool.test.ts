// The pool of Mux.Pro main connections, in memory, on a fake clock.
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Session } from '../../../src/session/session.ts'
import type { StreamSession } from '../../../src/session/stream.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { MuxProPool, muxProServer } from '../../../src/session/muxpro.ts'
import type { MuxProPoolOptions } from '../../../src/session/muxpro.ts'
import { createDuplexPair } from '../../support/duplex-pair.ts'
import { FakeClock } from '../../support/fake-clock.ts'

const WHERE = { target: { host: 'example.com', port: 80 } }

interface Bench {
  readonly pool: MuxProPool
  readonly clock: FakeClock
  /** The servers of the main connections, in the order of their making. */
  readonly servers: Session[]
}

function makePool(options: Partial<MuxProPoolOptions> = {}): Bench {
  const clock = new FakeClock()
  const servers: Session[] = []
  const connect = () => {
    const [near, far] = createDuplexPair()
    const server = muxProServer(far, { clock })
    // Whoever has sent something gets it back, and then the end.
    server.on('stream', (stream) => stream.once('data', (data: Buffer) => stream.end(data)))
    servers.push(server)
    return Promise.resolve(near)
  }
  const pool = new MuxProPool({ clock, connect, ...options })
  onTestFinished(() => {
    pool.destroy()
    for (const server of servers) server.destroy()
  })
  return { pool, clock, servers }
}

async function open(pool: MuxProPool, count: number): Promise<Stream[]> {
  return Promise.all(Array.from({ length: count }, () => pool.openStream(WHERE)))
}

/** Lets the server end the stream. */
async function finish(stream: Stream): Promise<void> {
  stream.resume().write('x')
  await once(stream, 'close')
}

describe('the pool of main connections', () => {
  it('8 streams at once on a main connection, 16 in all', async () => {
    const { pool, servers } = makePool()
    const first = await open(pool, 8)
    expect(new Set(first.map(({ session }) => session)).size).toBe(1)
    const [ninth] = await open(pool, 1)
    expect(ninth?.session).not.toBe(first[0]?.session)
    expect(pool.size).toBe(2)
    await finish(ninth!)
    await Promise.all(first.map(finish))

    // Both are idle; the newest goes first, up to 16 streams in all.
    const used = new Map<StreamSession, number>()
    for (let turn = 0; turn < 23; turn += 1) {
      const [stream] = await open(pool, 1)
      used.set(stream!.session, (used.get(stream!.session) ?? 0) + 1)
      await finish(stream!)
    }
    expect([...used.values()].sort((a, b) => a - b)).toEqual([8, 15])
    expect(servers.length).toBe(2)
    const [next] = await open(pool, 1)
    expect(servers.length).toBe(3)
    expect(next?.id).toBe(1)
  })

  it('a main connection that has had its streams closes when the last has ended', async () => {
    const { pool, servers } = makePool({ maxConcurrency: 2, maxConnections: 2 })
    const [one, two] = await open(pool, 2)
    await finish(one!)
    expect(pool.size).toBe(1)
    const over = once(servers[0]!, 'close')
    await finish(two!)
    expect(await over).toEqual([undefined])
    expect(pool.size).toBe(0)
  })

  it('an idle main connection is closed after a while', async () => {
    const { pool, servers, clock } = makePool({ idleTimeout: 30_000 })
    const [stream] = await open(pool, 1)
    await finish(stream!)
    await clock.advance(29_000)
    expect(pool.size).toBe(1)
    await clock.advance(2_000)
    expect(pool.size).toBe(0)
    expect(servers[0]?.closed).toBe(true)
  })

  it('one that was idle for longer than a probe would need is used again at once', async () => {
    const { pool, servers, clock } = makePool()
    const [stream] = await open(pool, 1)
    await finish(stream!)
    await clock.advance(20_000)
    await finish((await open(pool, 1))[0]!)
    expect(servers.length).toBe(1)
  })

  it('passes on why a main connection could not be made, and what cannot be asked for', async () => {
    const reason = new Error('no route')
    const { pool } = makePool({ connect: () => Promise.reject(reason) })
    await expect(pool.openStream(WHERE)).rejects.toBe(reason)
    const { pool: good } = makePool()
    const wrong = { target: { host: '', port: 80 } }
    await expect(good.openStream(wrong)).rejects.toMatchObject({ code: 'ERR_ADDRESS_INVALID' })
    await good.close()
    await expect(good.openStream(WHERE)).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
  })

  it('close() lets streams run to their end', async () => {
    const { pool } = makePool()
    const [stream] = await open(pool, 1)
    const closed = pool.close()
    stream!.write('still served')
    expect(String((await once(stream!, 'data'))[0])).toBe('still served')
    await closed
    expect(pool.size).toBe(0)
  })

  it('says which options cannot be, each in its own name', () => {
    const wrong: readonly Partial<MuxProPoolOptions>[] = [
      { maxConcurrency: 0 },
      { maxConcurrency: -1 },
      { maxConnections: 0.5 },
      { maxStreams: -1 },
      { idleTimeout: 0 },
      { connect: undefined as never },
    ]
    for (const options of wrong) {
      const [name] = Object.keys(options)
      expect(() => makePool(options), name).toThrow(
        expect.objectContaining({
          code: 'ERR_OPTION_INVALID',
          message: expect.stringMatching(`^${name} must be `) as string,
        }),
      )
    }
  })

  it('no more streams at once than there may be in all', async () => {
    const { pool } = makePool({ maxConcurrency: 8, maxConnections: 2 })
    const streams = await open(pool, 5)
    expect(pool.size).toBe(3)
    expect(streams.map(({ id }) => id)).toEqual([1, 2, 1, 2, 1])
  })

  it('a stream that cannot be asked for is refused by a promise', async () => {
    const { pool } = makePool()
    for (const where of [undefined, null, {}, { ...WHERE, network: 'icmp' }]) {
      const opening = pool.openStream(where as typeof WHERE)
      await expect(opening, JSON.stringify(where)).rejects.toMatchObject({
        code: 'ERR_OPTION_INVALID',
      })
    }
  })
})
