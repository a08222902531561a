import { once } from 'node:events'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { createTunnelOpener } from '../../../src/proxy/client.ts'
import { noCounts } from '../../../src/proxy/udp/udp-socket.ts'
import { UDP_TARGET, UdpTunnel } from '../../../src/proxy/udp/udp-tunnel.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import type { Address } from '../../../src/codec/address.ts'
import { encodeUdpPacket, UdpOverTcpDecoder } from '../../../src/codec/udp-over-tcp.ts'
import type { UdpOverTcpEvent } from '../../../src/codec/udp-over-tcp.ts'
import { settle } from '../../support/fake-clock.ts'
import type { PairedStream } from '../support.ts'
import { closing, streamPair } from '../support.ts'

const ONE = { host: 'one.test', port: 53 }
const TWO = { host: '192.0.2.2', port: 53 }

function decode(form: 'request' | 'addressed', chunks: readonly Uint8Array[]) {
  const events: UdpOverTcpEvent[] = []
  const decoder = new UdpOverTcpDecoder(form)
  for (const chunk of chunks) decoder.receive(chunk, (event) => events.push(event))
  return events.map((event) =>
    event.type === 'packet'
      ? [event.address, Buffer.from(event.data).toString()]
      : event.type === 'request' && event.request,
  )
}

/** A tunnel whose streams are opened by the test, one after the other. */
function tunnelTo() {
  const counts = noCounts()
  const openings: {
    readonly first: Address
    readonly early: Uint8Array
    readonly open: () => PairedStream
    readonly fail: () => void
  }[] = []
  const delivered: [Address, string][] = []
  const tunnel = new UdpTunnel({
    counts,
    deliver: (source, data) => delivered.push([source, Buffer.from(data).toString()]),
    open: (first, early) =>
      new Promise((resolve, reject) => {
        const open = () => {
          const [client, server] = streamPair()
          client.on('error', () => {})
          server.on('error', () => {})
          resolve(client)
          return server
        }
        openings.push({ first, early, open, fail: () => reject(new Error('no server')) })
      }),
  })
  const send = (target: Address, text: string) => tunnel.send(target, Buffer.from(text))
  return { tunnel, send, counts, openings, delivered }
}

/** Everything that the server's end has got. */
function arrivals(server: PairedStream): Uint8Array[] {
  const chunks: Uint8Array[] = []
  server.on('data', (chunk: Uint8Array) => chunks.push(chunk))
  return chunks
}

function passTime(ms: number): void {
  const later = performance.now() + ms
  vi.spyOn(performance, 'now').mockReturnValue(later)
}

afterEach(() => void vi.restoreAllMocks())

