// The target mux.pro: a Mux.Pro client over one proxy stream, its sub-connections to real sockets on loopback.
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { isMuxPro, serveMuxPro } from '../../../src/proxy/outbound/serve-muxpro.ts'
import type {
  ProxyStreamEvent,
  ServeStreamOptions,
} from '../../../src/proxy/outbound/serve-target.ts'
import { serveProxyStream } from '../../../src/proxy/outbound/serve-stream.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { muxProClient } from '../../../src/session/muxpro.ts'
import type { MuxProClient } from '../../../src/session/muxpro.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import { startEchoServer } from '../../support/server.ts'
import { closedPort, echoServer, listen, readAll, streamPair } from '../support.ts'

const MUXPRO = { host: 'mux.pro', port: 9527 }

function served(options: ServeStreamOptions = {}) {
  const [near, far] = streamPair()
  const events: ProxyStreamEvent[] = []
  const over = serveMuxPro(far, MUXPRO, { ...options, observe: (event) => events.push(event) })
  const client = muxProClient(near)
  onTestFinished(async () => {
    client.destroy()
    await over
  })
  return { client, far, events, over }
}

/** A UDP server that answers each datagram with `answer` of it. */
async function udpServer(answer: (data: Buffer) => readonly Buffer[], port = 0): Promise<number> {
  const socket = createSocket('udp4')
  socket.on('message', (data, source) => {
    for (const datagram of answer(data)) socket.send(datagram, source.port, source.address)
  })
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  onTestFinished(() => void socket.close())
  return socket.address().port
}

function refusalOf(client: MuxProClient, host: string, port: number): Promise<unknown> {
  const stream = client.openStream({ target: { host, port } })
  stream.on('error', () => {})
  return stream.accepted().then(
    () => 'accepted',
    (error: unknown) => error,
  )
}

/** The next `count` datagrams. */
function datagrams(stream: Stream, count: number): Promise<Buffer[]> {
  const list: Buffer[] = []
  return new Promise((resolve) => {
    stream.on('data', (data: Buffer) => {
      list.push(data)
      if (list.length === count) resolve(list)
    })
  })
}

