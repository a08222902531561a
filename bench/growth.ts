// What ten times as much costs, each: idle sessions, idle tunnels, requests and downloads at once, at our server and
// at Go's. `npm run bench:growth`, with `-- --quick` for one round of less. Linux alone; it needs 20,000 descriptors.
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from '../src/index.ts'
import type { Session } from '../src/index.ts'
import { createTunnelOpener } from '../src/proxy.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, processorSeconds, Programs, residentMemory } from './go-peer.ts'
import type { Maker, RunningProgram } from './go-peer.ts'
import { median } from './median.ts'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 1 : 3
/** Few, and ten times as many. */
const IDLE = quick ? [200, 2_000] : [900, 9_000]
const REQUESTS_AT_ONCE = [64, 640]
const DOWNLOADS_AT_ONCE = [8, 80]
const REQUESTS = quick ? 1_000 : 5_000
const MIB = 1_048_576
const BULK = (quick ? 128 : 512) * MIB
/** Sessions that idle tunnels share. */
const SHARED = 10
/** Dialled at once: as many as the queue of a listening socket takes with ease. */
const AT_ONCE = 50
const MAKERS = ['anytls', 'Go'] as const

/** What one more of something costs a server, or both programs, by the count that there is of it. */
type Row = Map<number, number>

const folder = mkdtempSync(join(tmpdir(), 'bench-growth-'))
const programs = new Programs(builtGoProgram(), await writeCertificateFiles(folder), folder)
const origin = await programs.origin()
const silent = createServer().listen(0, '127.0.0.1')
const silentSockets = new Set<Socket>()
silent.on('connection', (socket) => silentSockets.add(socket.on('error', () => {})))
const figures = new Map<string, Record<Maker, Row[]>>()
try {
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const maker of round % 2 === 0 ? MAKERS : MAKERS.toReversed()) {
      await measureIdle(maker)
      await measureBusy(maker)
    }
  }
  print()
} finally {
  await origin.stop()
  rmSync(folder, { recursive: true })
}
process.exit(0)

function note(what: string, maker: Maker, counts: Row): void {
  const rows = figures.get(what) ?? { anytls: [], Go: [] }
  rows[maker].push(counts)
  figures.set(what, rows)
}

/** Of the server alone, all on the original wire, which both speak. */
async function measureIdle(maker: Maker): Promise<void> {
  const kinds = { session: openSessions, tunnel: openTunnels }
  for (const [kind, open] of Object.entries(kinds)) {
    const memory: Row = new Map()
    const time: Row = new Map()
    for (const count of IDLE) {
      const server = await programs.server(maker)
      // What the first of all loads is no cost of the others.
      const first = await open(server, 20)
      await sleep(500)
      const [kibBefore, spentBefore] = [residentMemory(server) * 1_024, processorSeconds(server)]
      const opened = await open(server, count)
      await sleep(2_000)
      memory.set(count, (residentMemory(server) * 1_024 - kibBefore) / count)
      time.set(count, ((processorSeconds(server) - spentBefore) * 1e3) / count)
      for (const session of [...first, ...opened]) session.destroy()
      for (const socket of silentSockets) socket.destroy()
      silentSockets.clear()
      await server.stop()
    }
    note(`idle ${kind}: KiB of the server`, maker, memory)
    note(`idle ${kind}: CPU ms of the server`, maker, time)
  }
}

async function openSessions({ address }: RunningProgram, count: number): Promise<Session[]> {
  const sessions: Session[] = []
  while (sessions.length < count) {
    const more = Math.min(AT_ONCE, count - sessions.length)
    sessions.push(...(await Promise.all(Array.from({ length: more }, () => openSession(address)))))
  }
  return sessions
}

async function openSession(address: string): Promise<Session> {
  return connect({
    ...{ host: '127.0.0.1', port: Number(address.split(':')[1]), password: 'bench' },
    ...{ wire: 'legacy', insecure: true, connectTimeout: 60_000, maxStreams: 65_535 },
  })
}

async function openTunnels(server: RunningProgram, count: number): Promise<Session[]> {
  const { port } = silent.address() as AddressInfo
  const sessions = await openSessions(server, SHARED)
  const openers = sessions.map((session) => createTunnelOpener(session))
  for (let opened = 0; opened < count; opened += AT_ONCE) {
    const more = Math.min(AT_ONCE, count - opened)
    await Promise.all(
      Array.from({ length: more }, async (_, place) => {
        const tunnel = await openers[place % SHARED]!(
          { host: '127.0.0.1', port },
          AbortSignal.timeout(60_000),
        )
        tunnel.on('error', () => {})
      }),
    )
  }
  return sessions
}

/** Of client and server of one maker together. */
async function measureBusy(maker: Maker): Promise<void> {
  const server = await programs.server(maker)
  const client = await programs.client(maker, server.address, 'legacy')
  const both = [client, server]
  const spent = () => both.reduce((sum, program) => sum + processorSeconds(program), 0)
  const place = { proxy: client.address, origin: origin.address }
  const requests: Row = new Map()
  const downloads: Row = new Map()
  for (const concurrency of REQUESTS_AT_ONCE) {
    const load = { concurrency, bytes: 1_024 }
    await programs.load(place, { ...load, requests: REQUESTS / 5 })
    const before = spent()
    await programs.load(place, { ...load, requests: REQUESTS })
    requests.set(concurrency, ((spent() - before) * 1e6) / REQUESTS)
  }
  for (const streams of DOWNLOADS_AT_ONCE) {
    const load = { requests: streams, concurrency: streams, bytes: Math.ceil(BULK / streams) }
    await programs.load(place, { ...load, bytes: Math.ceil(load.bytes / 4) })
    const before = spent()
    await programs.load(place, load)
    downloads.set(streams, ((spent() - before) * 1_024 * MIB) / BULK)
  }
  note('request: CPU µs of both', maker, requests)
  note('download at once: CPU s/GiB of both', maker, downloads)
  await Promise.all(both.map((program) => program.stop()))
}

function print(): void {
  const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
  console.log(`${cpus().length} cores, ${machine}, load ${loadavg()[0]!.toFixed(1)}; Node`)
  console.log(`${process.versions.node}, original wire, ${ROUNDS} rounds, medians (least–most).\n`)
  console.log('| what one costs | how many | ours | Go |')
  console.log('| --- | --- | --- | --- |')
  for (const [what, rows] of figures) {
    const counts = [...rows.anytls[0]!.keys()]
    for (const count of counts) {
      const cells = MAKERS.map((maker) => spread(rows[maker].map((row) => row.get(count) ?? NaN)))
      console.log(`| ${[what, count, ...cells].join(' | ')} |`)
    }
    const [few = 0, many = 0] = counts
    const growth = MAKERS.map((maker) => {
      return spread(rows[maker].map((row) => (row.get(many) ?? NaN) / (row.get(few) ?? NaN)))
    })
    console.log(`| ${[what, `times, ${many} to ${few}`, ...growth].join(' | ')} |`)
  }
}

function spread(values: readonly number[]): string {
  const text = (value: number) => value.toFixed(value < 10 ? 2 : 0)
  if (values.length === 1) return text(values[0]!)
  return `${text(median(values))} (${text(Math.min(...values))}–${text(Math.max(...values))})`
}
