// Can they be told apart? Page loads of a real browser over plain HTTPS against the same loads through tunnels,
// unshaped and under each scheme, and connections that are idle: `npm run study`, see docs/study.md and `--help`.
// Linux, nginx and Chromium.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireProgram } from '../../test/support/programs.ts'
import { PageLoader } from './browse.ts'
import { studyIdle } from './idle.ts'
import type { IdleOutcome } from './idle.ts'
import { judgeLoads, measureLoads } from './loads.ts'
import type { LoadOutcome, MeasuredPart } from './loads.ts'
import { serveSites } from './sites.ts'
import type { Sites } from './sites.ts'
import { formatStudy } from './tables.ts'
import { Ways } from './ways.ts'

const HELP = `npm run study -- [options]
  --delay MS[:LOADS[:MINUTES]]
                      how long bytes take each way; may be repeated (default 20); all ways are loaded at the
                      first one, those that matter most at the others
  --loads N           loads by each way (default 128); a comparison takes 50 connections
  --idle N            idle connections of each kind, 0 for none (default 60)
  --minutes N         most that the loads of one delay may take; fewer loads then (default 60)
  --beside N          loads at the same time (default 1)
  --seed N            of the pages, the turns and the classifier (default 1)
  --without-go        without sing-anytls
  --out FOLDER        captures, results.json, results.md (default study)
`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', default: false },
    loads: { type: 'string', default: '128' },
    idle: { type: 'string', default: '60' },
    delay: { type: 'string', multiple: true, default: ['20'] },
    minutes: { type: 'string', default: '60' },
    beside: { type: 'string', default: '1' },
    out: { type: 'string', default: 'study' },
    seed: { type: 'string', default: '1' },
    'without-go': { type: 'boolean', default: false },
  },
})

/** What all parts of the study share. */
export interface Study {
  readonly ways: Ways
  readonly sites: Sites
  readonly loader: PageLoader
  readonly out: string
  readonly seed: number
  /** Loads at the same time. */
  readonly beside: number
  readonly withGo: boolean
  /** The first of `count` pages that nobody else loads. */
  readonly nextPage: (count: number) => number
}

export interface Results {
  readonly command: string
  /** Processes that wanted a processor, in the mean of 15 minutes: at the beginning, after the idle part, after each delay. */
  readonly load: readonly number[]
  readonly loads: readonly LoadOutcome[]
  readonly idle: readonly IdleOutcome[]
}

if (values.help) process.stdout.write(HELP)
else await run()

async function run(): Promise<void> {
  const nginx = requireProgram('nginx')
  const { out } = values
  const [seed, beside, idle, minutes] = [
    Number(values.seed),
    Number(values.beside),
    Number(values.idle),
    Number(values.minutes),
  ]
  const parts = values.delay.map((text) => {
    const [delay, loads = values.loads, minutes = values.minutes] = text.split(':')
    return { delay: Number(delay), loads: Number(loads), minutes: Number(minutes) }
  })
  if (
    [seed, beside, idle, minutes, ...parts.flatMap((part) => Object.values<number>(part))].some(
      Number.isNaN,
    )
  ) {
    process.stderr.write(`not a number among the options\n${HELP}`)
    process.exitCode = 2
    return
  }
  mkdirSync(out, { recursive: true })
  const folder = mkdtempSync(join(tmpdir(), 'anytls-study-'))
  /** Of all ways, with those that a scheme is fitted to. */
  const MOST_WAYS = 12
  const count = MOST_WAYS * (idle + parts.reduce((sum, { loads }) => sum + loads, 0))
  const sites = await serveSites(join(folder, 'sites'), nginx.path, seed, count)
  const loader = new PageLoader()
  const ways = await Ways.make(folder)
  const end = async () => {
    ways.stop()
    await Promise.all([loader.close(), sites.stop()])
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
  let ended: Promise<void> | undefined
  // A signal may come while it goes on, and must not cut it off.
  const stop = () => (ended ??= end())
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void stop().finally(() => process.exit(130)))
  }
  let pages = 0
  const study: Study = {
    ...{ ways, sites, loader, out, seed, beside, withGo: !values['without-go'] },
    nextPage(count) {
      const first = pages
      pages += count
      return first
    },
  }
  try {
    const load = [loadavg()[2] ?? 0]
    const results = {
      command: `npm run study -- ${process.argv.slice(2).join(' ')}`,
      ...{ load, loads: [] as LoadOutcome[], idle: [] as IdleOutcome[] },
    } satisfies Results
    const save = () => {
      writeFileSync(join(out, 'results.json'), `${JSON.stringify(results, null, 2)}\n`)
      writeFileSync(join(out, 'results.md'), formatStudy(results))
    }
    const [first] = parts
    if (idle > 0) {
      const until = performance.now() + minutes * 60_000
      results.idle = await studyIdle(study, { loads: idle, delay: first?.delay ?? 20, until })
      load.push(loadavg()[2] ?? 0)
      save()
    }
    const measured: MeasuredPart[] = []
    for (const { delay, loads, minutes } of parts) {
      const until = performance.now() + minutes * 60_000
      const fitted = measured[0]?.fitted
      measured.push(await measureLoads(study, { delay, loads, until, fitted }))
      load.push(loadavg()[2] ?? 0)
    }
    for (const part of measured) {
      results.loads.push(...judgeLoads(part, seed))
      save()
    }
    process.stdout.write(formatStudy(results))
  } finally {
    await stop()
  }
}
