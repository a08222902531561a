// The worker processes of a server: started, replaced when they die, told what is new, drained.
import cluster from 'node:cluster'
import type { Worker } from 'node:cluster'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { AnyTlsError } from '../../errors.ts'
import type { Desk, HeadOffice } from './head-office.ts'
import type { FromWorker, ServerNews, ToWorker } from './messages.ts'

/** How often it is looked whether workers are still there, in ms, and how many looks one may say nothing. */
const LOOK_INTERVAL = 5_000
const SILENT_LOOKS = 3

/** Characters of a line of a worker's log that is not at its end yet. */
const MAX_LINE = 65_536

/** How long workers may take to listen no more, in milliseconds. */
const CLOSING = 1_000

/** What a worker may take on top of the time to drain, in milliseconds. */
const LATE = 2_000

export interface CrewOptions<Setup> {
  /** How many workers. */
  readonly size: number
  /** What the program is called with to be a worker. */
  readonly args: readonly string[]
  /** Variables that workers do not get. */
  readonly withoutVariables: readonly string[]
  readonly office: HeadOffice
  /** What a worker is told that starts now. */
  readonly setup: () => Setup
  /** A line of a worker's log. */
  readonly log: (line: string) => void
  /** A worker has died, and when another takes its place, in milliseconds from now. */
  readonly died: (
    how: { readonly pid: number | undefined; readonly cause: string },
    wait: number,
  ) => void
}

/** A place that one worker has at a time. */
interface Post {
  readonly backoff: Backoff
  worker: Worker | undefined
  /** Looks since it last said something. */
  silent: number
  /** Called when its worker listens no more. */
  closed: () => void
}

export class Crew<Setup> {
  readonly #options: CrewOptions<Setup>
  readonly #posts: readonly Post[]
  #ending = false
  #watch: NodeJS.Timeout | undefined

