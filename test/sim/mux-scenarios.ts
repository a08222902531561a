// What applications do with a simulated connection, and what must hold whatever they did: for wires whose
// streams have credit.
import { expect } from 'vitest'
import type { StreamRequest } from '../../src/engine/machine.ts'
import { ROLES, peerOf } from './mux-world.ts'
import type { End, MuxWorld, Role, Simulated } from './mux-world.ts'

type AnyWorld = MuxWorld<Simulated, Simulated>

export interface Habits {
  /** Who opens streams. */
  readonly openers: readonly Role[]
  readonly resets: boolean
  /** Most bytes that an application wants to send at once. Default 200,000. */
  readonly most?: number
  /** What streams are opened with, on a wire that carries it. */
  readonly request?: (world: AnyWorld) => StreamRequest
  /** Whether an application may end its direction now. Default: at any time. */
  readonly mayFinish?: (world: AnyWorld, role: Role, end: End) => boolean
}

/** Streams that either end has at most. */
const MOST_STREAMS = 8

/** Something that an application at either end might do, and some time. */
export function act(world: AnyWorld, habits: Habits): void {
  const role = ROLES[world.random(0, 2)] ?? 'client'
  const live = world.live(role)
  const end = live[world.random(0, Math.max(1, live.length))]
  const kind = world.random(0, 12)
  if (kind < 2) openOne(world, role, habits)
  else if (kind < 5) wantMore(world, end, habits)
  else if (kind < 8) consumeSome(world, role, end)
  else if (kind === 8) finish(world, role, end, habits)
  else if (kind === 9) resetRarely(world, role, end, habits)
  else if (kind === 10) world[role].ping(world.now)
  else for (const waiting of world.live(role)) world.accept(role, waiting)
  world.run(world.now + (world.random(0, 3) === 0 ? world.random(0, 1_500) : 0))
}

/** Everybody reads and ends what is open, until no stream is left. Fails when nothing moves any more. */
export function windDown(world: AnyWorld, habits: Habits): void {
  for (let round = 0; round < 2_000; round += 1) {
    for (const role of ROLES) {
      for (const end of world.live(role)) {
        world.accept(role, end)
        if (end.received > end.consumed) world.consume(role, end, end.received - end.consumed)
        finish(world, role, end, habits)
      }
    }
    world.run(world.now + 100)
    if (ROLES.every((role) => world.live(role).length === 0)) return
  }
  expect.fail(`deadlock: ${JSON.stringify(ROLES.flatMap((role) => world.live(role)))}`)
}

/**
 * Every byte that was wanted has been sent and has arrived. Where one end reset a stream, what arrived is a
 * beginning of what was sent: the world has compared the bytes.
 *
 * @returns how many streams were reset
 */
export function expectConserved(world: AnyWorld, title: string): number {
  let resets = 0
  for (const role of ROLES) {
    for (const end of world.ends[role].values()) {
      if (!end.openedHere) continue
      const name = `${title}, stream ${end.stream}`
      const peer = world.ends[peerOf(role)].get(end.stream)
      if (end.error !== undefined || peer?.error !== undefined) {
        resets += 1
        expect(peer?.received ?? 0, name).toBeLessThanOrEqual(end.sent)
        expect(end.received, name).toBeLessThanOrEqual(peer?.sent ?? 0)
        continue
      }
      expect([peer?.received, end.received], name).toEqual([end.wanted, peer?.wanted])
      expect(end.accepted, name).toBe(true)
    }
  }
  return resets
}

/** Neither a stream nor a deadline is left: `deadline` is what a machine has without streams. */
export function expectNothingLeft(world: AnyWorld, title: string, deadline = Infinity): void {
  world.run(world.now + 1_000)
  for (const role of ROLES) {
    expect(world[role].streamCount, `${role}, ${title}`).toBe(0)
    expect(world[role].deadline, `${role}, ${title}`).toBe(deadline)
  }
}

/** A close by one end closes both, in order. */
export function closeAndExpectOver(world: AnyWorld, role: Role, title: string): void {
  world.handle(role, world[role].close(world.now))
  world.run(world.now + 1_000)
  expect(world.over, title).toBe(true)
  for (const each of ROLES) {
    expect(world.told[each].at(-1), title).toBe('closed')
    expect(world[each].deadline, title).toBe(Infinity)
  }
}

function openOne(world: AnyWorld, role: Role, habits: Habits): void {
  const { openers, request } = habits
  const opener = openers.includes(role) ? role : openers[0]
  if (opener === undefined || !world[opener].mayOpen) return
  if (world.live(opener).length >= MOST_STREAMS) return
  const end = world.open(opener, request?.(world))
  if (world.random(0, 3) > 0) wantMore(world, end, habits)
}

function wantMore(world: AnyWorld, end: End | undefined, { most = 200_000 }: Habits): void {
  if (end !== undefined && !end.finishing) end.wanted += Math.min(most, amount(world))
}

function amount(world: AnyWorld): number {
  const kind = world.random(0, 10)
  if (kind === 0) return world.random(50_000, 200_000)
  return kind < 5 ? world.random(1, 100) : world.random(1, 5_000)
}

function consumeSome(world: AnyWorld, role: Role, end: End | undefined): void {
  const unread = end === undefined ? 0 : end.received - end.consumed
  if (end !== undefined && unread > 0) world.consume(role, end, world.random(1, unread + 1))
}

function finish(world: AnyWorld, role: Role, end: End | undefined, { mayFinish }: Habits): void {
  if (end !== undefined && (mayFinish?.(world, role, end) ?? true)) end.finishing = true
}

function resetRarely(world: AnyWorld, role: Role, end: End | undefined, { resets }: Habits): void {
  if (end !== undefined && resets && world.random(0, 2) === 0) world.reset(role, end)
}

/**
 * What happens with streams reset at any time: what arrives is a beginning of what was sent, the others go on, and then
 * the server closes. Gives how many streams were reset.
 */
export function actWithResets(world: AnyWorld, habits: Habits, title: string): number {
  for (let action = 0; action < 80; action += 1) act(world, habits)
  windDown(world, habits)
  const resets = expectConserved(world, title)
  expectNothingLeft(world, title)
  closeAndExpectOver(world, 'server', title)
  return resets
}

/** Once an end has closed and its streams have run to their end, both ends are over and leave nothing. */
export function expectOver(world: AnyWorld, title: string): void {
  world.run(world.now + 60_000)
  expect(world.over, title).toBe(true)
  expectNothingLeft(world, title)
}
