// Streams as applications use them: real Duplexes over a pair of sessions in memory.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { buffer, text } from 'node:stream/consumers'
import { finished, pipeline } from 'node:stream/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  encodeDataHead,
  encodeServerNego,
  encodeStream,
  encodeStreamAck,
  encodeStreamFin,
  encodeStreamReset,
} from '../../src/wires/anytls/frame-encoder.ts'
import { StreamFlag } from '../../src/wires/anytls/frame.ts'
import { encodeServerNegoBlock } from '../../src/wires/anytls/nego.ts'
import { AnyTlsError, PeerCloseError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { Session } from '../../src/session/session.ts'
import { STREAM_HIGH_WATER_MARK } from '../../src/session/stream.ts'
import type { Stream } from '../../src/session/stream.ts'
import { createDuplexPair, piecesOf } from '../support/duplex-pair.ts'
import { settle } from '../support/fake-clock.ts'
import { FramePeer, makeClient, makeSessionPair } from '../support/session-pair.ts'
import type { PairOptions } from '../support/session-pair.ts'

const KIB = 1024
const WINDOW = 256 * KIB

const sha = (data: Uint8Array): string => createHash('sha256').update(data).digest('hex')

/** Writes until the stream says no, in chunks of 8 KiB; the bytes it took. */
async function fill(stream: Duplex, limit = 16 * KIB * KIB): Promise<number> {
  const chunk = Buffer.alloc(8 * KIB)
  let taken = 0
  while (taken < limit) {
    taken += chunk.length
    if (stream.write(chunk)) continue
    await settle()
    if (stream.writableNeedDrain) break
  }
  return taken
}

/** A server made by hand, after negotiation. */
async function serveByHand(
  options: PairOptions = {},
): Promise<{ client: Session; stream: Stream; peer: FramePeer }> {
  const [clientEnd, serverEnd] = createDuplexPair()
  const peer = new FramePeer(serverEnd)
  const client = makeClient(clientEnd, options)
  onTestFinished(() => client.destroy())
  const stream = client.openStream()
  await peer.received('stream')
  const mux1Window = options.mux1 === false ? undefined : WINDOW
  peer.send(encodeServerNego(encodeServerNegoBlock({ version: 1, server: 'hand/1', mux1Window })))
  await settle()
  return { client, stream, peer }
}

/** Resolves with the error of a stream, which may have come already. */
async function errorOf(stream: Duplex): Promise<unknown> {
  return stream.errored ?? ((await once(stream, 'error')) as [unknown])[0]
}

describe.each([
  ['with mux1', true],
  ['without mux1', false],
])('a stream %s', (_name, mux1) => {
  it('carries bytes both ways unchanged, however the connection cuts them', async () => {
    for (const size of [1, 7, 1000]) {
      // But for the first record, which decides alone (D14).
      let first = true
      const cut = piecesOf(size)
      const segment = (chunk: Buffer): Buffer[] => (first ? [chunk] : cut(chunk))
      const { open } = makeSessionPair({ mux1, pair: { segment } })
      const [ours, theirs] = await open()
      first = false
      const [up, down] = [randomBytes(20 * KIB), randomBytes(20 * KIB)]
      ours.write(up)
      theirs.write(down)
      const received = await Promise.all([
        readExactly(theirs, up.length),
        readExactly(ours, down.length),
      ])
      expect(received.map(sha)).toEqual([sha(up), sha(down)])
    }
  })

  it('stops the writer within a bounded number of bytes when the server does not read', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const taken = await fill(ours)
    // mux1: the window; without: what pauses the connection, and what waits for it. Then the stream's own.
    expect(taken).toBeLessThanOrEqual((mux1 ? WINDOW : 3 * WINDOW) + 2 * STREAM_HIGH_WATER_MARK)
    expect(theirs.readableLength).toBeLessThanOrEqual(WINDOW + 64 * KIB)
    const drained = once(ours, 'drain')
    expect((await readExactly(theirs, taken)).length).toBe(taken)
    await drained
  })

  it('stops the writer within a bounded number of bytes when the client does not read', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const taken = await fill(theirs)
    expect(taken).toBeLessThanOrEqual((mux1 ? WINDOW : 3 * WINDOW) + 2 * STREAM_HIGH_WATER_MARK)
    theirs.end()
    expect((await buffer(ours)).length).toBe(taken)
  })

  it('loses nothing when end() comes before all data is written', async () => {
    const { open } = makeSessionPair({ mux1, pair: { highWaterMark: 1000 } })
    const [ours, theirs] = await open()
    const data = randomBytes(2 * KIB * KIB)
    theirs.write(data.subarray(0, KIB * KIB))
    theirs.end(data.subarray(KIB * KIB))
    await settle()
    expect(sha(await buffer(ours))).toBe(sha(data))
  })

  it('loses nothing when the session is told to close before all data is written', async () => {
    const { open, client, server } = makeSessionPair({ mux1, pair: { highWaterMark: 1000 } })
    const [ours, theirs] = await open()
    const data = randomBytes(KIB * KIB)
    theirs.end(data)
    const closed = [server.close(), client.close()]
    ours.end()
    expect(sha(await buffer(ours))).toBe(sha(data))
    theirs.resume()
    await Promise.all(closed)
  })

  it('can be read with for await and written with pipeline', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const data = randomBytes(600 * KIB)
    const written = pipeline(Readable.from(chunksOf(data, 9999)), theirs, { end: true })
    const chunks: Buffer[] = []
    for await (const chunk of ours as AsyncIterable<Buffer>) chunks.push(chunk)
    expect(sha(Buffer.concat(chunks))).toBe(sha(data))
    ours.end()
    theirs.resume()
    await written
  })

  it('ends both directions with destroy(), and the peer is told', async () => {
    const { open, client, server } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.resume()
    const closed = once(theirs, 'close')
    ours.destroy()
    await closed
    expect(ours.errored).toBeNull()
    expect(theirs.errored).toBeNull()
    expect([client.streamCount, server.streamCount]).toEqual([0, 0])
  })

  it('ends with its error under destroy(error), and the session lives on', async () => {
    const { open, client } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.resume()
    const failure = new Error('the disk is full')
    const heard = errorOf(ours)
    const closed = once(theirs, 'close').catch((error: unknown) => error)
    ours.destroy(failure)
    expect(await heard).toBe(failure)
    await closed
    expect(client.mayOpen).toBe(true)
    const [again, other] = await open()
    again.write('still there')
    expect(String(await readExactly(other, 11))).toBe('still there')
  })

  it('leaves a for await loop early by destroying the stream', async () => {
    const { open, server } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.resume()
    theirs.write('first')
    const closed = new Promise((resolve) => theirs.once('close', resolve))
    for await (const chunk of ours) {
      expect(String(chunk)).toBe('first')
      break
    }
    expect(ours.destroyed).toBe(true)
    await closed
    expect(server.streamCount).toBe(0)
  })

  it('is destroyed with an AbortError when the signal of openStream is aborted', async () => {
    const { client, server } = makeSessionPair({ mux1 })
    server.on('stream', (stream) => stream.resume())
    const abort = new AbortController()
    const stream = client.openStream({ signal: abort.signal })
    const heard = errorOf(stream)
    await settle()
    abort.abort()
    expect(await heard).toMatchObject({ name: 'AbortError' })
    await settle()
    expect(server.streamCount).toBe(0)
    expect(() => client.openStream({ signal: abort.signal })).toThrow(/abort/i)
    expect(client.streamCount).toBe(0)
  })

  it('lets zero-length writes pass without a frame, in order', async () => {
    const { open, clientEnd } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    await settle()
    const before = clientEnd.bytesSent
    await new Promise((resolve) => ours.write('', resolve))
    await new Promise((resolve) => ours.write(Buffer.alloc(0), resolve))
    expect(clientEnd.bytesSent).toBe(before)
    ours.cork()
    for (const part of ['a', '', 'b', '', 'c']) ours.write(part)
    ours.uncork()
    expect(String(await readExactly(theirs, 3))).toBe('abc')
  })

  it('gives strings after setEncoding, and still hands credit back', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    ours.setEncoding('utf8')
    const words = 'grüße €uro 日本語 '.repeat(40_000)
    theirs.end(words)
    expect(await text(ours)).toBe(words)
  })

  it('gives hex after setEncoding in the middle of the data', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const data = randomBytes(900 * KIB)
    theirs.end(data)
    await settle()
    ours.setEncoding('hex')
    expect(sha(Buffer.from(await text(ours), 'hex'))).toBe(sha(data))
  })

  it('takes bytes back with unshift without losing count of its credit', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const data = randomBytes(900 * KIB)
    theirs.end(data)
    await settle()
    const first = ours.read(10 * KIB) as Buffer
    ours.unshift(first)
    expect(sha(await buffer(ours))).toBe(sha(data))
  })

  it('emits timeout after silence in both directions, again after activity, and never ends by it', async () => {
    const { open, clock } = makeSessionPair({ mux1, timeouts: { keepalive: 1e9, connection: 1e9 } })
    const [ours, theirs] = await open()
    theirs.resume()
    ours.resume()
    let timeouts = 0
    ours.setTimeout(1000)
    ours.on('timeout', () => (timeouts += 1))
    await clock.advance(999)
    theirs.write('activity')
    await settle()
    await clock.advance(999)
    expect(timeouts).toBe(0)
    ours.write('activity')
    await settle()
    await clock.advance(999)
    expect(timeouts).toBe(0)
    await clock.advance(1)
    expect(timeouts).toBe(1)
    expect(ours.destroyed).toBe(false)
    theirs.write('activity')
    await settle()
    await clock.advance(1000)
    expect(timeouts).toBe(2)
    ours.setTimeout(0)
    theirs.write('activity')
    await settle()
    await clock.advance(5000)
    expect(timeouts).toBe(2)
  })

  it('leaves no timer of setTimeout behind when it is destroyed', async () => {
    const { open, clock } = makeSessionPair({ mux1 })
    const [ours] = await open()
    await settle()
    const before = clock.armed
    ours.setTimeout(1000)
    expect(clock.armed).toBe(before + 1)
    ours.destroy()
    expect(clock.waits).not.toContain(1000)
  })

  it('resolves accepted() once the server has accepted, not before', async () => {
    const { open } = makeSessionPair({ mux1, session: { autoAccept: false } })
    const [ours, theirs] = await open()
    let accepted = false
    const wait = ours.accepted().then(() => (accepted = true))
    let event = 0
    ours.on('accept', () => (event += 1))
    await settle()
    expect(accepted).toBe(false)
    theirs.accept()
    theirs.accept()
    await wait
    await ours.accepted()
    expect(event).toBe(1)
  })

  it('is accepted by the first write of the server', async () => {
    const { open } = makeSessionPair({ mux1, session: { autoAccept: false } })
    const [ours, theirs] = await open()
    theirs.write('hello')
    await ours.accepted()
    expect(String(await readExactly(ours, 5))).toBe('hello')
  })

  it('D7: rejects accepted() when the server refuses the stream', async () => {
    const { open } = makeSessionPair({ mux1, session: { autoAccept: false } })
    const [ours, theirs] = await open()
    await settle()
    ours.on('error', () => {})
    theirs.reset(CloseCode.DestinationUnreachable, 'no route')
    const refusal: unknown = await ours.accepted().catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(PeerCloseError)
    expect(refusal).toMatchObject({
      code: 'ERR_STREAM_RESET',
      // RST has no way to say why.
      closeCode: mux1 ? CloseCode.DestinationUnreachable : CloseCode.Graceful,
      reason: mux1 ? 'no route' : '',
    })
    await expect(ours.accepted()).rejects.toBe(refusal)
  })

  it('rejects accepted() with ERR_STREAM_RESET when the stream is destroyed here', async () => {
    const { open } = makeSessionPair({ mux1, session: { autoAccept: false } })
    const [ours] = await open()
    const wait = ours.accepted()
    ours.destroy()
    await expect(wait).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
    await expect(ours.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
  })

  it('calls back every write, also when the stream is destroyed with writes waiting', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours] = await open()
    await fill(ours)
    const results: (Error | null | undefined)[] = []
    for (let count = 0; count < 3; count += 1) ours.write('late', (error) => results.push(error))
    ours.destroy()
    await settle()
    expect(results).toHaveLength(3)
    for (const error of results) expect(error).toBeInstanceOf(Error)
  })

  it('calls back the write that is on its way when the stream is destroyed', async () => {
    const { stream } = await serveByHand({ mux1 })
    const result = new Promise((resolve) =>
      stream.write(Buffer.alloc(8 * WINDOW), (error) => resolve(error)),
    )
    await settle()
    stream.destroy()
    // Without mux1 it may have left as a whole before.
    if (mux1) expect(await result).toBeInstanceOf(AnyTlsError)
    else await result
  })

  it('lets a write after the end of the peer succeed or fail, but never hang', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.destroy()
    await settle()
    ours.on('error', () => {})
    const answered = new Promise((resolve) => ours.write('too late', resolve))
    await answered
    ours.resume()
    await finished(ours).catch(() => {})
    expect(ours.destroyed).toBe(true)
    await new Promise((resolve) => ours.write('even later', resolve))
  })

  it('stops an endless writer when the peer has ended the stream', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.resume()
    const endless = new Endless()
    const result = pipeline(endless, ours).catch((error: unknown) => error)
    await settle()
    theirs.destroy()
    await result
    expect(endless.destroyed).toBe(true)
    expect(ours.destroyed).toBe(true)
  })

  it('stops an endless writer whose reader comes late, and the reader still gets everything', async () => {
    const { open } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    const data = randomBytes(100 * KIB)
    ours.write(data)
    await readNothing(theirs)
    ours.destroy()
    await settle()
    const endless = new Endless()
    const result = pipeline(endless, theirs).catch((error: unknown) => error)
    for (let round = 0; round < 10; round += 1) await settle()
    const produced = endless.produced
    await settle()
    expect(endless.produced).toBe(produced)
    expect(sha(await readExactly(theirs, data.length))).toBe(sha(data))
    await result
    expect(endless.destroyed).toBe(true)
  })

  it('gives an endless writer up whose reader never comes, after a time', async () => {
    const { open, clock } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    ours.write('never read')
    await readNothing(theirs)
    ours.destroy()
    await settle()
    const endless = new Endless()
    const result = pipeline(endless, theirs).catch((error: unknown) => error)
    for (let round = 0; round < 10; round += 1) await settle()
    expect(endless.destroyed).toBe(false)
    await clock.advance(30_000)
    await result
    expect(endless.destroyed).toBe(true)
    expect(theirs.destroyed).toBe(true)
  })

  it('does not end the process with an error on a server stream that nobody listens to', async () => {
    const { open, server } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    ours.on('error', () => {})
    expect(theirs.listenerCount('error')).toBe(1)
    theirs.destroy(new Error('nobody hears this'))
    await settle()
    expect(theirs.destroyed).toBe(true)
    expect(server.closed).toBe(false)
  })

  it('does nothing on accept(), reset() and setTimeout() after its end', async () => {
    const { open, clock } = makeSessionPair({ mux1 })
    const [ours, theirs] = await open()
    theirs.destroy()
    ours.destroy()
    await settle()
    const armed = clock.armed
    theirs.accept()
    theirs.reset(CloseCode.Rejected, 'again')
    ours.reset(CloseCode.Rejected, 'again')
    ours.setTimeout(10)
    expect(clock.armed).toBe(armed)
  })
})

