// Sessions over a pair of Duplexes in memory, with a fake clock: timers, ends, pauses and bounds.
import { randomBytes } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import {
  encodeAuth,
  encodeClientNego,
  encodeClose,
  encodeDataHead,
  encodeGoAway,
  encodePingPong,
  encodeServerNego,
  encodeStream,
  encodeStreamAck,
} from '../../src/wires/anytls/frame-encoder.ts'
import { StreamFlag } from '../../src/wires/anytls/frame.ts'
import { encodeClientNegoBlock, encodeServerNegoBlock } from '../../src/wires/anytls/nego.ts'
import { anyTlsServer } from '../../src/wires/anytls/server.ts'
import { AnyTlsError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { Handover } from '../../src/engine/machine.ts'
import { Session } from '../../src/session/session.ts'
import type { SessionEvents } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import { createDuplexPair } from '../support/duplex-pair.ts'
import type { PairEnd } from '../support/duplex-pair.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import {
  FramePeer,
  PLAIN_SCHEME,
  makeClient,
  makeServerConfig,
  makeSessionPair,
} from '../support/session-pair.ts'
import type { PairOptions, SessionPair } from '../support/session-pair.ts'

const KIB = 1024

/** A client and a server after negotiation, without streams. */
async function establish(options: PairOptions = {}): Promise<SessionPair> {
  const pair = makeSessionPair(options)
  const established = once(pair.client, 'established')
  // The hold of the client (D25).
  await pair.clock.advance(20)
  await established
  await settle()
  return pair
}

/** How a session ended: `undefined` as long as it has not, else its error or null. */
function watchClose(session: Session): { error: AnyTlsError | null | undefined } {
  const end: { error: AnyTlsError | null | undefined } = { error: undefined }
  session.once('close', (error) => (end.error = (error as AnyTlsError | undefined) ?? null))
  return end
}

/** A client session against a server made by hand, negotiated. */
async function handServer(
  options: PairOptions = {},
): Promise<{ client: Session; peer: FramePeer; clock: FakeClock; end: PairEnd; ourEnd: PairEnd }> {
  const clock = options.clock ?? new FakeClock()
  const [ourEnd, end] = createDuplexPair(options.pair)
  const peer = new FramePeer(end)
  const client = makeClient(ourEnd, { ...options, clock })
  onTestFinished(() => client.destroy())
  await clock.advance(20)
  const mux1Window = options.mux1 === false ? undefined : 65_536
  peer.send(encodeServerNego(encodeServerNegoBlock({ version: 1, server: 'hand/1', mux1Window })))
  await settle()
  return { client, peer, clock, end, ourEnd }
}

/** A server session against a client made by hand, negotiated. */
async function handClient(
  options: PairOptions = {},
): Promise<{ server: Session; peer: FramePeer; clock: FakeClock; end: PairEnd; ourEnd: PairEnd }> {
  const clock = options.clock ?? new FakeClock()
  const [ourEnd, end] = createDuplexPair(options.pair)
  const peer = new FramePeer(end)
  const server = new Session({
    duplex: ourEnd,
    machine: anyTlsServer(makeServerConfig(options), clock.now()),
    clock,
    ...options.session,
  })
  onTestFinished(() => server.destroy())
  peer.send(hello(options))
  await settle()
  return { server, peer, clock, end, ourEnd }
}

/** AUTH and NEGO of a client made by hand. */
function hello(options: PairOptions = {}): Buffer {
  const nego = encodeClientNegoBlock({
    versions: [1],
    client: 'hand/1',
    schemeDigest: PLAIN_SCHEME.digest,
    mux1Window: options.mux1 === false ? undefined : 65_536,
  })
  return Buffer.concat([encodeAuth(hashPassword('secret'), 0), encodeClientNego(nego)])
}

const dataFrame = (stream: number, data: Uint8Array, flags = 0): Buffer =>
  Buffer.concat([encodeDataHead(stream, data.length, flags), data])