describe('the target mux.pro', () => {
  it('D44: is the domain mux.pro on any port, and nothing else', () => {
    for (const host of ['mux.pro', 'MUX.PRO']) {
      for (const port of [0, 9527, 65_535]) expect(isMuxPro({ host, port })).toBe(true)
    }
    for (const host of ['www.mux.pro', 'mux.pro.', 'mux.prog', '1.2.3.4']) {
      expect(isMuxPro({ host, port: 9527 })).toBe(false)
    }
  })

  it('D44: each sub-connection goes to its own target over TCP', async () => {
    const port = await listen(echoServer())
    const { client, far, events } = served()
    const streams = Array.from({ length: 5 }, () =>
      client.openStream({ target: { host: '127.0.0.1', port } }),
    )
    await Promise.all(streams.map((stream) => stream.accepted()))
    expect(far.isAccepted).toBe(true)
    for (const [index, stream] of streams.entries()) stream.write(`hello ${index}`)
    for (const [index, stream] of streams.entries()) {
      expect(String(await once(stream, 'data'))).toBe(`hello ${index}`)
    }
    expect(events.filter(({ type }) => type === 'open').length).toBe(6)
  })

  it('D38: an origin that ends after its answer ends the sub-connection, all of the answer delivered', async () => {
    const body = Buffer.alloc(300_000, 7)
    const origin = net.createServer((socket) => socket.once('data', () => socket.end(body)))
    const { client } = served()
    const stream = client.openStream({ target: { host: '127.0.0.1', port: await listen(origin) } })
    stream.end('GET / HTTP/1.0\r\n\r\n')
    expect(Buffer.compare(await readAll(stream), body)).toBe(0)
  })

  it('section 6.3.4: what goes wrong is told by code, and harms no other sub-connection', async () => {
    const port = await listen(echoServer())
    const { client, events } = served({
      allowTarget: ({ host }) => host !== 'forbidden.test',
      dial: { lookup: () => new Promise<never>(() => {}), timeout: 30 },
    })
    const good = client.openStream({ target: { host: '127.0.0.1', port } })
    await good.accepted()
    expect(await refusalOf(client, '127.0.0.1', await closedPort())).toMatchObject({
      closeCode: CloseCode.DestinationUnreachable,
    })
    expect(await refusalOf(client, 'forbidden.test', 80)).toMatchObject({
      closeCode: CloseCode.Rejected,
    })
    expect(await refusalOf(client, 'slow.test', 80)).toMatchObject({ closeCode: CloseCode.Timeout })
    good.write('still here')
    expect(String(await once(good, 'data'))).toBe('still here')
    expect(events.filter(({ type }) => type === 'refused').length).toBe(3)
  })

  it('a main connection inside of a main connection is refused', async () => {
    const { client, events } = served()
    expect(await refusalOf(client, 'mux.pro', 1)).toMatchObject({ closeCode: CloseCode.Rejected })
    expect(events.at(-1)).toMatchObject({ type: 'refused', error: { code: 'ERR_TARGET_REJECTED' } })
  })

  it('D41, section 5.1: streams at once are limited', async () => {
    const port = await listen(echoServer())
    const { client } = served({ muxPro: { maxStreams: 1, firstPriority: 10 } })
    const stream = client.openStream({ target: { host: '127.0.0.1', port }, priority: 0 })
    await stream.accepted()
    expect(await refusalOf(client, '127.0.0.1', port)).toMatchObject({
      closeCode: CloseCode.ResourceExhausted,
    })
  })

  it('bytes that are no Mux.Pro end the stream, and nothing is connected to', async () => {
    const [near, far] = streamPair()
    const over = serveMuxPro(far, MUXPRO)
    near.on('error', () => {})
    near.resume()
    near.end('GET / HTTP/1.1\r\n\r\n')
    await over
    expect(far.destroyed || far.writableEnded).toBe(true)
  })

  it('the end of the client ends all that it had open', async () => {
    const closed: Promise<void>[] = []
    const origin = net.createServer((socket) => {
      socket.on('error', () => {})
      closed.push(new Promise((resolve) => socket.once('close', () => resolve())))
    })
    const port = await listen(origin)
    const { client, events, over } = served()
    const stream = client.openStream({ target: { host: '127.0.0.1', port } })
    stream.on('error', () => {})
    await stream.accepted()
    client.destroy()
    await over
    await Promise.all(closed)
    expect(events.filter(({ type }) => type === 'closed').length).toBe(2)
  })
})

describe('over a real connection', () => {
  it('Security Considerations, D44: a main connection inside of an ANYTLS stream is on TLS, and carries bulk both ways', async () => {
    const port = await listen(echoServer())
    const { connect } = await startEchoServer({}, (stream) => void serveProxyStream(stream))
    const session = await connect()
    const main = session.openStream()
    main.write(encodeAddress(MUXPRO))
    const client = muxProClient(main)
    onTestFinished(() => client.destroy())
    const data = Buffer.from(Uint8Array.from({ length: 1_000_000 }, (_, index) => index % 253))
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        const stream = client.openStream({ target: { host: '127.0.0.1', port } })
        stream.write(data)
        let bytes = 0
        for await (const chunk of stream) {
          const piece = chunk as Buffer
          if (Buffer.compare(piece, data.subarray(bytes, bytes + piece.length)) !== 0) break
          bytes += piece.length
          if (bytes === data.length) break
        }
        expect(bytes).toBe(data.length)
      }),
    )
    await client.close()
    expect(session.closed).toBe(false)
  })
})

