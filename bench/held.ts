// Held load: one server, 5,000 sessions and 10,000 streams that ask and are answered, for ten minutes, first without
// shaping, then with both directions shaped: how long small requests take, whether memory stays flat, whether anything is lost.
// `npm run bench:held`, with `-- --minutes 2 --sessions 1000 --rate 500` for others, `--only shaped` for one of both.
// Linux alone. Client processes, server and target share the machine: the rate is what is asked for, not what is possible.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { cpus, loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { writeCertificateFiles } from './certificate-files.ts'
import type { CertificateFiles } from './go-peer.ts'
import type { HeldOrder, HeldReport } from './held-client.ts'

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    sessions: { type: 'string', default: '5000' },
    rate: { type: 'string', default: '1500' },
    only: { type: 'string' },
  },
})
const MINUTES = Number(values.minutes)
const SESSIONS = Number(values.sessions)
const STREAMS_PER_SESSION = 2
/** Requests a second, on all streams together. */
const RATE = Number(values.rate)
const CLIENTS = 2
/** Requests on a stream before the next one takes its place: so streams come and go all the time. */
const REQUESTS = 20
const REQUEST = 200
const ANSWER = 1_000
/** What is warm after so many minutes counts for the slope. */
const WARM = Math.min(1, MINUTES / 4)
const PASSWORD = 'held'
const MIB = 1_048_576
const MINUTE = 60_000

/** Every stream that is opened is shaped like the first one, in both directions. */
const SHAPED = 'stop=8\nrestart=1\n0=30-30\n1=100-400\n2=400-500,c,500-1000\n3=500-1000\n4=500-1000'

const KINDS = [
  { name: 'unshaped', scheme: 'stop=0', flags: [] },
  { name: 'shaped', scheme: SHAPED, flags: ['--shape-downlink'] },
] as const

interface Usage extends NodeJS.MemoryUsage {
  readonly cpu: NodeJS.CpuUsage
}

/** What was looked at, once a minute. */
interface Look {
  /** Since the load began. */
  readonly minutes: number
  readonly rss: number
  /** Heap and what belongs to it outside, after a collection. */
  readonly held: number
}

const folder = mkdtempSync(join(tmpdir(), 'held-'))
try {
  const certificate = await writeCertificateFiles(folder)
  console.log(
    `Node ${process.version}, ${cpus().length} cores, ${cpus()[0]?.model.trim() ?? ''}; load ${loadavg()[0]?.toFixed(1)}`,
  )
  for (const kind of KINDS) {
    if (values.only === undefined || values.only === kind.name) await measure(kind, certificate)
  }
} finally {
  rmSync(folder, { recursive: true })
}
process.exit(process.exitCode ?? 0)