describe('Session: timers', () => {
  it('D25: holds AUTH and NEGO for 20 ms, then sends them alone', async () => {
    const { clock, clientEnd } = makeSessionPair()
    await clock.advance(19)
    expect(clientEnd.bytesSent).toBe(0)
    await clock.advance(1)
    expect(clientEnd.written).toHaveLength(1)
  })

  it('D25: a stream that is opened in time ends the hold', async () => {
    const { client, clientEnd } = makeSessionPair()
    client.openStream()
    await settle()
    expect(clientEnd.written).toHaveLength(1)
  })

  it('D26: ends on both sides after 60 s without a frame', async () => {
    const { client, server, clock } = await establish()
    const ends = [watchClose(client), watchClose(server)]
    await clock.advance(59_000)
    expect(ends.map(({ error }) => error)).toEqual([undefined, undefined])
    await clock.advance(1_000)
    expect(ends.map(({ error }) => error?.code)).toContain('ERR_CONNECTION_TIMEOUT')
    expect(ends.every(({ error }) => error !== undefined)).toBe(true)
    expect(clock.armed).toBe(0)
  })

  it('D26: each side keeps its own idle timer, against a peer that has none', async () => {
    const client = await handServer()
    const server = await handClient()
    const ends = [watchClose(client.client), watchClose(server.server)]
    await client.clock.advance(60_000)
    await server.clock.advance(60_000)
    expect(ends.map(({ error }) => error?.code)).toEqual([
      'ERR_CONNECTION_TIMEOUT',
      'ERR_CONNECTION_TIMEOUT',
    ])
    expect((await client.peer.received('close')).code).toBe(CloseCode.Timeout)
    expect((await server.peer.received('close')).code).toBe(CloseCode.Timeout)
  })

  it('D26: any frame starts the idle time afresh', async () => {
    const { client, peer, clock } = await handServer()
    const end = watchClose(client)
    await clock.advance(59_000)
    peer.send(encodePingPong())
    await clock.advance(59_000)
    expect(end.error).toBeUndefined()
    await clock.advance(1_000)
    expect(end.error?.code).toBe('ERR_CONNECTION_TIMEOUT')
  })

  it('D26: sends a PINGPONG every 15 s while streams are open, and none without', async () => {
    const { client, peer, clock } = await handServer()
    await clock.advance(50_000)
    expect(peer.count('pingpong')).toBe(0)
    const stream = client.openStream()
    await settle()
    peer.send(encodeStreamAck(1))
    for (let count = 1; count <= 4; count += 1) {
      await clock.advance(14_999)
      expect(peer.count('pingpong')).toBe(count - 1)
      await clock.advance(1)
      expect(peer.count('pingpong')).toBe(count)
      peer.send(encodePingPong())
      await settle()
    }
    stream.destroy()
    await clock.advance(50_000)
    expect(peer.count('pingpong')).toBe(4)
  })

  it('D26: ends with ERR_PING_TIMEOUT when a keepalive is not answered', async () => {
    const { client, peer, clock } = await handServer()
    const end = watchClose(client)
    const stream = client.openStream()
    const failed = once(stream, 'error')
    await settle()
    peer.send(encodeStreamAck(1))
    await clock.advance(15_000 + 29_999)
    expect(end.error).toBeUndefined()
    await clock.advance(1)
    expect(end.error?.code).toBe('ERR_PING_TIMEOUT')
    expect(await failed).toEqual([end.error])
    expect((await peer.received('close')).code).toBe(CloseCode.Timeout)
    expect(clock.armed).toBe(0)
  })

  it('D26: small writes into a path that is dead are no sign of life', async () => {
    const { client, peer, clock } = await handServer()
    const end = watchClose(client)
    const stream = client.openStream()
    stream.on('error', () => {})
    await settle()
    peer.send(encodeStreamAck(1))
    for (let second = 0; second < 44; second += 1) {
      await clock.advance(1_000)
      stream.write('is anybody there?')
    }
    expect(end.error).toBeUndefined()
    await clock.advance(1_000)
    expect(end.error?.code).toBe('ERR_PING_TIMEOUT')
  })

  it('D26: a stream that is not accepted within 10 s ends alone', async () => {
    const { open, client, clock } = makeSessionPair({ session: { autoAccept: false } })
    const [refused] = await open()
    const [served, theirs] = await open()
    theirs.accept()
    const failed = once(refused, 'error')
    await clock.advance(9_900)
    expect(refused.destroyed).toBe(false)
    await clock.advance(100)
    expect(await failed).toMatchObject([{ code: 'ERR_STREAM_OPEN_TIMEOUT' }])
    expect(served.destroyed).toBe(false)
    expect(client.mayOpen).toBe(true)
    expect(client.streamCount).toBe(1)
  })

  it('D26: a stream without a frame for an hour ends alone, on both sides', async () => {
    const { open, client, server, clock } = makeSessionPair()
    const [idle, theirs] = await open()
    const [busy, other] = await open()
    other.resume()
    const failed = [once(idle, 'error'), once(theirs, 'error')]
    for (let minute = 0; minute < 60; minute += 1) {
      busy.write('tick')
      await clock.advance(60_000)
    }
    await Promise.all(failed)
    // Whichever side was first told the other.
    const codes = [idle, theirs].map(({ errored }) => (errored as AnyTlsError).code).sort()
    expect(codes).toEqual(['ERR_STREAM_RESET', 'ERR_STREAM_TIMEOUT'])
    expect(busy.destroyed).toBe(false)
    expect([client.streamCount, server.streamCount]).toEqual([1, 1])
  })

  it('ends with a clear error when the server never negotiates', async () => {
    const clock = new FakeClock()
    const [ours] = createDuplexPair()
    const client = makeClient(ours, { clock })
    const end = watchClose(client)
    await clock.advance(20 + 9_999)
    expect(end.error).toBeUndefined()
    await clock.advance(1)
    await clock.advance(60_000)
    expect(end.error?.code).toBe('ERR_CONNECTION_TIMEOUT')
    expect(end.error?.message).toMatch(/wrong password/)
    expect(clock.armed).toBe(0)
  })

  it('keeps one timer for an idle session, whatever the traffic', async () => {
    const { open, clock } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.resume()
    for (let count = 0; count < 20; count += 1) {
      ours.write('x')
      await clock.advance(100)
    }
    // One for each side.
    expect(clock.armed).toBe(2)
  })
})

