// Loads of pages by each way, and what an onlooker makes of them.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Comparison } from '../../src/harness/compare/compare.ts'
import { fitScheme } from '../../src/harness/fit/fit.ts'
import type { Run } from '../../src/harness/report/source.ts'
import { seededRandomInt } from '../../src/harness/simulate/seeded-random.ts'
import { V1_WIRE } from '../../src/harness/simulate/v1-model.ts'
import { WORKLOADS } from '../../src/harness/simulate/workloads.ts'
import { NAMED_SCHEMES } from '../../src/shaping/named-schemes.ts'
import { DEFAULT_SCHEME_TEXT } from '../../src/shaping/scheme.ts'
import { flightsOf, shareWithHandshake } from './inner-handshake.ts'
import type { Study } from './main.ts'
import { pagePath } from './sites.ts'
import { compareRuns, doAll, openStation } from './station.ts'
import type { Notes, Station } from './station.ts'
import type { Way } from './ways.ts'

/** What is kept of a way of loading, at one delay. */
export interface LoadOutcome {
  readonly name: string
  readonly delay: number
  readonly loads: number
  readonly failed: number
  readonly connections: number
  /** Mean bytes of a load on the wire, TLS included. */
  readonly bytes: { readonly up: number; readonly down: number }
  /** Mean bytes of the content that a load fetched. */
  readonly content: number
  /** Median time of a load, in ms. */
  readonly time: number
  /** With the direct loads; absent where there are too few. */
  readonly comparison: Comparison | undefined
  /** The same without the first record of each direction. */
  readonly behindFirst: Comparison | undefined
  /** With sing-anytls under the same scheme. */
  readonly withGo?: Comparison | undefined
  /** Share of the connections in which a TLS handshake shows within. */
  readonly handshakes: number
}

/** Fewest loads that a scheme is fitted to, and how many are enough. */
const [LEAST_TO_FIT, ENOUGH_TO_FIT] = [20, 48]
export const NO_SHAPING = 'stop=1'
/** Most of the loads that may fail before it is the study that has failed. */
const MAY_FAIL = 0.02

export interface Part {
  /** How long bytes take each way, in ms. */
  readonly delay: number
  /** By each way at most; fewer when the time `until` comes before, of `performance.now`. */
  readonly loads: number
  readonly until: number
  /** With the ways alone that the first part has shown to matter, and the scheme that was fitted there. */
  readonly fitted: FittedSchemes | undefined
}

/** Text of what was fitted to direct loads. */
interface FittedSchemes {
  readonly up: string
  readonly down: string
}

/** What one way has come to. */
interface Measured extends Notes {
  readonly name: string
  readonly times: readonly number[]
  readonly failed: number
  readonly bytes: { readonly up: number; readonly down: number }
  readonly content: number
}

export interface MeasuredPart {
  readonly delay: number
  readonly measured: readonly Measured[]
  readonly fitted: FittedSchemes | undefined
}

export async function measureLoads(study: Study, part: Part): Promise<MeasuredPart> {
  const { delay, loads } = part
  const { ways, sites } = study
  const direct = ways.directly('direct', sites.port)
  const builtIn = DEFAULT_SCHEME_TEXT
  const { flights } = NAMED_SCHEMES
  // The scheme is fitted to loads of their own, not to those that it is judged by.
  const fitted = part.fitted ?? (loads >= LEAST_TO_FIT ? await fit(study, direct, part) : undefined)
  const tunnels = [
    await ways.through('unshaped', { up: NO_SHAPING }),
    await ways.through('built-in', { up: builtIn }),
    await ways.through('flights', { up: flights.up.text, down: flights.down.text }),
  ]
  if (part.fitted === undefined) {
    tunnels.push(
      await ways.through('built-in, restart=1', { up: `${builtIn}\nrestart=1` }),
      await ways.through('built-in, both directions', { up: builtIn, down: builtIn }),
      await ways.through('original wire', { wire: 'legacy', up: builtIn }),
    )
    if (fitted) tunnels.push(await ways.through('fitted', { up: fitted.up }))
  }
  if (fitted) tunnels.push(await ways.through('fitted, both directions', fitted))
  if (study.withGo) tunnels.push(await ways.throughGo('sing-anytls'))
  const again = { ...direct, name: 'direct again' }
  const measured = await loadAll(study, [direct, again, ...tunnels], part)
  return { delay, measured, fitted }
}

