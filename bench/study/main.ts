// Can they be told apart? Page loads of a real browser over plain HTTPS against the same loads through tunnels,
// unshaped and under each scheme: `npm run study`, see docs/study.md. `--loads N` (default 128), `--delay MS`
// (repeated; default 20), `--out FOLDER` (default study), `--seed N`, `--without-go`. Linux, nginx and Chromium.
import { fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { CAPTURE_FORMAT, CAPTURE_VERSION } from '../../src/harness/capture/capture-event.ts'
import { startCapture } from '../../src/harness/capture/capture.ts'
import { createCaptureFile } from '../../src/harness/capture/capture-file.ts'
import { compare, observe } from '../../src/harness/compare/compare.ts'
import type { Comparison, Observation } from '../../src/harness/compare/compare.ts'
import { fitScheme } from '../../src/harness/fit/fit.ts'
import { parseCapture } from '../../src/harness/capture/capture-parser.ts'
import { sourceFromCapture } from '../../src/harness/report/from-capture.ts'
import type { Run } from '../../src/harness/report/source.ts'
import { V1_WIRE } from '../../src/harness/simulate/v1-model.ts'
import { WORKLOADS } from '../../src/harness/simulate/workloads.ts'
import { DEFAULT_SCHEME_TEXT } from '../../src/shaping/scheme.ts'
import { makeTestCertificate } from '../../test/support/certificate.ts'
import { requireProgram } from '../../test/support/programs.ts'
import { builtGoProgram } from '../go-peer.ts'
import { PageLoader } from './browse.ts'
import { startDelay } from './delay.ts'
import { pagePath, serveSites } from './sites.ts'
import { formatStudy } from './tables.ts'
import { PASSWORD } from './tunnel.ts'
import type { Order } from './tunnel.ts'

/** One way of loading pages. */
interface Condition {
  readonly name: string
  /** Records of the server's TLS that look like data, behind the client's: its session tickets. */
  readonly tickets: number
  /** Where the relays lead to. */
  readonly target: number
  /**
   * A client of its own for a page, through the relays that listen on `port`.
   * @returns what the browser is told to use, if anything, and how to end it
   */
  begin(port: number): Promise<{ proxy?: string; end(): Promise<void> }>
}

/** What is kept of a way of loading, at one delay. */
export interface Outcome {
  readonly name: string
  readonly delay: number
  readonly loads: number
  /** Mean bytes of a load on the wire, TLS included. */
  readonly bytes: { readonly up: number; readonly down: number }
  /** Median time of a load, in ms. */
  readonly time: number
  /** With the direct loads. */
  readonly comparison: Comparison | undefined
  /** With sing-anytls under the same scheme. */
  readonly withGo?: Comparison
}

const { values } = parseArgs({
  options: {
    loads: { type: 'string', default: '128' },
    delay: { type: 'string', multiple: true, default: ['20'] },
    out: { type: 'string', default: 'study' },
    seed: { type: 'string', default: '1' },
    'without-go': { type: 'boolean', default: false },
  },
})
const loads = Number(values.loads)
const seed = Number(values.seed)
const out = values.out
const folder = mkdtempSync(join(tmpdir(), 'anytls-study-'))
const children = new Set<ChildProcess>()
const nginx = requireProgram('nginx', '/usr/sbin/nginx')
mkdirSync(out, { recursive: true })

const NO_SHAPING = 'stop=1'
const { key, cert } = await makeTestCertificate()
const [keyFile, certFile] = [join(folder, 'tunnel-key.pem'), join(folder, 'tunnel-cert.pem')]
writeFileSync(keyFile, key, { mode: 0o600 })
writeFileSync(certFile, cert)
/** Of all delays, with those that a scheme is fitted to. */
const MOST_WAYS = 11
let pages = 0
const sites = await serveSites(
  join(folder, 'sites'),
  nginx.path,
  seed,
  loads * MOST_WAYS * values.delay.length,
)
const loader = new PageLoader()
try {
  const outcomes: Outcome[] = []
  for (const delay of values.delay.map(Number)) {
    outcomes.push(...(await studyAt(delay)))
    writeFileSync(join(out, 'results.json'), `${JSON.stringify(outcomes, null, 2)}\n`)
    writeFileSync(join(out, 'results.md'), formatStudy(outcomes))
  }
  process.stdout.write(formatStudy(outcomes))
} finally {
  await loader.close()
  await sites.stop()
  for (const child of children) child.kill()
  rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
}

async function studyAt(delay: number): Promise<Outcome[]> {
  // The scheme is fitted to loads of their own, not to those that it is judged by.
  const direct = directly('direct')
  const [model] = await loadAll([{ ...direct, name: 'direct, to be fitted' }], delay)
  const runs = model?.runs ?? []
  const common = { wire: V1_WIRE, workload: WORKLOADS.page, records: 16, maxOverhead: 300, seed }
  const fitted = {
    up: fitScheme(runs, { ...common, direction: 'up' }).scheme.text,
    down: fitScheme(runs, { ...common, direction: 'down' }).scheme.text,
  }
  writeFileSync(join(out, `fitted-${delay}-up.txt`), `${fitted.up}\n`)
  writeFileSync(join(out, `fitted-${delay}-down.txt`), `${fitted.down}\n`)
  const BUILT_IN = DEFAULT_SCHEME_TEXT
  const conditions = [
    direct,
    directly('direct again'),
    await through('unshaped', 'v1', NO_SHAPING),
    await through('built-in', 'v1', BUILT_IN),
    await through('built-in, restart=1', 'v1', `${BUILT_IN}\nrestart=1`),
    await through('built-in, both directions', 'v1', BUILT_IN, BUILT_IN),
    await through('fitted', 'v1', fitted.up),
    await through('fitted, both directions', 'v1', fitted.up, fitted.down),
    await through('original wire', 'legacy', BUILT_IN),
    ...(values['without-go'] ? [] : [await throughGo()]),
  ]
  const measured = await loadAll(conditions, delay)
  const [plain] = measured
  const go = measured.find(({ name }) => name === 'sing-anytls')
  return measured.map(({ name, times, bytes, observations }) => ({
    name,
    delay,
    loads: times.length,
    bytes: { up: bytes.up / times.length, down: bytes.down / times.length },
    time: times.toSorted((a, b) => a - b)[times.length >> 1] ?? 0,
    comparison:
      name === 'direct' ? undefined : compare(plain?.observations ?? [], observations, { seed }),
    ...(name === 'original wire' &&
      go && { withGo: compare(go.observations, observations, { seed }) }),
  }))
}

/** All conditions in turn, each with a page of its own, so that whatever disturbs the machine disturbs all of them. */
async function loadAll(conditions: readonly Condition[], delay: number) {
  const stations = []
  for (const condition of conditions) {
    const path = join(out, `${delay}-${condition.name.replaceAll(/\W+/g, '-')}.jsonl`)
    const file = createCaptureFile(path, {
      format: CAPTURE_FORMAT,
      version: CAPTURE_VERSION,
      to: `localhost:${condition.target}`,
      started: new Date().toISOString(),
    })
    const line = await startDelay(condition.target, delay)
    const capture = await startCapture({
      listen: { host: '127.0.0.1', port: 0 },
      to: { host: '127.0.0.1', port: line.port },
      sink: file,
    })
    stations.push({ condition, path, file, line, capture, times: [] as number[] })
  }
  for (let load = 0; load < loads; load += 1) {
    for (const [place, { condition, capture, times }] of stations.entries()) {
      const page = pagePath(pages + place * loads + load)
      const client = await condition.begin(capture.port)
      const { proxy } = client
      const port = proxy === undefined ? capture.port : sites.port
      times.push(await loader.load(`https://localhost:${port}${page}`, proxy))
      await client.end()
    }
    if ((load + 1) % 8 === 0) process.stderr.write(`\r${delay} ms: ${load + 1} of ${loads} loads `)
  }
  process.stderr.write('\n')
  pages += loads * stations.length
  const measured = []
  for (const { condition, path, file, line, capture, times } of stations) {
    await capture.stop(2_000)
    line.stop()
    await file.close()
    const parsed = parseCapture(readFileSync(path, 'utf8'))
    const bytes = { up: 0, down: 0 }
    for (const { records } of parsed.connections) {
      for (const record of records) bytes[record.direction] += record.bytes
    }
    const skip = { up: 1, down: condition.tickets }
    const { runs } = sourceFromCapture(path, parsed, skip)
    measured.push({ name: condition.name, times, bytes, runs, observations: observeAll(runs) })
  }
  return measured
}

function observeAll(runs: readonly Run[]): Observation[] {
  return runs.flatMap((run) => observe(run) ?? [])
}

function directly(name: string): Condition {
  return {
    name,
    tickets: 2,
    target: sites.port,
    begin: () => Promise.resolve({ end: () => Promise.resolve() }),
  }
}

/** A tunnel of ours: one server for all pages, a client for each. */
async function through(
  name: string,
  wire: 'v1' | 'legacy',
  up: string,
  down?: string,
): Promise<Condition> {
  const server = await order(forked(), { kind: 'server', key, cert, up, down })
  const client = forked()
  return {
    name,
    tickets: 2,
    target: server,
    async begin(port) {
      const listening = await order(client, { kind: 'client', wire, port, ca: cert, scheme: up })
      return {
        proxy: `socks5://127.0.0.1:${listening}`,
        async end() {
          await order(client, { kind: 'close' })
        },
      }
    },
  }
}

/** The Go module of the original wire at both ends; it sends one ticket. */
async function throughGo(): Promise<Condition> {
  const program = builtGoProgram()
  const keys = ['-key', keyFile, '-cert', certFile]
  const server = await announced(program, ['server', ...keys, '-password', PASSWORD])
  return {
    name: 'sing-anytls',
    tickets: 1,
    target: server.port,
    async begin(port) {
      const flags = ['-server', `127.0.0.1:${port}`, '-ca', certFile, '-password', PASSWORD]
      const client = await announced(program, ['client', ...flags])
      return {
        proxy: `socks5://127.0.0.1:${client.port}`,
        async end() {
          client.child.kill()
          await once(client.child, 'exit')
          children.delete(client.child)
        },
      }
    },
  }
}

function forked(): ChildProcess {
  const child = fork(join(import.meta.dirname, 'tunnel.ts'), { execArgv: process.execArgv })
  children.add(child)
  return child
}

async function order(child: ChildProcess, order: Order): Promise<number> {
  child.send(order)
  const gone = new Promise<never>((_resolve, reject) => {
    child.once('exit', () => reject(new Error('one end of the tunnel has ended')))
  })
  const [{ port }] = (await Promise.race([once(child, 'message'), gone])) as [{ port: number }]
  child.removeAllListeners('exit')
  return port
}

/** Starts a program that says `listening on HOST:PORT`. */
async function announced(program: string, args: readonly string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  children.add(child)
  let said = ''
  const port = await new Promise<number>((resolve, reject) => {
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
      const found = /listening on \S+:(\d+)/.exec(said)?.[1]
      if (found !== undefined) resolve(Number(found))
    })
    child.once('exit', () => reject(new Error(`${program} has ended: ${said}`)))
  })
  return { child, port }
}