describe('Session: the end', () => {
  it('close() lets open streams run to their end and takes no new ones', async () => {
    for (const mux1 of [true, false]) {
      const { open, client, server, clock } = makeSessionPair({ mux1 })
      const [ours, theirs] = await open()
      await settle()
      const end = watchClose(client)
      const closed = client.close()
      expect(() => client.openStream()).toThrow(AnyTlsError)
      expect(client.mayOpen).toBe(false)
      await clock.advance(12_000)
      expect(end.error).toBeUndefined()
      const data = randomBytes(300 * KIB)
      theirs.end(data)
      ours.end()
      theirs.resume()
      expect((await buffer(ours)).equals(data)).toBe(true)
      await closed
      expect(end.error).toBeNull()
      await settle()
      expect(server.closed).toBe(true)
      expect(clock.armed).toBe(0)
    }
  })

  it('mux1: close() of the server sends GOAWAY, and the client opens nothing more', async () => {
    const { open, client, server } = makeSessionPair()
    const [ours, theirs] = await open()
    await settle()
    const draining = once(client, 'draining')
    const closed = server.close()
    await draining
    expect(() => client.openStream()).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_DRAINING' }),
    )
    ours.end('last words')
    theirs.end()
    expect(String(await buffer(theirs))).toBe('last words')
    ours.resume()
    await closed
  })

  it('mux1: GOAWAY ends streams that the server has not seen, and no others', async () => {
    const { client, peer } = await handServer()
    const [served, unseen] = [client.openStream(), client.openStream()]
    await settle()
    const failed = once(unseen, 'error')
    peer.send(encodeStreamAck(1), encodeGoAway(1, 0))
    expect(await failed).toMatchObject([{ code: 'ERR_SESSION_DRAINING' }])
    expect(served.destroyed).toBe(false)
    expect(client.mayOpen).toBe(false)
  })

  it('close() may be called twice, and after the end', async () => {
    const { client } = await establish()
    await Promise.all([client.close(), client.close()])
    await client.close()
    await using session = (await establish()).client
    expect(session.closed).toBe(false)
  })

  it('close() waits for a slow connection as long as bytes leave', async () => {
    const { server, peer, end, clock } = await handClient({ mux1: false })
    const received: Buffer[] = []
    peer.duplex.removeAllListeners('data')
    end.pause()
    const closing = watchClose(server)
    server.on('stream', (stream) => stream.end(Buffer.alloc(200 * KIB)))
    peer.send(encodeStream(1, StreamFlag.Open))
    await settle()
    void server.close()
    await settle()
    while (Buffer.concat(received).length < 200 * KIB) {
      await clock.advance(4_000)
      expect(closing.error).toBeUndefined()
      const chunk = end.read(Math.min(end.readableLength, 48 * KIB)) as Buffer
      received.push(chunk)
      await settle()
    }
    end.resume()
    end.end()
    await settle()
    expect(closing.error).toBeNull()
    expect(clock.armed).toBe(0)
  })

  it('close() gives up a connection on which nothing leaves any more', async () => {
    const { server, peer, end, clock } = await handClient()
    const closing = watchClose(server)
    end.pause()
    peer.duplex.removeAllListeners('data')
    server.on('stream', (stream) => stream.end(Buffer.alloc(50 * KIB)))
    peer.send(encodeStream(1, StreamFlag.Open))
    await settle()
    void server.close()
    peer.send(encodeStream(1, StreamFlag.Rst))
    await settle()
    expect(closing.error).toBeUndefined()
    await clock.advance(60_000)
    expect(closing.error).not.toBeUndefined()
    expect(clock.armed).toBe(0)
  })

  it('destroy() tells the peer, ends streams and leaves no timer', async () => {
    const { open, client, server, clock } = makeSessionPair()
    const [ours, theirs] = await open()
    await settle()
    const ends = [watchClose(client), watchClose(server)]
    const failed = once(theirs, 'error')
    client.destroy()
    expect(ours.destroyed).toBe(true)
    expect(ours.errored).toBeNull()
    expect(ends[0]?.error).toBeNull()
    await settle()
    expect(ends[1]?.error).toBeNull()
    expect(await failed).toMatchObject([{ code: 'ERR_SESSION_CLOSED' }])
    expect(() => client.openStream()).toThrow(
      expect.objectContaining({ code: 'ERR_SESSION_CLOSED' }),
    )
    expect(clock.armed).toBe(0)
  })

  it('destroy(error) reaches every stream and the close event', async () => {
    const { open, client } = makeSessionPair()
    const [ours] = await open()
    const failure = new Error('enough')
    const end = watchClose(client)
    const failed = once(ours, 'error')
    client.destroy(failure)
    expect(await failed).toEqual([failure])
    expect(end.error).toBe(failure)
  })

  it('a peer that is gone ends the session with ERR_CONNECTION_LOST, and its streams with it', async () => {
    const { open, client, server, serverEnd, clock } = makeSessionPair()
    const [ours, theirs] = await open()
    await settle()
    const end = watchClose(client)
    const pinged = client.ping().catch((error: unknown) => error)
    const failed = [once(ours, 'error'), once(theirs, 'error')]
    serverEnd.destroy(new Error('cable cut'))
    await Promise.all(failed)
    expect(end.error).toMatchObject({
      code: 'ERR_CONNECTION_LOST',
      cause: { message: 'read ECONNRESET' },
    })
    expect(ours.errored).toBe(end.error)
    expect(await pinged).toBe(end.error)
    expect(server.closed).toBe(true)
    expect(clock.armed).toBe(0)
  })

  it('a peer that ends without CLOSE while streams are open is lost, not closed', async () => {
    const { client, end, clock } = await handServer()
    const closing = watchClose(client)
    const stream = client.openStream()
    const failed = once(stream, 'error')
    await settle()
    end.end()
    expect(await failed).toMatchObject([{ code: 'ERR_CONNECTION_LOST' }])
    await settle()
    expect(closing.error?.code).toBe('ERR_CONNECTION_LOST')
    expect(clock.armed).toBe(0)
  })

  it('a CLOSE with a code is the error of the session', async () => {
    const { client, peer } = await handServer()
    const closed = once(client, 'close')
    peer.send(encodeClose(CloseCode.ResourceExhausted))
    expect(await closed).toMatchObject([
      { code: 'ERR_CLOSE_RECEIVED', closeCode: CloseCode.ResourceExhausted },
    ])
  })

  it('destroys a connection that reports an error and stays open', async () => {
    const { client, ourEnd, clock } = await handServer()
    const end = watchClose(client)
    // As a TLSSocket does for a record that it cannot decrypt.
    ourEnd.emit('error', new Error('bad record mac'))
    await settle()
    expect(end.error?.code).toBe('ERR_CONNECTION_LOST')
    expect(ourEnd.destroyed).toBe(true)
    expect(clock.armed).toBe(0)
  })

  it('ends at once over a connection that is destroyed already', async () => {
    const clock = new FakeClock()
    const [ours] = createDuplexPair()
    ours.destroy()
    await settle()
    const client = makeClient(ours, { clock })
    const end = watchClose(client)
    await settle()
    expect(end.error?.code).toBe('ERR_CONNECTION_LOST')
    expect(clock.armed).toBe(0)
    await client.close()
  })

  it('never emits an event after close', async () => {
    const names = [
      'established',
      'stream',
      'scheme',
      'schemeRefused',
      'draining',
      'streamOpened',
      'streamEnded',
      'close',
    ] as const satisfies readonly (keyof SessionEvents)[]
    for (const finish of [
      (pair: SessionPair) => void pair.client.close(),
      (pair: SessionPair) => pair.client.destroy(),
      (pair: SessionPair) => pair.server.destroy(),
      (pair: SessionPair) => pair.clientEnd.destroy(new Error('gone')),
      (pair: SessionPair) => pair.serverEnd.destroy(),
    ]) {
      const pair = makeSessionPair()
      const seen: { client: string[]; server: string[] } = { client: [], server: [] }
      for (const name of names) {
        pair.client.on(name, () => seen.client.push(name))
        pair.server.on(name, () => seen.server.push(name))
      }
      const streams: Stream[] = []
      for (let count = 0; count < 3; count += 1) streams.push(...(await pair.open()))
      for (const stream of streams) stream.on('error', () => {}).resume()
      await settle()
      finish(pair)
      for (const stream of streams) {
        stream.end()
        stream.setTimeout(5)
      }
      await settle()
      await pair.clock.advance(120_000)
      for (const events of Object.values(seen)) {
        expect(events.filter((name) => name === 'close')).toHaveLength(1)
        expect(events.at(-1)).toBe('close')
      }
      for (const stream of streams) stream.destroy()
      expect(pair.clock.armed).toBe(0)
    }
  })

  it('still delivers a stream that ended in order when another one is destroyed in a data listener', async () => {
    const { client, peer } = await handServer()
    const [first, second] = [client.openStream(), client.openStream()]
    await settle()
    peer.send(encodeStreamAck(1), encodeStreamAck(2))
    await settle()
    void client.close()
    first.on('data', () => first.destroy())
    const received = buffer(second)
    await settle()
    // All in one piece: the machine has seen the end of both before the first listener runs.
    peer.send(dataFrame(1, Buffer.from('a')), dataFrame(2, Buffer.from('whole'), StreamFlag.Rst))
    expect(String(await received)).toBe('whole')
  })
})

