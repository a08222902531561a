// What the engine promises on every wire: bounded turns, resets that are counted, nothing written once the
// connection has another owner (D47).
import { describe, expect, it } from 'vitest'
import { concatBytes } from '../../src/codec/bytes.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { MAX_FRAMES_PER_CALL } from '../../src/engine/machine.ts'
import type { Machine, MachineEvent } from '../../src/engine/machine.ts'
import { RESET_BURST, RESET_REFILL } from '../../src/engine/reset-budget.ts'
import { serverRole } from '../../src/wires/legacy/server.ts'
import { write as v1 } from '../support/v1-frames.ts'
import * as anytls from '../wires/anytls/support.ts'
import { write as legacyFrame } from '../wires/legacy/frames.ts'
import * as legacy from '../wires/legacy/support.ts'
import { write as muxFrame } from '../wires/muxpro/frames.ts'
import * as muxpro from '../wires/muxpro/support.ts'
import { write as netMuxFrame } from '../wires/netmux/frames.ts'
import * as netmux from '../wires/netmux/support.ts'

const EMPTY = new Uint8Array(0)

interface Case {
  readonly wire: string
  readonly make: () => Machine
  /** The n-th stream, n from 1. */
  readonly open: (n: number) => Uint8Array
  readonly data: (n: number) => Uint8Array
  readonly reset: (n: number) => Uint8Array
}

const SERVERS: readonly Case[] = [
  {
    wire: 'v1',
    make: () => anytls.openServer(),
    open: (n) => v1.open(n),
    data: (n) => v1.data(n, 'x'),
    reset: (n) => v1.rst(n),
  },
  {
    wire: 'legacy',
    make: () => legacy.openServer(),
    open: (n) => legacyFrame.syn(n),
    data: (n) => legacyFrame.push(n, 'x'),
    reset: (n) => legacyFrame.fin(n),
  },
  {
    wire: 'muxpro',
    make: () => muxpro.openServer(),
    open: (n) => muxFrame.new(n),
    data: (n) => muxFrame.keep(n, 'x'),
    reset: (n) => muxFrame.end(n),
  },
  {
    wire: 'netmux',
    make: () => {
      const server = netmux.makeMachine('server')
      // Tells that the peer is there.
      server.receive(netMuxFrame.pong(0), 0)
      return server
    },
    open: (n) => netMuxFrame.syn(2 * n - 1),
    data: (n) => netMuxFrame.data(2 * n - 1, 'x'),
    reset: (n) => netMuxFrame.rst(2 * n - 1),
  },
]

describe.each(SERVERS)('a turn on $wire', ({ make, open, data }) => {
  it('D47: handles 512 frames at most, and goes on with an empty chunk; nothing is lost', () => {
    const server = make()
    server.receive(open(1), 0)
    const counts: number[] = []
    let chunk = concatBytes(Array.from({ length: 1_000 }, () => data(1)))
    do {
      counts.push(server.receive(chunk, 0).length)
      chunk = EMPTY
    } while (server.hasMore)
    // A frame of data is a head and one piece.
    expect(Math.max(...counts)).toBe(MAX_FRAMES_PER_CALL / 2)
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(1_000)
  })

  it('D47: handles 16 openings at most', () => {
    const server = make()
    const streams = Array.from({ length: 20 }, (_, index) => open(index + 1))
    const first = server.receive(concatBytes(streams), 0)
    expect(first.map(({ type }) => type)).toEqual(Array(16).fill('open'))
    expect(server.hasMore).toBe(true)
    expect(server.receive(EMPTY, 0)).toHaveLength(4)
    expect(server.hasMore).toBe(false)
  })
})

describe('what waits for the next turn', () => {
  it('D46: refers to the chunk no more once nothing waits, a head that is incomplete included', () => {
    const server = anytls.openServer()
    const frames = concatBytes([v1.open(1), v1.data(1, 'hello')])
    const cut = v1.open(1).length + 1
    const lent = frames.slice(0, cut)
    server.receive(lent, 0)
    expect(server.hasMore).toBe(false)
    lent.fill(0xff)
    expect(anytls.told(server.receive(frames.slice(cut), 0))).toEqual(['data 1 hello'])
  })

  it('D46: is copied, for the chunk may be written over before its turn comes', () => {
    const server = anytls.openServer()
    const lent = concatBytes([v1.open(1), ...Array<Uint8Array>(600).fill(v1.data(1, 'x'))])
    let told = server.receive(lent, 0).length
    expect(server.hasMore).toBe(true)
    lent.fill(0xff)
    while (server.hasMore) {
      const events = anytls.told(server.receive(EMPTY, 0))
      expect(new Set(events)).toEqual(new Set(['data 1 x']))
      told += events.length
    }
    expect(told).toBe(601)
  })

  it('is nothing once the connection is over', () => {
    const server = anytls.openServer()
    const opens = Array.from({ length: 100 }, (_, index) => v1.open(index + 1))
    server.receive(concatBytes(opens), 0)
    expect(server.hasMore).toBe(true)
    server.abort(CloseCode.Graceful, 0)
    expect(server.hasMore).toBe(false)
    expect(server.receive(EMPTY, 0)).toEqual([])
  })

  it('the end of the input handles first what waits', () => {
    const server = anytls.openServer()
    const ids = Array.from({ length: 100 }, (_, index) => index + 1)
    server.receive(concatBytes(ids.map((id) => v1.open(id))), 0)
    const last = anytls.told(server.endOfInput(0))
    expect(last[0]).toBe('open 17')
    expect(last.at(-1)).toBe('closed ERR_CONNECTION_LOST')
  })
})

