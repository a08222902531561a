// What a stream promises beyond bytes that come and go: what it says of itself, timers, datagrams, the context of its
// events, how much it keeps.
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { settle } from '../support/fake-clock.ts'
import { makeSessionPair } from '../support/session-pair.ts'
import { makeMuxProPair } from './support/muxpro-pair.ts'

const WINDOW = 262_144
const TARGET = { host: 'example.com', port: 53 }

/** A stream of Mux.Pro that was opened for that, and the server's end of it. */
async function openRequest(network: 'tcp' | 'udp', priority?: number): Promise<[Stream, Stream]> {
  const { ours, theirs } = await makeMuxProPair({ target: TARGET, network, priority })
  return [ours, theirs]
}

describe('what a stream says of itself', () => {
  it('is its number, its session and its priority', async () => {
    const { open, client, server } = makeSessionPair()
    const [ours, theirs] = await open()
    expect([ours.id, theirs.id]).toEqual([1, 1])
    expect([ours.session, theirs.session]).toEqual([client, server])
    expect(ours.request).toBeUndefined()
    expect(ours.priority).toBe(128)
    expect(client.openStream({ priority: 3 }).priority).toBe(3)
  })

  it('is what it was opened for, at both ends, where the wire tells', async () => {
    for (const network of ['tcp', 'udp'] as const) {
      const streams = await openRequest(network, 7)
      for (const stream of streams) {
        expect(stream.request).toEqual({ network, target: TARGET, priority: 7 })
        expect([stream.priority, stream.messages]).toEqual([7, network === 'udp'])
      }
    }
  })

  it('is itself, for what programs call on a socket', async () => {
    const { open } = makeSessionPair()
    const [ours] = await open()
    for (const name of ['setNoDelay', 'setKeepAlive', 'ref', 'unref'] as const) {
      expect(ours[name]()).toBe(ours)
    }
    expect(ours.setTimeout(0)).toBe(ours)
  })
})

describe('setTimeout', () => {
  it('takes a listener for one time, and takes it away with 0', async () => {
    const { open, clock } = makeSessionPair({ timeouts: { keepalive: 1e9, connection: 1e9 } })
    const [ours, theirs] = await open()
    theirs.resume()
    await settle()
    let calls = 0
    const listener = (): void => void (calls += 1)
    ours.setTimeout(1_000, listener)
    await clock.advance(1_000)
    expect(calls).toBe(1)
    ours.write('activity')
    await settle()
    await clock.advance(1_000)
    expect(calls).toBe(1)
    ours.setTimeout(1_000, listener)
    ours.setTimeout(0, listener)
    expect(ours.listenerCount('timeout')).toBe(0)
    ours.setTimeout(1_000)
    ours.setTimeout(500)
    expect(clock.waits.filter((wait) => wait <= 1_000)).toEqual([500])
  })
})

describe('the listeners of a stream', () => {
  it('run in the context that it was opened in, whatever caused what they are told', async () => {
    const storage = new AsyncLocalStorage<string>()
    const { client, server, clock } = makeSessionPair({
      session: { autoAccept: false },
      timeouts: { keepalive: 1e9, connection: 1e9 },
    })
    const arrived = once(server, 'stream') as Promise<[Stream]>
    const seen: Record<string, string | undefined> = {}
    const ours = storage.run('mine', () => client.openStream())
    const note = (name: string) => (): void => void (seen[name] = storage.getStore())
    const [theirs] = await arrived
    ours.setTimeout(5)
    for (const event of ['accept', 'data', 'end', 'timeout', 'finish', 'close']) {
      ours.on(event, note(event))
    }
    await storage.run('theirs', async () => {
      await clock.advance(5)
      theirs.accept()
      await settle()
      theirs.end('hello')
      await settle()
      ours.end('bye', note('written'))
      theirs.resume()
      await once(ours, 'close')
    })
    expect(seen).toEqual({
      ...{ timeout: 'mine', accept: 'mine', data: 'mine', end: 'mine' },
      ...{ written: 'mine', finish: 'mine', close: 'mine' },
    })
  })

  it('hear of its error in that context when the peer or the session ends it', async () => {
    const storage = new AsyncLocalStorage<string>()
    for (const end of [
      (_client: Session, theirs: Stream) => theirs.reset(CloseCode.Rejected),
      (client: Session) => client.destroy(new Error('enough')),
    ]) {
      const { client, server } = makeSessionPair()
      const arrived = once(server, 'stream') as Promise<[Stream]>
      const ours = storage.run('mine', () => client.openStream())
      const [theirs] = await arrived
      theirs.on('error', () => {})
      const heard = new Promise((resolve) => {
        ours.on('error', () => resolve(storage.getStore()))
      })
      storage.run('theirs', () => end(client, theirs))
      expect(await heard).toBe('mine')
    }
  })
})

