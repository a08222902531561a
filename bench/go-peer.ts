// The programs that `bench:go`, `bench:proxy`, `bench:far` and `bench:lossy` pair, and what is asked of the running ones: who listens where, how much
// processor time and memory they took.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { goProgram } from '../test/interop/support/go-build.ts'

/** Who made a client or a server. */
export type Maker = 'anytls' | 'Go'

/** How a bare tunnel carries bytes: `kept` see bench/peers/kept-tunnel.js, the others bench/peers/tunnel.js. */
export type BareStyle = 'tcp' | 'pipe' | 'joined' | 'kept'

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
const KEPT_TUNNEL = fileURLToPath(new URL('peers/kept-tunnel.js', import.meta.url))

/** Where programs run: on this machine, or in a network namespace of it. */
export interface Place {
  /** What a command begins with there. */
  readonly enter: readonly string[]
  /** The address that others reach it by. */
  readonly host: string
}

const HERE: Place = { enter: [], host: '127.0.0.1' }

/** Programs that all share one certificate; `state` is a folder for what ours keep. */
export class Programs {
  readonly #go: string
  readonly #certificate: CertificateFiles
  readonly #state: string
  readonly #node: string
  readonly #near: Place
  readonly #far: Place

  /**
   * @param node what runs ours
   * @param places where clients are with what they serve, and where servers are with the origin
   */
  constructor(
    go: string,
    certificate: CertificateFiles,
    state: string,
    node: string = process.execPath,
    { near, far }: { readonly near: Place; readonly far: Place } = { near: HERE, far: HERE },
  ) {
    this.#near = near
    this.#far = far
    this.#node = node
    this.#go = go
    this.#certificate = certificate
    this.#state = state
  }

  origin(): Promise<RunningProgram> {
    return start(this.#far, this.#go, ['origin', '-listen', portOf(this.#far)])
  }

  /** A line that carries connections to `to`. */
  relay(to: string, { roundTrip, rate = 0 }: Line): Promise<RunningProgram> {
    const rates = ['-up', String(rate), '-down', String(rate)]
    const delay = ['-delay', `${roundTrip * 500}us`]
    return start(this.#far, this.#go, [
      'relay',
      '-listen',
      portOf(this.#far),
      '-to',
      to,
      ...delay,
      ...rates,
    ])
  }

  /** Two Node programs with nothing between them but TCP or TLS, to `origin` alone: what the platform costs. */
  async bare(style: BareStyle, origin: string): Promise<[RunningProgram, RunningProgram]> {
    const { key, cert } = this.#certificate
    const end = (place: Place, role: string, flags: readonly string[]) => {
      const program = style === 'kept' ? [KEPT_TUNNEL, role] : [TUNNEL, role, style]
      return start(place, this.#node, [...program, ...flags])
    }
    const server = await end(this.#far, 'server', [origin, key, cert])
    return [await end(this.#near, 'client', [server.address]), server]
  }

  /** @param more flags for ours */
  server(maker: Maker, more: readonly string[] = []): Promise<RunningProgram> {
    const { key, cert } = this.#certificate
    if (maker === 'Go') {
      const flags = ['-key', key, '-cert', cert, '-password', PASSWORD]
      return start(this.#far, this.#go, ['server', '-listen', portOf(this.#far), ...flags])
    }
    return this.#ours(this.#far, 'server', ['--key', key, '--cert', cert, '--no-link', ...more])
  }

  /** @param more flags for ours */
  client(
    maker: Maker,
    server: string,
    wire: 'legacy' | 'v1',
    more: readonly string[] = [],
  ): Promise<RunningProgram> {
    const { cert, pin } = this.#certificate
    if (maker === 'Go') {
      const flags = ['-server', server, '-ca', cert, '-password', PASSWORD]
      return start(this.#near, this.#go, ['client', '-listen', portOf(this.#near), ...flags])
    }
    return this.#ours(this.#near, 'client', ['-s', server, '--pin', pin, '--wire', wire, ...more])
  }

  #ours(place: Place, command: string, flags: readonly string[]): Promise<RunningProgram> {
    const common = [
      '-l',
      portOf(place),
      '-p',
      PASSWORD,
      '--log-level',
      'error',
      '--state-dir',
      this.#state,
    ]
    return start(place, this.#node, [ANYTLS, command, ...common, ...flags])
  }

  /** Sends `requests` requests, `concurrency` at a time, each through a tunnel of its own: seconds taken. */
  async load(
    { proxy, origin }: { proxy: string; origin: string },
    { requests, concurrency, bytes, upload = false }: Load,
    signal?: AbortSignal,
  ): Promise<number> {
    const flags = ['-requests', requests, '-concurrency', concurrency, '-bytes', bytes].map(String)
    if (upload) flags.push('-upload')
    const [command, ...args] = [...this.#near.enter, this.#go]
    const loaded = ['load', '-proxy', proxy, '-origin', origin, ...flags]
    const { stdout } = await promisify(execFile)(command, [...args, ...loaded], { signal })
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

function portOf({ host }: Place): string {
  return `${host}:0`
}

async function start(
  { enter, host }: Place,
  program: string,
  flags: readonly string[],
): Promise<RunningProgram> {
  const [command, ...args] = [...enter, program, ...flags]
  const address = new RegExp(`listening on (${host}:\\d+)`)
  const child = spawn(command!, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(child, 'close')
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  for (;;) {
    const [, bound] = address.exec(said) ?? []
    if (bound !== undefined) {
      return {
        address: bound,
        pid: child.pid!,
        async stop() {
          child.kill('SIGKILL')
          await ended
        },
      }
    }
    if (child.exitCode !== null) throw new Error(`${program} ${flags[0] ?? ''}: ${said}`)
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
export function peakMemory(program: Process): number {
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
