// What more workers bring: the server alone, with one worker and with two, and two servers that know nothing of each
// other, which is what the machine allows, in one run, under Go clients and load on the same machine. Each process of the
// servers has a share of one core, so that the load is not the limit. Alternating rounds, medians. `npm run bench:workers`, with `-- --quick` for one round of little. Linux alone, as root.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { CoreShares } from './core-shares.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, Programs, processorSeconds } from './go-peer.ts'
import type { Load, RunningProgram } from './go-peer.ts'
import { median } from './median.ts'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 1 : 5
const MIB = 1_048_576
const GIB = 1_024 * MIB
const REQUESTS = quick ? 500 : 4_000
const BULK = (quick ? 128 : 512) * MIB
const STREAMS = 8
/** Of a core, for each process of the server. */
const SHARE = 0.25

const KINDS = [
  { name: 'one process', flags: [], servers: 1 },
  { name: '--workers 1', flags: ['--workers', '1'], servers: 1 },
  { name: '--workers 2', flags: ['--workers', '2'], servers: 1 },
  { name: 'two servers', flags: [], servers: 2 },
] as const
type Kind = (typeof KINDS)[number]

const LOADS: readonly {
  readonly title: string
  readonly unit: string
  readonly load: Load
  readonly amount: number
}[] = [
  {
    title: 'requests of 1 KiB, 64 at once',
    unit: 'requests',
    load: { requests: REQUESTS, concurrency: 64, bytes: 1_024 },
    amount: REQUESTS,
  },
  {
    title: `down, ${STREAMS} streams`,
    unit: 'GiB',
    load: { requests: STREAMS, concurrency: STREAMS, bytes: BULK / STREAMS },
    amount: BULK / GIB,
  },
]

/** Seconds: that passed, that all processes of the server took, that the busiest took. */
interface Figures {
  readonly passed: number
  readonly all: number
  readonly busiest: number
}

interface Ends {
  readonly server: RunningProgram
  readonly client: RunningProgram
}

const folder = mkdtempSync(join(tmpdir(), 'bench-workers-'))
const programs = new Programs(builtGoProgram(), await writeCertificateFiles(folder), folder)
const origin = await programs.origin()
const rounds = new Map<string, Figures[]>()
for (let round = 0; round < ROUNDS; round += 1) {
  for (const kind of round % 2 === 0 ? KINDS : KINDS.toReversed()) await measure(kind)
}
await origin.stop()
rmSync(folder, { recursive: true })
print()

async function measure({ name, flags, servers }: Kind): Promise<void> {
  const ends: Ends[] = []
  for (let count = 0; count < servers; count += 1) {
    const server = await programs.server('anytls', flags)
    // As many sessions as there are tunnels at once: they come to all workers.
    ends.push({ server, client: await programs.client('Go', server.address, 'legacy') })
  }
  const loadAll = async ({ requests, concurrency, bytes }: Load): Promise<number> => {
    const each = { requests: requests / servers, concurrency: concurrency / servers, bytes }
    const times = ends.map(({ client }) =>
      programs.load({ proxy: client.address, origin: origin.address }, each),
    )
    return Math.max(...(await Promise.all(times)))
  }
  // Each process has to get warm, which takes as long as it takes.
  for (const { load } of LOADS) await loadAll(load)
  const shares = new CoreShares()
  const processes = ends.flatMap(({ server }) => processesOf(server))
  for (const one of processes) shares.give(one, SHARE)
  for (const { title, load } of LOADS) {
    const before = processes.map(processorSeconds)
    const passed = await loadAll(load)
    const spent = processes.map((one, index) => processorSeconds(one) - (before[index] ?? 0))
    const all = spent.reduce((sum, seconds) => sum + seconds, 0)
    const figures = rounds.get(`${name} ${title}`) ?? []
    figures.push({ passed, all, busiest: Math.max(...spent) })
    rounds.set(`${name} ${title}`, figures)
  }
  for (const { server, client } of ends) {
    await client.stop()
    await server.stop()
  }
  await shares.remove()
}

/** The process and its children. */
function processesOf({ pid }: RunningProgram): { readonly pid: number }[] {
  const children = readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && parentOf(name) === pid)
    .map((name) => ({ pid: Number(name) }))
  return [{ pid }, ...children]
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
  } catch {
    return undefined
  }
}

function print(): void {
  const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
  console.log(
    `${cpus().length} cores, ${machine}, load ${loadavg()[0]?.toFixed(1)}; ${SHARE} of a core`,
  )
  console.log(`for each process of the server; ${ROUNDS} rounds, medians (least–most).\n`)
  const row = (...cells: string[]) => console.log(`| ${cells.join(' | ')} |`)
  for (const { title, unit, amount } of LOADS) {
    const [each, digits, scale] = unit === 'GiB' ? ['s a GiB', 2, 1] : ['µs a request', 0, 1e6]
    row(title, `${unit}/s`, `processor, ${each}`, `busiest process, ${each}`, 'times one worker')
    row(...Array<string>(5).fill('---'))
    const rates = (name: string) =>
      (rounds.get(`${name} ${title}`) ?? []).map(({ passed }) => amount / passed)
    const alone = rates('--workers 1')
    for (const { name } of KINDS) {
      const figures = rounds.get(`${name} ${title}`) ?? []
      const of = (key: keyof Figures) => median(figures.map((one) => one[key])) / amount
      row(
        name,
        spread(rates(name), digits),
        (of('all') * scale).toFixed(digits),
        (of('busiest') * scale).toFixed(digits),
        spread(
          rates(name).map((rate, round) => rate / (alone[round] ?? NaN)),
          2,
        ),
      )
    }
    console.log()
  }
}

function spread(values: readonly number[], digits: number): string {
  const text = (value: number) => value.toFixed(digits)
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`
}
