// net-mux sessions over every kind of Duplex, as an application sees them.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as tcpConnect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { GoAwayCode, netMuxClient, netMuxServer } from '../../../src/netmux.ts'
import type { NetMuxOptions, Session, Stream } from '../../../src/netmux.ts'
import { makeTestCertificate } from '../../support/certificate.ts'
import { createDuplexPair, piecesOf } from '../../support/duplex-pair.ts'
import { FakeClock, settle } from '../../support/fake-clock.ts'
import { makeSessionPair } from '../../support/session-pair.ts'

const WINDOW = 262_144

interface Pair {
  readonly client: Session
  readonly server: Session
}

type Ends = readonly [client: Duplex, server: Duplex]

const CARRIERS: Readonly<Record<string, () => Promise<Ends>>> = {
  'a TCP connection': async () => await socketPair(createTcpServer(), (port) => tcpConnect(port)),
  'a TLS connection': async () => {
    const certificate = await makeTestCertificate()
    return await socketPair(
      createTlsServer(certificate),
      (port) => tlsConnect({ port, ca: certificate.cert, servername: 'localhost' }),
      'secureConnection',
    )
  },
  'a stream of an ANYTLS session': async () => await makeSessionPair().open(),
  'a stream of a net-mux session': async () => {
    const { client, server } = makePair(createDuplexPair())
    const inner = client.openStream()
    const [served] = (await once(server, 'stream')) as [Stream]
    return [inner, served]
  },
  'pieces of 3 bytes': () => Promise.resolve(createDuplexPair({ segment: piecesOf(3) })),
}

