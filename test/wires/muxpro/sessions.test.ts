// Mux.Pro sessions over a Duplex: what an application sees of them.
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import type { Session } from '../../../src/session/session.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { muxProClient, muxProServer } from '../../../src/session/muxpro.ts'
import type {
  MuxProClient,
  MuxProClientOptions,
  MuxProServerOptions,
} from '../../../src/session/muxpro.ts'
import { createDuplexPair, piecesOf } from '../../support/duplex-pair.ts'
import type { PairEnd } from '../../support/duplex-pair.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { thrownBy } from '../../codec/vectors.ts'
import { describeFrames, write } from './frames.ts'

const TARGET = { host: 'example.com', port: 80 }

interface Pair {
  readonly client: MuxProClient
  readonly server: Session
  readonly clock: FakeClock
  /** The next stream that the server is told of. */
  readonly next: () => Promise<Stream>
  readonly serverEnd: PairEnd
}

interface PairSetup {
  readonly client?: MuxProClientOptions
  readonly server?: MuxProServerOptions
  readonly pieces?: number
}

function makePair({ client: clientOptions, server: serverOptions, pieces }: PairSetup = {}): Pair {
  const clock = new FakeClock()
  const [clientEnd, serverEnd] = createDuplexPair(
    pieces === undefined ? {} : { segment: piecesOf(pieces) },
  )
  const server = muxProServer(serverEnd, { clock, ...serverOptions })
  const client = muxProClient(clientEnd, { clock, ...clientOptions })
  const arrived: Stream[] = []
  server.on('stream', (stream) => arrived.push(stream))
  onTestFinished(() => {
    client.destroy()
    server.destroy()
  })
  const next = async (): Promise<Stream> => {
    while (arrived.length === 0) await once(server, 'stream')
    return arrived.shift()!
  }
  return { client, server, clock, next, serverEnd }
}

/** The next `length` bytes as text. */
async function readText(stream: Stream, length: number): Promise<string> {
  while (stream.readableLength < length) await once(stream, 'readable')
  return String(stream.read(length))
}

/** Resolves when the stream is over, with an error or without. */
function closed(stream: Stream): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve))
}

/** What comes next, in pieces, until there are `count` of them or `bytes` bytes. */
function take(stream: Stream, { count = Infinity, bytes = Infinity }): Promise<Buffer[]> {
  return new Promise((resolve) => {
    const pieces: Buffer[] = []
    let length = 0
    stream.on('data', (piece: Buffer) => {
      pieces.push(piece)
      length += piece.length
      if (pieces.length === count || length === bytes) resolve(pieces)
    })
  })
}

async function readAll(stream: Stream): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