describe('Session: ping', () => {
  it('D8: resolves with the round trip in milliseconds', async () => {
    const { client, peer, clock } = await handServer()
    const pings = [client.ping(), client.ping()]
    await settle()
    // One under way answers for both.
    expect(peer.count('pingpong')).toBe(1)
    await clock.advance(123)
    peer.send(encodePingPong())
    expect(await Promise.all(pings)).toEqual([123, 123])
  })

  it('may be asked for before the server has answered', async () => {
    const { client, server } = makeSessionPair()
    client.openStream()
    server.on('stream', () => {})
    expect(await client.ping()).toBe(0)
  })

  it('may be asked for while AUTH is still held', async () => {
    const { client, clock } = makeSessionPair()
    const pinged = client.ping()
    await clock.advance(20)
    expect(await pinged).toBe(0)
  })

  it('rejects once the session is over', async () => {
    const { client } = await establish()
    const pinged = client.ping()
    client.destroy()
    await expect(pinged).rejects.toMatchObject({ code: 'ERR_SESSION_CLOSED' })
    await expect(client.ping()).rejects.toMatchObject({ code: 'ERR_SESSION_CLOSED' })
  })

  it('D8: answers each PINGPONG of the peer with exactly one', async () => {
    const { peer } = await handServer()
    for (let count = 0; count < 5; count += 1) peer.send(encodePingPong())
    await settle()
    expect(peer.count('pingpong')).toBe(5)
  })
})

