import { Socket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createInbound } from '../../../src/proxy/inbound/inbound.ts'
import type { InboundOptions } from '../../../src/proxy/inbound/inbound.ts'
import type { InboundEvents } from '../../../src/proxy/inbound/inbound-tunnel.ts'
import type { ServeStreamOptions } from '../../../src/proxy/outbound/serve-target.ts'
import { encodeSocks5Datagram } from '../../../src/proxy/udp/socks5-datagram.ts'
import type { Address } from '../../../src/codec/address.ts'
import { hasIPv6 } from '../../support/loopback.ts'
import { associate, bindUdp, echoUdp, forwardUdp } from '../../support/socks5-udp.ts'
import type { UdpProgram } from '../../support/socks5-udp.ts'
import { fromHex } from '../../codec/vectors.ts'
import { closing, listen, localTunnels, startInbound } from '../support.ts'

/** The local port with a server behind it, both in this process. */
async function startProxy(options: Partial<InboundOptions> = {}, serving: ServeStreamOptions = {}) {
  const openTunnel = localTunnels(serving)
  const { inbound, events, port } = await startInbound({ openTunnel, ...options })
  const over: InboundEvents['associationOver'][0][] = []
  inbound.on('associationOver', (event: InboundEvents['associationOver'][0]) => over.push(event))
  const ended = async (count = 1) => {
    while (over.length < count) await once(inbound, 'associationOver')
    return over
  }
  return { inbound, events, port, over, ended }
}

/** The port of a proxy that listens on another address than usual. */
async function startProxyOn(host: string): Promise<number> {
  const inbound = createInbound({ openTunnel: localTunnels() })
  return listen(inbound, host)
}

async function program(port: number, options?: Parameters<typeof associate>[1]) {
  const associated = await associate(port, options)
  onTestFinished(() => close(associated))
  return associated
}

function close({ udp, control }: UdpProgram): void {
  control.destroy()
  try {
    udp.close()
  } catch {
    // By the test already.
  }
}

async function echo(host?: string): Promise<Address> {
  const socket = await echoUdp(host)
  onTestFinished(() => void socket.close())
  const { address, port } = socket.address()
  return { host: address, port }
}

const text = (data: Uint8Array) => Buffer.from(data).toString()

