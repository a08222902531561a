// A client against a server of the original wire on a simulated link: random pieces, delays and applications,
// versions 1 and 2, with and without shaping, a fake clock.
import { describe, expect, it } from 'vitest'
import type { LegacyServerConfig } from '../../src/wires/legacy/config.ts'
import { serverRole } from '../../src/wires/legacy/server.ts'
import { PADDING_FORMAT } from '../../src/wires/legacy/frame-encoder.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { Shaper } from '../../src/shaping/shaper.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { readFrames } from '../wires/legacy/frames.ts'
import { bytesOf, Client, makeConfig, Server, settingsText } from '../wires/legacy/support.ts'
import type { ServerSetup, Setup } from '../wires/legacy/support.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { ascii } from '../support/v1-frames.ts'
import { toHex } from '../codec/vectors.ts'
import {
  act,
  actWithResets,
  closeAndExpectOver,
  expectConserved,
  expectNothingLeft,
  expectOver,
  windDown,
} from './mux-scenarios.ts'
import type { Habits } from './mux-scenarios.ts'
import { MuxWorld } from './mux-world.ts'
import type { Role } from './mux-world.ts'

const RUNS = 40

/** Nothing but streams has a deadline, and those have all the time that their applications need. */
const PATIENT = {
  connection: Infinity,
  legacyIdle: Infinity,
  keepalive: Infinity,
  streamOpen: 3_600_000,
  linger: 3_600_000,
}

const SCHEME = parseScheme(
  'stop=9\n0=30-90\n1=100-400\n2=400-500,c,500-1000,c,500-1000\n3=9-9,500-1000\n4=1-4,67-67\n' +
    '6=2000-3000,20000-30000\n7=3-300,c,c,5-5',
)
const DOWNLINK = parseScheme('stop=5\n0=1-1\n1=50-60,60-70\n2=300-300,c,67-68\n3=16388-16390')

/** A client that remembers its Delivers. */
class TracedClient extends Client {
  readonly delivers = trace(this)
}

/** A server that remembers its Delivers, and can be as old as version 1. */
class TracedServer extends Server {
  readonly delivers = trace(this)

  constructor(config: LegacyServerConfig, version: 1 | 2) {
    const role = serverRole(config)
    super(config, 0, {
      ...role,
      handle(connection, frame) {
        const old = frame.type === 'settings' && version === 1
        role.handle(connection, old ? { ...frame, body: ascii(settingsText(1)) } : frame)
      },
    })
  }
}

/** The Delivers that a machine makes from now on. */
function trace({ connection: { channel } }: Client | Server): Uint8Array[] {
  const delivers: Uint8Array[] = []
  const deliver = channel.deliver.bind(channel)
  channel.deliver = (parts, lift) => {
    delivers.push(concatBytes(parts))
    deliver(parts, lift)
  }
  return delivers
}

type World = MuxWorld<TracedClient, TracedServer>

interface Mode {
  readonly version: 1 | 2
  readonly shaped: boolean
}

const MODES: readonly Mode[] = [
  { version: 2, shaped: false },
  { version: 2, shaped: true },
  { version: 1, shaped: false },
  { version: 1, shaped: true },
]

function makeWorld(seed: number, { version, shaped }: Mode): World {
  const setup: Setup = { seed, timeouts: PATIENT, ...(shaped ? { scheme: SCHEME } : {}) }
  const serverSetup: ServerSetup = { ...setup, ...(shaped ? { downlinkScheme: DOWNLINK } : {}) }
  const server = new TracedServer(
    {
      ...makeConfig(serverSetup),
      onViolation: 'alert',
      downlinkScheme: serverSetup.downlinkScheme,
    },
    version,
  )
  return new MuxWorld(seed, { client: new TracedClient(makeConfig(setup), 0), server, window: 0 })
}

function forAllModes(check: (world: World, mode: Mode, title: string) => void): void {
  for (const mode of MODES) {
    for (let seed = 0; seed < RUNS; seed += 1) {
      check(makeWorld(seed, mode), mode, `seed ${seed}, ${JSON.stringify(mode)}`)
    }
  }
}

/** FIN ends both directions: a server knows by its protocol when it has everything; here it looks. */
function habits(resets: boolean): Habits {
  return {
    openers: ['client'],
    resets,
    mayFinish(world, role, end) {
      if (role === 'client') return true
      const opener = world.ends.client.get(end.stream)
      return opener === undefined || (opener.finishing && end.received === opener.wanted)
    },
  }
}