describe('Session: slow streams', () => {
  it('gives streams with data their turns, so that none waits for another to finish', async () => {
    const { client, peer } = await handServer({ mux1: false })
    const streams = [client.openStream(), client.openStream(), client.openStream()]
    for (const stream of streams) stream.write(Buffer.alloc(KIB * KIB))
    await settle()
    const turns: number[] = []
    for (const frame of peer.frames) {
      if (frame.type === 'stream' && frame.flags === StreamFlag.Data) turns.push(frame.stream)
    }
    expect(turns.length).toBe(3 * 17)
    expect(turns).toEqual(turns.map((_, index) => (index % 3) + 1))
  })

  it('opens no more streams than maxStreams, and again when one has ended', () => {
    const { client, server } = makeSessionPair({ maxStreams: 2 })
    server.on('stream', (stream) => stream.resume())
    const [first] = [client.openStream(), client.openStream()]
    expect(client.mayOpen).toBe(false)
    expect(() => client.openStream()).toThrow(expect.objectContaining({ code: 'ERR_STREAM_LIMIT' }))
    first.destroy()
    expect(client.mayOpen).toBe(true)
    client.openStream()
  })

  it('mux1: a slow reader stops its own stream only', async () => {
    const { open, serverEnd } = makeSessionPair()
    const [slow] = await open()
    const [quick, theirs] = await open()
    await settle()
    slow.write(Buffer.alloc(2 * KIB * KIB))
    const data = randomBytes(KIB * KIB)
    quick.write(data)
    const chunks: Buffer[] = []
    theirs.on('data', (chunk: Buffer) => chunks.push(chunk))
    await settle()
    while (Buffer.concat(chunks).length < data.length) await once(theirs, 'data')
    expect(Buffer.concat(chunks).equals(data)).toBe(true)
    expect(serverEnd.isPaused()).toBe(false)
  })

  it('without mux1 an unread stream pauses its connection and is cut after stallTimeout, siblings go on', async () => {
    const { open, server, serverEnd, clock } = makeSessionPair({ mux1: false })
    const [slow, unread] = await open()
    const [quick, theirs] = await open()
    await settle()
    let received = 0
    theirs.on('data', (chunk: Buffer) => (received += chunk.length))
    slow.on('error', () => {})
    slow.write(Buffer.alloc(2 * KIB * KIB))
    await settle()
    quick.write(Buffer.alloc(100 * KIB))
    await settle()
    expect(serverEnd.isPaused()).toBe(true)
    expect(unread.readableLength).toBeLessThanOrEqual(256 * KIB + 128 * KIB)
    expect(received).toBe(0)
    await clock.advance(19_999)
    expect(unread.destroyed).toBe(false)
    await clock.advance(1)
    expect(unread.destroyed).toBe(true)
    expect(unread.errored).toMatchObject({ code: 'ERR_STREAM_STALLED' })
    await settle()
    expect(received).toBe(100 * KIB)
    expect(server.streamCount).toBe(1)
    expect(theirs.destroyed).toBe(false)
  })

  it('without mux1 a stream that is read in time is not cut, and nothing is lost', async () => {
    const { open, serverEnd, clock } = makeSessionPair({ mux1: false })
    const [ours, theirs] = await open()
    const data = randomBytes(2 * KIB * KIB)
    ours.write(data)
    await settle()
    expect(serverEnd.isPaused()).toBe(true)
    await clock.advance(19_000)
    const chunks: Buffer[] = []
    theirs.on('data', (chunk: Buffer) => chunks.push(chunk))
    await settle()
    await clock.advance(60_000)
    expect(Buffer.concat(chunks).equals(data)).toBe(true)
    expect(theirs.destroyed).toBe(false)
  })

  it('without mux1 a stream that stalls a second time is cut stallTimeout after that', async () => {
    const { open, serverEnd, clock } = makeSessionPair({ mux1: false })
    const [ours, theirs] = await open()
    ours.on('error', () => {})
    ours.write(Buffer.alloc(4 * KIB * KIB))
    await settle()
    expect(serverEnd.isPaused()).toBe(true)
    await clock.advance(5_000)
    while (theirs.read() !== null);
    await settle()
    expect(serverEnd.isPaused()).toBe(true)
    await clock.advance(19_999)
    expect(theirs.destroyed).toBe(false)
    await clock.advance(1)
    expect(theirs.destroyed).toBe(true)
  })

  it('without mux1 a stream that is hardly read is cut all the same', async () => {
    const { open, clock } = makeSessionPair({ mux1: false })
    const [ours, theirs] = await open()
    ours.on('error', () => {})
    ours.write(Buffer.alloc(4 * KIB * KIB))
    await settle()
    for (let second = 0; second < 20; second += 1) {
      expect(theirs.destroyed).toBe(false)
      theirs.read(KIB)
      await clock.advance(1_000)
    }
    expect(theirs.errored).toMatchObject({ code: 'ERR_STREAM_STALLED' })
  })

  it('a pause that a slow stream causes is no silence of the peer', async () => {
    const { server, peer, ourEnd, clock } = await handClient({
      mux1: false,
      session: { stallTimeout: 300_000 },
    })
    server.on('stream', () => {})
    const end = watchClose(server)
    peer.send(encodeStream(1, StreamFlag.Open), dataFrame(1, Buffer.alloc(600 * KIB)))
    await settle()
    expect(ourEnd.isPaused()).toBe(true)
    await clock.advance(299_000)
    expect(end.error).toBeUndefined()
    expect(peer.count('alert') + peer.count('close')).toBe(0)
  })

  it('bounds what streams that are over keep unread', async () => {
    for (const mux1 of [true, false]) {
      const { peer, ourEnd, streams, unread, sent } = await pileUp(mux1)
      expect(ourEnd.isPaused()).toBe(true)
      expect(unread()).toBeLessThan(20 * KIB * KIB)
      expect(unread()).toBeGreaterThan(4 * KIB * KIB)
      // Whoever reads gets everything, and reading goes on.
      expect((await buffer(streams[0]!)).length).toBe(60_000)
      for (const stream of streams.slice(1)) stream.resume()
      await settle()
      expect(ourEnd.isPaused()).toBe(false)
      const before = streams.length
      peer.send(encodeStream(sent + 1, StreamFlag.Open))
      await settle()
      expect(streams.length).toBeGreaterThan(before)
      for (const stream of streams) stream.destroy()
    }
  })

  it('cuts the oldest streams that are over and unread after stallTimeout, until reading goes on', async () => {
    const { ourEnd, streams, server, clock } = await pileUp(true)
    const end = watchClose(server)
    await clock.advance(19_999)
    expect(ourEnd.isPaused()).toBe(true)
    expect(streams.filter(({ destroyed }) => destroyed)).toEqual([])
    await clock.advance(1)
    expect(streams[0]?.errored).toMatchObject({ code: 'ERR_STREAM_STALLED' })
    expect(streams.at(-1)?.destroyed).toBe(false)
    expect(streams.filter(({ destroyed }) => destroyed).length).toBeLessThan(20)
    expect(end.error).toBeUndefined()
    for (const stream of streams) stream.destroy()
    await settle()
    expect(ourEnd.isPaused()).toBe(false)
    server.destroy()
    await settle()
    expect(clock.armed).toBe(0)
  })
})

