// Connections on which nothing happens: pages that were loaded and stay open, directly and through tunnels, and what
// an onlooker makes of the silence. It begins where no record has passed for a while.
import type { Comparison } from '../../src/harness/compare/compare.ts'
import { summarize } from '../../src/harness/report/statistics.ts'
import type { Run } from '../../src/harness/report/source.ts'
import { DEFAULT_SCHEME_TEXT } from '../../src/shaping/scheme.ts'
import { NO_SHAPING } from './loads.ts'
import type { Study } from './main.ts'
import { pagePath, pollingPath } from './sites.ts'
import { areaByClock, keepsTime, silenceOf, silencesOf } from './silences.ts'
import { compareRuns, doAll, openStation } from './station.ts'
import type { Station } from './station.ts'

export interface IdleOutcome {
  readonly name: string
  readonly connections: number
  /** Mean records in the silence. */
  readonly records: { readonly up: number; readonly down: number }
  /** Times between records of which the later one is the first of an exchange, in ms. */
  readonly silences: { readonly median: number; readonly deviation: number } | undefined
  /** Share of these silences that last from 14.9 to 15.1 s. */
  readonly fifteen: number
  /** Share of connections that a rule without examples takes for kept alive by the clock. */
  readonly byRule: number
  /** How well the distance of the first silences from 15 s alone tells them from polling pages: 0.5 to 1. */
  readonly byClock: number | undefined
  /** With quiet pages and with polling ones, loaded directly: all features, and times alone. */
  readonly withQuiet: Judgement | undefined
  readonly withPolling: Judgement | undefined
}

interface Judgement {
  readonly all: Comparison | undefined
  readonly times: Comparison | undefined
}

/** How long a page stays open, in ms: below the 75 s after which nginx closes. */
const KEPT = 70_000
/** @param loads connections of each kind at most */
export async function studyIdle(
  study: Study,
  { loads, delay, until }: { loads: number; delay: number; until: number },
): Promise<IdleOutcome[]> {
  const { ways, sites, out, seed, loader, nextPage } = study
  const direct = ways.directly('direct', sites.port)
  const all = [
    direct,
    { ...direct, name: 'direct again' },
    { ...direct, name: 'direct, polling' },
    await ways.through('unshaped', { up: NO_SHAPING }),
    await ways.through('unshaped, 15 s', { up: NO_SHAPING, fixedKeepalive: true }),
    await ways.through('original wire', { wire: 'legacy', up: DEFAULT_SCHEME_TEXT }),
    ...(study.withGo ? [await ways.throughGo('sing-anytls')] : []),
  ]
  const stations: Station[] = []
  for (const way of all) {
    const file = `idle-${way.name.replaceAll(/\W+/g, '-')}.jsonl`
    stations.push(await openStation(way, { delay, out, file }))
  }
  const firstPage = nextPage(loads * all.length)
  const open = new Set<Promise<void>>()
  let done = 0
  const tasks = Array.from({ length: loads }, (_, load) =>
    stations.map(({ way, port: listening }, place) => async () => {
      const number = firstPage + place * loads + load
      const page = way.name === 'direct, polling' ? pollingPath(number) : pagePath(number)
      const client = await way.begin(listening)
      const port = client.proxy === undefined ? listening : sites.port
      const { close } = await loader.open(`https://localhost:${port}${page}`, client.proxy)
      const kept = new Promise((resolve) => setTimeout(resolve, KEPT)).then(async () => {
        await close()
        await client.end()
        open.delete(kept)
      })
      open.add(kept)
      process.stderr.write(`\ridle: ${(done += 1)} of ${loads * all.length} `)
    }),
  )
  await doAll(tasks.flat(), { beside: study.beside, until })
  process.stderr.write('\n')
  await Promise.all(open)
  const seen: { readonly name: string; readonly runs: readonly Run[] }[] = []
  for (const station of stations) {
    const { runs } = await station.close()
    seen.push({ name: station.way.name, runs: runs.flatMap((run) => silenceOf(run, KEPT) ?? []) })
  }
  const of = (name: string) => seen.find((one) => one.name === name)?.runs ?? []
  const judge = (name: string, runs: readonly Run[], by: string): Judgement | undefined =>
    name === by
      ? undefined
      : {
          all: compareRuns(of(by), runs, seed),
          times: compareRuns(of(by).map(withoutSizes), runs.map(withoutSizes), seed),
        }
  return seen.map(({ name, runs }): IdleOutcome => {
    const each = runs.map(silencesOf)
    const silences = each.flat()
    const summary = summarize(silences)
    const middle = silences.reduce((sum, value) => sum + value / silences.length, 0)
    const squares = silences.map((value) => (value - middle) ** 2 / silences.length)
    const variance = squares.reduce((sum, value) => sum + value, 0)
    const mean = (way: 'up' | 'down') =>
      runs.reduce((sum, run) => sum + run[way].sizes.length, 0) / Math.max(runs.length, 1)
    return {
      ...{ name, connections: runs.length },
      // The mark is none of them.
      records: { up: mean('up') - 1, down: mean('down') },
      silences: summary && { median: summary.median, deviation: Math.sqrt(variance) },
      fifteen: silences.filter((ms) => ms >= 14_900 && ms <= 15_100).length / silences.length,
      byRule: each.filter(keepsTime).length / Math.max(each.length, 1),
      byClock: areaByClock(of('direct, polling').map(silencesOf), each),
      withQuiet: judge(name, runs, 'direct'),
      withPolling: judge(name, runs, 'direct, polling'),
    }
  })
}

function withoutSizes({ up, down }: Run): Run {
  const bare = ({ times }: Run['up']) => ({ times, sizes: times.map(() => 1) })
  return { up: bare(up), down: bare(down) }
}
