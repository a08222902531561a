// Our client and server beside the Go ones when a round trip takes long: a relay that delays stands between the
// two, and everything else is on this machine. `npm run bench:far`, or `npm run bench:far -- --quick`; `--rtt 50,150`
// for some round trips alone, in ms, `--rate 12.5` for a line of so many MB/s. Linux alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, Programs } from './go-peer.ts'
import type { Line, Load, Maker, RunningProgram } from './go-peer.ts'
import { median } from './median.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rtt: { type: 'string' },
    rate: { type: 'string', default: '0' },
    rounds: { type: 'string' },
  },
})
const ROUND_TRIPS = (values.rtt ?? (values.quick ? '50,150' : '1,20,50,150,300'))
  .split(',')
  .map(Number)
const ROUNDS = Number(values.rounds ?? (values.quick ? 1 : 5))
const MB = 1_000_000
const RATE = Number(values.rate) * MB

interface Peer {
  readonly name: string
  readonly maker: Maker
  readonly wire: 'legacy' | 'v1'
}

const GO: Peer = { name: 'Go', maker: 'Go', wire: 'legacy' }
const OURS: readonly Peer[] = [
  { name: 'anytls, v1', maker: 'anytls', wire: 'v1' },
  { name: 'anytls, original wire', maker: 'anytls', wire: 'legacy' },
]
const PEERS = [GO, ...OURS]

/** On connections that stand already. */
const WARM_UP: Load = { requests: 16, concurrency: 8, bytes: 1_000 }

interface Job extends Load {
  readonly name: string
}

const JOBS: readonly Job[] = [
  { name: '64 requests of 1 kB, 8 at once', requests: 64, concurrency: 8, bytes: 1_000 },
  ...[false, true].flatMap((upload) => [
    { name: '1 MB', requests: 1, concurrency: 1, bytes: MB, upload },
    { name: '100 MB', requests: 1, concurrency: 1, bytes: 100 * MB, upload },
    { name: '8 × 12.5 MB at once', requests: 8, concurrency: 8, bytes: 12.5 * MB, upload },
  ]),
]

type Seconds = Map<Peer, Map<Job, number[]>>

const folder = mkdtempSync(join(tmpdir(), 'bench-far-'))
const programs = new Programs(builtGoProgram(), await writeCertificateFiles(folder), folder)
const origin = await programs.origin()
const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
const line = RATE === 0 ? '' : `, ${RATE / MB} MB/s each way`
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}${line}; ${ROUNDS} rounds, medians: ` +
    `seconds of Go, and ours as multiples of them (least–most)\n`,
)
row(['round trip', 'what', 'Go, s', ...OURS.map(({ name }) => name)])
row(new Array<string>(3 + OURS.length).fill('---'))
for (const roundTrip of ROUND_TRIPS) print(roundTrip, await measureAt({ roundTrip, rate: RATE }))
await origin.stop()
rmSync(folder, { recursive: true })

async function measureAt(between: Line): Promise<Seconds> {
  const seconds: Seconds = new Map(
    PEERS.map((peer) => [peer, new Map(JOBS.map((job) => [job, []]))]),
  )
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const peer of round % 2 === 0 ? PEERS : PEERS.toReversed()) {
      await measure(peer, between, seconds.get(peer)!)
    }
  }
  return seconds
}

async function measure(
  { maker, wire }: Peer,
  between: Line,
  seconds: Map<Job, number[]>,
): Promise<void> {
  const server = await programs.server(maker)
  const relay = await programs.relay(server.address, between)
  const client = await programs.client(maker, relay.address, wire)
  const all: readonly RunningProgram[] = [client, relay, server]
  const way = { proxy: client.address, origin: origin.address }
  await programs.load(way, WARM_UP)
  for (const [job, times] of seconds) times.push(await programs.load(way, job))
  await Promise.all(all.map((program) => program.stop()))
}

function print(roundTrip: number, seconds: Seconds): void {
  for (const job of JOBS) {
    const ofGo = seconds.get(GO)!.get(job)!
    const ratios = OURS.map((peer) => {
      const each = seconds
        .get(peer)!
        .get(job)!
        .map((time, round) => time / ofGo[round]!)
      const spread = `${Math.min(...each).toFixed(2)}–${Math.max(...each).toFixed(2)}`
      return ROUNDS === 1 ? median(each).toFixed(2) : `${median(each).toFixed(2)} (${spread})`
    })
    const way = job.upload === undefined ? '' : job.upload ? ' up' : ' down'
    row([`${roundTrip} ms`, job.name + way, median(ofGo).toFixed(3), ...ratios])
  }
}

function row(cells: readonly string[]): void {
  console.log(`| ${cells.join(' | ')} |`)
}