/** A server whose client opens streams, fills and ends them, until the server stops reading. */
async function pileUp(mux1: boolean): Promise<{
  server: Session
  peer: FramePeer
  ourEnd: PairEnd
  clock: FakeClock
  streams: Stream[]
  sent: number
  unread: () => number
}> {
  const { server, peer, ourEnd, clock } = await handClient({ mux1, maxStreams: 10 })
  const streams: Stream[] = []
  server.on('stream', (stream) => streams.push(stream))
  const body = Buffer.alloc(60_000)
  let sent = 0
  while (sent < 1_000 && !ourEnd.isPaused()) {
    sent += 1
    peer.send(encodeStream(sent, StreamFlag.Open), dataFrame(sent, body, StreamFlag.Rst))
    if (sent % 10 === 0) await settle()
  }
  await settle()
  const unread = (): number => streams.reduce((sum, stream) => sum + stream.readableLength, 0)
  return { server, peer, ourEnd, clock, streams, sent, unread }
}

describe('Session: floods', () => {
  it('stops reading a peer that asks and never reads, within a bounded number of answers', async () => {
    for (const shapeDownlink of [false, true]) {
      const { server, peer, end, ourEnd } = await handClient({
        server: {
          downlinkScheme: shapeDownlink ? parseScheme('stop=3\n1=9-9\n2=9-9') : undefined,
        },
      })
      peer.duplex.removeAllListeners('data')
      end.pause()
      // Each in a record of its own, the worst case for what an answer costs to keep.
      let sent = 0
      while (!ourEnd.isPaused() && sent < 200_000) {
        peer.send(encodePingPong())
        sent += 1
        if (sent % 500 === 0) await settle()
      }
      expect(sent).toBeLessThan(50_000)
      server.destroy()
    }
  })

  it('ends a peer that asks and never reads after the idle time, although reading has stopped', async () => {
    const { server, peer, end, ourEnd, clock } = await handClient()
    const closing = watchClose(server)
    peer.duplex.removeAllListeners('data')
    end.pause()
    for (let sent = 0; !ourEnd.isPaused() && sent < 100; sent += 1) {
      peer.send(Buffer.concat(Array.from({ length: 50_000 }, () => encodePingPong())))
      await settle()
    }
    expect(ourEnd.isPaused()).toBe(true)
    await clock.advance(60_000)
    await clock.advance(60_000)
    expect(closing.error?.code).toBe('ERR_CONNECTION_TIMEOUT')
    expect(ourEnd.destroyed).toBe(true)
    expect(clock.armed).toBe(0)
  })

  it('refuses streams above maxStreams and stays bounded under OPEN and RST without end', async () => {
    const { server, peer } = await handClient({ maxStreams: 4 })
    server.on('stream', (stream) => stream.resume())
    const frames: Uint8Array[] = []
    for (let id = 1; id <= 5_000; id += 1) {
      frames.push(encodeStream(id, StreamFlag.Open))
      if (id % 3 === 0) frames.push(encodeStream(id, StreamFlag.Rst))
    }
    peer.send(...frames)
    // D47: 16 openings a turn.
    for (let turn = 0; turn < 400; turn += 1) await settle()
    expect(server.streamCount).toBe(4)
    expect(server.closed).toBe(false)
    expect(peer.count('stream-reset')).toBeGreaterThan(3_000)
  })

  it('answers a violation with ALERT and ends, whatever comes after it', async () => {
    const { server, peer, clock } = await handClient()
    const end = watchClose(server)
    peer.send(Buffer.from([0x3f]), randomBytes(100_000))
    await peer.received('alert')
    await clock.advance(60_000)
    expect(end.error?.code).toBe('ERR_PROTOCOL_VIOLATION')
    expect(clock.armed).toBe(0)
  })
})

