// The programs that `bench:go`, `bench:proxy` and `bench:far` pair, and what is asked of the running ones: who listens where, how much
// processor time and memory they took.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { goProgram } from '../test/interop/support/go-build.ts'

/** Who made a client or a server. */
export type Maker = 'anytls' | 'Go'

/** How a tunnel without frames carries bytes, see bench/peers/tunnel.js. */
export type BareStyle = 'tcp' | 'pipe' | 'joined'

/** Key and certificate as files, with the SHA-256 of the certificate. */
export interface CertificateFiles {
  readonly key: string
  readonly cert: string
  readonly pin: string
}

export interface RunningProgram {
  /** `127.0.0.1:PORT`. */
  readonly address: string
  readonly pid: number
  stop(): Promise<void>
}

/**
 * The path of the Go program of the interop tests.
 *
 * @throws Error that says why there is none
 */
export function builtGoProgram(): string {
  if (goProgram.isMissing) throw new Error(`the Go program is needed${goProgram.note}`)
  return goProgram.path
}

const PASSWORD = 'bench'
const ANYTLS = fileURLToPath(new URL('../dist/cli/main.js', import.meta.url))
const TUNNEL = fileURLToPath(new URL('peers/tunnel.js', import.meta.url))
const LISTEN = '127.0.0.1:0'

/** Programs that all share one certificate; `state` is a folder for what ours keep. */
export class Programs {
  readonly #go: string
  readonly #certificate: CertificateFiles
  readonly #state: string
  readonly #node: string

  /** @param node what runs ours */
  constructor(
    go: string,
    certificate: CertificateFiles,
    state: string,
    node: string = process.execPath,
  ) {
    this.#node = node
    this.#go = go
    this.#certificate = certificate
    this.#state = state
  }

  origin(): Promise<RunningProgram> {
    return start(this.#go, ['origin', '-listen', LISTEN])
  }

  /** A line that carries connections to `to`. */
  relay(to: string, { roundTrip, rate = 0 }: Line): Promise<RunningProgram> {
    const rates = ['-up', String(rate), '-down', String(rate)]
    const delay = ['-delay', `${roundTrip * 500}us`]
    return start(this.#go, ['relay', '-listen', LISTEN, '-to', to, ...delay, ...rates])
  }

  /** Two Node programs with nothing between them but TCP or TLS, to `origin` alone: what the platform costs. */
  async bare(style: BareStyle, origin: string): Promise<[RunningProgram, RunningProgram]> {
    const { key, cert } = this.#certificate
    const server = await start(this.#node, [TUNNEL, 'server', style, origin, key, cert])
    return [await start(this.#node, [TUNNEL, 'client', style, server.address]), server]
  }

  /** @param more flags for ours */
  server(maker: Maker, more: readonly string[] = []): Promise<RunningProgram> {
    const { key, cert } = this.#certificate
    if (maker === 'Go') {
      const flags = ['-key', key, '-cert', cert, '-password', PASSWORD]
      return start(this.#go, ['server', '-listen', LISTEN, ...flags])
    }
    return this.#ours('server', ['--key', key, '--cert', cert, '--no-link', ...more])
  }

  client(maker: Maker, server: string, wire: 'legacy' | 'v1'): Promise<RunningProgram> {
    const { cert, pin } = this.#certificate
    if (maker === 'Go') {
      const flags = ['-server', server, '-ca', cert, '-password', PASSWORD]
      return start(this.#go, ['client', '-listen', LISTEN, ...flags])
    }
    return this.#ours('client', ['-s', server, '--pin', pin, '--wire', wire])
  }

  #ours(command: string, flags: readonly string[]): Promise<RunningProgram> {
    const common = [
      '-l',
      LISTEN,
      '-p',
      PASSWORD,
      '--log-level',
      'error',
      '--state-dir',
      this.#state,
    ]
    return start(this.#node, [ANYTLS, command, ...common, ...flags])
  }

  /** Sends `requests` requests, `concurrency` at a time, each through a tunnel of its own: seconds taken. */
  async load(
    { proxy, origin }: { proxy: string; origin: string },
    { requests, concurrency, bytes, upload = false }: Load,
  ): Promise<number> {
    const flags = ['-requests', requests, '-concurrency', concurrency, '-bytes', bytes].map(String)
    if (upload) flags.push('-upload')
    const { stdout } = await promisify(execFile)(this.#go, [
      ...['load', '-proxy', proxy, '-origin', origin],
      ...flags,
    ])
    const { seconds, failed, error } = JSON.parse(stdout) as LoadResult
    if (failed > 0) throw new Error(`${failed} of ${requests} requests failed: ${String(error)}`)
    return seconds
  }
}

/** What lies between a client and its server. */
export interface Line {
  /** Milliseconds. */
  readonly roundTrip: number
  /** Bytes a second in each direction; 0 for as many as the machine can. */
  readonly rate?: number
}

export interface Load {
  readonly requests: number
  readonly concurrency: number
  readonly bytes: number
  readonly upload?: boolean
}

interface LoadResult {
  readonly seconds: number
  readonly failed: number
  readonly error: string | null
}

async function start(command: string, args: readonly string[]): Promise<RunningProgram> {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  for (;;) {
    const [, address] = /listening on (127\.0\.0\.1:\d+)/.exec(said) ?? []
    if (address !== undefined) {
      return {
        address,
        pid: child.pid!,
        async stop() {
          child.kill('SIGKILL')
          await ended
        },
      }
    }
    if (child.exitCode !== null) throw new Error(`${command} ${args[0] ?? ''}: ${said}`)
    await Promise.race([once(child.stderr, 'data'), ended])
  }
}

/** Linux counts processor time in hundredths of a second, for programs to see. */
const TICKS = 100

type Process = Pick<RunningProgram, 'pid'>

/** Processor time that a process has taken so far, in seconds (proc(5), stat, fields 14 and 15). */
export function processorSeconds({ pid }: Process): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS
}

/** The most memory that a process has had resident, in MiB. */
export function peakMemory(program: RunningProgram): number {
  return memoryField(program, 'VmHWM')
}

/** The memory that a process has resident now, in MiB. */
export function residentMemory(program: Process): number {
  return memoryField(program, 'VmRSS')
}

function memoryField({ pid }: Process, field: 'VmHWM' | 'VmRSS'): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1]) / 1024
}
