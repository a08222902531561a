// The same workloads on every wire in one run, beside node:http2 and @libp2p/yamux: peers in alternating
// order, medians. `npm run bench:wires`, or with `-- --quick`.
import { cpus } from 'node:os'
import { measureIdleStreams } from './memory.ts'
import type { Link } from './peer.ts'
import { peerOf } from './peers/index.ts'
import type { PeerKey } from './peers/index.ts'
import { startServer } from './start-server.ts'
import { median } from './median.ts'
import { bulk, openEchoClose, openEchoDestroy, roundTrips, sevenOfEight } from './workloads.ts'

const quick = process.argv.includes('--quick')
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice(7)
const ROUNDS = quick ? 1 : 5
const BULK_BYTES = (quick ? 64 : 256) * 1_048_576
const COUNT = quick ? 1_000 : 4_000

const WIRES: readonly PeerKey[] = [
  'anytlsMux1',
  'anytlsDraft',
  'anytlsLegacy',
  'muxPro',
  'netMux',
  'http2',
  'yamux',
]

interface Workload {
  readonly name: string
  readonly unit: string
  readonly scale: number
  run(link: Link, halfClose: boolean): Promise<number>
}

const WORKLOADS: readonly Workload[] = [
  { name: 'bulk, one stream', unit: 'MB/s', scale: 1e-6, run: (link) => bulk([link], BULK_BYTES) },
  {
    name: 'bulk, eight streams',
    unit: 'MB/s',
    scale: 1e-6,
    run: (link) => bulk(Array<Link>(8).fill(link), BULK_BYTES),
  },
  {
    name: 'seven downloads of eight',
    unit: 'MB/s',
    scale: 1e-6,
    run: (link) => sevenOfEight(link, BULK_BYTES / 8, false),
  },
  {
    name: 'the same seven beside one that is not read',
    unit: 'MB/s',
    scale: 1e-6,
    run: (link) => sevenOfEight(link, BULK_BYTES / 8, true),
  },
  {
    name: 'round trips of 64 bytes',
    unit: '1/s',
    scale: 1,
    run: (link) => roundTrips(link, COUNT),
  },
  {
    name: 'open + echo 64 bytes + close',
    unit: '1/s',
    scale: 1,
    run: (link, halfClose) =>
      halfClose ? openEchoClose(link, COUNT) : openEchoDestroy(link, COUNT),
  },
]

const { server, ports } = await startServer()
const rows: string[][] = [['workload', 'unit', ...WIRES.map((key) => peerOf(key).name)]]
for (const workload of WORKLOADS) {
  if (only !== undefined && !workload.name.includes(only)) continue
  const rates = new Map<PeerKey, number[]>(WIRES.map((key) => [key, []]))
  // The first round warms up.
  for (let round = 0; round <= ROUNDS; round += 1) {
    const order = round % 2 === 0 ? WIRES : [...WIRES].reverse()
    for (const key of order) {
      const link = await peerOf(key).connect(ports[key])
      const rate = await workload.run(link, peerOf(key).halfClose)
      await link.close()
      if (round > 0) rates.get(key)?.push(rate)
    }
  }
  const figures = WIRES.map((key) => (median(rates.get(key) ?? []) * workload.scale).toFixed(0))
  rows.push([workload.name, workload.unit, ...figures])
}
server.disconnect()

if (only === undefined || only === 'memory') {
  const costs: string[] = []
  for (const key of WIRES) {
    // A server of its own: memory that another wire has given back must not be counted as saved.
    const fresh = await startServer()
    const cost = await measureIdleStreams(peerOf(key), fresh.ports[key], fresh.server)
    costs.push(`${cost.client.toFixed(0)} and ${cost.server.toFixed(0)}`)
    fresh.server.disconnect()
  }
  rows.push(['10,000 idle streams: heap of one, client and server', 'bytes', ...costs])
}

const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}; ${ROUNDS} rounds, medians\n`,
)
for (const [index, row] of rows.entries()) {
  console.log(`| ${row.join(' | ')} |`)
  if (index === 0) console.log(`|${' --- |'.repeat(row.length)}`)
}
process.exit(0)