describe('D6: RST', () => {
  it('D6: data that came before RST is read before the end of the stream', async () => {
    for (const mux1 of [true, false]) {
      const { stream, peer } = await serveByHand({ mux1 })
      const data = randomBytes(50 * KIB)
      peer.send(encodeStreamAck(1), encodeDataHead(1, data.length, StreamFlag.Rst), data)
      await settle()
      expect(stream.destroyed).toBe(false)
      expect(sha(await buffer(stream))).toBe(sha(data))
      await finished(stream)
      expect(stream.errored).toBeNull()
    }
  })

  it('D6: no reply is sent to RST', async () => {
    const { stream, peer } = await serveByHand({ mux1: false })
    peer.send(encodeStreamAck(1), encodeStream(1, StreamFlag.Rst))
    stream.resume()
    await finished(stream)
    await settle()
    expect(peer.frames.filter(({ type }) => type === 'stream-rst')).toEqual([])
  })

  it('closes a stream whose reader has seen the end already', async () => {
    const { stream, peer } = await serveByHand()
    peer.send(encodeStreamFin(1))
    stream.resume()
    await once(stream, 'end')
    expect(stream.writable).toBe(true)
    const closed = once(stream, 'close')
    peer.send(encodeStream(1, StreamFlag.Rst))
    await closed
    expect(stream.errored).toBeNull()
  })
})