  constructor(options: CrewOptions<Setup>) {
    this.#options = options
    this.#posts = Array.from({ length: options.size }, () => {
      return { backoff: new Backoff(), worker: undefined, silent: 0, closed: () => {} }
    })
  }

  /**
   * Starts all; resolves when all listen.
   *
   * @throws AnyTlsError rejects when one cannot: `ERR_LISTEN_FAILED`, or what it has said
   */
  async start(): Promise<void> {
    cluster.schedulingPolicy = cluster.SCHED_RR
    cluster.setupPrimary({
      args: [...this.#options.args],
      // Structured clones: bytes and maps stay what they are.
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    await Promise.all(this.#posts.map((post) => this.#started(post)))
    this.#watch = setInterval(() => this.#look(), LOOK_INTERVAL).unref()
  }

  /** To all workers that are there. */
  tell(news: ServerNews): void {
    for (const { worker } of this.#posts) if (worker !== undefined) send(worker, news)
  }

  /** Ends all, gently for `grace` milliseconds; resolves when they are gone. */
  async drain(grace: number): Promise<void> {
    this.#ending = true
    clearInterval(this.#watch)
    const workers = this.#posts.flatMap(({ worker }) => worker ?? [])
    const gone = Promise.all(workers.map((worker) => emitted(worker, 'exit')))
    // The port is closed once no worker listens: whoever is sent away by one must not come to another.
    const closed = this.#posts.flatMap((post) =>
      post.worker === undefined
        ? []
        : Promise.race([
            new Promise<void>((resolve) => (post.closed = resolve)),
            emitted(post.worker, 'exit'),
          ]),
    )
    this.tell({ type: 'close' })
    await withinTime(Promise.all(closed), CLOSING)
    this.tell({ type: 'drain', grace })
    await withinTime(gone, grace + LATE)
    for (const worker of workers) worker.process.kill('SIGKILL')
    await gone
  }

  /** Resolves when the worker of a post listens; before, a worker that dies is not replaced. */
  #started(post: Post): Promise<void> {
    return new Promise((resolve, reject) => this.#fork(post, resolve, reject))
  }

  #fork(post: Post, listening: () => void, failed: (error: AnyTlsError) => void): void {
    const { office, setup, withoutVariables } = this.#options
    const without = withoutVariables.map((name) => [name, undefined] as const)
    const worker = cluster.fork(Object.fromEntries(without))
    const desk: Desk = { send: (message) => send(worker, message) }
    post.worker = worker
    post.silent = 0
    const started = performance.now()
    let hasListened = false
    let problem: AnyTlsError | undefined
    worker.on('message', (message: FromWorker) => {
      post.silent = 0
      switch (message.type) {
        case 'hello': {
          const users = office.join(desk)
          send<Setup>(worker, { type: 'start', setup: setup(), users })
          return
        }
        case 'listening':
          hasListened = true
          listening()
          return
        case 'closed':
          post.closed()
          return
        case 'failed':
          problem = new AnyTlsError(message.problem.code, message.problem.message)
          return
        default:
          office.receive(desk, message)
      }
    })
    // What is still on its way when a process has ended comes before its channel is closed.
    void Promise.all([emitted(worker, 'exit'), emitted(worker, 'disconnect')]).then(() =>
      office.leave(desk),
    )
    worker.on('error', () => {})
    forEachLine(worker.process.stderr, this.#options.log)
    worker.once('exit', (code: number, signal: string | null) => {
      if (post.worker === worker) post.worker = undefined
      if (this.#ending) return
      const cause = problem?.message ?? (signal === null ? `exit code ${code}` : signal)
      if (!hasListened && this.#watch === undefined) {
        failed(problem ?? new AnyTlsError('ERR_LISTEN_FAILED', `a worker cannot start: ${cause}`))
        return
      }
      const wait = post.backoff.next(performance.now() - started)
      this.#options.died({ pid: worker.process.pid, cause }, wait)
      void sleep(wait).then(() => {
        if (!this.#ending)
          this.#fork(
            post,
            () => {},
            () => {},
          )
      })
    })
  }

  /** A worker that has said nothing for so long serves nobody, and what it is told would pile up. */
  #look(): void {
    for (const post of this.#posts) {
      post.silent += 1
      if (post.silent > SILENT_LOOKS) post.worker?.process.kill('SIGKILL')
    }
  }
}

function send<Setup>(worker: Worker, message: ToWorker<Setup>): void {
  // One that is ending hears nothing any more.
  if (worker.isConnected()) worker.send(message, () => {})
}

/** Waits for it, but no longer than so many milliseconds. */
async function withinTime(what: Promise<unknown>, limit: number): Promise<void> {
  const late = new AbortController()
  await Promise.race([what, sleep(limit, undefined, late)])
  late.abort()
}

/** Whatever goes wrong with it meanwhile. */
function emitted(worker: Worker, event: 'exit' | 'disconnect'): Promise<void> {
  return new Promise((resolve) => worker.once(event, () => resolve()))
}

function forEachLine(stream: Readable | null, tell: (line: string) => void): void {
  let rest = ''
  stream?.setEncoding('utf8')
  stream?.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) tell(line)
    if (rest.length <= MAX_LINE) return
    tell(rest)
    rest = ''
  })
  stream?.on('end', () => rest !== '' && tell(rest))
  stream?.on('error', () => {})
}

/** Who has lived so long has served, in milliseconds. */
const LONG_LIFE = 10_000

/** The wait after the second short life in a row, which doubles with each, and the longest, in milliseconds. */
const FIRST_WAIT = 500
const LONGEST_WAIT = 30_000

/** How long to wait before a worker that died is replaced; one that has served for a while is at once. */
export class Backoff {
  #shortLives = 0

  /**
   * A worker has died.
   *
   * @param lived milliseconds
   * @returns milliseconds; 0 after a long life, and after the first short one
   */
  next(lived: number): number {
    if (lived >= LONG_LIFE) this.#shortLives = 0
    const wait = this.#shortLives === 0 ? 0 : FIRST_WAIT * 2 ** (this.#shortLives - 1)
    this.#shortLives += 1
    return Math.min(wait, LONGEST_WAIT)
  }
}