describe('UDP through mux.pro', () => {
  it('D42: datagrams go to the target and come back, one by one', async () => {
    const port = await udpServer((data) => [data, Buffer.alloc(0), Buffer.from(`${data.length}`)])
    const { client, events } = served()
    const stream = client.openStream({ target: { host: '127.0.0.1', port }, network: 'udp' })
    stream.write('first')
    await stream.accepted()
    stream.write(Buffer.alloc(9_000, 1))
    const answers = await datagrams(stream, 4)
    expect(answers.map(({ length }) => length).sort()).toEqual([1, 4, 5, 9_000])
    stream.destroy()
    await vi.waitFor(() => expect(events.at(-1)?.type).toBe('udp-closed'))
    expect(events.at(-1)).toMatchObject({ counts: { sent: 2, received: 4, dropped: 2 } })
  })

  it('D42: only the target is heard', async () => {
    const stranger = createSocket('udp4')
    onTestFinished(() => void stranger.close())
    const socket = createSocket('udp4')
    onTestFinished(() => void socket.close())
    socket.on('message', (data, { port, address }) => {
      stranger.send('not from the target', port, address, () => socket.send(data, port, address))
    })
    socket.bind(0, '127.0.0.1')
    await once(socket, 'listening')
    const { port } = socket.address()
    const { client } = served()
    const stream = client.openStream({ target: { host: '127.0.0.1', port }, network: 'udp' })
    stream.write('hello')
    expect(String((await datagrams(stream, 1))[0])).toBe('hello')
  })

  it('a name is resolved at the server, and what cannot be reached is refused with its code', async () => {
    const port = await udpServer((data) => [data])
    const { client } = served({
      allowTarget: ({ host }) => host !== 'forbidden.test',
      dial: {
        timeout: 30,
        lookup: (name) =>
          name === 'slow.test'
            ? new Promise<never>(() => {})
            : Promise.resolve([
                { address: '::1', family: 6 },
                { address: '127.0.0.1', family: 4 },
              ]),
      },
    })
    const open = (host: string, to = port): Stream => {
      const stream = client.openStream({ target: { host, port: to }, network: 'udp' })
      stream.on('error', () => {})
      return stream
    }
    const stream = open('name.test')
    stream.write('hello')
    expect(String((await datagrams(stream, 1))[0])).toBe('hello')
    const code = (closeCode: number) => expect.objectContaining({ closeCode }) as unknown
    await expect(open('forbidden.test').accepted()).rejects.toEqual(code(CloseCode.Rejected))
    await expect(open('slow.test').accepted()).rejects.toEqual(code(CloseCode.Timeout))
    await expect(open('127.0.0.1', 0).accepted()).rejects.toEqual(
      code(CloseCode.DestinationUnreachable),
    )
  })

  it('nobody listening is no end: datagrams are lost, until somebody listens', async () => {
    const { client } = served()
    const target = { host: '127.0.0.1', port: await closedPort() }
    const stream = client.openStream({ target, network: 'udp' })
    stream.write('into the void')
    await stream.accepted()
    await udpServer((data) => [data], target.port)
    // The first ones may still fail for the one before them.
    for (const data of ['one', 'two', 'three']) stream.write(data)
    expect(['one', 'two', 'three']).toContain(String((await datagrams(stream, 1))[0]))
  })

  it('silence ends it, with code 2', async () => {
    const port = await udpServer(() => [])
    const { client, events } = served({ udp: { idleTimeout: 50 } })
    const stream = client.openStream({ target: { host: '127.0.0.1', port }, network: 'udp' })
    const failed = once(stream, 'error')
    stream.write('hello')
    expect((await failed)[0]).toMatchObject({ closeCode: CloseCode.Timeout })
    expect(events.at(-1)).toMatchObject({
      type: 'udp-closed',
      error: { code: 'ERR_STREAM_TIMEOUT' },
    })
  })

  it('neither silence nor a slow lookup ends it where there is no limit', async () => {
    const port = await udpServer((data) => [data])
    const lookup = () => setTimeout(20, [{ address: '127.0.0.1', family: 4 }])
    const { client } = served({
      dial: { timeout: Infinity, lookup },
      udp: { idleTimeout: Infinity },
    })
    const stream = client.openStream({ target: { host: 'slow.test', port }, network: 'udp' })
    await stream.accepted()
    await setTimeout(20)
    stream.write('hello')
    expect(String((await datagrams(stream, 1))[0])).toBe('hello')
  })
})