async function fit(
  study: Study,
  direct: Way,
  { delay, loads, until }: Part,
): Promise<FittedSchemes> {
  const few = { delay, loads: Math.min(loads, ENOUGH_TO_FIT), until }
  const [model] = await loadAll(study, [{ ...direct, name: 'direct, to be fitted' }], few)
  const { seed, out } = study
  const common = { wire: V1_WIRE, workload: WORKLOADS.page, records: 16, maxOverhead: 300, seed }
  const fitOne = (direction: 'up' | 'down') => {
    const { text } = fitScheme(model?.runs ?? [], { ...common, direction }).scheme
    writeFileSync(join(out, `fitted-${direction}.txt`), `${text}\n`)
    return text
  }
  return { up: fitOne('up'), down: fitOne('down') }
}

export function judgeLoads({ delay, measured }: MeasuredPart, seed: number): LoadOutcome[] {
  const [plain] = measured
  const handshake = plain && flightsOf(plain.capture.connections)
  const go = measured.find(({ name }) => name === 'sing-anytls')
  return measured.map(({ name, times, failed, bytes, content, runs }): LoadOutcome => {
    process.stderr.write(`\r${delay} ms: judging ${name.padEnd(30)}`)
    const judged = plain !== undefined && name !== 'direct'
    return {
      ...{ name, delay, loads: times.length, failed, connections: runs.length },
      bytes: { up: bytes.up / times.length, down: bytes.down / times.length },
      content: content / times.length,
      time: times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0,
      comparison: judged ? compareRuns(plain.runs, runs, seed) : undefined,
      behindFirst: judged
        ? compareRuns(plain.runs.map(withoutFirst), runs.map(withoutFirst), seed)
        : undefined,
      ...(name === 'original wire' && go && { withGo: compareRuns(go.runs, runs, seed) }),
      handshakes: handshake === undefined ? 0 : shareWithHandshake(runs, handshake),
    }
  })
}

function withoutFirst({ up, down }: Run): Run {
  const rest = ({ times, sizes }: Run['up']) => ({ times: times.slice(1), sizes: sizes.slice(1) })
  return { up: rest(up), down: rest(down) }
}

/** All ways in turns of changing order, each with a page of its own, so that whatever disturbs the machine disturbs all. */
async function loadAll(
  { sites, loader, out, seed, beside, nextPage }: Study,
  ways: readonly Way[],
  { delay, loads, until }: Pick<Part, 'delay' | 'loads' | 'until'>,
): Promise<Measured[]> {
  const stations: {
    readonly station: Station
    readonly times: number[]
    failed: number
    content: number
  }[] = []
  for (const way of ways) {
    const file = `${delay}-${way.name.replaceAll(/\W+/g, '-')}.jsonl`
    const station = await openStation(way, { delay, out, file })
    stations.push({ station, times: [], failed: 0, content: 0 })
  }
  const randomInt = seededRandomInt(seed)
  const firstPage = nextPage(loads * ways.length)
  let done = 0
  const tasks = Array.from({ length: loads }, (_, load) => {
    const turn = stations.map((of, place) => async () => {
      // In steps of the makes' number all ways get the same share of each make.
      const number = firstPage + place * loads + load
      const page = pagePath(number)
      const client = await of.station.way.begin(of.station.port)
      const port = client.proxy === undefined ? of.station.port : sites.port
      try {
        of.times.push(await loader.load(`https://localhost:${port}${page}`, client.proxy))
        of.content += sites.contents[number] ?? 0
      } catch (error) {
        of.failed += 1
        const all = loads * ways.length
        process.stderr.write(`\n${of.station.way.name}: ${String(error)}\n`)
        if (stations.reduce((sum, { failed }) => sum + failed, 0) > 1 + MAY_FAIL * all) throw error
      } finally {
        await client.end()
      }
      done += 1
      if (done % 10 === 0) {
        process.stderr.write(`\r${delay} ms: ${done} of ${loads * ways.length} loads   `)
      }
    })
    for (let place = turn.length - 1; place > 0; place -= 1) {
      const other = randomInt(0, place + 1)
      ;[turn[place], turn[other]] = [turn[other]!, turn[place]!]
    }
    return turn
  })
  await doAll(tasks.flat(), { beside, until })
  process.stderr.write('\n')
  const measured: Measured[] = []
  for (const { station, times, failed, content } of stations) {
    const { capture, runs } = await station.close()
    const bytes = { up: 0, down: 0 }
    for (const { records } of capture.connections) {
      for (const record of records) bytes[record.direction] += record.bytes
    }
    measured.push({ name: station.way.name, content, times, failed, bytes, capture, runs })
  }
  return measured
}
