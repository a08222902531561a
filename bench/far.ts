// Our client and server beside the Go ones when a round trip takes long: a relay that delays stands between the
// two, and everything else is on this machine. `npm run bench:far`, or `npm run bench:far -- --quick`; `--rtt 50,150`
// for some round trips alone, in ms, `--rate 12.5` for a line of so many MB/s, `--warm 1600` for processes that have carried
// so many MB each way before, half of it eight at once, `--warm-requests 6000` for such as have had so many requests, 64 at once,
// and so have compiled what is hot, `--at-once` for a client that tells a program that it may speak before the server has
// answered, as Go's does. Linux alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { measureRounds, printHead, printRows } from './beside-go.ts'
import type { NamedLoad, Peer } from './beside-go.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, Programs } from './go-peer.ts'
import type { Line, Load, RunningProgram } from './go-peer.ts'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rtt: { type: 'string' },
    rate: { type: 'string', default: '0' },
    rounds: { type: 'string' },
    warm: { type: 'string', default: '0' },
    'warm-requests': { type: 'string', default: '0' },
    'at-once': { type: 'boolean', default: false },
  },
})
const ROUND_TRIPS = (values.rtt ?? (values.quick ? '50,150' : '1,20,50,150,300'))
  .split(',')
  .map(Number)
const ROUNDS = Number(values.rounds ?? (values.quick ? 1 : 5))
const MB = 1_000_000
const RATE = Number(values.rate) * MB

/** Flags for our client. */
const OURS = values['at-once'] ? ['--reply-wait', '0'] : []

/** On connections that stand already. */
const WARM_UPS: readonly Load[] = [
  ...[1, 8].flatMap((concurrency) =>
    [false, true].map((upload) => {
      const requests = Math.ceil((Number(values.warm) * concurrency) / 200)
      return { requests, concurrency, bytes: (100 * MB) / concurrency, upload }
    }),
  ),
  { requests: Number(values['warm-requests']), concurrency: 64, bytes: 1_000 },
  { requests: 16, concurrency: 8, bytes: 1_000 },
]

const JOBS: readonly NamedLoad[] = [
  { name: '64 requests of 1 kB, 8 at once', requests: 64, concurrency: 8, bytes: 1_000 },
  ...[false, true].flatMap((upload) => [
    { name: '1 MB', requests: 1, concurrency: 1, bytes: MB, upload },
    { name: '100 MB', requests: 1, concurrency: 1, bytes: 100 * MB, upload },
    { name: '8 × 12.5 MB at once', requests: 8, concurrency: 8, bytes: 12.5 * MB, upload },
  ]),
]

const folder = mkdtempSync(join(tmpdir(), 'bench-far-'))
const programs = new Programs(builtGoProgram(), await writeCertificateFiles(folder), folder)
const origin = await programs.origin()
const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
const line = RATE === 0 ? '' : `, ${RATE / MB} MB/s each way`
const warm = values.warm === '0' ? '' : `, after ${values.warm} MB each way`
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}${line}${warm}; ${ROUNDS} rounds, medians: ` +
    `seconds of Go, and ours as multiples of them (least–most)\n`,
)
printHead(['round trip'])
for (const roundTrip of ROUND_TRIPS) {
  const between = { roundTrip, rate: RATE }
  const seconds = await measureRounds(ROUNDS, JOBS, (peer, times) => measure(peer, between, times))
  printRows([`${roundTrip} ms`], seconds)
}
await origin.stop()
rmSync(folder, { recursive: true })

async function measure(
  { maker, wire }: Peer,
  between: Line,
  seconds: ReadonlyMap<NamedLoad, number[]>,
): Promise<void> {
  const server = await programs.server(maker)
  const relay = await programs.relay(server.address, between)
  const client = await programs.client(maker, relay.address, wire, OURS)
  const all: readonly RunningProgram[] = [client, relay, server]
  const way = { proxy: client.address, origin: origin.address }
  for (const { requests, ...each } of WARM_UPS) {
    if (requests > 0) await programs.load(way, { requests, ...each })
  }
  for (const [job, times] of seconds) times.push(await programs.load(way, job))
  await Promise.all(all.map((program) => program.stop()))
}
