// The failures test: traffic, everything pulled out in turn, and at the end every byte, count and descriptor accounted for.
import { setTimeout as sleep } from 'node:timers/promises'
import { join } from 'node:path'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { FAULTS } from './faults.ts'
import type { Fault } from './faults.ts'
import {
  clientDescriptors,
  countsIn,
  descriptors,
  makeOwnerOf,
  recovered,
  startSite,
} from './site.ts'
import type { Descriptors } from './site.ts'
import { Traffic } from './traffic.ts'
import type { Failure, Sum } from './traffic.ts'

const USERS = 4
const LOOPS = 3

/** Descriptors that come and go by themselves: sockets that a process keeps for its own requests, files that it reads. */
const LEEWAY = 2

/** For so long nothing is pulled out at first, in milliseconds. */
const CALM = 10_000

/** Counts are at rest when they have not changed for so long, in milliseconds. */
const REST = 2_500

/** How long what was reset may take to be closed everywhere, in milliseconds. */
const CLOSING = 10_000

export interface FailuresOptions {
  readonly haproxy: string
  readonly folder: string
  readonly seconds: number
  readonly seed: number
  /** Of the times for which something is away: 1 in the long form. */
  readonly scale: number
  /** What a request may take in addition to the longest while nothing is pulled out, in milliseconds. */
  readonly slack: number
  readonly say: (line: string) => void
}

/** What a kind of fault did to requests. */
interface FaultFigures {
  strikes: number
  /** Requests that failed that had begun while it lasted, and that it cut off. */
  failed: number
  cutOff: number
  /** The longest that a request took, failures before it included, less what may be added; in milliseconds. */
  longest: number
}

export interface FailuresReport {
  readonly faults: ReadonlyMap<string, FaultFigures>
  readonly answered: number
  /** Tunnels that were cut off. */
  readonly cut: number
  readonly carried: Sum
  /** Bytes that were delivered and are in no count, and what may be by the processes that were killed. */
  readonly lost: Sum
  readonly mayBeLost: Sum
  /** What is wrong; empty when all is accounted for. */
  readonly problems: readonly string[]
}

export async function runFailures(options: FailuresOptions): Promise<FailuresReport> {
  const { haproxy, folder, seed, scale, slack, say } = options
  const random = seededRandomInt(seed)
  const site = await startSite(haproxy, folder, USERS)
  const traffic = new Traffic({
    proxies: site.fleet.proxies,
    loops: LOOPS,
    random: seededRandomInt(seed + 1),
    ownerOf: makeOwnerOf(site),
  })
  const problems: string[] = []
  const mayBeLost = traffic.accounts.map(() => ({ up: 0, down: 0 }))
  const figures = new Map<string, FaultFigures>()
  try {
    await recovered(site)
    const before = descriptors(site)
    const clientsBefore = clientDescriptors(site)
    await traffic.listen()
    traffic.start()
    await traffic.answeredSince(performance.now())
    traffic.waits.length = 0
    await sleep(CALM * scale)
    const calm = Math.max(...traffic.waits.map(({ ms }) => ms))
    say(`nothing is pulled out: longest ${Math.round(calm)} ms`)
    const end = performance.now() + options.seconds * 1_000
    const onKill = (pids: readonly number[]): void => {
      for (const [user, { up, down }] of traffic.carriedLately(new Set(pids)).entries()) {
        mayBeLost[user]!.up += up
        mayBeLost[user]!.down += down
      }
    }
    const carriers = () => traffic.carriers()
    let [failures, waits] = [0, 0]
    while (performance.now() < end) {
      for (const fault of shuffled(FAULTS, random)) {
        if (performance.now() >= end) break
        const quiet = traffic.failures.length - failures
        if (quiet > 0) problems.push(`${quiet} requests failed before '${fault.name}'`)
        ;[failures, waits] = [traffic.failures.length, traffic.waits.length]
        const begun = performance.now()
        const away = await fault.strike({ site, random, scale, onKill, carriers })
        const over = performance.now()
        await traffic.answeredSince(over)
        await recovered(site)
        const seen = look(
          fault,
          begun,
          away,
          traffic.failures.slice(failures),
          traffic.waits.slice(waits),
        )
        failures = traffic.failures.length
        add(figures, fault.name, seen)
        say(
          `${fault.name}: ${Math.round(over - begun)} ms, failed ${seen.failed}, cut off ${seen.cutOff}, longest ${Math.round(seen.longest)} ms`,
        )
        if (seen.longest > fault.limit + calm + slack) {
          problems.push(`${fault.name}: a request took ${Math.round(seen.longest)} ms`)
        }
        if (!fault.mayFail && seen.failed + seen.cutOff > 0) {
          const [first] = traffic.failures.slice(-1)
          problems.push(`${fault.name}: ${seen.failed} requests failed: ${first?.problem}`)
        }
      }
    }
    await traffic.stop()
    traffic.close()
    if (traffic.wrong > 0) problems.push(`${traffic.wrong} bytes were not those that were sent`)
    await recovered(site)
    problems.push(...compare('with its tunnels closed', clientsBefore, clientDescriptors(site)))
    for (const { child, ended } of site.fleet.clients) {
      child.kill('SIGTERM')
      await ended
    }
    const counts = await countsAtRest(site, join(folder, 'reading'))
    const lost = { up: 0, down: 0 }
    for (const [user, { said, delivered }] of traffic.accounts.entries()) {
      const counted = counts[user] ?? { up: NaN, down: NaN }
      for (const way of ['up', 'down'] as const) {
        const missing = Math.max(0, delivered[way] - counted[way])
        lost[way] += missing
        if (!(counted[way] <= said[way])) {
          problems.push(
            `user ${user}: ${counted[way]} bytes ${way} are counted of ${said[way]} that were sent`,
          )
        }
        if (missing > mayBeLost[user]![way]) {
          problems.push(
            `user ${user}: ${missing} bytes ${way} are counted nowhere; ${mayBeLost[user]![way]} may be`,
          )
        }
      }
    }
    // Links that are half open stay at servers and HAProxy until their own times are over: up to a minute.
    for (const line of site.fleet.lines) line.resetForgotten()
    const open = () => compare('with no client', before, descriptors(site))
    for (const last = performance.now() + CLOSING; open().length > 0 && performance.now() < last;) {
      await sleep(100)
    }
    problems.push(...open())
    const deliveredInAll = traffic.accounts.map(({ delivered }) => delivered)
    return {
      faults: figures,
      answered: traffic.answered,
      cut: traffic.cut,
      carried: sumOf(deliveredInAll),
      lost,
      mayBeLost: sumOf(mayBeLost),
      problems,
    }
  } finally {
    await site.close()
  }
}

