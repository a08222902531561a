// Reckons what 10,000 to 1,000,000 users need, from the costs that bench/costs.ts measured (bench/costs.json) and assumptions
// that are named here: servers, memory, work of Redis, time until a revocation is in force everywhere, and what is too much
// first. Seeded. `npm run bench:scale`, with `-- --check` to hold the same sums against three servers of two workers that run.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { makeOwnerOf, processesOf, recovered, startSite } from '../test/e2e/failures/site.ts'
import type { Site } from '../test/e2e/failures/site.ts'
import { Traffic } from '../test/e2e/failures/traffic.ts'
import { requireProgram } from '../test/support/programs.ts'
import { seededRandomInt } from '../test/support/seeded-random.ts'
import type { Costs } from './costs.ts'
import { processorSeconds } from './go-peer.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '13' },
    costs: { type: 'string', default: join(import.meta.dirname, 'costs.json') },
    check: { type: 'boolean', default: false },
  },
})

/** What nobody measured: change it to what you know of your users. */
const ASSUMED = {
  /** Of all users, in the busiest hour. */
  online: 0.2,
  sessionsAUser: 1.5,
  /** Of a session, in seconds. */
  sessionLength: 1_200,
  /** Of those online, in two seconds. */
  active: 0.3,
  /** Of one that is active. */
  requestsASecond: 0.5,
  bytesDownASecond: 50_000,
  bytesUpASecond: 5_000,
  /** Changes of users (added, paid, revoked), a day for each user. */
  changesADay: 0.05,
  /** Of a server. */
  cores: 4,
  memoryMiB: 8_192,
  /** Of a core or of memory, as much is used: the rest is for what is uneven. */
  used: 0.6,
  /** Of a user in the feed, in bytes. */
  feedBytes: 45,
  /** Of a core, to keep the users known last on disk, at most (src/serve/remote/known-users.ts). */
  keeping: 0.02,
  /** How often counts are told and the feed is read, in seconds (src/serve/accounts.ts, redis-store.ts). */
  telling: 2,
  looking: 0.5,
  /** What is told in one step of Redis, and kept of the feed (redis-store.ts, redis-scripts.ts). */
  countedAtOnce: 200,
  feedLength: 2_000,
} as const

const SIZES = [10_000, 30_000, 100_000, 300_000, 1_000_000]
const GIB = 1_073_741_824
const WINDOWS = 30
const REVOCATIONS = 300

const costs = JSON.parse(readFileSync(values.costs, 'utf8')) as Costs
const draw = seededRandomInt(Number(values.seed))
const random = (): number => draw(0, 1_000_000) / 1_000_000

if (values.check) await check()
else {
  console.log(`costs: ${costs.machine}, ${costs.users} users, load ${costs.load.toFixed(1)}`)
  console.log(JSON.stringify(ASSUMED))
  console.log(
    '| users | online | servers | cores each, used | primary process | memory each, GiB | Redis core | Redis commands/s | feed to each, MB/s | revoked everywhere, median, p99 s | too much |',
  )
  console.log(`|${' --- |'.repeat(11)}`)
  for (const users of SIZES) console.log(reckon(users))
}
process.exit(0)

/** What is asked of one server or of all in a second. */
interface Work {
  readonly logins: number
  readonly requests: number
  readonly down: number
  readonly up: number
}

/** Cores that the workers of a server use for it. */
function coresFor({ logins, requests, down, up }: Work): number {
  const { cpuALogin, cpuARequest, cpuSecondsAGiBDown, cpuSecondsAGiBUp } = costs.server
  const pieces = (logins * cpuALogin + requests * cpuARequest) / 1_000
  return pieces + (down * cpuSecondsAGiBDown + up * cpuSecondsAGiBUp) / GIB
}

function reckon(users: number): string {
  const { server, redis } = costs
  const online = users * ASSUMED.online
  const active = online * ASSUMED.active
  const changes = (users * ASSUMED.changesADay) / 86_400
  const primary =
    (server.cpuIdlePerSecond +
      (active / ASSUMED.telling) * server.cpuAUserInABatchOfOthers +
      changes * server.cpuAChange) /
      1_000 +
    ASSUMED.keeping
  const sessions = online * ASSUMED.sessionsAUser
  const all = coresFor({
    logins: sessions / ASSUMED.sessionLength,
    requests: active * ASSUMED.requestsASecond,
    down: active * ASSUMED.bytesDownASecond,
    up: active * ASSUMED.bytesUpASecond,
  })
  const room = (ASSUMED.cores - Math.min(primary, 1)) * ASSUMED.used
  let servers = Math.max(2, Math.ceil(all / room))
  let busiest = busiestOf(servers, active, all)
  while (busiest > ASSUMED.cores - Math.min(primary, 1)) {
    servers = Math.ceil(servers * 1.1)
    busiest = busiestOf(servers, active, all)
  }
  // Each process knows all users.
  const memory =
    ((ASSUMED.cores + 1) * (server.idleMiB + (users * server.bytesAUser) / 1_048_576) +
      ((sessions / servers) * server.bytesASession) / 1_048_576) /
    1_024
  const told = Math.max(servers, active / ASSUMED.countedAtOnce) / ASSUMED.telling
  const redisCore =
    ((sessions / ASSUMED.sessionLength) * redis.cpuALogin +
      told * redis.cpuABatch +
      (active / ASSUMED.telling) * redis.cpuAUserInABatch) /
    1_000
  const commands =
    servers * redis.commandsASecondOfAServer +
    (sessions / ASSUMED.sessionLength) * redis.commandsALogin +
    told
  const feed = ((active / ASSUMED.telling) * ASSUMED.feedBytes) / 1e6
  const revoked = revocations(servers, redisCore, primary)
  const problems = [
    primary > ASSUMED.used && 'the primary process follows the feed',
    redisCore > ASSUMED.used && 'Redis counts',
    memory * 1_024 > ASSUMED.memoryMiB * ASSUMED.used && 'memory',
    (feed * servers) / 125 > ASSUMED.used && 'the line of Redis (1 Gbit/s)',
    told * ASSUMED.telling > ASSUMED.feedLength && 'the feed is cut before it is read',
  ].filter((problem) => problem !== false)
  const cells = [
    users,
    online,
    servers,
    busiest.toFixed(2),
    primary.toFixed(2),
    memory.toFixed(1),
    redisCore.toFixed(2),
    commands.toFixed(0),
    feed.toFixed(2),
    revoked.map((seconds) => seconds.toFixed(2)).join(', '),
    problems.join('; ') || 'nothing',
  ]
  return `| ${cells.join(' | ')} |`
}

