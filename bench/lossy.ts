// Our client and server beside the Go ones over a line that loses packets: two network namespaces with
// ../shared/tools/link.py between them, 100 ms of round trip and 50 Mbit/s unless told otherwise. `npm run bench:lossy`;
// `-- --loss 0,1 --control cubic --rounds 3 --jobs kB` for a part of it. Linux, as root.
import { execFileSync, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { measureRounds, printHead, printRows } from './beside-go.ts'
import type { NamedLoad, Peer } from './beside-go.ts'
import { writeCertificateFiles } from './certificate-files.ts'
import { builtGoProgram, Programs } from './go-peer.ts'
import type { Load } from './go-peer.ts'

const { values } = parseArgs({
  options: {
    loss: { type: 'string', default: '0,1,3' },
    control: { type: 'string', default: 'cubic,bbr' },
    delay: { type: 'string', default: '50' },
    rate: { type: 'string', default: '50' },
    rounds: { type: 'string', default: '5' },
    jobs: { type: 'string', default: '' },
  },
})
const ROUNDS = Number(values.rounds)
const MB = 1_000_000
const LINK = fileURLToPath(new URL('../../shared/tools/link.py', import.meta.url))

const SMALL: Load = { requests: 64, concurrency: 8, bytes: 8_000 }

interface Job extends NamedLoad {
  /** Runs meanwhile, from half a second before on. */
  readonly beside?: Load
}

const ALL_JOBS: readonly Job[] = [
  { name: '8 requests of 8 kB at once, the first ones', requests: 8, concurrency: 8, bytes: 8_000 },
  { name: '64 requests of 8 kB, 8 at once', ...SMALL },
  { name: '8 × 2 MB at once', requests: 8, concurrency: 8, bytes: 2 * MB, upload: false },
  { name: '4 MB', requests: 1, concurrency: 1, bytes: 4 * MB, upload: false },
  { name: '8 × 1 MB at once', requests: 8, concurrency: 8, bytes: MB, upload: true },
  {
    name: '64 requests of 8 kB, 8 at once, beside two downloads',
    ...SMALL,
    beside: { requests: 2, concurrency: 2, bytes: 500 * MB },
  },
]

const JOBS = ALL_JOBS.filter((job) => job.name.includes(values.jobs))

const folder = mkdtempSync(join(tmpdir(), 'bench-lossy-'))
const name = `lossy${process.pid}`
const go = builtGoProgram()
const certificate = await writeCertificateFiles(folder)
const places = {
  near: { enter: ['ip', 'netns', 'exec', `${name}-a`], host: '127.0.0.1' },
  far: { enter: ['ip', 'netns', 'exec', `${name}-b`], host: '10.77.1.2' },
}
const programs = new Programs(go, certificate, folder, process.execPath, places)
console.log(
  `Node ${process.version}, ${2 * Number(values.delay)} ms, ${values.rate} Mbit/s; ${ROUNDS} rounds, medians: seconds ` +
    `of Go, and ours as multiples of them (least–most)\n`,
)
printHead(['control', 'loss'])
try {
  for (const control of values.control.split(',')) {
    for (const loss of values.loss.split(',')) {
      const seconds = await measureRounds(ROUNDS, JOBS, async (peer, times, round) => {
        // The same losses for each of a round, as far as they send the same.
        const link = await startLink(control, ['--loss', loss, '--seed', String(round + 1)])
        try {
          await measure(peer, times)
        } finally {
          link.kill('SIGTERM')
          await once(link, 'close')
        }
      })
      printRows([control, `${loss} %`], seconds)
    }
  }
} finally {
  rmSync(folder, { recursive: true })
}

async function startLink(control: string, more: readonly string[]): Promise<ChildProcess> {
  const link = spawn(
    'python3',
    [LINK, '--name', name, '--delay', values.delay, '--rate', values.rate, ...more],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const [said] = (await Promise.race([once(link.stdout, 'data'), once(link, 'close')])) as [unknown]
  if (!String(said).startsWith('ready')) throw new Error(`no link: ${String(said)}`)
  for (const end of ['a', 'b']) {
    const route = ['route', 'replace', '10.77.1.0/24', 'dev', `${name}${end}`]
    execFileSync('ip', ['-n', `${name}-${end}`, ...route, 'congctl', control])
  }
  return link
}

async function measure({ maker, wire }: Peer, seconds: ReadonlyMap<Job, number[]>): Promise<void> {
  const origin = await programs.origin()
  const server = await programs.server(maker)
  const client = await programs.client(maker, server.address, wire)
  const way = { proxy: client.address, origin: origin.address }
  for (const [job, times] of seconds) {
    const over = new AbortController()
    const beside = job.beside && programs.load(way, job.beside, over.signal)
    beside?.catch(() => {})
    if (beside !== undefined) await sleep(500)
    times.push(await programs.load(way, job))
    over.abort()
  }
  await Promise.all([client, server, origin].map((program) => program.stop()))
}
