// Our client and server against the Go ones, in all pairings over SOCKS5 to one origin: several rounds, pairings
// in alternating order, medians. `npm run bench:go`, or `npm run bench:go -- --quick`. Linux alone.
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, Programs, peakMemory, processorSeconds } from './go-peer.ts'
import type { Maker, RunningProgram } from './go-peer.ts'

const quick = process.argv.includes('--quick')
const ROUNDS = quick ? 1 : 7
const MIB = 1_048_576
const BULK_BYTES = (quick ? 64 : 512) * MIB
const WARM_UP_BYTES = (quick ? 16 : 128) * MIB
const REQUESTS = quick ? 500 : 5_000
const WARM_UP_REQUESTS = quick ? 100 : 1_000
const CONCURRENCY = 64
const REQUEST_BYTES = 1_024

interface Pairing {
  readonly name: string
  readonly client: Maker
  readonly server: Maker
  readonly wire: 'legacy' | 'v1'
}

const PAIRINGS: readonly Pairing[] = [
  { name: 'anytls → anytls', client: 'anytls', server: 'anytls', wire: 'legacy' },
  { name: 'anytls → Go', client: 'anytls', server: 'Go', wire: 'legacy' },
  { name: 'Go → anytls', client: 'Go', server: 'anytls', wire: 'legacy' },
  { name: 'Go → Go', client: 'Go', server: 'Go', wire: 'legacy' },
  { name: 'anytls → anytls, ANYTLS v1', client: 'anytls', server: 'anytls', wire: 'v1' },
]

/** What is measured of a pairing in one round, in the order of the columns. */
interface Figures {
  /** Bytes a second of one tunnel. */
  readonly download: number
  readonly upload: number
  /** Requests a second. */
  readonly requests: number
  /** Seconds of processor time of both programs for a GiB. */
  readonly downloadCost: number
  readonly uploadCost: number
  /** MiB at the end of the round. */
  readonly clientMemory: number
  readonly serverMemory: number
}

const folder = mkdtempSync(join(tmpdir(), 'bench-go-'))
const programs = new Programs(builtGoProgram(), await writeCertificateFiles(folder), folder)
const origin = await programs.origin()
const rounds = new Map<Pairing, Figures[]>(PAIRINGS.map((pairing) => [pairing, []]))
for (let round = 0; round < ROUNDS; round += 1) {
  for (const pairing of round % 2 === 0 ? PAIRINGS : PAIRINGS.toReversed()) {
    rounds.get(pairing)!.push(await measure(pairing))
  }
}
await origin.stop()
rmSync(folder, { recursive: true })
print()

/** Programs of their own for each round: the most memory that one had cannot be reset. */
async function measure({ client: ofClient, server: ofServer, wire }: Pairing): Promise<Figures> {
  const server = await programs.server(ofServer)
  const client = await programs.client(ofClient, server.address, wire)
  const way = { proxy: client.address, origin: origin.address }
  const both = [client, server]
  const one = { requests: 1, concurrency: 1 }
  const many = { concurrency: CONCURRENCY, bytes: REQUEST_BYTES }
  const bulk = async (upload: boolean) => {
    await programs.load(way, { ...one, bytes: WARM_UP_BYTES, upload })
    const before = processorTime(both)
    const seconds = await programs.load(way, { ...one, bytes: BULK_BYTES, upload })
    const cost = ((processorTime(both) - before) * 1024 * MIB) / BULK_BYTES
    return { rate: BULK_BYTES / seconds, cost }
  }
  const download = await bulk(false)
  const upload = await bulk(true)
  await programs.load(way, { ...many, requests: WARM_UP_REQUESTS })
  const requests = REQUESTS / (await programs.load(way, { ...many, requests: REQUESTS }))
  const figures = {
    download: download.rate,
    upload: upload.rate,
    requests,
    downloadCost: download.cost,
    uploadCost: upload.cost,
    clientMemory: peakMemory(client),
    serverMemory: peakMemory(server),
  }
  await Promise.all(both.map((program) => program.stop()))
  return figures
}

function processorTime(both: readonly RunningProgram[]): number {
  return both.reduce((sum, program) => sum + processorSeconds(program), 0)
}

function print(): void {
  const machine = cpus()[0]?.model.trim() ?? 'unknown processor'
  console.log(
    `Node ${process.version}, ${cpus().length} cores, ${machine}; ${ROUNDS} rounds, medians (min–max)\n`,
  )
  const columns = [
    ['download, MB/s', 'download', 1e-6, 0],
    ['upload, MB/s', 'upload', 1e-6, 0],
    [`requests/s, ${CONCURRENCY} at once`, 'requests', 1, 0],
    ['CPU s/GiB down', 'downloadCost', 1, 2],
    ['CPU s/GiB up', 'uploadCost', 1, 2],
    ['peak RSS client, MiB', 'clientMemory', 1, 0],
    ['peak RSS server, MiB', 'serverMemory', 1, 0],
  ] as const
  const row = (cells: readonly string[]) => console.log(`| ${cells.join(' | ')} |`)
  row(['client → server', ...columns.map(([title]) => title)])
  console.log(`|${' --- |'.repeat(columns.length + 1)}`)
  for (const [{ name }, figures] of rounds) {
    const cells = columns.map(([, key, scale, digits]) => {
      const values = figures.map((each) => each[key] * scale).sort((a, b) => a - b)
      const [least, middle, most] = [values[0]!, values[values.length >> 1]!, values.at(-1)!]
      const text = middle.toFixed(digits)
      return ROUNDS === 1 ? text : `${text} (${least.toFixed(digits)}–${most.toFixed(digits)})`
    })
    row([name, ...cells])
  }
}
