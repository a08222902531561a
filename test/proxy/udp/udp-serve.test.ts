import { once } from 'node:events'
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { serveProxyStream } from '../../../src/proxy/outbound/serve-stream.ts'
import type {
  ProxyStreamEvent,
  ServeStreamOptions,
} from '../../../src/proxy/outbound/serve-target.ts'
import type { UdpCounts } from '../../../src/proxy/udp/udp-socket.ts'
import { noCounts } from '../../../src/proxy/udp/udp-socket.ts'
import { UdpTargets } from '../../../src/proxy/udp/udp-targets.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import type { Address } from '../../../src/codec/address.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import {
  encodeUdpPacket,
  encodeUdpRequest,
  UdpOverTcpDecoder,
} from '../../../src/codec/udp-over-tcp.ts'
import type { UdpOverTcpEvent } from '../../../src/codec/udp-over-tcp.ts'
import { settle } from '../../support/fake-clock.ts'
import { hasIPv6 } from '../../support/loopback.ts'
import { bindUdp, echoUdp } from '../../support/socks5-udp.ts'
import { closing, streamPair } from '../support.ts'
import { takeUncaught } from '../../support/uncaught.ts'

type Packet = UdpOverTcpEvent & { type: 'packet' }

const V1 = encodeAddress({ host: 'sp.udp-over-tcp.arpa', port: 0 })
const V2 = encodeAddress({ host: 'sp.v2.udp-over-tcp.arpa', port: 0 })
const ANY = { host: '0.0.0.0', port: 0 }
const TO_ANY = concatBytes([V2, encodeUdpRequest({ isConnect: false, target: ANY })])
const connectTo = (target: Address) =>
  concatBytes([V2, encodeUdpRequest({ isConnect: true, target })])

/** A stream that is being served, seen from the client. */
function served(options: ServeStreamOptions = {}, { bare = false } = {}) {
  const [client, server] = streamPair()
  client.on('error', () => {})
  const events: ProxyStreamEvent[] = []
  const over = serveProxyStream(server, { ...options, observe: (event) => events.push(event) })
  const packets: Packet[] = []
  const decoder = new UdpOverTcpDecoder(bare ? 'bare' : 'addressed')
  const read = () =>
    client.on('data', (chunk: Uint8Array) => {
      decoder.receive(chunk, (event) => packets.push(event as Packet))
    })
  return {
    client,
    server,
    events,
    over,
    packets,
    read,
    waitFor: async (count: number) => {
      if (client.listenerCount('data') === 0) read()
      while (packets.length < count) await once(client, 'data')
      return packets.map(({ address, data }) => ({ address, data: Buffer.from(data).toString() }))
    },
    /** Ends the stream and tells what its datagrams became. */
    counts: async (): Promise<UdpCounts> => {
      client.destroy()
      await over
      const closed = events.at(-1)
      if (closed?.type !== 'udp-closed') throw new Error('the association was not reported')
      return closed.counts
    },
  }
}

function use(socket: Socket): { socket: Socket; address: Address } {
  onTestFinished(() => void socket.close())
  const { address, port } = socket.address()
  return { socket, address: { host: address, port } }
}