describe('datagrams over a stream, on the client', () => {
  it('UDP over TCP, version 2: request and first datagram go with the opening, the rest follows in order', async () => {
    const { send, counts, openings, delivered } = tunnelTo()
    send(ONE, 'first')
    send(TWO, 'second')
    send(ONE, 'third')
    expect(openings).toHaveLength(1)
    expect(openings[0]!.first).toEqual(ONE)
    expect(decode('request', [openings[0]!.early])).toEqual([
      { isConnect: false, target: ONE },
      [ONE, 'first'],
    ])
    const server = openings[0]!.open()
    const chunks = arrivals(server)
    await settle()
    send(TWO, 'fourth')
    await settle()
    const rest = [
      [TWO, 'second'],
      [ONE, 'third'],
      [TWO, 'fourth'],
    ]
    expect(decode('addressed', chunks)).toEqual(rest)
    server.write(encodeUdpPacket(TWO, Buffer.from('answer')))
    await settle()
    expect(delivered).toEqual([[TWO, 'answer']])
    expect(counts).toMatchObject({ sent: 4, dropped: 0 })
  })

  it('UDP over TCP, version 2: what goes with the opening stands behind the address before acceptance', async () => {
    const [client, server] = streamPair()
    const openTunnel = createTunnelOpener({ openStream: () => Promise.resolve(client) })
    const opening = openTunnel(UDP_TARGET, new AbortController().signal, Buffer.from('early'))
    const address = encodeAddress({ host: 'sp.v2.udp-over-tcp.arpa', port: 0 })
    const [sent] = (await once(server, 'data')) as [Uint8Array]
    expect(Buffer.from(sent)).toEqual(Buffer.concat([address, Buffer.from('early')]))
    server.accept()
    expect(await opening).toBe(client)
  })

  it('what waits for the stream is bounded in number and in bytes, and the newest is dropped', async () => {
    const many = tunnelTo()
    for (let sent = 0; sent <= 130; sent += 1) many.send(ONE, String(sent))
    const chunks = arrivals(many.openings[0]!.open())
    await settle()
    const numbers = decode('addressed', chunks).map((event) => (event as unknown[])[1])
    expect(numbers).toEqual(Array.from({ length: 128 }, (_, index) => String(index + 1)))
    expect(many.counts).toMatchObject({ sent: 129, dropped: 2 })

    const large = tunnelTo()
    const sendFive = () => {
      for (let sent = 0; sent < 5; sent += 1) large.send(ONE, 'x'.repeat(60_000))
    }
    sendFive()
    large.openings[0]!.fail()
    await settle()
    expect(large.counts).toMatchObject({ sent: 0, dropped: 5 })
    passTime(1_000)
    sendFive()
    large.openings[1]!.open().resume()
    await settle()
    expect(large.counts).toMatchObject({ sent: 3, dropped: 7 })
  })

  it('a stream that does not take what it is given holds 128 KiB, and the newest is dropped', async () => {
    const { send, counts, openings } = tunnelTo()
    send(ONE, 'first')
    const server = openings[0]!.open()
    await settle()
    for (let sent = 0; sent < 10; sent += 1) send(ONE, 'x'.repeat(60_000))
    expect(server.peer.writableLength).toBeLessThanOrEqual(131_072)
    expect(counts.dropped).toBeGreaterThan(0)
    const chunks = arrivals(server)
    await settle()
    expect(decode('addressed', chunks)).toHaveLength(10 - counts.dropped)
    send(ONE, 'again')
    await settle()
    expect(decode('addressed', chunks).at(-1)).toEqual([ONE, 'again'])
  })

  it('a stream that has died is replaced at the next datagram', async () => {
    const { send, openings, delivered } = tunnelTo()
    const endings = [
      (server: PairedStream) => server.end(),
      (server: PairedStream) => server.reset(CloseCode.Timeout),
      (server: PairedStream) => server.peer.lose(new Error('the session is gone')),
    ]
    for (const [index, end] of endings.entries()) {
      send(ONE, 'hello')
      expect(openings).toHaveLength(index + 1)
      const server = openings[index]!.open()
      server.resume()
      await settle()
      server.write(encodeUdpPacket(TWO, Buffer.from(String(index))))
      await settle()
      const closed = closing(server.peer)
      end(server)
      await closed
      passTime(1_000)
    }
    expect(delivered).toEqual(['0', '1', '2'].map((text) => [TWO, text]))
  })

  it('a server that refuses is asked once a second', async () => {
    const { send, counts, openings } = tunnelTo()
    send(ONE, 'first')
    send(ONE, 'waits')
    openings[0]!.fail()
    await settle()
    send(ONE, 'too soon')
    expect(openings).toHaveLength(1)
    expect(counts).toMatchObject({ sent: 0, dropped: 3 })
    passTime(1_000)
    send(ONE, 'later')
    expect(openings).toHaveLength(2)
  })

  it('what is malformed from the server ends the stream with code 3', async () => {
    const { send, openings, delivered } = tunnelTo()
    send(ONE, 'first')
    const server = openings[0]!.open()
    await settle()
    const good = encodeUdpPacket(TWO, Buffer.from('good'))
    server.write(Buffer.concat([good, Uint8Array.of(0xff), good]))
    await closing(server.peer)
    expect(server.peer.resets).toMatchObject([{ code: CloseCode.ProtocolError }])
    expect(delivered).toEqual([[TWO, 'good']])
  })

  it('N62: a datagram from the server whose name is not valid is dropped alone and counted', async () => {
    const { send, counts, openings, delivered } = tunnelTo()
    send(ONE, 'first')
    const server = openings[0]!.open()
    await settle()
    const good = encodeUdpPacket(TWO, Buffer.from('good'))
    server.write(Buffer.concat([good, Buffer.from('0201200035000161', 'hex'), good]))
    await settle()
    expect(server.peer.resets).toEqual([])
    expect(delivered).toEqual([
      [TWO, 'good'],
      [TWO, 'good'],
    ])
    expect(counts).toMatchObject({ refused: 1, dropped: 0 })
  })

  it('closing ends the stream, also one that is still to come', async () => {
    const open = tunnelTo()
    open.send(ONE, 'first')
    const server = open.openings[0]!.open()
    await settle()
    open.tunnel.close()
    server.write(encodeUdpPacket(TWO, Buffer.from('late')))
    await once(server.peer, 'close')
    expect(open.delivered).toEqual([])

    const opening = tunnelTo()
    opening.send(ONE, 'first')
    opening.tunnel.close()
    const { peer } = opening.openings[0]!.open()
    await settle()
    expect(peer.destroyed).toBe(true)
    opening.send(ONE, 'late')
    expect(opening.openings).toHaveLength(1)
  })

  it('a datagram too large for the server: the next goes at once, and no more of that size', async () => {
    const { tunnel, send, counts, openings } = tunnelTo()
    const large = 'x'.repeat(20_000)
    send(ONE, 'small')
    const first = openings[0]?.open()
    await settle()
    send(ONE, large)
    // What servers of the original wire do whose buffers are smaller.
    first?.reset(CloseCode.Graceful)
    await settle()
    send(ONE, large)
    expect(counts.dropped).toBe(1)
    expect(openings).toHaveLength(1)
    send(ONE, 'after')
    expect(openings).toHaveLength(2)
    const second = openings[1]?.open()
    await settle()
    send(ONE, 'y'.repeat(12_000))
    await settle()
    expect(second?.destroyed).toBe(false)
    expect(counts.dropped).toBe(1)
    tunnel.close()
  })

  it('a large datagram that was not sent says nothing of the server', async () => {
    const { tunnel, send, counts, openings } = tunnelTo()
    const large = 'x'.repeat(20_000)
    send(ONE, 'first')
    openings[0]?.open().reset(CloseCode.Graceful)
    await settle()
    // One too soon, and those that an opening takes with it that fails.
    send(ONE, large)
    passTime(1_000)
    send(ONE, large)
    send(ONE, large)
    openings[1]?.fail()
    await settle()
    expect(counts.dropped).toBe(3)
    passTime(1_000)
    send(ONE, 'second')
    openings[2]?.open().reset(CloseCode.Graceful)
    await settle()
    passTime(1_000)
    send(ONE, large)
    expect(openings).toHaveLength(4)
    tunnel.close()
  })

  it.each([
    ['goes with the opening', [20_000]],
    ['has waited for it', [1, 20_000]],
  ])(
    'a datagram too large for the server is known by its end also when it %s',
    async (_, sizes) => {
      const { tunnel, send, counts, openings } = tunnelTo()
      for (const size of sizes) send(ONE, 'x'.repeat(size))
      // Longer than the server takes to say that it is too much.
      passTime(3_000)
      const server = openings[0]?.open()
      await settle()
      server?.reset(CloseCode.Graceful)
      await settle()
      send(ONE, 'x'.repeat(20_000))
      expect(counts.dropped).toBe(1)
      expect(openings).toHaveLength(1)
      tunnel.close()
    },
  )
})