/** Lets what is under way on loopback arrive. */
async function roundTrip(asking: UdpProgram, target: Address): Promise<void> {
  const count = asking.received.length
  asking.send(target, 'round trip')
  await asking.waitFor(count + 1)
}

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('UDP ASSOCIATE on the local port', () => {
  it('RFC 1928, section 7: datagrams go to their targets, and answers say where they come from', async () => {
    const [one, two] = [await echo(), await echo()]
    const { port, events } = await startProxy()
    const asking = await program(port)
    expect(asking.relay.host).toBe('127.0.0.1')
    asking.send(one, 'to one')
    await asking.waitFor(1)
    asking.send(two, 'to two')
    asking.send(two, '')
    const received = await asking.waitFor(3)
    expect(received.map(({ address, data }) => [address, text(data)])).toEqual([
      [one, 'to one'],
      [two, 'to two'],
      [two, ''],
    ])
    expect(events.tunnel).toMatchObject([{ target: one, protocol: 'socks5-udp' }])
  })

  it.skipIf(!hasIPv6)('over IPv6 from end to end (only where ::1 is there)', async () => {
    const target = await echo('::1')
    const port = await startProxyOn('::1')
    const asking = await program(port, { host: '::1' })
    expect(asking.relay.host).toBe('::1')
    asking.send(target, 'six')
    expect((await asking.waitFor(1))[0]?.address).toEqual(target)
  })

  it('a port that listens on both families gives an IPv4 program an IPv4 address', async () => {
    const target = await echo()
    const asking = await program(await startProxyOn(hasIPv6 ? '::' : '0.0.0.0'))
    expect(asking.relay.host).toBe('127.0.0.1')
    await roundTrip(asking, target)
  })

  it('a name in a datagram is resolved on the server', async () => {
    const { port: echoPort } = await echo()
    const names: string[] = []
    const lookup = (name: string) => {
      names.push(name)
      return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
    }
    const { port } = await startProxy({}, { dial: { lookup } })
    const asking = await program(port)
    await roundTrip(asking, { host: 'only.known.there.test', port: echoPort })
    expect(names).toEqual(['only.known.there.test'])
  })

  it('datagrams from another port than the first are dropped', async () => {
    const target = await echo()
    const { port, ended } = await startProxy()
    const asking = await program(port)
    await roundTrip(asking, target)
    const stranger = await bindUdp()
    onTestFinished(() => void stranger.close())
    stranger.on('message', () => expect.unreachable('the stranger got an answer'))
    const bytes = encodeSocks5Datagram({ address: target, data: Buffer.from('stranger') })
    await new Promise((resolve) =>
      stranger.send(bytes, asking.relay.port, asking.relay.host, resolve),
    )
    await roundTrip(asking, target)
    asking.control.destroy()
    expect((await ended())[0]?.counts).toEqual({
      sent: 2,
      received: 2,
      refused: 1,
      dropped: 0,
      failed: 0,
    })
  })

  it('RFC 1928, section 4: with a port in the request, only that port counts', async () => {
    const target = await echo()
    const { port, ended } = await startProxy()
    const expected = await bindUdp()
    onTestFinished(() => void expected.close())
    const source = { host: '127.0.0.1', port: expected.address().port }
    const asking = await program(port, { source })
    asking.send(target, 'from another port')
    const answer = once(expected, 'message')
    const bytes = encodeSocks5Datagram({ address: target, data: Buffer.from('expected') })
    expected.send(bytes, asking.relay.port, asking.relay.host)
    await answer
    expect(asking.received).toEqual([])
    asking.control.destroy()
    expect((await ended())[0]?.counts).toMatchObject({ sent: 1, received: 1, refused: 1 })
  })

  it('a port in the request that comes with the address of somebody else is not heeded', async () => {
    const target = await echo()
    const { port } = await startProxy()
    for (const host of ['192.0.2.1', 'dns.example', '2001:db8::1']) {
      await roundTrip(await program(port, { source: { host, port: 53 } }), target)
    }
  })

  it.skipIf(process.platform !== 'linux')(
    'datagrams from another address than the control connection are dropped (only on Linux)',
    async () => {
      const target = await echo()
      const { port, ended } = await startProxy()
      const asking = await program(port)
      const elsewhere = await bindUdp('127.0.0.2')
      onTestFinished(() => void elsewhere.close())
      const bytes = encodeSocks5Datagram({ address: target, data: Buffer.from('elsewhere') })
      elsewhere.send(bytes, asking.relay.port, asking.relay.host)
      await roundTrip(asking, target)
      asking.control.destroy()
      expect((await ended())[0]?.counts).toMatchObject({ sent: 1, refused: 1 })
    },
  )

  it('RFC 1928, section 7: fragments and what is no SOCKS datagram are dropped', async () => {
    const target = await echo()
    const { port, ended } = await startProxy()
    const asking = await program(port)
    for (const hex of ['', '00', '00000101c0000201003561', '00000009', '000000030000']) {
      asking.sendRaw(fromHex(hex))
    }
    await roundTrip(asking, target)
    asking.control.destroy()
    expect((await ended())[0]?.counts).toMatchObject({ sent: 1, received: 1, refused: 5 })
  })

  it('RFC 1928, section 7: the association ends with its control connection', async () => {
    const target = await echo()
    for (const leave of ['end', 'destroy', 'resetAndDestroy'] as const) {
      const { port, ended } = await startProxy()
      const asking = await program(port)
      await roundTrip(asking, target)
      asking.control[leave]()
      await ended()
    }
    // The echo, and the sockets of the three programs.
    await settledAt(4)
  })

  it('an association without datagrams is closed together with its control connection', async () => {
    const target = await echo()
    const { port, ended } = await startProxy({ udp: { idleTimeout: 40 } })
    const asking = await program(port)
    asking.control.on('end', () => asking.control.end())
    const closed = closing(asking.control)
    await roundTrip(asking, target)
    await Promise.all([ended(), closed])
  })

  it('an association without datagrams stays open where there is no limit', async () => {
    const { port, over } = await startProxy({ udp: { idleTimeout: Infinity } })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await program(port)
    vi.advanceTimersByTime(3_600_000)
    expect(over).toEqual([])
  })

  it('datagrams in either direction keep an association open', async () => {
    const target = await bindUdp()
    onTestFinished(() => void target.close())
    const { port, over, ended } = await startProxy({ udp: { idleTimeout: 100 } })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    const asking = await program(port)
    vi.advanceTimersByTime(60)
    asking.send({ host: '127.0.0.1', port: target.address().port }, 'out')
    const [, from] = (await once(target, 'message')) as [Buffer, { port: number }]
    vi.advanceTimersByTime(60)
    target.send('in', from.port, '127.0.0.1')
    await asking.waitFor(1)
    vi.advanceTimersByTime(99)
    expect(over).toEqual([])
    vi.advanceTimersByTime(1)
    expect((await ended())[0]?.counts).toMatchObject({ sent: 1, received: 1 })
  })

  it('what a program says on the control connection is not looked at, and its end is seen behind it', async () => {
    const target = await echo()
    const { port, ended } = await startProxy()
    const asking = await program(port)
    asking.control.write(Buffer.alloc(100_000))
    await roundTrip(asking, target)
    asking.control.end(Buffer.alloc(100_000))
    await ended()
  })

  it('more associations than the limit get reply 1, and one that is closed makes room', async () => {
    const { port, events, ended } = await startProxy({ udp: { maxAssociations: 2 } })
    const first = await program(port)
    await program(port)
    await expect(associate(port)).rejects.toThrow('reply 1')
    expect(events.invalid).toMatchObject([
      { reason: 'SOCKS5: 2 UDP associations are open already' },
    ])
    first.control.destroy()
    await ended()
    await program(port)
  })

  it('where the system gives no socket the program gets reply 1, and an observer the reason', async () => {
    const error = new Error('too many open files')
    vi.spyOn(Socket.prototype, 'bind').mockImplementationOnce(function (this: Socket) {
      process.nextTick(() => this.emit('error', error))
      return this
    })
    const { port, ended } = await startProxy({ udp: { maxAssociations: 1 } })
    await expect(associate(port)).rejects.toThrow('reply 1')
    expect(await ended()).toMatchObject([{ error }])
    await program(port)
  })

  it('a server that refuses is reported, and the association goes on', async () => {
    const refusal = new Error('no server')
    const { port, inbound, events } = await startProxy({
      openTunnel: () => Promise.reject(refusal),
    })
    const asking = await program(port)
    const refused = once(inbound, 'refused')
    asking.send({ host: 'any.test', port: 53 }, 'lost')
    await refused
    expect(events.refused).toMatchObject([
      { target: { host: 'any.test', port: 53 }, protocol: 'socks5-udp', error: refusal },
    ])
    expect(asking.control.readyState).toBe('open')
  })

  it('a thousand datagrams come back, and one of 60,000 bytes', async () => {
    const target = await echo()
    const { port } = await startProxy()
    const asking = await program(port)
    const ROUND = 50
    for (let sent = 0; sent < 1_000; sent += ROUND) {
      for (let index = 0; index < ROUND; index += 1) asking.send(target, `number ${sent + index}`)
      await asking.waitFor(sent + ROUND)
    }
    const numbers = new Set(asking.received.map(({ data }) => text(data)))
    expect(numbers.size).toBe(1_000)
    const large = Buffer.alloc(60_000, 'large')
    asking.send(target, large)
    const received = await asking.waitFor(1_001)
    expect(large.equals(received.at(-1)!.data)).toBe(true)
  })

  it('many programs at once get their own answers', async () => {
    const target = await echo()
    const { port } = await startProxy()
    const programs = await Promise.all(Array.from({ length: 30 }, () => program(port)))
    await Promise.all(
      programs.map(async (asking, index) => {
        for (let sent = 1; sent <= 5; sent += 1) {
          asking.send(target, `${index} ${sent}`)
          await asking.waitFor(sent)
        }
      }),
    )
    for (const [index, { received }] of programs.entries()) {
      expect(received.map(({ data }) => text(data))).toEqual(
        [1, 2, 3, 4, 5].map((sent) => `${index} ${sent}`),
      )
    }
  })

  it('a program without SOCKS reaches its target through a forwarder', async () => {
    const target = await echo()
    const { port } = await startProxy()
    const forwarder = await forwardUdp(port, target)
    onTestFinished(() => forwarder.close())
    const plain = await bindUdp()
    onTestFinished(() => void plain.close())
    const answer = once(plain, 'message') as Promise<[Buffer]>
    plain.send('plain', forwarder.port, '127.0.0.1')
    expect((await answer)[0].toString()).toBe('plain')
  })
})

/** Waits until this process has `count` UDP sockets open; a test that waits in vain fails by its time limit. */
async function settledAt(count: number): Promise<void> {
  const open = () => process.getActiveResourcesInfo().filter((name) => name === 'UDPWrap').length
  while (open() !== count) await new Promise((resolve) => setImmediate(resolve))
}