describe('client against server on the original wire', () => {
  it('every byte arrives, in order, on every stream, and nothing is left behind', () => {
    forAllModes((world, { version }, title) => {
      // Behind the first second a client knows what it talks to.
      world.run(1_500)
      for (let action = 0; action < 60; action += 1) act(world, habits(false))
      windDown(world, habits(false))
      expect(expectConserved(world, title), title).toBe(0)
      expectNothingLeft(world, title)
      expect(world.client.pingable, title).toBe(version === 2)
      closeAndExpectOver(world, 'client', title)
    })
  })

  it('with streams reset at any time, what arrives is a beginning of what was sent, and the others go on', () => {
    let resets = 0
    forAllModes((world, _mode, title) => {
      resets += actWithResets(world, habits(true), title)
    })
    expect(resets).toBeGreaterThan(100)
  })

  it('closed at any time by either end: streams run to their end, then both ends close in order', () => {
    let checked = 0
    forAllModes((world, _mode, title) => {
      const closer: Role = world.random(0, 2) === 0 ? 'client' : 'server'
      for (let action = 0; action < 20; action += 1) act(world, habits(false))
      world.run(world.now + 2_000)
      // The end of a server of version 1 that has said nothing yet looks like a wrong password.
      if (!world.told.client.includes('established')) return
      checked += 1
      world.handle(closer, world[closer].close(world.now))
      // No frame tells a client that its server is closing: what it opened now could be lost.
      const rest = { ...habits(false), openers: [] }
      for (let action = 0; action < 20; action += 1) act(world, rest)
      windDown(world, rest)
      expectOver(world, title)
    })
    expect(checked).toBeGreaterThan(3 * RUNS)
  })

  it('D28, D29: the Writes are what the shaper makes of the Delivers, in both directions', () => {
    for (let seed = 100; seed < 100 + RUNS; seed += 1) {
      const world = makeWorld(seed, { version: seed % 2 === 0 ? 2 : 1, shaped: true })
      for (let action = 0; action < 60; action += 1) act(world, habits(true))
      windDown(world, habits(true))
      checkShaping(world, 'client', SCHEME, seed)
      checkShaping(world, 'server', DOWNLINK, seed)
    }
  })

  it('legacy-wire, Streams: each SYN leaves in one Deliver with the first PSH, the settings with the first SYN', () => {
    let together = 0
    for (let seed = 0; seed < RUNS; seed += 1) {
      const world = makeWorld(seed, { version: 2, shaped: true })
      for (let count = 0; count < 5; count += 1) {
        world.open('client').wanted = 50
        world.run(world.now + world.random(0, 400))
      }
      const [auth, first, ...rest] = world.client.delivers
      expect(auth?.length).toBeGreaterThanOrEqual(34)
      expect(commandsOf(first)).toEqual([4, 1, 2])
      together += rest.filter((deliver) => commandsOf(deliver).join() === '1,2').length
    }
    expect(together).toBe(4 * RUNS)
  })
})

/** Plays the Delivers through a shaper of its own, with the same draws, and compares Write by Write. */
function checkShaping(world: World, role: Role, scheme: Scheme, seed: number): void {
  const shaper = new Shaper(scheme, seededRandomInt(seed), PADDING_FORMAT)
  const { delivers } = world[role]
  const [auth] = delivers
  if (role === 'client') expect(auth?.length).toBe(34 + shaper.authPadding())
  const expected: Uint8Array[] = []
  const rest = [...delivers]
  while (rest.length > 0 && shaper.active) expected.push(...shaper.deliver(rest.shift()!))
  const writes = world.writes[role]
  const shaped = writes.filter((write) => write.shaped)
  const unshaped = writes.slice(shaped.length)
  expect(unshaped.some((write) => write.shaped)).toBe(false)
  expect(shaped.every(({ parts }) => parts.length === 1)).toBe(true)
  expect(shaped.map(({ bytes }) => bytes)).toEqual(expected.map(({ length }) => length))
  expect(toHex(bytesOf(shaped)) === toHex(concatBytes(expected))).toBe(true)
  expect(toHex(bytesOf(unshaped)) === toHex(concatBytes(rest))).toBe(true)
}

function commandsOf(deliver: Uint8Array | undefined): number[] {
  return deliver === undefined ? [] : readFrames(deliver).frames.map(({ command }) => command)
}