/** What a fault did to the requests that began while it lasted, and to those that were under way. */
function look(
  { limit }: Fault,
  begun: number,
  away: number,
  failures: readonly Failure[],
  waits: readonly { readonly begun: number; readonly ms: number }[],
): FaultFigures {
  const failed = failures.filter((failure) => failure.begun >= begun).length
  const times = waits.filter((wait) => wait.begun >= begun).map(({ ms }) => ms)
  const most = Math.max(0, ...times)
  // Only those that it held up may take so much longer.
  return {
    strikes: 1,
    failed,
    cutOff: failures.length - failed,
    longest: most > limit ? Math.max(limit, most - away) : most,
  }
}

function add(all: Map<string, FaultFigures>, name: string, seen: FaultFigures): void {
  const known = all.get(name) ?? { strikes: 0, failed: 0, cutOff: 0, longest: 0 }
  all.set(name, {
    strikes: known.strikes + seen.strikes,
    failed: known.failed + seen.failed,
    cutOff: known.cutOff + seen.cutOff,
    longest: Math.max(known.longest, seen.longest),
  })
}

/** What Redis says when it says nothing else any more. */
async function countsAtRest(
  site: Parameters<typeof countsIn>[0],
  folder: string,
): Promise<readonly Sum[]> {
  let counts = await countsIn(site, folder)
  for (;;) {
    await sleep(REST)
    const next = await countsIn(site, folder)
    if (JSON.stringify(next) === JSON.stringify(counts)) return next
    counts = next
  }
}

function compare(when: string, before: Descriptors, after: Descriptors): string[] {
  return Object.entries(before).flatMap(([name, count]) => {
    const now = after[name] ?? NaN
    return now <= count + LEEWAY ? [] : [`${name} has ${now} descriptors ${when}, had ${count}`]
  })
}

function sumOf(sums: readonly Sum[]): Sum {
  const all = { up: 0, down: 0 }
  for (const { up, down } of sums) {
    all.up += up
    all.down += down
  }
  return all
}

function shuffled<T>(all: readonly T[], random: (min: number, max: number) => number): T[] {
  const rest = [...all]
  return all.map(() => rest.splice(random(0, rest.length), 1)[0]!)
}