async function measure(
  { name, scheme, flags }: (typeof KINDS)[number],
  { cert, key }: CertificateFiles,
): Promise<void> {
  const target = await startTarget()
  const schemeFile = join(folder, `${name}.scheme`)
  writeFileSync(schemeFile, scheme)
  const files = ['--cert', cert, '--key', key, '--padding-scheme', schemeFile]
  const server = startProgram(
    join(import.meta.dirname, '../dist/cli/main.js'),
    ['server', '-l', '127.0.0.1:0', '--no-link', '--state-dir', folder, ...files, ...flags],
    ['--expose-gc', '--import', join(import.meta.dirname, 'held-watch.mjs')],
  )
  const port = await listeningOn(server)
  const clients = Array.from({ length: CLIENTS }, () => {
    const client = startProgram(
      join(import.meta.dirname, 'held-client.ts'),
      [],
      ['--import', 'tsx'],
    )
    client.child.stderr?.pipe(process.stderr)
    return client
  })
  const order: HeldOrder = {
    port,
    target: target.port,
    password: PASSWORD,
    sessions: SESSIONS / CLIENTS,
    streams: STREAMS_PER_SESSION,
    period: (SESSIONS * STREAMS_PER_SESSION * 1_000) / RATE,
    requests: REQUESTS,
    request: REQUEST,
    answer: ANSWER,
    scheme,
  }
  const idle = await ask<Usage>(server, 'collected')
  await Promise.all(clients.map((client) => ask(client, order)))
  // Each stream has asked once.
  await sleep(order.period + 2_000)
  await Promise.all(clients.map((client) => ask<HeldReport>(client, 'report')))
  const begun = performance.now()
  const first = await ask<Usage>(server, 'usage')
  const looks: Look[] = []
  const times: number[] = []
  const lost: string[] = []
  let [answered, bytes] = [0, 0]
  while (performance.now() - begun < MINUTES * MINUTE) {
    await sleep(Math.min(MINUTE, begun + MINUTES * MINUTE - performance.now()))
    const { rss } = await ask<Usage>(server, 'usage')
    const reports = await Promise.all(clients.map((client) => ask<HeldReport>(client, 'report')))
    // A collection stops the server: what is asked meanwhile is not measured.
    const { heapUsed, external } = await ask<Usage>(server, 'collected')
    await sleep(1_000)
    const during = await Promise.all(clients.map((client) => ask<HeldReport>(client, 'report')))
    const look = { minutes: (performance.now() - begun) / MINUTE, rss, held: heapUsed + external }
    looks.push(look)
    for (const report of reports) times.push(...report.times)
    for (const report of [...reports, ...during]) {
      lost.push(...report.lost)
      answered += report.answered
      bytes += report.bytes
    }
    const sum = (key: 'sessions' | 'streams') =>
      during.reduce((total, report) => total + report[key], 0)
    console.log(
      `${name}, ${look.minutes.toFixed(1)} min: ${sum('sessions')} sessions, ${sum('streams')} streams, ` +
        `p99 ${quantile(
          reports.flatMap((report) => report.times),
          0.99,
        ).toFixed(0)} ms, ` +
        `RSS ${(rss / MIB).toFixed(0)} MiB, heap after a collection ${(look.held / MIB).toFixed(1)} MiB, lost ${lost.length}`,
    )
  }
  const last = await ask<Usage>(server, 'usage')
  const spent = (last.cpu.user + last.cpu.system - first.cpu.user - first.cpu.system) / 1e6
  const seconds = (performance.now() - begun) / 1_000
  for (const { child } of clients) child.send('stop')
  await Promise.allSettled(clients.map(({ ended }) => ended))
  server.child.kill('SIGKILL')
  target.stop()
  const warm = looks.filter(({ minutes }) => minutes >= WARM)
  console.log(
    JSON.stringify({
      kind: name,
      minutes: MINUTES,
      sessions: SESSIONS,
      streams: SESSIONS * STREAMS_PER_SESSION,
      requestsPerSecond: round(answered / seconds),
      milliseconds: {
        p50: round(quantile(times, 0.5)),
        p99: round(quantile(times, 0.99)),
        p999: round(quantile(times, 0.999)),
      },
      serverCpu: round(spent / seconds),
      mib: {
        idle: round((idle.heapUsed + idle.external) / MIB),
        rss: round((looks.at(-1)?.rss ?? NaN) / MIB),
        held: round((looks.at(-1)?.held ?? NaN) / MIB),
        rssPerMinute: round(slope(warm.map(({ minutes, rss }) => [minutes, rss / MIB]))),
        heldPerMinute: round(slope(warm.map(({ minutes, held }) => [minutes, held / MIB]))),
      },
      bytes,
      lost: lost.length,
      examples: [...new Set(lost)].slice(0, 5),
      load: round(loadavg()[0] ?? NaN),
    }),
  )
  if (lost.length > 0) process.exitCode = 1
}

interface Program {
  readonly child: ChildProcess
  /** Rejects when it ends. */
  readonly ended: Promise<never>
}

function startProgram(
  script: string,
  args: readonly string[],
  execArgv: readonly string[],
): Program {
  const child = fork(script, args, {
    execArgv: [...execArgv],
    env: { ...process.env, ANYTLS_PASSWORD: PASSWORD },
    stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
  })
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a program ended with ${String(code)}`)
  })
  ended.catch(() => {})
  return { child, ended }
}

async function listeningOn({ child }: Program): Promise<number> {
  let said = ''
  let bound: RegExpExecArray | null = null
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    if (bound === null) said += text
  })
  while ((bound = /^listening on .*:(\d+)$/m.exec(said)) === null) {
    if (child.exitCode !== null) throw new Error(said)
    await sleep(20)
  }
  return Number(bound[1])
}

async function ask<T>({ child, ended }: Program, question: string | HeldOrder): Promise<T> {
  const answer = once(child, 'message') as Promise<[T]>
  child.send(question)
  const [told] = await Promise.race([answer, ended])
  return told
}

/** Answers each request with bytes of the same kind. */
async function startTarget(): Promise<{ readonly port: number; stop(): void }> {
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    socket.on('end', () => socket.end())
    let got = 0
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length
      if (got < REQUEST) return
      got -= REQUEST
      socket.write(Buffer.alloc(ANSWER, chunk.at(-1) ?? 0))
    })
  })
  server.listen(0, '127.0.0.1', 4_096)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

function quantile(all: readonly number[], part: number): number {
  const sorted = Float64Array.from(all).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN
}

/** By least squares, of what the second number does by the first. */
function slope(points: readonly (readonly [number, number])[]): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length
  const [x, y] = [mean(points.map(([at]) => at)), mean(points.map(([, value]) => value))]
  const over = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0)
  return over / points.reduce((sum, [at]) => sum + (at - x) ** 2, 0)
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