describe('a stream', () => {
  it('section 6.3.2: tells the server what it is for, and is accepted', async () => {
    const { client, next } = makePair()
    const stream = client.openStream({ target: TARGET, priority: 3 })
    stream.write('hello')
    const served = await next()
    expect(served.request).toEqual({ network: 'tcp', target: TARGET, priority: 3 })
    expect([served.priority, served.id]).toEqual([3, 1])
    await stream.accepted()
    expect(String(await once(served, 'data'))).toBe('hello')
  })

  it('D38: end() does not cut the answer off, and the end of the server ends both', async () => {
    const { client, next } = makePair({ pieces: 5 })
    const stream = client.openStream({ target: TARGET })
    stream.end('question')
    const served = await next()
    expect(await readText(served, 8)).toBe('question')
    served.resume()
    served.end('the whole answer')
    expect(String(await readAll(stream))).toBe('the whole answer')
    await settle()
    expect([stream.destroyed, served.destroyed]).toEqual([true, true])
    expect(client.session.streamCount).toBe(0)
  })

  it('carries bulk both ways, beyond any window, intact', async () => {
    const { client, next } = makePair()
    const stream = client.openStream({ target: TARGET })
    const data = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 251))
    stream.end(data)
    const served = await next()
    served.end(data)
    const there = readAll(served)
    expect(Buffer.compare(await readAll(stream), data)).toBe(0)
    // The end of the server has ended both directions: what had come by then is a beginning.
    const arrived = await there
    expect(Buffer.compare(arrived, data.subarray(0, arrived.length))).toBe(0)
  })

  it('D39: one that is not read stops its sender after 65,536 bytes, and none of its seven siblings', async () => {
    const { client, next } = makePair()
    const streams = Array.from({ length: 8 }, () => client.openStream({ target: TARGET }))
    for (const stream of streams) stream.write(Buffer.alloc(500_000))
    const slow = await next()
    const siblings = await Promise.all(streams.slice(1).map(() => next()))
    await Promise.all(siblings.map((served) => take(served, { bytes: 500_000 })))
    expect(slow.readableLength).toBe(65_536)
    expect(streams[0]?.writableNeedDrain).toBe(true)
    slow.resume()
    await once(streams[0]!, 'drain')
  })

  it('section 6.3.4: a reset arrives with its code, at either end', async () => {
    const { client, next } = makePair({ server: { autoAccept: false } })
    const refused = client.openStream({ target: TARGET })
    refused.on('error', () => {})
    ;(await next()).reset(CloseCode.Rejected)
    await expect(refused.accepted()).rejects.toMatchObject({ closeCode: CloseCode.Rejected })
    const cut = client.openStream({ target: TARGET })
    const served = await next()
    const over = closed(served)
    cut.reset(CloseCode.Timeout)
    await over
    expect(served.errored).toMatchObject({ closeCode: CloseCode.Timeout })
  })

  it('D41: the server may put a client in its place', async () => {
    const { client, next } = makePair({ server: { firstPriority: 64 } })
    client.openStream({ target: TARGET, priority: 0 })
    const served = await next()
    expect([served.priority, served.request?.priority]).toEqual([64, 64])
  })

  it('section 6.3.2: frames of a lower Priority P SHOULD go first (D41)', async () => {
    const { client, next } = makePair()
    for (const priority of [200, 1, 100]) {
      client.openStream({ target: TARGET, priority }).write(Buffer.alloc(60_000))
    }
    const served = [await next(), await next(), await next()]
    expect(served.map(({ id, priority }) => [id, priority])).toEqual([
      [2, 1],
      [3, 100],
      [1, 200],
    ])
  })

  it('D42: over UDP each write is one datagram, and each data event', async () => {
    const { client, next } = makePair({ pieces: 7 })
    const stream = client.openStream({ target: TARGET, network: 'udp' })
    stream.write('one')
    stream.write('two')
    stream.write(Buffer.alloc(60_000, 3))
    const served = await next()
    expect(served.request?.network).toBe('udp')
    served.on('data', (data: Buffer) => served.write(data.subarray(0, 100)))
    const [there, back] = await Promise.all([
      take(served, { count: 3 }),
      take(stream, { count: 3 }),
    ])
    expect(there.map(({ length }) => length)).toEqual([3, 3, 60_000])
    expect(back.map(({ length }) => length)).toEqual([3, 3, 100])
  })

  it('D42: the largest datagrams follow one another, however the credit stood', async () => {
    const { client, next } = makePair()
    const stream = client.openStream({ target: TARGET, network: 'udp' })
    for (const size of [1, 65_507, 40_000, 65_507, 2, 65_507]) stream.write(Buffer.alloc(size))
    const sizes = (await take(await next(), { count: 6 })).map(({ length }) => length)
    expect(sizes).toEqual([1, 65_507, 40_000, 65_507, 2, 65_507])
  })

  it('is destroyed by its signal', async () => {
    const { client, next } = makePair()
    const abort = new AbortController()
    const stream = client.openStream({ target: TARGET, signal: abort.signal })
    stream.on('error', () => {})
    const over = closed(await next())
    abort.abort()
    await over
    expect(stream.destroyed).toBe(true)
  })
})