describe('a stream with mux1: half-close and reasons', () => {
  it('mux1: end() leaves the other direction open, client first', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    ours.end('question')
    expect(await readToEnd(theirs)).toBe('question')
    expect(theirs.writable).toBe(true)
    theirs.write('long ')
    await settle()
    theirs.end('answer')
    expect(await text(ours)).toBe('long answer')
    await Promise.all([finished(ours), finished(theirs)])
  })

  it('mux1: end() leaves the other direction open, server first', async () => {
    const { open, client, server } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.end('greeting')
    expect(await readToEnd(ours)).toBe('greeting')
    ours.write('and now ')
    await settle()
    ours.end('me')
    expect(await text(theirs)).toBe('and now me')
    await Promise.all([finished(ours), finished(theirs)])
    expect([client.streamCount, server.streamCount]).toEqual([0, 0])
  })

  it('mux1: an end before the NEGO of the server has arrived is not lost', async () => {
    const { client, server } = makeSessionPair()
    const received = new Promise<string>((resolve) => {
      server.on('stream', (stream) => resolve(text(stream)))
    })
    client.openStream().end('at once')
    expect(await received).toBe('at once')
  })

  it('mux1: reset() tells code and reason, and both ends see an end with error', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    const heard = errorOf(theirs)
    ours.reset(CloseCode.ResourceExhausted, 'no more\r\nroom')
    expect(await heard).toMatchObject({
      code: 'ERR_STREAM_RESET',
      closeCode: CloseCode.ResourceExhausted,
    })
    expect(ours.destroyed).toBe(true)
    expect(ours.errored).toBeNull()
  })

  it('mux1: destroy(error) in the middle of the data is no orderly end for the peer', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.write('the first half')
    await settle()
    theirs.destroy(new Error('the source broke'))
    await expect(text(ours)).rejects.toMatchObject({
      code: 'ERR_STREAM_RESET',
      closeCode: CloseCode.RemoteDisconnect,
    })
  })

  it('mux1: destroy(error) after the end of our data is an orderly end of it', async () => {
    const { open } = makeSessionPair()
    const [ours, theirs] = await open()
    theirs.end('everything')
    await finished(theirs, { readable: false })
    theirs.destroy(new Error('no more questions'))
    expect(await text(ours)).toBe('everything')
    expect(ours.errored).toBeNull()
  })

  it('mux1: STREAM_RESET with a reason that is no TEXT block still ends the stream alone', async () => {
    const { client, stream, peer } = await serveByHand()
    const heard = errorOf(stream)
    peer.send(encodeStreamReset(1, 99, Buffer.from([0xff, 0x00, 0x1b])))
    expect(await heard).toMatchObject({ code: 'ERR_STREAM_RESET', closeCode: 99 })
    expect(client.mayOpen).toBe(true)
  })

  it('mux1: data beyond the window ends that stream with a reset of code 3', async () => {
    const { client, stream, peer } = await serveByHand()
    const heard = errorOf(stream)
    peer.send(encodeDataHead(1, WINDOW + 1), Buffer.alloc(WINDOW + 1))
    expect(await heard).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    expect((await peer.received('stream-reset')).code).toBe(CloseCode.ProtocolError)
    expect(client.mayOpen).toBe(true)
  })

  it('mux1: a reader that takes its time gives credit back once half a window is due', async () => {
    const { stream, peer } = await serveByHand()
    peer.send(encodeDataHead(1, WINDOW), Buffer.alloc(WINDOW))
    await settle()
    expect(peer.count('stream-credit')).toBe(0)
    let read = 0
    while (peer.count('stream-credit') === 0) {
      read += (stream.read(1024) as Buffer).length
      await settle()
    }
    expect(read).toBe(WINDOW / 2)
    expect((await peer.received('stream-credit')).increment).toBe(WINDOW / 2)
  })
})

