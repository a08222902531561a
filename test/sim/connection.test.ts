// Client machine against server machine over a simulated link: random pieces, random delays, random
// applications, a fake clock; with and without mux1, with shaping on.
import { describe, expect, it } from 'vitest'
import type { Write } from '../../src/engine/machine.ts'
import { parseScheme } from '../../src/shaping/scheme.ts'
import { Shaper } from '../../src/shaping/shaper.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { bytesOf } from '../wires/anytls/support.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { describeFrames, readFrames } from '../support/v1-frames.ts'
import { v1Padding } from '../support/v1-padding.ts'
import { toHex } from '../codec/vectors.ts'
import { World } from './world.ts'
import type { End, Role } from './world.ts'

const RUNS = 40
const WINDOW = 65_536

const SCHEME = parseScheme(
  'stop=9\n0=30-90\n1=100-400\n2=400-500,c,500-1000,c,500-1000\n3=9-9,500-1000\n4=1-4,67-67\n' +
    '6=2000-3000,20000-30000\n7=3-300,c,c,5-5',
)
const DOWNLINK = parseScheme('stop=5\n0=1-1\n1=50-60,60-70\n2=300-300,c,67-68\n3=16388-16390')

interface Mode {
  readonly mux1: boolean
  readonly shaped: boolean
}

const MODES: readonly Mode[] = [
  { mux1: true, shaped: false },
  { mux1: true, shaped: true },
  { mux1: false, shaped: false },
  { mux1: false, shaped: true },
]

function makeWorld(seed: number, { mux1, shaped }: Mode): World {
  const setup = {
    ...(mux1 ? { mux1Window: WINDOW } : {}),
    ...(shaped ? { scheme: SCHEME } : {}),
  }
  return new World(seed, setup, { ...setup, ...(shaped ? { downlinkScheme: DOWNLINK } : {}) })
}

function forAllModes(runs: number, check: (world: World, mode: Mode, title: string) => void): void {
  for (const mode of MODES) {
    for (let seed = 0; seed < runs; seed += 1) {
      const title = `seed ${seed}, mux1 ${mode.mux1}, shaped ${mode.shaped}`
      check(makeWorld(seed, mode), mode, title)
    }
  }
}