describe('openings that are reset at once', () => {
  it.each(SERVERS)('D47: on $wire, past the burst the connection ends', ({ make, open, reset }) => {
    const server = make()
    let n = 0
    const next = (now: number): readonly MachineEvent[] => {
      n += 1
      return server.receive(concatBytes([open(n), reset(n)]), now)
    }
    for (let count = 0; count < RESET_BURST; count += 1) expect(next(0)).toHaveLength(2)
    for (let count = 0; count < RESET_REFILL; count += 1) expect(next(1_000)).toHaveLength(2)
    expect(next(1_000).at(-1)).toMatchObject({
      type: 'closed',
      error: { code: 'ERR_TOO_MANY_RESETS' },
    })
  })

  const uses: Record<string, (server: Machine, id: number, frames: Uint8Array) => void> = {
    'were accepted': (server, id) => server.acceptStream(id, 0),
    'carried data to the peer': (server, id) => server.sendData(id, [Uint8Array.of(1)], 1, 0),
    'carried data from the peer': (server, _id, frames) => server.receive(frames, 0),
  }

  it.each(SERVERS)('D47: on $wire, those that were of use do not count', (wire) => {
    for (const [name, use] of Object.entries(uses)) {
      const server = wire.make()
      for (let n = 1; n <= RESET_BURST + 1; n += 1) {
        const [opened] = server.receive(wire.open(n), 0)
        use(server, opened?.type === 'open' ? opened.stream : 0, wire.data(n))
        server.takeWrites()
        const ends = server.receive(wire.reset(n), 0)
        expect(
          ends.map(({ type }) => type),
          `${name}, ${n}`,
        ).toEqual(['close'])
      }
    }
  })

  it('D47: a client whose streams are all refused goes on', () => {
    const client = anytls.openClient()
    for (let count = 0; count <= RESET_BURST; count += 1) {
      const stream = client.openStream(0)
      expect(client.receive(v1.rst(stream), 0)).toHaveLength(1)
    }
    expect(client.mayOpen).toBe(true)
  })
})

describe('a handover', () => {
  it('D46: gives copies of what is unread, as chunks are lent', () => {
    const sent = new TextEncoder().encode('GET / HTTP/1.1')
    // Of a Buffer, too, whose slice is a view.
    for (const lent of [Uint8Array.from(sent), Buffer.from(sent)]) {
      const events = anytls.makeServer().receive(lent, 0)
      lent.fill(0)
      expect(anytls.unreadOf(events)).toEqual(sent)
    }
  })

  it('nothing of ours is written behind it', () => {
    const server = anytls.authenticatedServer({ onViolation: 'handover' })
    const broken = concatBytes([v1.clientNego(anytls.clientNego()), Uint8Array.of(0xff)])
    expect(anytls.told(server.receive(broken, 0)).at(-1)).toBe('handover violation')
    expect(server.takeWrites()).toEqual([])
  })
})

describe('a fault of our own', () => {
  it('is no violation of the peer', () => {
    const config = {
      ...legacy.makeConfig({}),
      onViolation: 'alert',
      downlinkScheme: undefined,
    } as const
    const handle = (): never => {
      throw new TypeError('a fault')
    }
    const server = new legacy.Server(config, 0, { ...serverRole(config), handle })
    expect(() => server.receive(legacyFrame.auth(), 0)).toThrow(new TypeError('a fault'))
  })
})

describe('a server that is known to speak version 1', () => {
  it('D48: is established when Deliver 0 leaves, accepts at once, and is not pinged', () => {
    const config = { ...legacy.makeConfig({}), knownVersion: 1 } as const
    const client = new legacy.Client(config, 0)
    client.openStream(0)
    expect(client.deadline).toBe(0)
    expect(legacy.told(client.timeout(0))).toEqual(['established ', 'accept 1'])
    expect(client.pingable).toBe(false)
    client.timeout(20)
    expect(client.deadline).toBeGreaterThan(1_000_000)
  })
})