describe('a stream without mux1: the end', () => {
  it('D6: the end of the client waits for the answer of the server', async () => {
    const { open } = makeSessionPair({ mux1: false })
    const [ours, theirs] = await open()
    ours.end('question')
    expect(String(await readExactly(theirs, 8))).toBe('question')
    await settle()
    expect(theirs.readableEnded).toBe(false)
    theirs.end('answer')
    expect(await text(ours)).toBe('answer')
    await finished(ours)
  })

  it('a client that has ended and hears nothing more ends the stream after the linger time', async () => {
    const { open, clock, server } = makeSessionPair({ mux1: false, timeouts: { linger: 5000 } })
    const [ours, theirs] = await open()
    theirs.resume()
    ours.resume()
    ours.end('question')
    await settle()
    await clock.advance(4999)
    expect(ours.destroyed).toBe(false)
    await clock.advance(1)
    expect(ours.destroyed).toBe(true)
    expect(ours.errored).toBeNull()
    expect(server.streamCount).toBe(0)
  })
})

/** Reads that many bytes and leaves the rest. */
async function readExactly(stream: Readable, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let missing = length
  while (missing > 0) {
    const size = Math.min(missing, stream.readableLength)
    const chunk = size > 0 ? (stream.read(size) as Buffer | null) : null
    if (chunk === null) {
      stream.read(0)
      await once(stream, 'readable')
      continue
    }
    chunks.push(chunk)
    missing -= chunk.length
  }
  return Buffer.concat(chunks)
}

/** The text up to the end; unlike `for await` it does not destroy the stream then. */
async function readToEnd(stream: Readable): Promise<string> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks).toString()
}

/** Waits until data has arrived, and leaves it. */
async function readNothing(stream: Readable): Promise<void> {
  while (stream.readableLength === 0) await settle()
}

function* chunksOf(data: Buffer, size: number): Generator<Buffer> {
  for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size)
}

/** A source without end that keeps count. */
class Endless extends Readable {
  produced = 0

  override _read(): void {
    this.produced += 16 * KIB
    setImmediate(() => this.push(Buffer.alloc(16 * KIB)))
  }
}