describe('client against server', () => {
  it('every byte arrives, in order, on every stream; no window is overrun and nothing is left behind', () => {
    forAllModes(RUNS, (world, mode, title) => {
      for (let action = 0; action < 60; action += 1) act(world, { resets: false })
      windDown(world)
      for (const end of world.ends.client.values()) {
        const peer = world.ends.server.get(end.stream)
        expect(peer, title).toBeDefined()
        expect([peer?.received, end.received], `${title}, stream ${end.stream}`).toEqual([
          end.sent,
          peer?.sent,
        ])
        expect(end.accepted, title).toBe(true)
        expect([end.sent, end.error, peer?.error], title).toEqual([
          end.wanted,
          undefined,
          undefined,
        ])
      }
      checkNothingLeft(world, title)
      expect(world.flowControlled('client'), title).toBe(mode.mux1)
      closeAndCheck(world, 'client', title)
    })
  })

  it('with streams reset at any time, what arrives is a beginning of what was sent, and the others go on', () => {
    let resets = 0
    forAllModes(RUNS, (world, mode, title) => {
      for (let action = 0; action < 80; action += 1) act(world, { resets: true })
      windDown(world)
      for (const [stream, end] of world.ends.client) {
        const peer = world.ends.server.get(stream)
        const wasReset = [end, peer].some((one) => one?.error !== undefined)
        if (wasReset) resets += 1
        if (peer === undefined || wasReset) continue
        // RST says no more than "over", so without mux1 a reset may look like an end.
        if (!mode.mux1) expect(peer.received, title).toBeLessThanOrEqual(end.sent)
        else expect([peer.received, end.received], title).toEqual([end.sent, peer.sent])
      }
      checkNothingLeft(world, title)
      closeAndCheck(world, 'server', title)
    })
    expect(resets).toBeGreaterThan(100)
  })

  it('closed at any time by either end: streams run to their end, then both ends close in order', () => {
    forAllModes(RUNS, (world, _mode, title) => {
      const closer: Role = world.random(0, 2) === 0 ? 'client' : 'server'
      for (let action = 0; action < 20; action += 1) act(world, { resets: false })
      // A server that has nobody authenticated yet just goes.
      if (closer === 'server') world.run(world.now + 2_000)
      world.handle(closer, world[closer].close(world.now))
      for (let action = 0; action < 20; action += 1) act(world, { resets: false })
      windDown(world)
      world.run(world.now + 60_000)
      expect(world.over, title).toBe(true)
      for (const role of ['client', 'server'] as const) {
        expect(world.told[role].at(-1), title).toBe('closed')
        expect(world[role].streamCount, title).toBe(0)
        expect(world[role].deadline, title).toBe(Infinity)
      }
      for (const end of world.ends.client.values()) {
        const served = world.ends.server.get(end.stream)
        if (served === undefined || end.error !== undefined) continue
        expect([served.received, end.received], title).toEqual([end.sent, served.sent])
      }
    })
  })

  it('D28, D29, D32: the shaped Writes carry exactly what the scheme says, in both directions', () => {
    for (let seed = 100; seed < 100 + RUNS; seed += 1) {
      const world = makeWorld(seed, { mux1: seed % 2 === 0, shaped: true })
      for (let action = 0; action < 60; action += 1) act(world, { resets: true })
      windDown(world)
      checkShaping(world.writes.client, SCHEME, seed)
      checkShaping(world.writes.server, DOWNLINK, seed)
    }
  })

  it('draft, Authentication: the machines MUST be independent: one that closes unheard leaves the other to its own timers', () => {
    const world = makeWorld(1, { mux1: true, shaped: false })
    world.open().wanted = 10
    world.run(5_000)
    // The client goes and its CLOSE is lost on the way.
    world.client.abort(0, world.now)
    world.client.takeWrites()
    expect(world.server.current).toBe('open')
    expect(world.server.streamCount).toBe(1)
    for (let moves = 0; world.server.deadline < Infinity; moves += 1) {
      world.server.timeout(world.server.deadline)
      expect(moves).toBeLessThan(10)
    }
    expect(world.server.current).toBe('closed')
    expect(describeFrames(bytesOf(world.server.takeWrites())).slice(-2)).toEqual([
      'PING',
      'CLOSE 2',
    ])
  })
})

/** Something that an application at either end might do. */
function act(world: World, { resets }: { readonly resets: boolean }): void {
  const role: Role = world.random(0, 2) === 0 ? 'client' : 'server'
  const live = [...world.ends[role].values()].filter(({ closed }) => !closed)
  const end = live[world.random(0, Math.max(1, live.length))]
  const kind = world.random(0, 12)
  if (kind < 2 && world.client.mayOpen && live.length < 8) {
    world.open().wanted += world.random(0, 3) === 0 ? 0 : world.random(1, 500)
  } else if (kind < 5) {
    if (end !== undefined && !end.finishing) end.wanted += amount(world)
  } else if (kind < 8) {
    if (end !== undefined) consumeSome(world, role, end)
  } else if (kind === 8) {
    // Without mux1 the end of a server is the end of its stream, so it waits until it has everything.
    if (end !== undefined && (role === 'client' || world.flowControlled(role))) end.finishing = true
  } else if (kind === 9) {
    if (end !== undefined && resets && world.random(0, 2) === 0) world.reset(role, end)
  } else if (kind === 10) {
    world[role].ping(world.now)
  } else {
    for (const waiting of world.ends.server.values()) accept(world, waiting)
  }
  world.run(world.now + (world.random(0, 3) === 0 ? world.random(0, 1_500) : 0))
}