describe('Session: handover', () => {
  it('D14: hands over a Duplex that is paused, without listeners or timers of ours', async () => {
    const clock = new FakeClock()
    const [ours, theirs] = createDuplexPair()
    let handover: Handover | undefined
    const server = new Session({
      duplex: ours,
      machine: anyTlsServer(makeServerConfig(), clock.now()),
      clock,
      onHandover: (given) => (handover = given),
    })
    const end = watchClose(server)
    theirs.write('GET / HTTP/1.1\r\n\r\n')
    theirs.write('more')
    await settle()
    expect(handover?.cause).toBe('auth-failed')
    expect(Buffer.concat(handover?.unread ?? []).toString()).toBe('GET / HTTP/1.1\r\n\r\n')
    expect(ours.destroyed).toBe(false)
    expect(ours.isPaused()).toBe(true)
    const [untouched] = createDuplexPair()
    for (const event of ['data', 'end', 'error', 'close', 'drain', 'finish']) {
      expect(ours.listenerCount(event)).toBe(untouched.listenerCount(event))
    }
    expect(clock.armed).toBe(0)
    expect(end.error).toBeNull()
    expect(String(ours.read())).toBe('more')
    expect(ours.writableLength + theirs.readableLength).toBe(0)
  })

  it('D15: without a taker the connection is destroyed without a byte', async () => {
    const [ours, theirs] = createDuplexPair()
    const clock = new FakeClock()
    new Session({
      duplex: ours,
      machine: anyTlsServer(makeServerConfig(), clock.now()),
      clock,
    })
    theirs.write('GET / HTTP/1.1\r\n\r\n')
    await settle()
    expect(ours.destroyed).toBe(true)
    expect(ours.bytesSent).toBe(0)
  })

  it('D16: hands over after the authentication timeout when nothing arrives', async () => {
    const clock = new FakeClock()
    const [ours] = createDuplexPair()
    let handover: Handover | undefined
    new Session({
      duplex: ours,
      machine: anyTlsServer(makeServerConfig(), clock.now()),
      clock,
      onHandover: (given) => (handover = given),
    })
    await clock.advance(9_999)
    expect(handover).toBeUndefined()
    await clock.advance(1)
    expect(handover).toEqual({ cause: 'auth-timeout', unread: [], error: undefined })
    expect(clock.armed).toBe(0)
  })

  it('D17: a violation hands over from the offending byte on, and ends the streams', async () => {
    const clock = new FakeClock()
    const [ours, theirs] = createDuplexPair()
    theirs.resume()
    let handover: Handover | undefined
    const server = new Session({
      duplex: ours,
      machine: anyTlsServer(makeServerConfig({ server: { onViolation: 'handover' } }), clock.now()),
      clock,
      onHandover: (given) => (handover = given),
    })
    const streams: Stream[] = []
    server.on('stream', (stream) => streams.push(stream))
    theirs.write(hello())
    theirs.write(Buffer.concat([encodeStream(1, StreamFlag.Open), dataFrame(1, Buffer.from('ok'))]))
    await settle()
    theirs.write(
      Buffer.concat([dataFrame(1, Buffer.from('still ok')), Buffer.from('GET / HTTP/1.1\r\n')]),
    )
    await settle()
    expect(handover?.cause).toBe('violation')
    expect(Buffer.concat(handover?.unread ?? []).toString()).toBe('GET / HTTP/1.1\r\n')
    expect(streams[0]?.destroyed).toBe(true)
    expect(clock.armed).toBe(0)
  })
})

