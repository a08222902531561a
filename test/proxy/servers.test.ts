// Several servers behind one local port: who is asked, when the next one is, and what is learnt of them.
import { describe, expect, it, onTestFinished } from 'vitest'
import { AnyTlsError, PeerCloseError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { Servers } from '../../src/proxy/servers.ts'
import type { ServerEvent } from '../../src/proxy/servers.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { streamPair } from './support.ts'
import type { PairedStream } from './support.ts'

const TARGET = { host: 'example.com', port: 443 }
const never = new AbortController().signal

type Health = 'well' | 'refused' | 'blackhole' | 'silent' | 'rejects' | 'target-refused'

/** A server whose health a test changes, `roundTrip` ms away. */
class FakeServer {
  readonly name: string
  health: Health = 'well'
  roundTrip: number
  readonly streams: PairedStream[] = []
  pings = 0

  constructor(name: string, roundTrip: number) {
    this.name = name
    this.roundTrip = roundTrip
  }

  readonly source = {
    openStream: (signal?: AbortSignal): Promise<PairedStream> => {
      if (this.health === 'refused') return Promise.reject(new AnyTlsError('ERR_CONNECT_FAILED'))
      if (this.health === 'blackhole') return untilAborted(signal)
      const [client, server] = streamPair()
      server.on('error', () => {})
      this.streams.push(client)
      if (this.health === 'well') server.accept()
      const lost = new AnyTlsError('ERR_AUTH_REJECTED')
      if (this.health === 'rejects') setImmediate(() => client.lose(lost))
      if (this.health === 'target-refused') {
        setImmediate(() => server.reset(CloseCode.DestinationUnreachable, 'connection refused'))
      }
      return Promise.resolve(client)
    },
    ping: (signal: AbortSignal): Promise<number> => {
      this.pings += 1
      if (this.health === 'well') return Promise.resolve(this.roundTrip)
      if (this.health === 'refused') return Promise.reject(new AnyTlsError('ERR_CONNECT_FAILED'))
      return untilAborted(signal)
    },
  }
}

function untilAborted(signal?: AbortSignal): Promise<never> {
  return new Promise((_resolve, reject) => {
    signal?.addEventListener('abort', () => reject(signal.reason as Error))
  })
}

function setUp(...roundTrips: number[]) {
  const clock = new FakeClock()
  const fakes = roundTrips.map((roundTrip, index) => new FakeServer('abc'[index] ?? '', roundTrip))
  const events: ServerEvent[] = []
  const servers = new Servers({
    servers: fakes,
    // How fast this machine is must not matter.
    makeOpener: (source) => createTunnelOpener(source, { replyWait: Infinity }),
    observe: (event) => void events.push(event),
    clock,
  })
  onTestFinished(() => servers.close())
  const told = () => events.splice(0).map(({ type, server }) => `${type} ${server}`)
  const counts = () => fakes.map(({ streams }) => streams.length)
  const [a, b, c] = fakes as [FakeServer, FakeServer, FakeServer]
  return { clock, servers, told, counts, a, b, c }
}

describe('several servers', () => {
  it('as long as nothing is known the first one is asked, then the quickest', async () => {
    const { clock, servers, counts, told } = setUp(80, 20, 50)
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([1, 0, 0])
    servers.start()
    await clock.advance(0)
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([1, 1, 0])
    expect(told()).toEqual(['preferred a', 'preferred b'])
  })

  it('one that is a little quicker is no reason to move', async () => {
    const { clock, servers, counts, a, b } = setUp(20, 50)
    servers.start()
    await clock.advance(0)
    await servers.openTunnel(TARGET, never)
    b.roundTrip = 18
    await clock.advance(300_000)
    expect([a.pings, b.pings]).toEqual([2, 2])
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([2, 0])
    b.roundTrip = 10
    await clock.advance(300_000)
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([2, 1])
  })

  it('one that refuses costs no time, and is not asked first again', async () => {
    const { clock, servers, counts, told, a } = setUp(10, 20)
    a.health = 'refused'
    const before = clock.now()
    await servers.openTunnel(TARGET, never)
    await servers.openTunnel(TARGET, never)
    expect(clock.now()).toBe(before)
    expect(counts()).toEqual([0, 2])
    expect(told()).toEqual(['preferred a', 'failed a', 'preferred b'])
  })

  it('one that no connection comes from is passed within a second, and may still win', async () => {
    const { clock, servers, counts, a } = setUp(10, 20)
    a.health = 'blackhole'
    let opened = false
    const opening = servers.openTunnel(TARGET, never).then(() => (opened = true))
    await clock.advance(400)
    expect(opened).toBe(false)
    await clock.advance(600)
    await opening
    expect(counts()).toEqual([0, 1])
  })

  it('one that does not show itself on a standing connection is passed', async () => {
    const { servers, counts, told, a } = setUp(10, 20)
    a.health = 'silent'
    const opening = servers.openTunnel(TARGET, never)
    await new Promise(setImmediate)
    a.streams[0]?.emit('silent')
    await opening
    expect(counts().slice(1)).toEqual([1])
    expect(told()).toContain('failed a')
  })

  it('a tunnel that stands stays where it is; its server comes first again once it answers', async () => {
    const { clock, servers, counts, told, a } = setUp(10, 20)
    servers.start()
    await clock.advance(0)
    a.health = 'refused'
    const stream = await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([0, 1])
    a.health = 'well'
    await clock.advance(1_000)
    expect(told()).toContain('back a')
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([1, 1])
    expect(stream.destroyed).toBe(false)
  })

  it('a wrong password is a failure of the server, a refused target is not', async () => {
    const { servers, counts, told, a } = setUp(10, 20)
    a.health = 'target-refused'
    await expect(servers.openTunnel(TARGET, never)).rejects.toBeInstanceOf(PeerCloseError)
    expect(counts()).toEqual([1, 0])
    expect(told()).toEqual(['preferred a'])
    a.health = 'rejects'
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([2, 1])
    expect(told()).toEqual(['failed a'])
  })

  it('when none is left the program hears it, and the next request asks all of them again', async () => {
    const { servers, a, b, counts } = setUp(10, 20)
    a.health = b.health = 'refused'
    const failed = { code: 'ERR_CONNECT_FAILED' }
    await expect(servers.openTunnel(TARGET, never)).rejects.toMatchObject(failed)
    b.health = 'well'
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([0, 1])
  })

  it('one that stays away is asked less and less often, and nobody when nobody opens anything', async () => {
    const { clock, servers, a, b } = setUp(10, 20)
    a.health = 'refused'
    servers.start()
    await clock.advance(60_000)
    // At 0, 1, 3, 7, 15, 31 s.
    expect(a.pings).toBe(6)
    await clock.advance(3_600_000)
    const [quietA, quietB] = [a.pings, b.pings]
    expect(quietA).toBeLessThan(20)
    await clock.advance(3_600_000)
    expect([a.pings, b.pings]).toEqual([quietA, quietB])
    await servers.openTunnel(TARGET, never)
    await clock.advance(1_000)
    expect(a.pings).toBeGreaterThan(quietA)
  })

  it('nobody is asked for a program that has left already', async () => {
    for (const roundTrips of [[10], [10, 20]]) {
      const { servers, told, counts } = setUp(...roundTrips)
      const left = new Error('left')
      await expect(servers.openTunnel(TARGET, AbortSignal.abort(left))).rejects.toBe(left)
      expect([told(), counts()]).toEqual([[], roundTrips.map(() => 0)])
    }
  })

  it('a program that leaves ends all attempts, and no server is blamed', async () => {
    const { clock, servers, told, a, b } = setUp(10, 20)
    a.health = b.health = 'blackhole'
    const program = new AbortController()
    const opening = servers.openTunnel(TARGET, program.signal)
    const failed = expect(opening).rejects.toThrow('left')
    await clock.advance(600)
    program.abort(new Error('left'))
    await failed
    expect(told()).toEqual(['preferred a'])
    servers.close()
    await clock.advance(0)
    expect(clock.armed).toBe(0)
  })

  it('with one server nothing is measured and nothing waits', async () => {
    const { clock, servers, counts, a } = setUp(10)
    servers.start()
    await servers.openTunnel(TARGET, never)
    expect(counts()).toEqual([1])
    expect([a.pings, clock.armed]).toEqual([0, 0])
  })
})