function amount(world: World): number {
  const kind = world.random(0, 10)
  if (kind === 0) return world.random(50_000, 200_000)
  return kind < 5 ? world.random(1, 100) : world.random(1, 5_000)
}

function consumeSome(world: World, role: Role, end: End): void {
  const unread = end.received - end.consumed
  if (unread > 0) world.consume(role, end, world.random(1, unread + 1))
}

function accept(world: World, end: End): void {
  if (end.closed || end.accepted) return
  end.accepted = true
  world.server.acceptStream(end.stream, world.now)
}

/** Everybody reads and ends what is open, until no stream is left. Fails when nothing moves any more. */
function windDown(world: World): void {
  for (let round = 0; round < 2_000; round += 1) {
    for (const end of world.ends.server.values()) accept(world, end)
    for (const role of ['client', 'server'] as const) {
      for (const end of world.ends[role].values()) {
        if (end.closed) continue
        if (end.received > end.consumed) world.consume(role, end, end.received - end.consumed)
        const { finishing, sent } = world.ends.client.get(end.stream)!
        // Without mux1 a server knows by its protocol when it has everything; here it looks.
        const complete = finishing && end.received === sent
        if (role === 'client' || world.flowControlled('server') || complete) end.finishing = true
      }
    }
    world.run(world.now + 100)
    const open = (role: Role) => [...world.ends[role].values()].some(({ closed }) => !closed)
    if (!open('client') && !open('server')) return
  }
  const stuck = [...world.ends.client.values()].filter(({ closed }) => !closed)
  expect.fail(`deadlock: ${JSON.stringify(stuck)}`)
}

function checkNothingLeft(world: World, title: string): void {
  world.run(world.now + 1_000)
  for (const role of ['client', 'server'] as const) {
    expect(world[role].streamCount, `${role}, ${title}`).toBe(0)
    // Not a timer either, but the one of a ping that an application has asked for.
    expect(world[role].deadline, `${role}, ${title}`).toBe(Infinity)
  }
}

function closeAndCheck(world: World, role: Role, title: string): void {
  world.handle(role, world[role].close(world.now))
  world.run(world.now + 1_000)
  expect(world.over, title).toBe(true)
  expect(world.told.client.at(-1), title).toBe('closed')
  expect(world.told.server.at(-1), title).toBe('closed')
}

/**
 * Plays the Delivers that can be read off the wire through a shaper of its own, with the same draws, and
 * compares Write by Write.
 */
function checkShaping(writes: readonly Write[], scheme: typeof SCHEME, seed: number): void {
  const shaper = new Shaper(scheme, seededRandomInt(seed), v1Padding)
  const [first, ...rest] = writes
  if (first === undefined) return
  const [auth] = readFrames(bytesOf([first])).frames
  if (auth?.type === 0x00) expect(auth.body.length).toBe(shaper.authPadding())
  const bytes = bytesOf(rest)
  const { frames, stopped } = readFrames(bytes)
  expect(stopped).toBe('end')
  const delivers = frames
    .filter(({ type }) => type !== 0x05)
    .map(({ type, start, end }) => ({
      bytes: bytes.subarray(start, end),
      // STREAM with DATA (D1).
      control: (type & 0x1a) !== 0x0a,
    }))
  const expected = shaper.deliver(bytesOf([first]))
  let index = 0
  while (shaper.active && index < delivers.length) {
    const { bytes: deliver, control } = delivers[index]!
    expected.push(...shaper.deliver(deliver, { control }))
    index += 1
  }
  const shaped = writes.filter((write) => write.shaped)
  const unshaped = writes.slice(shaped.length)
  expect(unshaped.some((write) => write.shaped)).toBe(false)
  expect(shaped.every(({ parts }) => parts.length === 1)).toBe(true)
  expect(shaped.map((write) => toHex(bytesOf([write])))).toEqual(expected.map(toHex))
  expect(toHex(bytesOf(unshaped))).toBe(
    toHex(concatBytes(delivers.slice(index).map((deliver) => deliver.bytes))),
  )
}
