// Measures the ratios that the project aims at, each beside its peer in the same run: several rounds,
// peers in alternating order, medians. `npm run bench`, or `npm run bench -- --quick`.
import { cpus } from 'node:os'
import { median } from './median.ts'
import type { Link } from './peer.ts'
import { peerOf } from './peers/index.ts'
import type { PeerKey } from './peers/index.ts'
import { startServer } from './start-server.ts'
import { measureIdleSessions, measureIdleStreams } from './memory.ts'
import { bulk, openEchoClose, roundTrips } from './workloads.ts'

const quick = process.argv.includes('--quick')
const only = process.argv.find((argument) => argument.startsWith('--only='))?.slice(7)
const ROUNDS = quick ? 3 : 7
const BULK_BYTES = (quick ? 128 : 512) * 1_048_576
const ROUND_TRIPS = quick ? 3_000 : 10_000
const ECHOES = quick ? 1_500 : 5_000

interface Ratio {
  readonly name: string
  readonly unit: string
  readonly scale: number
  readonly ours: PeerKey
  readonly peer: PeerKey
  readonly target: number
  run(connect: () => Promise<Link>): Promise<number>
}

const RATIOS: readonly Ratio[] = [
  bulkRatio('bulk, one stream', 1, 'anytlsMux1', 'bareTls', 0.95),
  bulkRatio('bulk, one stream', 1, 'anytlsMux1', 'http2', 1),
  bulkRatio('bulk, eight streams', 8, 'anytlsMux1', 'bareTls', 0.9),
  bulkRatio('bulk, one stream, draft alone', 1, 'anytlsDraft', 'bareTls', 0.95),
  bulkRatio('bulk, shaping off its quota', 1, 'anytlsMux1', 'anytlsUnshaped', 0.98),
  {
    name: 'round trips of 64 bytes',
    unit: '1/s',
    scale: 1,
    ours: 'anytlsMux1',
    peer: 'bareTls',
    target: 0.9,
    run: async (connect) => roundTrips(await connect(), ROUND_TRIPS),
  },
  {
    name: 'open + echo 64 bytes + close',
    unit: '1/s',
    scale: 1,
    ours: 'anytlsMux1',
    peer: 'http2',
    target: 2,
    run: async (connect) => openEchoClose(await connect(), ECHOES),
  },
]

function bulkRatio(
  name: string,
  streams: number,
  ours: PeerKey,
  peer: PeerKey,
  target: number,
): Ratio {
  return {
    name,
    unit: 'MB/s',
    scale: 1e-6,
    ours,
    peer,
    target,
    run: async (connect) => {
      const link = await connect()
      return bulk(Array<Link>(streams).fill(link), BULK_BYTES)
    },
  }
}

const { server, ports } = await startServer()

const rows: string[][] = [
  ['workload', 'unit', 'anytls', 'peer', '', 'ratio (min–max)', 'target', ''],
]
for (const ratio of RATIOS) {
  if (only !== undefined && !ratio.name.includes(only)) continue
  const pairs: [number, number][] = []
  for (let round = 0; round <= ROUNDS; round += 1) {
    const order = round % 2 === 0 ? [ratio.ours, ratio.peer] : [ratio.peer, ratio.ours]
    const rates = new Map<PeerKey, number>()
    for (const key of order) {
      const links: Link[] = []
      const connect = async (): Promise<Link> => {
        const link = await peerOf(key).connect(ports[key])
        links.push(link)
        return link
      }
      rates.set(key, await (key === 'bareTls' ? runBare(ratio, connect) : ratio.run(connect)))
      await Promise.all(links.map((link) => link.close()))
    }
    // The first round warms up.
    if (round > 0) pairs.push([rates.get(ratio.ours) ?? 0, rates.get(ratio.peer) ?? 0])
  }
  const ratios = pairs.map(([ours, theirs]) => ours / theirs)
  const middle = median(ratios)
  rows.push([
    ratio.name,
    ratio.unit,
    (median(pairs.map(([ours]) => ours)) * ratio.scale).toFixed(0),
    peerOf(ratio.peer).name,
    (median(pairs.map(([, theirs]) => theirs)) * ratio.scale).toFixed(0),
    `${middle.toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
    `≥ ${ratio.target}`,
    middle >= ratio.target ? 'reached' : 'short',
  ])
}

if (only === undefined || only === 'memory') {
  const streams = await measureIdleStreams(peerOf('anytlsMux1'), ports.anytlsMux1, server)
  const heap = Math.max(streams.client, streams.server)
  rows.push([
    'idle stream, heap of client | server',
    'bytes',
    `${streams.client.toFixed(0)} | ${streams.server.toFixed(0)}`,
    '',
    '',
    '',
    '≤ 3072',
    heap <= 3_072 ? 'reached' : 'short',
  ])
  const ours = await idleSession('anytlsMux1')
  const bare = await idleSession('bareTls')
  rows.push([
    'idle session, RSS of the server',
    'bytes',
    ours.toFixed(0),
    peerOf('bareTls').name,
    bare.toFixed(0),
    (ours / bare).toFixed(2),
    '≤ 1.5',
    ours / bare <= 1.5 ? 'reached' : 'short',
  ])
}
server.disconnect()

const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
console.log(
  `Node ${process.version}, ${cpus().length} cores, ${machine}; ${ROUNDS} rounds, medians\n`,
)
for (const [index, row] of rows.entries()) {
  console.log(`| ${row.join(' | ')} |`)
  if (index === 0) console.log(`|${' --- |'.repeat(row.length)}`)
}
process.exit(0)

/** In a server of its own: memory that another peer has given back must not be counted as saved. */
async function idleSession(key: PeerKey): Promise<number> {
  const fresh = await startServer()
  const bytes = await measureIdleSessions(peerOf(key), fresh.ports[key], fresh.server)
  fresh.server.disconnect()
  return bytes
}

/** One bare socket carries what our streams share; eight of ours stand against it as a whole. */
function runBare(ratio: Ratio, connect: () => Promise<Link>): Promise<number> {
  if (!ratio.name.startsWith('bulk')) return ratio.run(connect)
  return connect().then((link) => bulk([link], BULK_BYTES))
}
