// Two Mux.Pro machines on a simulated link: TCP and UDP, random pieces, delays and applications, ids that wrap,
// a fake clock.
import { describe, expect, it } from 'vitest'
import type { StreamRequest } from '../../src/engine/machine.ts'
import { bytesOf } from '../wires/anytls/support.ts'
import { describeFrames } from '../wires/muxpro/frames.ts'
import { makeClient, makeServer } from '../wires/muxpro/support.ts'
import type { Client, Server } from '../wires/muxpro/support.ts'
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

const RUNS = 60

/** Without streams nothing may have a deadline; streams have all the time that their applications need. */
const PATIENT = { keepalive: Infinity, connection: Infinity, linger: 3_600_000 }

type World = MuxWorld<Client, Server>

function makeWorld(seed: number): World {
  const client = makeClient({ timeouts: PATIENT })
  // A few streams from there on, ids wrap.
  client.useUpIds(65_535 - (seed % 7))
  return new MuxWorld<Client, Server>(seed, {
    client,
    server: makeServer({ timeouts: PATIENT }),
    window: 65_536,
  })
}

function habits(resets: boolean, openers: readonly Role[] = ['client']): Habits {
  return {
    openers,
    resets,
    request: (world): StreamRequest => ({
      network: world.random(0, 3) === 0 ? 'udp' : 'tcp',
      target: { host: 'target.example', port: 80 },
      priority: world.random(0, 256),
    }),
    // The end of a server is the end of its stream, so it waits until it has everything (D38).
    mayFinish(world, role, end) {
      const client = world.ends.client.get(end.stream)
      const complete = client !== undefined && client.finishing && end.received === client.wanted
      return role === 'client' || complete
    },
  }
}

function forAll(check: (world: World, title: string) => void): void {
  for (let seed = 0; seed < RUNS; seed += 1) check(makeWorld(seed), `seed ${seed}`)
}

describe('Mux.Pro client against Mux.Pro server', () => {
  it('every byte arrives, in order, on every stream; no credit is overrun and nothing is left behind', () => {
    let wrapped = 0
    forAll((world, title) => {
      for (let action = 0; action < 80; action += 1) act(world, habits(false))
      windDown(world, habits(false))
      expect(expectConserved(world, title), title).toBe(0)
      expectNothingLeft(world, title)
      if (world.ends.client.has(1)) wrapped += 1
      closeAndExpectOver(world, 'client', title)
    })
    expect(wrapped).toBeGreaterThan(RUNS / 2)
  })

  it('with streams reset at any time, what arrives is a beginning of what was sent, and the others go on', () => {
    let resets = 0
    forAll((world, title) => {
      resets += actWithResets(world, habits(true), title)
    })
    expect(resets).toBeGreaterThan(50)
  })

  it('closed at any time by the client: streams run to their end, then both ends close in order', () => {
    forAll((world, title) => {
      for (let action = world.random(0, 20); action > 0; action -= 1) act(world, habits(false))
      world.handle('client', world.client.close(world.now))
      for (let action = 0; action < 20; action += 1) act(world, habits(false))
      windDown(world, habits(false))
      expect(expectConserved(world, title), title).toBe(0)
      expectOver(world, title)
    })
  })

  it('closed by the server: streams that it has run to their end, then both ends close in order', () => {
    forAll((world, title) => {
      for (let action = 0; action < 20; action += 1) act(world, habits(false))
      // There is no GOAWAY on this wire: what is on its way when the server goes is lost.
      world.run(world.now + 2_000)
      world.handle('server', world.server.close(world.now))
      for (let action = 0; action < 20; action += 1) act(world, habits(false, []))
      windDown(world, habits(false, []))
      expect(expectConserved(world, title), title).toBe(0)
      expectOver(world, title)
    })
  })

  it('section 5: the first frame of each end is NegotiateVersion, of each sub-connection New, of a server never', () => {
    forAll((world) => {
      for (let action = 0; action < 60; action += 1) act(world, habits(true))
      windDown(world, habits(true))
      const [client, server] = [linesOf(world, 'client'), linesOf(world, 'server')]
      expect([client[0], server[0]]).toEqual(['NEGOTIATE 0', 'NEGOTIATE 0'])
      const known = new Set<string>()
      for (const line of client.slice(1)) {
        const [kind, id = ''] = line.split(' ')
        if (kind === 'NEW') known.add(id)
        else if (!known.has(id)) expect.fail(`${line} without a New`)
      }
      expect(server.slice(1).filter((line) => line.startsWith('NE'))).toEqual([])
      const foreign = server.slice(1).filter((line) => !known.has(line.split(' ')[1] ?? ''))
      expect(foreign).toEqual([])
    })
  })
})

function linesOf(world: World, role: Role): string[] {
  return describeFrames(bytesOf(world.writes[role]))
}