/** Users come to servers as it happens: the most cores that one of them uses in a window. */
function busiestOf(servers: number, active: number, all: number): number {
  let most = 0
  const share = all / active
  for (let window = 0; window < WINDOWS; window += 1) {
    const here = new Float64Array(servers)
    // More than that are as even as these.
    const drawn = Math.min(active, 20_000)
    for (let count = 0; count < drawn; count += 1) {
      // Some take much more than others.
      here[draw(0, servers)]! += -Math.log(1 - random()) * share * (active / drawn)
    }
    most = Math.max(most, ...here)
  }
  return most
}

/** Until the last server has ended the sessions of somebody: the median and the 99th of a hundred, in seconds. */
function revocations(servers: number, redisCore: number, primary: number): number[] {
  const work = costs.server.cpuAChange / 1_000
  const waits = Array.from({ length: REVOCATIONS }, () => {
    // A queue with one who serves: what comes in between.
    const queue = (load: number, each: number) =>
      load >= 1 ? Infinity : (-Math.log(1 - random()) * each * load) / (1 - load)
    let last = 0
    for (let server = 0; server < servers; server += 1) {
      const wait = random() * ASSUMED.looking + queue(primary, work) + work
      last = Math.max(last, wait)
    }
    return queue(redisCore, costs.redis.cpuABatch / 1_000) + last
  }).sort((one, other) => one - other)
  return [0.5, 0.99].map((part) => waits[Math.floor(waits.length * part)] ?? NaN)
}

/** The same sums for what three servers of two workers did, beside what they took for it. */
async function check(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bench-scale-'))
  const site = await startSite(requireProgram('haproxy').path, folder, 4)
  try {
    await recovered(site)
    const idle = await taken(site, () => sleep(10_000))
    const traffic = new Traffic({
      proxies: site.fleet.proxies,
      loops: 6,
      random: draw,
      ownerOf: makeOwnerOf(site),
    })
    await traffic.listen()
    traffic.start()
    // Warm.
    await sleep(10_000)
    const sum = () =>
      traffic.accounts.reduce(
        (total, { delivered: { up, down } }) => ({ up: total.up + up, down: total.down + down }),
        { up: 0, down: 0 },
      )
    const [before, answered] = [sum(), traffic.answered]
    const busy = await taken(site, () => sleep(20_000))
    const after = sum()
    await traffic.stop()
    traffic.close()
    const work = {
      logins: 0,
      requests: (traffic.answered - answered) / busy.seconds,
      down: (after.down - before.down) / busy.seconds,
      up: (after.up - before.up) / busy.seconds,
    }
    const reckoned = {
      cores: coresFor(work) + idle.cores,
      commands: site.fleet.servers.length * costs.redis.commandsASecondOfAServer + 3 / 2,
    }
    console.log(JSON.stringify({ work, idle, measured: busy, reckoned }, undefined, 2))
    console.log(
      `cores: measured ${busy.cores.toFixed(3)}, reckoned ${reckoned.cores.toFixed(3)}; ` +
        `commands/s of Redis: measured ${busy.commands.toFixed(1)}, reckoned ${reckoned.commands.toFixed(1)}`,
    )
  } finally {
    await site.close()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Cores that the servers used while something was done, and commands a second that Redis ran. */
async function taken(site: Site, task: () => Promise<void>) {
  const spent = () =>
    site.fleet.servers
      .flatMap((server) => processesOf(server))
      .reduce((sum, pid) => sum + processorSeconds({ pid }), 0)
  const commands = async () => {
    const info = await site.redis.command('INFO', 'stats')
    return Number(/total_commands_processed:(\d+)/.exec(info)?.[1])
  }
  const [before, ran, begun] = [spent(), await commands(), performance.now()]
  await task()
  const seconds = (performance.now() - begun) / 1_000
  return {
    seconds,
    cores: (spent() - before) / seconds,
    commands: ((await commands()) - ran) / seconds,
  }
}
