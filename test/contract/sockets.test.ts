// What programs ask of a socket: its methods, its time-out, HTTP over it, and AsyncLocalStorage.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import http from 'node:http'
import type { Duplex } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setTimeout as delay } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CARRIERS, carriersWith } from './carriers.ts'
import type { Carrier } from './carriers.ts'
import { closed, connectOn, MIB, openOn, pattern, QUIET, sha, take } from './support.ts'

/** What all but the plainest Duplex have. */
interface Timed extends Duplex {
  setTimeout(delay: number, callback?: () => void): this
}

interface SocketLike extends Timed {
  setNoDelay(on?: boolean): this
  setKeepAlive(on?: boolean, delay?: number): this
  ref(): this
  unref(): this
}

/** An agent whose only connection is a stream of the carrier, and the server at its other end. */
async function httpOver(
  carrier: Carrier,
  serve: http.RequestListener,
): Promise<{ agent: http.Agent; opened: () => number }> {
  const connection = await connectOn(carrier)
  const server = http.createServer(serve)
  connection.onStream((far) => server.emit('connection', far))
  let opened = 0
  class Agent extends http.Agent {
    override createConnection(): Duplex {
      opened += 1
      return connection.openNear()
    }
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  onTestFinished(() => agent.destroy())
  return { agent, opened: () => opened }
}

function request(agent: http.Agent, path: string, body?: Buffer): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const method = body === undefined ? 'GET' : 'POST'
    const outgoing = http.request({
      host: 'contract.invalid',
      path,
      method,
      agent,
      timeout: 10_000,
    })
    outgoing.on('error', reject)
    outgoing.on('response', (response) => resolve(buffer(response)))
    outgoing.end(body)
  })
}

describe.each(CARRIERS)('$name', (carrier) => {
  it('setTimeout tells of silence, again and again until 0', async () => {
    const { near, far } = (await openOn(carrier)) as unknown as { near: Timed; far: Duplex }
    far.resume()
    near.resume()
    const started = performance.now()
    let timeouts = 0
    near.on('timeout', () => (timeouts += 1))
    expect(near.setTimeout(400)).toBe(near)
    for (let i = 0; i < 6; i += 1) {
      await delay(120)
      if (i % 2 === 0) near.write('x')
      else far.write('y')
    }
    expect(timeouts).toBe(0)
    await once(near, 'timeout')
    expect(performance.now() - started).toBeGreaterThanOrEqual(600 + 400)
    expect(near.destroyed).toBe(false)
    far.write('z')
    await once(near, 'timeout')
    near.setTimeout(0)
    const before = timeouts
    far.write('z')
    await delay(2 * QUIET)
    expect(timeouts).toBe(before)
  })
})

describe('methods of a socket (node:http2 has none)', () => {
  it.each(carriersWith('socket'))(
    '%s: each gives the stream back and does not throw',
    async (_name, carrier) => {
      const pair = await openOn(carrier)
      for (const stream of [pair.near, pair.far] as SocketLike[]) {
        for (const on of [true, false]) {
          expect(stream.setNoDelay(on)).toBe(stream)
          expect(stream.setKeepAlive(on, 1_000)).toBe(stream)
        }
        expect(stream.setNoDelay()).toBe(stream)
        expect(stream.setKeepAlive()).toBe(stream)
        expect(stream.unref()).toBe(stream)
        expect(stream.ref()).toBe(stream)
        stream.destroy()
        await closed(stream)
        expect(stream.setNoDelay(true).setKeepAlive(true).unref().ref()).toBe(stream)
      }
    },
  )
})

describe('HTTP/1.1 over a stream (node:http2 has no methods of a socket)', () => {
  it.each(carriersWith('socket'))(
    '%s: requests, one after the other, keep the stream alive',
    async (_name, carrier) => {
      const page = pattern(MIB)
      const { agent, opened } = await httpOver(carrier, (incoming, outgoing) => {
        void buffer(incoming).then((body) => outgoing.end(body.length > 0 ? body : page))
      })
      for (let i = 0; i < 3; i += 1) {
        expect(sha(await request(agent, `/${i}`))).toBe(sha(page))
        expect(String(await request(agent, '/echo', Buffer.from(`body ${i}`)))).toBe(`body ${i}`)
      }
      expect(opened()).toBe(1)
    },
  )

  it.each(carriersWith('socket'))(
    '%s: a server that says close is answered by a new stream',
    async (_name, carrier) => {
      const { agent, opened } = await httpOver(carrier, (_incoming, outgoing) => {
        outgoing.setHeader('connection', 'close')
        outgoing.end('once')
      })
      for (let i = 0; i < 3; i += 1) expect(String(await request(agent, '/'))).toBe('once')
      expect(opened()).toBe(3)
    },
  )
})

describe('AsyncLocalStorage', () => {
  it.each(CARRIERS.map((one) => [one.name, one] as const))(
    '%s: events and callbacks run in the context of who opened the stream',
    async (_name, carrier) => {
      const connection = await connectOn(carrier)
      const storage = new AsyncLocalStorage<string>()
      const heard: Record<string, Set<string | undefined>> = {}
      const streams = await Promise.all(
        ['one', 'two'].map(async (name, index) => {
          // One at a time: the far ends come in order.
          await delay(index * 60)
          return storage.run(name, async () => {
            const { near, far } = await connection.open()
            const note = (event: string) => () => {
              ;(heard[`${name} ${event}`] ??= new Set()).add(storage.getStore())
            }
            for (const event of ['data', 'end', 'finish', 'drain', 'close', 'timeout']) {
              near.on(event, note(event))
            }
            ;(near as Timed).setTimeout(100)
            near.write(pattern(100), note('callback'))
            return { name, near, far, note }
          })
        }),
      )
      // What comes interleaved on one connection.
      for (let round = 0; round < 10; round += 1) {
        for (const { far } of streams) far.write(pattern(5_000))
        await delay(2)
      }
      await delay(2 * QUIET)
      for (const { name, near, far, note } of streams) {
        storage.run(name, () => {
          // More than a kernel takes at once.
          near.write(pattern(8 * MIB), note('callback'))
        })
        await take(far, 100 + 8 * MIB)
      }
      for (const { name, near, far } of streams) {
        storage.run(name, () => near.end())
        far.resume().end()
        await closed(near)
      }
      const expected: Record<string, Set<string>> = {}
      for (const name of ['one', 'two']) {
        const events = ['data', 'end', 'finish', 'drain', 'close', 'timeout', 'callback']
        for (const event of events) expected[`${name} ${event}`] = new Set([name])
      }
      expect(heard).toEqual(expected)
    },
  )
})