describe('Session: observers', () => {
  it('tells of sessions and streams on diagnostics channels', async () => {
    const seen: string[] = []
    for (const name of ['session:open', 'session:close', 'stream:open', 'stream:close']) {
      const listen = (message: unknown): void => {
        const { session, stream } = message as { session?: Session; stream?: Stream }
        const side = (stream?.session ?? session) === pair.client ? 'client' : 'server'
        seen.push(`${side} ${name}`)
      }
      subscribe(`anytls:${name}`, listen)
      onTestFinished(() => void unsubscribe(`anytls:${name}`, listen))
    }
    const pair = makeSessionPair()
    const [ours, theirs] = await pair.open()
    await settle()
    theirs.resume()
    ours.destroy()
    await settle()
    await pair.client.close()
    await settle()
    expect([...seen].sort()).toEqual(
      ['client', 'server']
        .flatMap((side) =>
          ['session:open', 'session:close', 'stream:open', 'stream:close'].map(
            (name) => `${side} ${name}`,
          ),
        )
        .sort(),
    )
    expect(seen.at(-1)).toMatch(/session:close/)
  })

  it('tells of no end of a session that was never established', () => {
    const closed: unknown[] = []
    const listen = (message: unknown): void => void closed.push(message)
    subscribe('anytls:session:close', listen)
    onTestFinished(() => void unsubscribe('anytls:session:close', listen))
    const { client, server } = makeSessionPair()
    client.destroy()
    server.destroy()
    expect(closed).toEqual([])
  })

  it('refuses streams when nobody listens for them', async () => {
    const { peer } = await handClient()
    peer.send(encodeStream(1, StreamFlag.Open))
    expect(await peer.received('stream-reset')).toMatchObject({
      stream: 1,
      code: CloseCode.Rejected,
    })
    expect(peer.count('stream-ack')).toBe(0)
  })

  it('counts streams rightly while it tells of them', async () => {
    const { client, server } = makeSessionPair()
    server.on('stream', (stream) => stream.resume())
    const counts: number[] = []
    client.on('streamOpened', () => counts.push(client.streamCount))
    client.on('streamEnded', () => counts.push(client.streamCount))
    const [first] = [client.openStream(), client.openStream()]
    await settle()
    first.destroy()
    await settle()
    expect(counts).toEqual([1, 2, 1])
  })
})