const bytes = (text: string) => new Uint8Array(Buffer.from(text))

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('UDP over TCP on the server', () => {
  it('UDP over TCP, version 2: the stream is accepted before its request is read', async () => {
    const { client, server, events, over } = served()
    client.write(V2)
    await client.accepted()
    expect(server.resets).toEqual([])
    expect(events).toMatchObject([{ type: 'udp-open' }])
    client.destroy()
    await over
  })

  it('UDP over TCP, version 2, isConnect = 1: datagrams go to the target and come from it alone', async () => {
    const target = use(await bindUdp())
    const stranger = use(await bindUdp())
    const { client, waitFor, counts } = served({}, { bare: true })
    client.write(concatBytes([connectTo(target.address), encodeUdpPacket(undefined, bytes('one'))]))
    const [data, from] = (await once(target.socket, 'message')) as [Buffer, { port: number }]
    expect(data.toString()).toBe('one')
    await new Promise((resolve) => {
      stranger.socket.send('not asked for', from.port, '127.0.0.1', resolve)
    })
    target.socket.send('answer', from.port, '127.0.0.1')
    expect(await waitFor(1)).toEqual([{ address: undefined, data: 'answer' }])
    expect(await counts()).toMatchObject({ sent: 1, received: 1, refused: 1 })
  })

  it('UDP over TCP, version 2, isConnect = 0: answers come from anywhere and say from where', async () => {
    const [one, two] = [use(await bindUdp()), use(await bindUdp())]
    const { client, waitFor, counts } = served()
    client.write(concatBytes([TO_ANY, encodeUdpPacket(one.address, bytes('to one'))]))
    const [, from] = (await once(one.socket, 'message')) as [Buffer, { port: number }]
    two.socket.send('from two', from.port, '127.0.0.1')
    await waitFor(1)
    client.write(encodeUdpPacket(two.address, bytes('to two')))
    const [data, again] = (await once(two.socket, 'message')) as [Buffer, { port: number }]
    expect(data.toString()).toBe('to two')
    expect(again.port).toBe(from.port)
    one.socket.send('from one', from.port, '127.0.0.1')
    expect(await waitFor(2)).toEqual([
      { address: two.address, data: 'from two' },
      { address: one.address, data: 'from one' },
    ])
    expect(await counts()).toEqual({ sent: 2, received: 2, refused: 0, dropped: 0, failed: 0 })
  })

  it('UDP over TCP, version 1: packets with addresses and no request', async () => {
    const { address } = use(await echoUdp())
    const { client, waitFor, counts } = served()
    client.write(concatBytes([V1, encodeUdpPacket(address, bytes('old'))]))
    expect(await waitFor(1)).toEqual([{ address, data: 'old' }])
    expect(await counts()).toMatchObject({ sent: 1, received: 1 })
  })

  it.skipIf(!hasIPv6)(
    'IPv4 and IPv6 targets in one association (only where ::1 is there)',
    async () => {
      const [four, six] = [use(await echoUdp()), use(await echoUdp('::1'))]
      const { client, waitFor, counts } = served()
      client.write(concatBytes([TO_ANY, encodeUdpPacket(four.address, bytes('4'))]))
      await waitFor(1)
      client.write(encodeUdpPacket(six.address, bytes('6')))
      expect(await waitFor(2)).toEqual([
        { address: four.address, data: '4' },
        { address: six.address, data: '6' },
      ])
      await counts()
    },
  )

  it('datagrams without data are carried both ways', async () => {
    const { address } = use(await echoUdp())
    const { client, waitFor, counts } = served()
    client.write(concatBytes([TO_ANY, encodeUdpPacket(address, bytes(''))]))
    expect(await waitFor(1)).toEqual([{ address, data: '' }])
    await counts()
  })

  it('a name is resolved on the server, once for many datagrams, and an IPv4 address comes first', async () => {
    const { address } = use(await echoUdp())
    const asked: string[] = []
    const lookup = async (name: string) => {
      asked.push(name)
      await Promise.resolve()
      return [
        { address: '::1', family: 6 },
        { address: '127.0.0.1', family: 4 },
      ]
    }
    const target = { host: 'echo.test', port: address.port }
    const { client, waitFor, counts } = served({ dial: { lookup } })
    const packets = ['a', 'b', 'c'].map((text) => encodeUdpPacket(target, bytes(text)))
    client.write(concatBytes([TO_ANY, ...packets]))
    expect(await waitFor(3)).toEqual(['a', 'b', 'c'].map((data) => ({ address, data })))
    client.write(encodeUdpPacket(target, bytes('d')))
    await waitFor(4)
    expect(asked).toEqual(['echo.test'])
    await counts()
  })

  it('a name that is not found drops its datagrams and harms nothing else', async () => {
    const { address } = use(await echoUdp())
    const lookup = () => Promise.reject(Object.assign(new Error('gone'), { code: 'ENOTFOUND' }))
    const { client, events, waitFor, counts } = served({ dial: { lookup } })
    const nowhere = { host: 'nowhere.test', port: 53 }
    const lost = encodeUdpPacket(nowhere, bytes('lost'))
    client.write(concatBytes([TO_ANY, lost, lost, encodeUdpPacket(address, bytes('kept'))]))
    expect(await waitFor(1)).toEqual([{ address, data: 'kept' }])
    client.write(concatBytes([lost, encodeUdpPacket(address, bytes('kept'))]))
    await waitFor(2)
    expect(await counts()).toMatchObject({ sent: 2, failed: 3 })
    const refusals = events.filter(({ type }) => type === 'udp-refused')
    expect(refusals).toMatchObject([{ target: nowhere, error: { code: 'ERR_DIAL_FAILED' } }])
  })

  it('a target that policy forbids gets nothing, is reported once and asked about once', async () => {
    const uncaught = takeUncaught()
    const forbidden = use(await bindUdp())
    forbidden.socket.on('message', () => expect.unreachable('the datagram was sent'))
    const { address } = use(await echoUdp())
    const verdicts = [
      (port: number) => port !== forbidden.address.port,
      (port: number) => Promise.resolve(port !== forbidden.address.port),
      (port: number) => {
        if (port === forbidden.address.port) throw new Error('policy is broken')
        return true
      },
    ]
    for (const verdict of verdicts) {
      const asked: Address[] = []
      const allowTarget = (target: Address) => {
        asked.push(target)
        return verdict(target.port)
      }
      const { client, events, waitFor, counts } = served({ allowTarget })
      const lost = encodeUdpPacket(forbidden.address, bytes('no'))
      client.write(concatBytes([TO_ANY, lost, lost, encodeUdpPacket(address, bytes('yes'))]))
      await waitFor(1)
      client.write(concatBytes([lost, encodeUdpPacket(address, bytes('yes'))]))
      await waitFor(2)
      expect(await counts()).toMatchObject({ sent: 2, received: 2, refused: 3 })
      expect(asked).toEqual([forbidden.address, address])
      expect(events.filter(({ type }) => type === 'udp-refused')).toMatchObject([
        { target: forbidden.address, error: { code: 'ERR_TARGET_REJECTED' } },
      ])
    }
    // The one that throws denies, and is heard of once.
    expect(uncaught).toMatchObject([{ message: 'policy is broken' }])
  })

  it('port 0, a datagram that is too large and a port where nobody listens end nothing', async () => {
    const closed = await bindUdp()
    const nobody = closed.address().port
    closed.close()
    const { address } = use(await echoUdp())
    const { client, waitFor, counts } = served()
    const bad = [
      encodeUdpPacket({ ...address, port: 0 }, bytes('zero')),
      // More than IPv4 takes: EMSGSIZE.
      encodeUdpPacket(address, new Uint8Array(65_520)),
      encodeUdpPacket({ ...address, port: nobody }, bytes('nobody')),
      encodeUdpPacket({ host: '255.255.255.255', port: 9 }, bytes('broadcast')),
    ]
    client.write(concatBytes([TO_ANY, ...bad, encodeUdpPacket(address, bytes('still there'))]))
    expect(await waitFor(1)).toEqual([{ address, data: 'still there' }])
    expect(await counts()).toMatchObject({ failed: 3, received: 1 })
  })

  it('a port where nobody listens does not end an association with isConnect = 1', async () => {
    const first = await bindUdp()
    const address = { host: '127.0.0.1', port: first.address().port }
    first.close()
    const { client, waitFor, counts } = served({}, { bare: true })
    const hello = encodeUdpPacket(undefined, bytes('hello'))
    client.write(concatBytes([connectTo(address), hello]))
    const [one] = await Promise.all([echoAt(address.port), client.accepted()])
    use(one)
    client.write(hello)
    expect((await waitFor(1))[0]).toEqual({ address: undefined, data: 'hello' })
    await counts()
  })

  it('a datagram that waits for a name keeps its own bytes alone, not the chunk they came in', async () => {
    const transmitted: Uint8Array[] = []
    const targets = new UdpTargets({
      allowTarget: undefined,
      allowAddress: () => true,
      lookup: () => Promise.resolve([{ address: '192.0.2.1', family: 4 }]),
      counts: noCounts(),
      transmit: (_endpoint, data) => transmitted.push(data),
      onRefused: () => {},
    })
    targets.send({ host: 'one.test', port: 53 }, Buffer.alloc(60_000, 'x').subarray(0, 1))
    await settle()
    expect(transmitted.map(({ length, buffer }) => [length, buffer.byteLength])).toEqual([[1, 1]])
  })

  it('what is malformed ends the stream with code 3', async () => {
    const cases = [
      concatBytes([V2, Uint8Array.of(2)]),
      concatBytes([TO_ANY, Uint8Array.of(9)]),
      concatBytes([V1, Uint8Array.of(3)]),
      concatBytes([connectTo({ host: '127.0.0.1', port: 9 }), Uint8Array.of(0xff, 0xff)]),
    ]
    for (const sent of cases) {
      const { client, server, events, over } = served()
      client.write(sent)
      await over
      expect(server.resets).toMatchObject([{ code: CloseCode.ProtocolError }])
      expect(events.at(-1)).toMatchObject({
        type: 'udp-closed',
        error: { code: 'ERR_DATAGRAM_INVALID' },
      })
    }
  })

  it('N62: a datagram whose name is not valid is dropped alone and counted', async () => {
    const target = use(await bindUdp())
    const { client, server, counts } = served()
    const nameless = Buffer.from('02000035000161', 'hex')
    client.write(concatBytes([TO_ANY, nameless, encodeUdpPacket(target.address, bytes('good'))]))
    const [data] = (await once(target.socket, 'message')) as [Buffer]
    expect(data.toString()).toBe('good')
    expect(server.resets).toEqual([])
    expect(await counts()).toMatchObject({ sent: 1, refused: 1 })
  })

  it('an association without datagrams is closed with code 2', async () => {
    for (const sent of [V2, TO_ANY, V1]) {
      const { client, server, events, over } = served({ udp: { idleTimeout: 30 } })
      client.write(sent)
      await over
      expect(server.resets).toMatchObject([{ code: CloseCode.Timeout }])
      expect(events.at(-1)).toMatchObject({ error: { code: 'ERR_STREAM_TIMEOUT' } })
    }
  })

  it('an association without datagrams stays open where there is no limit', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const { client, server } = served({ udp: { idleTimeout: Infinity } })
    client.write(TO_ANY)
    await client.accepted()
    vi.advanceTimersByTime(3_600_000)
    expect(server.destroyed).toBe(false)
    client.destroy()
  })

  it('datagrams in either direction keep an association open', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const target = use(await bindUdp())
    const { client, server, over, waitFor } = served({ udp: { idleTimeout: 100 } })
    client.write(TO_ANY)
    await client.accepted()
    vi.advanceTimersByTime(60)
    client.write(encodeUdpPacket(target.address, bytes('out')))
    const [, { port }] = (await once(target.socket, 'message')) as [Buffer, { port: number }]
    vi.advanceTimersByTime(60)
    target.socket.send('in', port, '127.0.0.1')
    await waitFor(1)
    vi.advanceTimersByTime(99)
    expect(server.destroyed).toBe(false)
    vi.advanceTimersByTime(1)
    await over
    expect(server.resets).toMatchObject([{ code: CloseCode.Timeout }])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('the address of a name holds while it is used and for 60 s more, a failure for 5 s', async () => {
    const { address } = use(await echoUdp())
    let now = performance.now()
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    let asked = 0
    const lookup = () => {
      asked += 1
      if (asked === 1) return Promise.reject(new Error('not now'))
      return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    }
    const { client, events, waitFor, counts } = served({ dial: { lookup } })
    const hello = encodeUdpPacket({ host: 'echo.test', port: address.port }, bytes('hello'))
    client.write(concatBytes([TO_ANY, hello]))
    while (!events.some(({ type }) => type === 'udp-refused')) await settle()
    const steps = [
      { wait: 5_000, lookups: 2 },
      { wait: 59_999, lookups: 2 },
      { wait: 59_999, lookups: 2 },
      { wait: 60_000, lookups: 3 },
    ]
    for (const [index, { wait, lookups }] of steps.entries()) {
      now += wait
      client.write(hello)
      await waitFor(index + 1)
      expect(asked).toBe(lookups)
    }
    await counts()
  })

  it.each([0, 1])('answers keep the address of a name, with isConnect = %i', async (isConnect) => {
    const target = use(await bindUdp())
    let now = performance.now()
    vi.spyOn(performance, 'now').mockImplementation(() => now)
    let asked = 0
    const lookup = () => {
      asked += 1
      return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    }
    const named = { host: 'media.test', port: target.address.port }
    const bare = isConnect === 1
    const { client, waitFor, counts } = served({ dial: { lookup } }, { bare })
    const play = encodeUdpPacket(bare ? undefined : named, bytes('play'))
    client.write(concatBytes([bare ? connectTo(named) : TO_ANY, play]))
    const [, { port }] = (await once(target.socket, 'message')) as [Buffer, { port: number }]
    for (const count of [1, 2, 3]) {
      now += 59_999
      target.socket.send('media', port, '127.0.0.1')
      await waitFor(count)
    }
    now += 59_999
    client.write(play)
    await once(target.socket, 'message')
    expect(asked).toBe(1)
    now += 60_000
    // One that comes late arrives, and changes nothing.
    target.socket.send('media', port, '127.0.0.1')
    await waitFor(4)
    client.write(play)
    await once(target.socket, 'message')
    expect(asked).toBe(2)
    expect(await counts()).toMatchObject({ sent: 3, received: 4, refused: 0 })
  })

  it('a client that ends or resets its stream frees the sockets', async () => {
    const { address } = use(await echoUdp())
    for (const leave of ['end', 'destroy'] as const) {
      const { client, over, waitFor } = served()
      client.write(concatBytes([TO_ANY, encodeUdpPacket(address, bytes('x'))]))
      await waitFor(1)
      client[leave]()
      await Promise.all([over, closing(client)])
    }
    // That of the echo alone is left; closing takes a turn of the event loop.
    while (udpSockets() > 1) await new Promise((resolve) => setImmediate(resolve))
    expect(udpSockets()).toBe(1)
  })

  it('answers that a slow stream cannot take are dropped, not queued', async () => {
    const target = use(await bindUdp())
    const { client, server, packets, read, counts } = served()
    client.write(concatBytes([TO_ANY, encodeUdpPacket(target.address, bytes('start'))]))
    const [, { port }] = (await once(target.socket, 'message')) as [Buffer, { port: number }]
    const answer = Buffer.alloc(20_000)
    for (let sent = 0; sent < 40; sent += 1) {
      target.socket.send(answer, port, '127.0.0.1')
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(server.writableLength).toBeLessThanOrEqual(131_072 + 9 * 10)
    read()
    while (server.writableLength > 0) await once(client, 'data')
    const { received, dropped } = await counts()
    expect(dropped).toBeGreaterThan(0)
    expect(packets).toHaveLength(received)
    expect(received * answer.length).toBeLessThanOrEqual(131_072 + 65_536 + 20_000)
  })

  it('what waits for a name is bounded in bytes, and lookups in number', async () => {
    const lookups: string[] = []
    const lookup = (name: string) => {
      lookups.push(name)
      return new Promise<never>(() => {})
    }
    const { client, counts, over } = served({ dial: { lookup } })
    const packet = (host: string, length: number) =>
      encodeUdpPacket({ host, port: 53 }, new Uint8Array(length))
    client.write(TO_ANY)
    for (let sent = 0; sent < 10; sent += 1) client.write(packet('one.test', 60_000))
    for (let sent = 0; sent < 200; sent += 1) client.write(packet('empty.test', 0))
    for (let name = 0; name < 40; name += 1) client.write(packet(`name${name}.test`, 1))
    while (lookups.length < 16) await new Promise((resolve) => setImmediate(resolve))
    const { dropped } = await counts()
    await over
    expect(lookups).toHaveLength(16)
    // Two of 60,000 bytes, 128 in all.
    expect(dropped).toBe(10 + 200 + 40 - 128)
  })

  it('what has waited for a name makes room for others, as its lookup does', async () => {
    const target = use(await bindUdp())
    const lookup = () => Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    const { client, counts } = served({ dial: { lookup } })
    client.write(TO_ANY)
    for (let name = 0; name < 40; name += 1) {
      const arrival = once(target.socket, 'message')
      const to = { host: `name${name}.test`, port: target.address.port }
      client.write(encodeUdpPacket(to, new Uint8Array(40_000)))
      await arrival
    }
    expect(await counts()).toMatchObject({ sent: 40, dropped: 0 })
  })

  it('an answer of the resolver that comes after the end is not acted upon', async () => {
    let fail!: (error: Error) => void
    const lookup = () => new Promise<never>((_, reject) => (fail = reject))
    const { client, events, counts } = served({ dial: { lookup } })
    client.write(
      concatBytes([TO_ANY, encodeUdpPacket({ host: 'late.test', port: 53 }, bytes('x'))]),
    )
    await settle()
    await counts()
    fail(new Error('too late'))
    await settle()
    expect(events.map(({ type }) => type)).toEqual(['udp-open', 'udp-closed'])
  })

  it.skipIf(!hasIPv6)(
    'isConnect = 1 to IPv6 in an unusual form takes the answers (only where ::1 is there)',
    async () => {
      const { port } = use(await echoUdp('::1')).address
      const { client, waitFor, counts } = served({}, { bare: true })
      // As a name, for the address is written in one form only.
      const name = Buffer.from('0:0:0:0:0:0:0:1')
      const request = Buffer.concat([Uint8Array.of(1, 3, name.length), name, portBytes(port)])
      client.write(concatBytes([V2, request, encodeUdpPacket(undefined, bytes('six'))]))
      expect(await waitFor(1)).toEqual([{ address: undefined, data: 'six' }])
      await counts()
    },
  )

  it('targets beyond the 256th push out the oldest', async () => {
    const asked = new Map<number, number>()
    const allowTarget = ({ port }: Address) => {
      asked.set(port, (asked.get(port) ?? 0) + 1)
      return false
    }
    const { client, events, counts } = served({ allowTarget })
    const to = (port: number) => encodeUdpPacket({ host: '127.0.0.1', port }, bytes('x'))
    const ports = Array.from({ length: 257 }, (_, index) => index + 1)
    client.write(concatBytes([TO_ANY, ...ports.map(to), to(257), to(1)]))
    while ((asked.get(1) ?? 0) < 2) await new Promise((resolve) => setImmediate(resolve))
    expect(asked.get(257)).toBe(1)
    expect(await counts()).toMatchObject({ refused: 259 })
    expect(events.filter(({ type }) => type === 'udp-refused')).toHaveLength(16)
  })
})

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >>> 8, port & 0xff)
}

/** An echo on a port that is known already. */
async function echoAt(port: number): Promise<Socket> {
  const socket = createSocket('udp4')
  socket.bind(port, '127.0.0.1')
  await once(socket, 'listening')
  socket.on('message', (data, from) => socket.send(data, from.port, from.address))
  return socket
}

/** UDP sockets that this process has open. */
function udpSockets(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length
}
