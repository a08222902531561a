// The ends of what Mux.Pro gives an application, and what holds its process; the rest is in test/wires/muxpro.
import { once } from 'node:events'
import { Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { muxProClient, MuxProPool, muxProServer } from '../../src/session/muxpro.ts'
import type { Stream } from '../../src/session/stream.ts'
import { createDuplexPair } from '../support/duplex-pair.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'

const WHERE = { target: { host: 'example.com', port: 80 } }

/** A client and a server, and the two ends of a stream between them. */
async function makePair() {
  const clock = new FakeClock()
  const [near, far] = createDuplexPair()
  const server = muxProServer(far, { clock })
  const client = muxProClient(near, { clock })
  onTestFinished(() => {
    client.destroy()
    server.destroy()
  })
  const arrived = once(server, 'stream') as Promise<[Stream]>
  const ours = client.openStream(WHERE)
  const [theirs] = await arrived
  for (const stream of [ours, theirs]) stream.on('error', () => {})
  return { client, server, ours, theirs }
}

describe('a client of Mux.Pro', () => {
  it('ends at once with destroy(), its streams with the error', async () => {
    const { client, server, ours } = await makePair()
    const failure = new Error('enough')
    client.destroy(failure)
    expect([client.session.closed, ours.errored]).toEqual([true, failure])
    await settle()
    expect(server.closed).toBe(true)
  })

  it('is disposed of as it is closed: streams run to their end', async () => {
    const { client, ours, theirs } = await makePair()
    const disposed = client[Symbol.asyncDispose]()
    expect(client.session.mayOpen).toBe(false)
    theirs.end('answer')
    expect(String(await once(ours, 'data'))).toBe('answer')
    ours.end()
    theirs.resume()
    await disposed
    expect(client.session.closed).toBe(true)
  })
})

describe('a pool of Mux.Pro', () => {
  /** A socket that is never connected and notes how it holds the process. */
  class NotedSocket extends Socket {
    held: boolean | undefined

    override ref(): this {
      this.held = true
      return this
    }

    override unref(): this {
      this.held = false
      return this
    }
  }

  it('lets the process end with unref(), and holds it again with ref() while streams are open', async () => {
    const socket = new NotedSocket()
    const pool = new MuxProPool({ clock: new FakeClock(), connect: () => Promise.resolve(socket) })
    onTestFinished(() => pool.destroy())
    const stream = await pool.openStream(WHERE)
    stream.on('error', () => {})
    expect(socket.held).toBe(true)
    expect(pool.unref()).toBe(pool)
    expect(socket.held).toBe(false)
    expect(pool.ref()).toBe(pool)
    expect(socket.held).toBe(true)
  })

  it('is disposed of as it is closed', async () => {
    const pool = new MuxProPool({ connect: () => Promise.reject(new Error('none')) })
    await pool[Symbol.asyncDispose]()
    await expect(pool.openStream(WHERE)).rejects.toMatchObject({ code: 'ERR_POOL_CLOSED' })
  })
})