describe('datagrams', () => {
  it('arrive one by one, however they were written and are read', async () => {
    const [ours, theirs] = await openRequest('udp')
    ours.cork()
    for (const word of ['one', 'two', 'three']) ours.write(word)
    ours.uncork()
    await settle()
    expect(theirs.readableLength).toBeGreaterThan(0)
    const words: string[] = []
    for (let chunk = theirs.read() as Buffer | null; chunk !== null;) {
      words.push(String(chunk))
      chunk = theirs.read() as Buffer | null
    }
    expect(words).toEqual(['one', 'two', 'three'])
    expect(theirs.readableObjectMode).toBe(true)
  })

  it('have at most 65,535 bytes: a longer one fails alone, with a clear error', async () => {
    const [ours, theirs] = await openRequest('udp')
    const arrived = once(theirs, 'data') as Promise<[Buffer]>
    ours.write(Buffer.alloc(65_535, 'x'))
    expect((await arrived)[0]).toHaveLength(65_535)
    const error = await new Promise((resolve) => ours.write(Buffer.alloc(65_536), resolve))
    expect(error).toMatchObject({
      code: 'ERR_OPTION_INVALID',
      message: 'a datagram has at most 65535 bytes',
    })
  })

  it('give their credit back as they are taken: no more wait than the window holds', async () => {
    const [ours, theirs] = await openRequest('udp')
    for (let count = 0; count < 40; count += 1) ours.write(Buffer.alloc(10_000))
    const taken: number[] = []
    for (let round = 0; round < 40; round += 1) {
      await settle()
      let count = 0
      while (theirs.read() !== null) count += 1
      taken.push(count)
    }
    expect(taken[0]).toBe(6)
    expect(Math.max(...taken)).toBe(6)
    expect(taken.reduce((sum, count) => sum + count)).toBe(40)
  })

  it('of a stream for bytes have no such limit', async () => {
    const [ours, theirs] = await openRequest('tcp')
    let received = 0
    theirs.on('data', (chunk: Buffer) => (received += chunk.length))
    await new Promise((resolve) => ours.write(Buffer.alloc(200_000), resolve))
    await settle()
    expect(received).toBe(200_000)
  })
})

describe('what waits to be read', () => {
  it('is all counted by readableLength, and given in pieces of any size', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    ours.write('a'.repeat(10_000))
    await settle()
    ours.write('b'.repeat(5_000))
    await settle()
    expect(theirs.readableLength).toBe(15_000)
    expect(String(theirs.read(3))).toBe('aaa')
    expect(theirs.readableLength).toBe(14_997)
    expect(theirs.readableHighWaterMark).toBe(1_024)
    expect(theirs.writableHighWaterMark).toBe(65_536)
  })

  it('is gone when the stream is destroyed', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    ours.write('a'.repeat(100_000))
    await settle()
    const before = theirs.readableLength
    theirs.destroy()
    expect([before, theirs.readableLength]).toEqual([100_000, theirs.readableLength])
    expect(theirs.readableLength).toBeLessThan(100_000)
  })

  it('is given to a listener as whole pieces, without a turn of the loop for each', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    const chunks: string[] = []
    theirs.on('data', (chunk: Buffer) => chunks.push(String(chunk)))
    ours.write('first')
    await settle()
    for (const word of ['one', 'two', 'three']) {
      ours.write(word)
      await settle()
    }
    expect(chunks).toEqual(['first', 'one', 'two', 'three'])
  })

  it('stays where a listener pauses the stream, until that goes on', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    const chunks: string[] = []
    theirs.on('data', (chunk: Buffer) => {
      chunks.push(String(chunk))
      theirs.pause()
    })
    ours.write('first')
    await settle()
    theirs.resume()
    await settle()
    for (const word of ['one', 'two']) {
      ours.write(word)
      await settle()
    }
    expect(chunks).toEqual(['first', 'one'])
    theirs.resume()
    await settle()
    expect(chunks.join(' ')).toBe('first one two')
  })

  it('goes on to a listener behind one that was taken away', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    const taken: string[] = []
    const first = (chunk: Buffer): void => void taken.push(`first ${String(chunk)}`)
    theirs.on('data', first)
    ours.write('a')
    await settle()
    theirs.off('data', first)
    ours.write('b')
    await settle()
    theirs.on('data', (chunk: Buffer) => taken.push(`second ${String(chunk)}`))
    theirs.resume()
    ours.write('c')
    await settle()
    expect(taken.join()).toMatch(/^first a,/)
    expect(taken.join()).not.toContain('first b')
    expect(taken.join()).toContain('second')
  })

  it('gives its credit back as it is read, strings too: half of a window makes room for as much', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    ours.write(Buffer.alloc(4 * WINDOW))
    await settle()
    expect(theirs.readableLength).toBe(WINDOW)
    await readExactly(theirs, WINDOW / 2)
    await settle()
    expect(theirs.readableLength).toBe(WINDOW)
    theirs.setEncoding('latin1')
    await readExactly(theirs, 3 * WINDOW)
    await settle()
    expect(theirs.readableLength).toBe(WINDOW / 2)
  })
})

/** Reads that many bytes, or characters. */
async function readExactly(stream: Readable, length: number): Promise<void> {
  let missing = length
  while (missing > 0) {
    const chunk = stream.read(Math.min(missing, 4_096)) as Buffer | string | null
    if (chunk === null) {
      stream.read(0)
      await once(stream, 'readable')
    }
    missing -= chunk?.length ?? 0
  }
}
