// What is pulled out: three servers of two workers each behind HAProxy, a Redis, clients, and what stands between them.
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import { closedPort } from '../../proxy/support.ts'
import { TestRedis, until } from '../../serve/redis/redis.ts'
import { Fleet } from '../fleet.ts'
import type { FleetServer } from '../fleet.ts'
import { startMiddlebox } from '../middlebox.ts'
import type { Middlebox } from '../middlebox.ts'
import { childrenOf, connections, descriptorsOf } from './processes.ts'
import type { Sum } from './traffic.ts'

const WORKERS = 2

/** Of the disk that a server's state is on, where one may be mounted. */
const DISK = '256k'

/** How many descriptors each process has, by what it is. */
export type Descriptors = Readonly<Record<string, number>>

export interface Site {
  readonly fleet: Fleet
  readonly redis: TestRedis
  /** Between the servers and Redis. */
  readonly redisLine: Middlebox
  /** Whether a disk of its own, which can be full, could be mounted for the state of each server. */
  readonly hasDisks: boolean
  close(): Promise<void>
}

/**
 * @param folder for all that they keep
 * @param users how many: each has a client
 */
export async function startSite(haproxy: string, folder: string, users: number): Promise<Site> {
  mkdirSync(join(folder, 'redis'))
  // What Redis has said is done is on its disk: what is lost is the answer.
  const durable = ['--appendonly', 'yes', '--appendfsync', 'always']
  const redis = new TestRedis(await closedPort(), durable, join(folder, 'redis'))
  await redis.start()
  const redisLine = await startMiddlebox(redis.port)
  const passwords = Array.from({ length: users }, (_, index) => `password of ${index}`)
  const store = await openStore(redis, join(folder, 'adding'))
  for (const [index, password] of passwords.entries()) {
    await store.add({ name: `user ${index}`, password, allowPrivate: true })
  }
  await store.close()
  const fleet = new Fleet()
  const disks = Array.from({ length: 3 }, (_, index) => join(folder, `server-${index}`))
  const mounted = disks.filter(mountDisk)
  const close = async (): Promise<void> => {
    await fleet.close()
    await redis.kill()
    await redisLine.stop()
    for (const disk of mounted) execFileSync('umount', [disk])
  }
  try {
    const front = await fleet.startServers(haproxy, folder, {
      server: ['--workers', String(WORKERS)],
      users: `redis://127.0.0.1:${redisLine.port}`,
    })
    await fleet.allUp()
    await fleet.startClients(front, folder, users, { passwords, client: ['--reply-wait', 'exact'] })
  } catch (error) {
    await close()
    throw error
  }
  return { fleet, redis, redisLine, hasDisks: mounted.length === disks.length, close }
}

/** The pids of a server: its primary process first. */
export function processesOf({ program }: FleetServer): number[] {
  const pid = program?.child.pid
  return pid === undefined ? [] : [pid, ...childrenOf(pid)]
}

/** Resolves when all is as it was before a fault: HAProxy has all servers, they have their workers and Redis. */
export async function recovered({ fleet }: Site): Promise<void> {
  await fleet.allUp()
  await until(async () => {
    for (const server of fleet.servers) {
      if (processesOf(server).length !== 1 + WORKERS) return false
      const health = await fetch(`http://${server.admin}/healthz`)
      if ((await health.text()) !== 'ok\n') return false
    }
    return true
  }, 30_000)
}

/** Whose a connection is that comes from `port`, of the workers of all servers. */
export function makeOwnerOf(site: Site): (port: number) => Promise<number | undefined> {
  let asked: Promise<ReadonlyMap<number, number>> | undefined
  // The tables are long: they are read for several at once.
  const look = async () => {
    await new Promise((resolve) => setTimeout(resolve, 100))
    asked = undefined
    return ownersOfPorts(site.fleet.servers.flatMap((server) => processesOf(server).slice(1)))
  }
  return async (port) => (await (asked ??= look())).get(port)
}

function ownersOfPorts(pids: readonly number[]): ReadonlyMap<number, number> {
  const owners = new Map<string, number>()
  for (const pid of pids) {
    try {
      for (const socket of descriptorsOf(pid)) owners.set(socket, pid)
    } catch {
      // It is gone.
    }
  }
  const ports = new Map<number, number>()
  for (const { local, socket } of connections()) {
    const owner = owners.get(socket)
    if (owner !== undefined) ports.set(local, owner)
  }
  return ports
}

/** What Redis says that users have used, by the number of the user. */
export async function countsIn({ redis }: Site, folder: string): Promise<readonly Sum[]> {
  const store = await openStore(redis, folder)
  const counts = Array.from(store.users, ({ name, id }): [number, Sum] => {
    return [Number(name.split(' ')[1]), { ...store.usage.of(id) }]
  })
  await store.close()
  return counts.sort(([one], [other]) => one - other).map(([, used]) => used)
}

/** Of all that stays, with no client there. */
export function descriptors({ fleet, redis }: Site): Descriptors {
  const counts: Record<string, number> = {}
  const count = (name: string, pid: number | undefined): void => {
    if (pid !== undefined) counts[name] = descriptorsOf(pid).length
  }
  for (const [index, server] of fleet.servers.entries()) {
    for (const [at, pid] of processesOf(server).entries()) {
      count(`server ${index}, ${at === 0 ? 'primary process' : `worker ${at}`}`, pid)
    }
  }
  count('HAProxy', fleet.balancer?.pid)
  count('Redis', redis.pid)
  return counts
}

/** Of the clients, without those of the sessions that they have now. */
export function clientDescriptors({ fleet }: Site): Descriptors {
  const lines = new Set(fleet.lines.map(({ port }) => port))
  const sessions = new Set(
    connections().flatMap(({ remote, socket }) => (lines.has(remote) ? [socket] : [])),
  )
  return Object.fromEntries(
    fleet.clients.map(({ child }, index) => [
      `client ${index}`,
      descriptorsOf(child.pid ?? 0).filter((one) => !sessions.has(one)).length,
    ]),
  )
}

/** Ends HAProxy at once. */
export async function killBalancer({ fleet }: Site): Promise<void> {
  const { balancer } = fleet
  if (balancer === undefined) return
  const ended = once(balancer, 'exit')
  balancer.kill('SIGKILL')
  await ended
}

async function openStore(redis: TestRedis, folder: string) {
  mkdirSync(folder, { recursive: true })
  return openUserStore(redis.place, { warn: () => {}, folder })
}

/** False where this is not allowed. */
function mountDisk(folder: string): boolean {
  mkdirSync(folder)
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'tmpfs', folder], {
      stdio: 'ignore',
    })
    return true
  } catch {
    return false
  }
}
