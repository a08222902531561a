// What is pulled out, for how long, and for how long a request may fail by it.
import { closeSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { RandomInt } from '../../../src/shaping/shaper.ts'
import type { FleetServer } from '../fleet.ts'
import { killBalancer, processesOf } from './site.ts'
import type { Site } from './site.ts'

/** Nothing that a program notices. */
const NOTHING = 1_500
/** Within this clients have another session when one dies (docs/operating.md), in milliseconds. */
const DEATH = 1_500
/** Within this a request leaves a path that is silent: silence, question and dial (D26), in milliseconds. */
const SILENCE = 6_000

interface Tools {
  readonly site: Site
  readonly random: RandomInt
  /** Of the times for which something is away: 1 in the long form. */
  readonly scale: number
  /** Told of processes just before they are killed: what they carried last may be lost from the counts. */
  readonly onKill: (processes: readonly number[]) => void
  /** The processes that carry something now. */
  readonly carriers: () => ReadonlySet<number>
}

export interface Fault {
  readonly name: string
  /** How long a request that begins while it lasts may take or fail, in milliseconds; none of those of 'nothing' may fail. */
  readonly limit: number
  readonly mayFail: boolean
  /** @returns for how long requests may fail in addition, as something was away that all need, in milliseconds */
  strike(tools: Tools): Promise<number>
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'a worker killed',
    limit: DEATH,
    mayFail: true,
    async strike(tools) {
      kill([drawWorker(tools)], tools)
      await pause(500, 1_000, tools)
      return 0
    },
  },
  {
    name: 'a server killed',
    limit: DEATH,
    mayFail: true,
    async strike(tools) {
      const server = drawServer(tools)
      tools.onKill(processesOf(server))
      await server.kill()
      await pause(500, 4_000, tools)
      await server.start()
      return 0
    },
  },
  {
    name: 'a worker frozen',
    limit: SILENCE,
    mayFail: true,
    async strike(tools) {
      // New sessions still come to it.
      return freeze([drawWorker(tools)], tools)
    },
  },
  {
    name: 'a server frozen',
    limit: SILENCE,
    mayFail: true,
    async strike(tools) {
      await freeze(processesOf(drawServer(tools)), tools)
      return 0
    },
  },
  {
    name: 'connections reset',
    limit: DEATH,
    mayFail: true,
    async strike(tools) {
      draw(tools.site.fleet.lines, tools).reset()
      await pause(200, 1_000, tools)
      return 0
    },
  },
  {
    name: 'links half open',
    limit: SILENCE,
    mayFail: true,
    async strike(tools) {
      draw(tools.site.fleet.lines, tools).forget()
      await pause(200, 1_000, tools)
      return 0
    },
  },
  {
    name: 'HAProxy killed',
    limit: DEATH,
    mayFail: true,
    async strike(tools) {
      const begin = performance.now()
      await killBalancer(tools.site)
      await pause(200, 2_000, tools)
      tools.site.fleet.startBalancer()
      return performance.now() - begin
    },
  },
  {
    name: 'Redis late',
    limit: NOTHING,
    mayFail: false,
    async strike(tools) {
      tools.site.redisLine.delay(tools.random(200, 2_000))
      await pause(3_000, 8_000, tools)
      tools.site.redisLine.delay(0)
      return 0
    },
  },
  {
    name: 'Redis frozen',
    limit: NOTHING,
    mayFail: false,
    async strike(tools) {
      tools.site.redis.signal('SIGSTOP')
      await pause(1_000, 6_000, tools)
      tools.site.redis.signal('SIGCONT')
      return 0
    },
  },
  {
    name: 'Redis killed and its connections half open before',
    limit: NOTHING,
    mayFail: false,
    async strike(tools) {
      if (tools.random(0, 2) === 0) tools.site.redisLine.forget()
      await pause(100, 1_500, tools)
      await tools.site.redis.kill()
      await pause(500, 5_000, tools)
      await tools.site.redis.start()
      return 0
    },
  },
  {
    name: 'Redis away, then a server killed',
    limit: DEATH,
    mayFail: true,
    async strike(tools) {
      await tools.site.redis.kill()
      await pause(2_000, 6_000, tools)
      const server = drawServer(tools)
      tools.onKill(processesOf(server))
      await server.kill()
      await server.start()
      await pause(200, 2_000, tools)
      await tools.site.redis.start()
      return 0
    },
  },
  {
    name: 'a disk full',
    limit: NOTHING,
    mayFail: false,
    async strike(tools) {
      const { site } = tools
      if (!site.hasDisks) return 0
      const full = join(draw(site.fleet.servers, tools).folder, 'filler')
      fill(full)
      await pause(2_500, 8_000, tools)
      rmSync(full)
      return 0
    },
  },
]

function draw<T>(all: readonly T[], { random }: Tools): T {
  const drawn = all[random(0, all.length)]
  if (drawn === undefined) throw new Error('there is nothing to draw from')
  return drawn
}

/** One that carries something, if there is one. */
function drawServer(tools: Tools): FleetServer {
  const { servers } = tools.site.fleet
  const carriers = tools.carriers()
  const busy = servers.filter((server) => processesOf(server).some((pid) => carriers.has(pid)))
  return draw(busy.length > 0 ? busy : servers, tools)
}

function drawWorker(tools: Tools): number {
  const [, ...workers] = processesOf(drawServer(tools))
  const carriers = tools.carriers()
  const busy = workers.filter((pid) => carriers.has(pid))
  return draw(busy.length > 0 ? busy : workers, tools)
}

/** From `min` to `max` milliseconds, scaled. */
function pause(min: number, max: number, { random, scale }: Tools): Promise<void> {
  return sleep(min + random(0, max - min) * scale)
}

function kill(processes: readonly number[], { onKill }: Tools): void {
  onKill(processes)
  for (const pid of processes) process.kill(pid, 'SIGKILL')
}

/** @returns how long it took */
async function freeze(processes: readonly number[], tools: Tools): Promise<number> {
  const begin = performance.now()
  for (const pid of processes) process.kill(pid, 'SIGSTOP')
  await pause(500, 8_000, tools)
  for (const pid of processes) process.kill(pid, 'SIGCONT')
  return performance.now() - begin
}

/** Writes until nothing more goes in. */
function fill(path: string): void {
  const file = openSync(path, 'w')
  try {
    for (const bytes of [Buffer.alloc(65_536), Buffer.alloc(1)]) {
      while (writeSync(file, bytes) > 0);
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
  } finally {
    closeSync(file)
  }
}
