// The proxy as its users meet it, in one run: ours on Node 20, 24 and 26 and both wires, bare tunnels of Node alone,
// and the Go implementation, over SOCKS5 to one origin on this machine. Alternating rounds, medians.
// `npm run bench:proxy`, with `-- --quick` for one round of little; `-- --node 24` for that version alone, also
// `--node 20,24`; `--at-once` for ours also as Go does it, which tells a program that it may speak before the server has
// said so. Linux alone.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { cpus, homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeCertificateFiles } from './certificate-files.ts'
import {
  builtGoProgram,
  Programs,
  peakMemory,
  processorSeconds,
  residentMemory,
} from './go-peer.ts'
import type { BareStyle, Load, Maker, RunningProgram } from './go-peer.ts'
import { median } from './median.ts'

/** The version that the bare tunnels run on. */
const BARE_ON = '24'

const quick = process.argv.includes('--quick')
const at = process.argv.indexOf('--node')
const VERSIONS = at === -1 ? ['20', '24', '26'] : (process.argv[at + 1] ?? '24').split(',')
/** How ours answer a program, and how that is told. */
const ANSWERS: readonly (readonly [flags: readonly string[], name: string])[] = [
  [[], ''],
  ...(process.argv.includes('--at-once') ? [[['--reply-wait', '0'], ', at once'] as const] : []),
]
const ROUNDS = quick ? 1 : 3
const MIB = 1_048_576
const GIB = 1_024 * MIB
// Enough for what is compiled on the way to be a small part of it: on a fast machine 512 MiB pass in a second.
const BULK = (quick ? 64 : 1_536) * MIB
const REQUESTS = quick ? 300 : 6_000
// Before what is measured of requests: they get cheaper for some 20,000, and a proxy that runs has had more.
const WARM = quick ? 300 : 24_000
const REQUEST_BYTES = 1_024

/** Where Node's other versions are kept: they are fetched once, from the npm package `node`. */
const CACHE = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'anytls-bench')

interface Line {
  readonly name: string
  /** Starts client and server. */
  readonly start: (origin: string) => Promise<[RunningProgram, RunningProgram]>
  readonly programs: Programs
}

/** What is asked of each line, and in what its figures are told. */
const BULKS = [
  { title: 'down, 1 stream', streams: 1, upload: false },
  { title: 'up, 1 stream', streams: 1, upload: true },
  { title: 'down, 8 streams', streams: 8, upload: false },
  { title: 'up, 8 streams', streams: 8, upload: true },
] as const
const AT_ONCE = [1, 64, 512] as const

type Figures = Map<string, number>

const folder = mkdtempSync(join(tmpdir(), 'bench-proxy-'))
const go = builtGoProgram()
const certificate = await writeCertificateFiles(folder)
const BARE: readonly (readonly [BareStyle, string])[] = [
  ['kept', 'bare TLS, kept'],
  ['joined', 'bare TLS, joined'],
  ['pipe', 'bare TLS, pipe'],
  ['tcp', 'bare TCP, pipe'],
]
const lines: Line[] = VERSIONS.flatMap((version) => {
  const programs = new Programs(go, certificate, folder, nodeOf(version))
  const ours = ANSWERS.flatMap(([flags, answers]) =>
    (['v1', 'legacy'] as const).map((wire) => {
      return {
        name: `ours, Node ${version}, ${wire}${answers}`,
        start: pairOf(programs, 'anytls', wire, flags),
        programs,
      }
    }),
  )
  if (version !== BARE_ON) return ours
  const bare = BARE.map(([style, name]) => {
    return { name, start: (origin: string) => programs.bare(style, origin), programs }
  })
  return [...ours, ...bare]
})
const goPrograms = new Programs(go, certificate, folder)
lines.push({ name: 'Go', start: pairOf(goPrograms, 'Go', 'legacy'), programs: goPrograms })
const origin = await lines[0]!.programs.origin()
const rounds = new Map<Line, Figures[]>(lines.map((line) => [line, []]))
for (let round = 0; round < ROUNDS; round += 1) {
  for (const line of round % 2 === 0 ? lines : lines.toReversed()) {
    rounds.get(line)!.push(await measure(line))
  }
}
await origin.stop()
rmSync(folder, { recursive: true })
print()