describe('a main connection', () => {
  it('close() resolves when the streams have ended, and the server is over too', async () => {
    const { client, server, next } = makePair()
    const stream = client.openStream({ target: TARGET })
    stream.write('x')
    const served = await next()
    served.resume()
    const serverOver = once(server, 'close')
    const clientOver = client.close()
    served.end()
    await readAll(stream)
    await clientOver
    expect(await serverOver).toEqual([undefined])
  })

  it('closes when the server does not speak Mux.Pro, and says so to its streams', async () => {
    const [clientEnd, serverEnd] = createDuplexPair()
    const client = muxProClient(clientEnd, { clock: new FakeClock() })
    const stream = client.openStream({ target: TARGET })
    const failed = once(stream, 'error')
    serverEnd.resume()
    serverEnd.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    expect((await failed)[0]).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    expect(client.session.closed || !client.session.mayOpen).toBe(true)
  })

  it('D40: a violation ends the connection and its streams with an error, and nothing hangs', async () => {
    const { server, serverEnd, client, next } = makePair()
    const stream = client.openStream({ target: TARGET })
    const failed = once(stream, 'error')
    await next()
    const over = once(server, 'close')
    serverEnd.push(Buffer.from(write.frame(0, 4, 1)))
    expect((await over)[0]).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    expect((await failed)[0]).toMatchObject({ closeCode: CloseCode.ProtocolError })
  })

  it('D43: has a stream whose id comes again in the same bytes act for itself alone', async () => {
    const [near, far] = createDuplexPair()
    const server = muxProServer(far, { clock: new FakeClock(), autoAccept: false })
    onTestFinished(() => server.destroy())
    const streams: Stream[] = []
    const deeds = [
      (stream: Stream) => stream.write('for nobody'),
      (stream: Stream) => stream.reset(CloseCode.Rejected),
      (stream: Stream) => stream.accept(),
    ]
    server.on('stream', (stream) => {
      streams.push(stream)
      deeds[streams.length - 1]?.(stream)
    })
    const [opening, end] = [write.new(1), write.end(1)]
    near.write(
      Buffer.concat([write.negotiate(0), opening, end, opening, end, opening, end, opening]),
    )
    await settle()
    streams[3]?.write('here')
    await settle()
    expect(server.streamCount).toBe(1)
    near.write(write.keep(1, 'there'))
    await settle()
    expect(String(streams[3]?.read())).toBe('there')
    const said: Buffer[] = []
    for (let bytes; (bytes = near.read() as Buffer | null) !== null;) said.push(bytes)
    expect(describeFrames(Buffer.concat(said))).toEqual(['NEGOTIATE 0', 'KEEP 1', 'KEEP 1 +here'])
  })

  it('sections 5.1, 5.2: stays up by KeepAlive however long nothing happens', async () => {
    const { client, server, clock } = makePair()
    await clock.advance(600_000)
    expect([client.session.closed, server.closed]).toEqual([false, false])
  })

  it('says which options cannot be', () => {
    const [end] = createDuplexPair()
    const wrong = [
      () => muxProClient(end, { maxStreams: 0 }),
      () => muxProClient(end, { maxStreams: 65_536 }),
      () => muxProClient(end, { timeouts: { linger: 0 } }),
      () => muxProClient(end, { timeouts: { typo: 1 } as object }),
      () => muxProClient(end, { countPlace: 'nowhere' as 'metadata' }),
      () => muxProServer(end, { firstPriority: 256 }),
    ]
    for (const make of wrong) {
      expect(thrownBy(make, String(make))).toMatchObject({ code: 'ERR_OPTION_INVALID' })
    }
  })

  it('says what is wrong with a stream that cannot be asked for, and opens none', () => {
    const { client } = makePair()
    const where = { target: TARGET }
    const wrong: readonly (readonly [unknown, RegExp])[] = [
      [undefined, /^a Mux\.Pro stream needs a target/],
      [null, /^a Mux\.Pro stream needs a target/],
      [{}, /^a Mux\.Pro stream needs a target/],
      [{ target: {} }, /^target must have a host and a port$/],
      [{ target: 'example.com:80' }, /^target must have a host and a port$/],
      [{ target: null }, /^target must have a host and a port$/],
      [{ ...where, network: 'icmp' }, /^network must be tcp or udp$/],
      [{ ...where, network: 1 }, /^network must be tcp or udp$/],
      [{ ...where, priority: 256 }, /priority/],
    ]
    for (const [request, message] of wrong) {
      const open = () => client.openStream(request as typeof where)
      const error = thrownBy(open, JSON.stringify(request)) as Error
      expect(error).toMatchObject({ code: 'ERR_OPTION_INVALID' })
      expect(error.message).toMatch(message)
    }
    expect(client.session.streamCount).toBe(0)
  })
})
