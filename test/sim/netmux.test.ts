// Two net-mux machines on a simulated link: both open streams, random pieces, delays and applications, windows
// and frames of several sizes, a fake clock.
import { describe, expect, it } from 'vitest'
import type { NetMuxSettings } from '../../src/wires/netmux/config.ts'
import { bytesOf } from '../wires/anytls/support.ts'
import { describeFrames } from '../wires/netmux/frames.ts'
import { makeMachine } from '../wires/netmux/support.ts'
import type { NetMux } from '../wires/netmux/support.ts'
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
import { MuxWorld, ROLES } from './mux-world.ts'
import type { Role } from './mux-world.ts'

const RUNS = 40

/** Nothing but streams has a deadline, and those have all the time that their applications need. */
const PATIENT: NetMuxSettings = { keepaliveInterval: Infinity, openTimeout: 3_600_000 }

const SIZES: readonly NetMuxSettings[] = [
  {},
  { initialStreamWindow: 65_536, maxFrameSize: 1_000 },
  { initialStreamWindow: 1_000, maxFrameSize: 65_536 },
  { initialStreamWindow: 16, maxFrameSize: 5, maxStreams: 6 },
]

type World = MuxWorld<NetMux>

/** Everybody opens streams; where a window is a few bytes, a few of them take long enough. */
function habitsOf(title: string, resets: boolean): Habits {
  return { openers: ROLES, resets, ...(title.includes(':16,') ? { most: 500 } : {}) }
}

function makeWorld(seed: number, settings: NetMuxSettings): World {
  const all = { ...PATIENT, ...settings }
  return new MuxWorld(seed, {
    client: makeMachine('client', all),
    server: makeMachine('server', all),
    window: settings.initialStreamWindow ?? 262_144,
  })
}

function forAllSizes(check: (world: World, title: string) => void): void {
  for (const settings of SIZES) {
    // Few bytes a frame make many frames.
    const runs = (settings.maxFrameSize ?? 1_000) < 100 ? RUNS / 8 : RUNS
    for (let seed = 0; seed < runs; seed += 1) {
      check(makeWorld(seed, settings), `seed ${seed}, ${JSON.stringify(settings)}`)
    }
  }
}

describe('net-mux client against net-mux server', () => {
  it('every byte arrives, in order, on every stream; no window is overrun and nothing is left behind', () => {
    forAllSizes((world, title) => {
      for (let action = 0; action < 60; action += 1) act(world, habitsOf(title, false))
      windDown(world, habitsOf(title, false))
      const refused = expectConserved(world, title)
      // Streams that both ends open at once may be more than one end takes.
      if (!title.includes('maxStreams')) expect(refused, title).toBe(0)
      expectNothingLeft(world, title)
      closeAndExpectOver(world, 'client', title)
    })
  })

  it('with streams reset at any time, what arrives is a beginning of what was sent, and the others go on', () => {
    let resets = 0
    forAllSizes((world, title) => {
      resets += actWithResets(world, habitsOf(title, true), title)
    })
    expect(resets).toBeGreaterThan(100)
  })

  it('closed at any time by either end: streams run to their end, then both ends close in order', () => {
    forAllSizes((world, title) => {
      const closer: Role = world.random(0, 2) === 0 ? 'client' : 'server'
      for (let action = 0; action < 20; action += 1) act(world, habitsOf(title, false))
      world.handle(closer, world[closer].close(world.now))
      for (let action = 0; action < 20; action += 1) act(world, habitsOf(title, false))
      windDown(world, habitsOf(title, false))
      // What the other end opened meanwhile was refused.
      expectConserved(world, title)
      expectOver(world, title)
    })
  })

  it('the first frame on a stream is the SYN of its opener, and the ACK of the other end or its RST', () => {
    forAllSizes((world, title) => {
      for (let action = 0; action < 60; action += 1) act(world, habitsOf(title, true))
      windDown(world, habitsOf(title, true))
      for (const role of ROLES) {
        const first = new Map<string, string>()
        for (const line of describeFrames(bytesOf(world.writes[role]))) {
          const [kind = '', stream = '', ...rest] = line.split(' ')
          if (kind === 'PING' || kind === 'GOAWAY' || first.has(stream)) continue
          first.set(stream, `${kind} ${rest.join(' ')}`)
        }
        for (const [stream, frame] of first) {
          const ours = Number(stream) % 2 === (role === 'client' ? 1 : 0)
          expect(ours ? ['DATA SYN'] : ['DATA ACK', 'DATA RST'], title).toContain(frame)
        }
      }
    })
  })
})