function pairOf(
  programs: Programs,
  maker: Maker,
  wire: 'v1' | 'legacy',
  flags: readonly string[] = [],
): Line['start'] {
  return async () => {
    const server = await programs.server(maker)
    return [await programs.client(maker, server.address, wire, flags), server]
  }
}

/** The program of that version. */
function nodeOf(version: string): string {
  if (process.versions.node.startsWith(`${version}.`)) return process.execPath
  const place = join(CACHE, `node-${version}`)
  const program = join(place, 'node_modules', 'node', 'bin', 'node')
  if (!existsSync(program)) {
    mkdirSync(place, { recursive: true })
    const flags = ['--prefix', place, '--no-save', '--no-audit', '--no-fund']
    execFileSync('npm', ['install', ...flags, `node@${version}`], { stdio: 'ignore' })
  }
  return program
}

/** Programs of their own for each round: the most memory that one had cannot be reset. */
async function measure({ start, programs }: Line): Promise<Figures> {
  const figures: Figures = new Map()
  const both = await start(origin.address)
  const [client] = both
  const spent = () => both.reduce((sum, program) => sum + processorSeconds(program), 0)
  const load = (what: Load) =>
    programs.load({ proxy: client.address, origin: origin.address }, what)
  const atRest = both.map(residentMemory)
  for (const { title, streams, upload } of BULKS) {
    const bytes = BULK / streams
    const what = { requests: streams, concurrency: streams, bytes, upload }
    await load({ ...what, bytes: Math.ceil(bytes / 4) })
    const before = spent()
    const seconds = await load(what)
    figures.set(`${title}: MB/s`, BULK / 1e6 / seconds)
    figures.set(`${title}: CPU s/GiB`, ((spent() - before) * GIB) / BULK)
  }
  const ask = async (title: string, concurrency: number, requests: number): Promise<void> => {
    const before = spent()
    const seconds = await load({ concurrency, bytes: REQUEST_BYTES, requests })
    figures.set(`${title}: requests/s`, requests / seconds)
    figures.set(`${title}: CPU µs a request`, ((spent() - before) * 1e6) / requests)
  }
  await ask(`the first ${REQUESTS}, 64 at once`, 64, REQUESTS)
  await load({ concurrency: 64, bytes: REQUEST_BYTES, requests: WARM })
  for (const concurrency of AT_ONCE) {
    const requests = Math.max(REQUESTS / 3, concurrency)
    await load({ concurrency, bytes: REQUEST_BYTES, requests })
    await ask(`${concurrency} at once`, concurrency, concurrency === 1 ? REQUESTS : 2 * REQUESTS)
  }
  for (const [index, side] of ['client', 'server'].entries()) {
    const program = both[index]!
    figures.set(`${side}: MiB at rest`, atRest[index] ?? NaN)
    figures.set(`${side}: MiB at its peak`, peakMemory(program))
    figures.set(`${side}: MiB after`, residentMemory(program))
  }
  await Promise.all(both.map((program) => program.stop()))
  return figures
}

function print(): void {
  const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
  console.log(`${cpus().length} cores, ${machine}; ${ROUNDS} rounds, medians (min–max).`)
  console.log('CPU is that of client and server together, without the load and its origin.')
  console.log(
    `Requests are those of programs that have had ${REQUESTS + WARM}, but for the first ones.`,
  )
  console.log(
    'A bare tunnel has a connection, over TLS a handshake, for each request, but for the one that keeps its own.\n',
  )
  const row = (cells: readonly string[]) => console.log(`| ${cells.join(' | ')} |`)
  row(['', ...lines.map(({ name }) => name)])
  console.log(`|${' --- |'.repeat(lines.length + 1)}`)
  for (const key of rounds.get(lines[0]!)![0]!.keys()) {
    const cells = lines.map((line) => {
      const values = rounds.get(line)!.map((figures) => figures.get(key) ?? NaN)
      const text = (value: number) => value.toFixed(key.includes('s/GiB') ? 2 : 0)
      const spread = `${text(Math.min(...values))}–${text(Math.max(...values))}`
      return ROUNDS === 1 ? text(median(values)) : `${text(median(values))} (${spread})`
    })
    row([key, ...cells])
  }
}
