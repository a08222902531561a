// The ends of what Mux.Pro gives an application, and what holds its process; the rest is in test/wires/muxpro.
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { MuxProPool } from '../../src/session/muxpro.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { makeMuxProPair } from './support/muxpro-pair.ts'
import { NotedSocket } from './support/noted-socket.ts'

const WHERE = { target: { host: 'example.com', port: 80 } }

describe('a client of Mux.Pro', () => {
  it('ends at once with destroy(), its streams with the error', async () => {
    const { client, server, ours } = await makeMuxProPair(WHERE)
    const failure = new Error('enough')
    client.destroy(failure)
    expect([client.session.closed, ours.errored]).toEqual([true, failure])
    await settle()
    expect(server.closed).toBe(true)
  })

  it('is disposed of as it is closed: streams run to their end', async () => {
    const { client, ours, theirs } = await makeMuxProPair(WHERE)
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
