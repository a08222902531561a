// Datagrams through both programs: a real DNS server asked by a real resolver, and an echo.

import type { Socket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import type { Address } from '../../src/codec/address.ts'
import type { Program } from '../cli/run-program.ts'
import { associate, echoUdp, forwardUdp } from '../support/socks5-udp.ts'
import type { UdpProgram } from '../support/socks5-udp.ts'
import { dnsmasqProgram, startDnsmasq } from './dnsmasq.ts'
import { hasIPv6, onLinux, startClient, startServer, until } from './support.ts'
import type { ClientProgram, ServerProgram } from './support.ts'

const WIRES = ['v1', 'legacy'] as const

let server: ServerProgram
let client: ClientProgram

beforeAll(async () => {
  server = await startServer()
})

/** The tests that follow go through a client that speaks `wire`. */
function useClient(wire: string): void {
  beforeAll(async () => {
    client = await startClient(server.link, ['--wire', wire], { state: `client-${wire}` })
  })
}

function addressOf(socket: Socket): Address {
  onTestFinished(() => void socket.close())
  const { address, port } = socket.address()
  return { host: address, port }
}

async function startProgram(): Promise<UdpProgram> {
  const program = await associate(client.port)
  onTestFinished(() => program.close())
  return program
}

/** What came back, as text, in the order of the numbers in it. */
function texts({ received }: UdpProgram): string[] {
  return received
    .map(({ data }) => Buffer.from(data).toString())
    .sort((a, b) => Number(/\d+/.exec(a)?.[0]) - Number(/\d+/.exec(b)?.[0]))
}

describe.skipIf(dnsmasqProgram.isMissing).each(WIRES)(
  `DNS through both programs over the wire %s${dnsmasqProgram.note}`,
  (wire) => {
    useClient(wire)

    const NAMES = {
      'one.test': ['192.0.2.1', '2001:db8::1'],
      'two.test': ['192.0.2.2'],
    }
    let dns: number

    beforeAll(async () => {
      dns = await startDnsmasq(NAMES)
    })

    async function resolverFor(target: Address): Promise<Resolver> {
      const forwarder = await forwardUdp(client.port, target)
      onTestFinished(() => forwarder.close())
      const resolver = new Resolver()
      resolver.setServers([`127.0.0.1:${forwarder.port}`])
      return resolver
    }

    it('main job: DNS queries are answered through both programs', async () => {
      const resolver = await resolverFor({ host: '127.0.0.1', port: dns })
      expect(await resolver.resolve4('one.test')).toEqual(['192.0.2.1'])
      expect(await resolver.resolve6('one.test')).toEqual(['2001:db8::1'])
      expect(await resolver.resolve4('two.test')).toEqual(['192.0.2.2'])
      await expect(resolver.resolve4('other.test')).rejects.toMatchObject({ code: 'EREFUSED' })
    })

    it('main job: the DNS server is a name that the server resolves', async () => {
      const resolver = await resolverFor({ host: 'localhost', port: dns })
      expect(await resolver.resolve4('one.test')).toEqual(['192.0.2.1'])
    })

    it('main job: many resolvers at once, each through an association of its own', async () => {
      const resolvers = await Promise.all(
        Array.from({ length: 20 }, () => resolverFor({ host: '127.0.0.1', port: dns })),
      )
      const answers = await Promise.all(
        resolvers.map((resolver, index) => resolver.resolve4(index % 2 ? 'one.test' : 'two.test')),
      )
      expect(answers).toEqual(
        resolvers.map((_, index) => (index % 2 ? ['192.0.2.1'] : ['192.0.2.2'])),
      )
    })
  },
)

describe.each(WIRES)('datagrams through both programs over the wire %s', (wire) => {
  useClient(wire)

  it('main job: a thousand datagrams come back whole', async () => {
    const target = addressOf(await echoUdp())
    const program = await startProgram()
    const ROUND = 40
    for (let sent = 0; sent < 1_000; sent += ROUND) {
      for (let index = sent; index < sent + ROUND; index += 1) {
        program.send(target, `number ${index} ${'.'.repeat(index)}`)
      }
      await program.waitFor(sent + ROUND)
    }
    const expected = Array.from(
      { length: 1_000 },
      (_, index) => `number ${index} ${'.'.repeat(index)}`,
    )
    expect(texts(program)).toEqual(expected)
    expect(program.received.every(({ address }) => address.port === target.port)).toBe(true)
  })

  it('main job: a datagram of 60,000 bytes comes back whole, and one without data', async () => {
    const target = addressOf(await echoUdp())
    const program = await startProgram()
    const large = Buffer.alloc(60_000, 'large and small ')
    program.send(target, large)
    await program.waitFor(1)
    program.send(target, '')
    const [first, second] = await program.waitFor(2)
    expect(large.equals(first!.data)).toBe(true)
    expect(second!.data).toHaveLength(0)
  })

  it.skipIf(!hasIPv6)('main job: an IPv6 target answers (only where ::1 is there)', async () => {
    const target = addressOf(await echoUdp('::1'))
    const program = await startProgram()
    program.send(target, 'six')
    expect(await program.waitFor(1)).toMatchObject([{ address: target }])
  })

  it('two targets in one association, one of them a port where nobody listens', async () => {
    const [gone, target] = [await echoUdp(), addressOf(await echoUdp())]
    const nobody = { host: '127.0.0.1', port: gone.address().port }
    gone.close()
    const program = await startProgram()
    for (let index = 0; index < 5; index += 1) {
      program.send(nobody, 'nobody')
      program.send(target, `number ${index}`)
      await program.waitFor(index + 1)
    }
    expect(texts(program)).toEqual([0, 1, 2, 3, 4].map((index) => `number ${index}`))
  })

  it.skipIf(!onLinux)(
    'sockets are freed on both sides when control connections close (only on Linux)',
    async () => {
      const target = addressOf(await echoUdp())
      const count = () => [udpSockets(client.program), udpSockets(server.program)]
      await until(() => String(count()) === '0,0', 'the sockets of earlier tests')
      const programs = await Promise.all(Array.from({ length: 25 }, startProgram))
      await Promise.all(
        programs.map(async (program) => {
          program.send(target, 'x')
          await program.waitFor(1)
        }),
      )
      expect(count()).toEqual([25, 25])
      for (const { control } of programs) control.destroy()
      await until(() => String(count()) === '0,0', 'the sockets of closed associations')
    },
  )
})

/** UDP sockets that a process has open. Linux alone can tell. */
function udpSockets({ child }: Program): number {
  const known = ['udp', 'udp6'].flatMap((table) =>
    readFileSync(`/proc/${child.pid}/net/${table}`, 'utf8')
      .split('\n')
      .map((line) => `socket:[${line.trim().split(/\s+/)[9]}]`),
  )
  return readdirSync(`/proc/${child.pid}/fd`).filter((fd) => {
    try {
      return known.includes(readlinkSync(`/proc/${child.pid}/fd/${fd}`))
    } catch {
      // Closed meanwhile.
      return false
    }
  }).length
}