describe('net-mux sessions', () => {
  for (const [name, make] of Object.entries(CARRIERS)) {
    it(`streams of both ends carry their bytes and their ends over ${name}`, async () => {
      const { client, server } = makePair(await make())
      for (const session of [client, server]) session.on('stream', (s) => void s.pipe(s))
      const bytes = name.startsWith('pieces') ? 20_000 : 700_000
      await Promise.all([
        ...Array.from({ length: 3 }, () => expectEcho(client.openStream(), bytes)),
        ...Array.from({ length: 3 }, () => expectEcho(server.openStream(), bytes)),
      ])
      expect(await client.ping()).toBeGreaterThanOrEqual(0)
      expect(await server.ping()).toBeGreaterThanOrEqual(0)
      const ended = once(server, 'close')
      await client.close()
      expect(await ended).toEqual([undefined])
    })
  }

  it('net-mux: half-close: an answer may follow the end of the question', async () => {
    const { client, server } = makePair(createDuplexPair())
    server.on('stream', (stream) => {
      let question = ''
      stream.on('data', (chunk: Buffer) => (question += chunk.toString()))
      stream.on('end', () => stream.end(`you said ${question}`))
    })
    const stream = client.openStream()
    stream.end('hello')
    expect(await text(stream)).toBe('you said hello')
  })

  it('net-mux: RST drops what was not read and ends both directions with an error', async () => {
    const { client, server } = makePair(createDuplexPair())
    const stream = client.openStream()
    const [served] = (await once(server, 'stream')) as [Stream]
    served.write('never read')
    await settle()
    served.reset(6, 'enough')
    const [error] = (await once(stream, 'error')) as [unknown]
    expect(error).toMatchObject({ code: 'ERR_STREAM_RESET' })
    expect(stream.readable).toBe(false)
    expect([client.streamCount, server.streamCount]).toEqual([0, 0])
  })

  it('net-mux: with autoAccept off a stream is accepted by its first write', async () => {
    const { client, server } = makePair(createDuplexPair(), { autoAccept: false })
    const stream = client.openStream()
    const [served] = (await once(server, 'stream')) as [Stream]
    let accepted = false
    void stream.accepted().then(() => (accepted = true))
    await settle()
    expect(accepted).toBe(false)
    served.write('now')
    await stream.accepted()
  })

  it('net-mux: close resolves when all that was written has been read at the other end', async () => {
    const { client, server } = makePair(await socketPair(createTcpServer(), tcpConnect))
    const lengths: Promise<number>[] = []
    server.on('stream', (stream) => lengths.push(lengthOf(stream)))
    const ended = once(server, 'close')
    for (let opened = 0; opened < 4; opened += 1) client.openStream().end(Buffer.alloc(2_000_000))
    await once(server, 'stream')
    await client.close()
    await ended
    expect(await Promise.all(lengths)).toEqual([2_000_000, 2_000_000, 2_000_000, 2_000_000])
  })

  it('net-mux: one stream that is not read holds one window of bytes and slows no sibling', async () => {
    const { client, server } = makePair(createDuplexPair())
    const serving: Stream[] = []
    server.on('stream', (stream) => {
      serving.push(stream)
      if (serving.length > 1) stream.pipe(stream)
    })
    const unread = client.openStream()
    unread.write(Buffer.alloc(4 * WINDOW))
    await Promise.all(Array.from({ length: 7 }, () => expectEcho(client.openStream(), 1_000_000)))
    expect(serving[0]?.readableLength).toBe(WINDOW)
    expect(unread.writableLength).toBeGreaterThan(0)
    const rest = lengthOf(serving[0]!)
    unread.end()
    expect(await rest).toBe(4 * WINDOW)
  })

  it('net-mux: many streams that are not read hold at most streams times window', async () => {
    const options = { initialStreamWindow: 10_000, maxStreams: 20 }
    const { client, server } = makePair(createDuplexPair(), options)
    const serving: Stream[] = []
    server.on('stream', (stream) => serving.push(stream))
    for (let opened = 0; opened < 20; opened += 1) client.openStream().write(Buffer.alloc(50_000))
    expect(() => client.openStream()).toThrow('as many streams as it may have')
    await settle()
    await client.ping()
    expect(serving.map(({ readableLength }) => readableLength)).toEqual(Array(20).fill(10_000))
  })

  it('net-mux: windows that differ: the larger end overruns, and both ends learn why it is over', async () => {
    const [clientEnd, serverEnd] = createDuplexPair()
    const client = owned(netMuxClient(clientEnd, { initialStreamWindow: 2 * WINDOW }))
    const server = owned(netMuxServer(serverEnd).on('stream', () => {}))
    const ends = Promise.all([once(client, 'close'), once(server, 'close')])
    client
      .openStream()
      .on('error', () => {})
      .write(Buffer.alloc(2 * WINDOW))
    const [[clientError], [serverError]] = (await ends) as [[unknown], [unknown]]
    expect(clientError).toMatchObject({ closeCode: GoAwayCode.FlowControlError })
    expect(serverError).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
  })

  it('net-mux: a peer that falls silent ends the session and its streams after both times', async () => {
    const clock = new FakeClock()
    const [clientEnd] = createDuplexPair()
    const options = { clock, keepaliveInterval: 1_000, keepaliveTimeout: 500 }
    const session = owned(netMuxClient(clientEnd, { ...options, openTimeout: 10_000 }))
    const stream = session.openStream()
    const ends = Promise.all([once(stream, 'error'), once(session, 'close')])
    await clock.advance(1_499)
    expect(session.streamCount).toBe(1)
    // The session is over then, and waits for the other end to close the connection.
    await clock.advance(1)
    expect(session.streamCount).toBe(0)
    await clock.advance(15_000)
    const [[streamError], [error]] = (await ends) as [[unknown], [unknown]]
    expect(streamError).toMatchObject({ code: 'ERR_PING_TIMEOUT' })
    expect(error).toMatchObject({ code: 'ERR_PING_TIMEOUT' })
  })

  it('net-mux: a stream that nobody serves is reset, and the session goes on', async () => {
    const { client } = makePair(createDuplexPair())
    const [error] = (await once(client.openStream(), 'error')) as [unknown]
    expect(error).toMatchObject({ code: 'ERR_STREAM_RESET' })
    expect(await client.ping()).toBeGreaterThanOrEqual(0)
  })

  it('net-mux: another protocol at the other end is one clear error', async () => {
    const [clientEnd, peer] = createDuplexPair()
    const session = owned(netMuxClient(clientEnd))
    peer.resume().on('end', () => peer.end())
    peer.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    const [error] = (await once(session, 'close')) as [unknown]
    expect(error).toMatchObject({ code: 'ERR_VERSION_UNSUPPORTED' })
  })

  it('a bad option is refused before the Duplex is touched', () => {
    const [clientEnd] = createDuplexPair()
    expect(() => netMuxClient(clientEnd, { maxFrameSize: 0 })).toThrow('maxFrameSize must be')
    expect(() => netMuxServer(clientEnd, { openTimeout: -1 })).toThrow('openTimeout must be')
    expect(clientEnd.listenerCount('data')).toBe(0)
  })
})

function makePair([clientEnd, serverEnd]: Ends, options: NetMuxOptions = {}): Pair {
  return {
    client: owned(netMuxClient(clientEnd, options)),
    server: owned(netMuxServer(serverEnd, options)),
  }
}

function owned(session: Session): Session {
  onTestFinished(() => session.destroy())
  return session
}

async function socketPair(
  server: Server,
  connect: (port: number) => Duplex,
  event = 'connection',
): Promise<Ends> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port)
  const [served] = (await once(server, event)) as [Duplex]
  server.close()
  return [client, served]
}

async function expectEcho(stream: Stream, bytes: number): Promise<void> {
  const data = randomBytes(bytes)
  stream.end(data)
  const echoed = Buffer.concat((await stream.toArray()) as Buffer[])
  expect(echoed.length).toBe(bytes)
  expect(echoed.equals(data)).toBe(true)
}

async function text(stream: Stream): Promise<string> {
  return Buffer.concat((await stream.toArray()) as Buffer[]).toString()
}

/** Reads to the end, then ends the other direction; an iterator would destroy it. */
async function lengthOf(stream: Stream): Promise<number> {
  let length = 0
  stream.on('data', (chunk: Buffer) => (length += chunk.length))
  await once(stream, 'end')
  stream.end()
  return length
}
