// Several servers for one local port: the quickest that is well is asked first, another one as soon as it is in
// doubt, and the first again once it is back. Streams that stand stay where they are.
// Must never give up an attempt because another was begun: whoever opens the stream first has it.
import type { ErrorCode } from '../errors.ts'
import { AnyTlsError, invalidOption } from '../errors.ts'
import { systemClock } from '../session/clock.ts'
import type { Clock, Timer } from '../session/clock.ts'
import { createTunnelOpener } from './client.ts'
import type { OpenTunnel, StreamSource, TunnelStream } from './tunnel.ts'

/** A source of streams that can be asked how far away its server is, as a `SessionPool` can. */
export interface ServerSource extends StreamSource {
  /** Resolves with the round trip in milliseconds, when the server has answered. */
  ping(signal: AbortSignal): Promise<number>
}

/** One of several servers. */
export interface ServerChoice {
  /** What it is called in events. */
  readonly name: string
  /** What opens streams to it: a `SessionPool`, for one. */
  readonly source: ServerSource
}

/** What becomes of the servers, for a log. */
export type ServerEvent =
  | {
      /** It could not be used; the next attempts go to the others first. */
      readonly type: 'failed'
      /** Its name. */
      readonly server: string
      /** Why. */
      readonly error: unknown
    }
  | {
      /** It answers again. */
      readonly type: 'back'
      /** Its name. */
      readonly server: string
    }
  | {
      /** New streams go there from now on. */
      readonly type: 'preferred'
      /** Its name. */
      readonly server: string
      /** To the server and back, in milliseconds; `undefined` before it has been measured. */
      readonly roundTrip: number | undefined
    }

/** The servers, and how they are asked and told of. */
export interface ServersOptions {
  /** In the order that counts until it is known which is the quickest. */
  readonly servers: readonly ServerChoice[]
  /** Makes the opener of one server of its source. Default: `createTunnelOpener`. */
  readonly makeOpener?: ((source: StreamSource) => OpenTunnel) | undefined
  /** Is told of each change. */
  readonly observe?: ((event: ServerEvent) => void) | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
}

/** How long a connection to a server may take before the next server is asked beside it, in ms. */
const HEAD_START = 500

/** How long the answer to a ping may take, connecting included, in ms. */
const PING_TIMEOUT = 5_000

/** When a server that failed is asked again, in ms: at first, and at most, doubled each time in between. */
const FIRST_RETRY = 1_000
const MAX_RETRY = 30_000

/** How often it is measured which server is the quickest, in ms, while tunnels are opened. */
const MEASURE_INTERVAL = 300_000

/** What another server has to be quicker by to be preferred: its round trip is to be below this share. */
const CLEARLY_QUICKER = 0.8

/** The server went, or is none of ours; the target has nothing to do with it. */
const SERVER_FAILED: ReadonlySet<ErrorCode> = new Set([
  'ERR_CONNECT_FAILED',
  'ERR_CONNECT_TIMEOUT',
  'ERR_CERTIFICATE_PIN',
  'ERR_AUTH_REJECTED',
  'ERR_VERSION_UNSUPPORTED',
  'ERR_ALERT_RECEIVED',
  'ERR_PROTOCOL_VIOLATION',
  'ERR_CONNECTION_LOST',
  'ERR_CONNECTION_TIMEOUT',
  'ERR_PING_TIMEOUT',
  'ERR_SESSION_CLOSED',
  'ERR_SESSION_DRAINING',
])

/** Whether `error` says that the server could not be used, whatever the target is. */
export function isServerFailure(error: unknown): boolean {
  return error instanceof AnyTlsError && SERVER_FAILED.has(error.code)
}

interface Server {
  readonly name: string
  readonly source: ServerSource
  readonly open: OpenTunnel
  /** In ms; `undefined` as long as it has not been measured. */
  roundTrip: number | undefined
  /** Failures in a row. */
  failures: number
  /** When it is to be asked next, by a ping. */
  due: number
  pinging: boolean
}

/** One tunnel at one server, while it is being opened. */
interface Attempt {
  /** A connection is waited for. */
  waits(): void
  /** It has come. */
  waited(): void
  /** The server does not show itself on it. */
  doubted(): void
}

/** Opens tunnels through one of several servers. */
export class Servers {
  readonly #servers: readonly Server[]
  readonly #observe: (event: ServerEvent) => void
  readonly #clock: Clock
  readonly #attempts = new WeakMap<AbortSignal, Attempt>()
  readonly #closed = new AbortController()
  #preferred: Server | undefined
  #timer: Timer | undefined
  #lastAsked: number

  /** @throws AnyTlsError `ERR_OPTION_INVALID` without a server */
  constructor(options: ServersOptions) {
    if (options.servers.length === 0) {
      throw invalidOption('at least one server is needed')
    }
    this.#observe = options.observe ?? (() => {})
    this.#clock = options.clock ?? systemClock
    this.#lastAsked = this.#clock.now()
    const { makeOpener = createTunnelOpener } = options
    this.#servers = options.servers.map(({ name, source }) => {
      const server: Server = {
        name,
        source,
        open: makeOpener({ openStream: (signal) => this.#openStream(server, signal) }),
        roundTrip: undefined,
        failures: 0,
        due: this.#lastAsked,
        pinging: false,
      }
      return server
    })
  }

  /** Measures which server is the quickest. With one there is nothing to measure. */
  start(): void {
    this.#pingDue()
  }

  /** Asks no server any more. Streams and sessions are left alone: they are their sources' affair. */
  close(): void {
    this.#closed.abort(new AnyTlsError('ERR_POOL_CLOSED'))
    this.#timer?.cancel()
  }

  /**
   * Opens a tunnel at the first server that gives one. Another is asked beside it when one fails, has no connection
   * within 500 ms, or does not show itself on the one that it had.
   *
   * @throws what the last server's opener threw; at once what says that the target cannot be reached
   */
  readonly openTunnel: OpenTunnel = (target, signal, early) => {
    if (signal.aborted) return Promise.reject(signal.reason as Error)
    const [first] = this.#servers
    if (this.#servers.length === 1 && first !== undefined) return first.open(target, signal, early)
    this.#lastAsked = this.#clock.now()
    this.#arm()
    return this.#race(signal, (server, attempt) => server.open(target, attempt, early))
  }

  /** Those that are well before the others, the quickest first, or the one that is to be asked again first. */
  #inOrder(): Server[] {
    const distance = (server: Server): number => {
      if (server.roundTrip === undefined) return Infinity
      return server.roundTrip * (server === this.#preferred ? CLEARLY_QUICKER : 1)
    }
    const order = this.#servers.toSorted((a, b) => {
      if (a.failures > 0 || b.failures > 0) {
        return a.failures > 0 && b.failures > 0 ? a.due - b.due : a.failures - b.failures
      }
      // Two that are not known yet stay as they were given.
      return distance(a) === distance(b) ? 0 : distance(a) - distance(b)
    })
    const [first] = order
    if (first !== undefined && first !== this.#preferred) {
      this.#preferred = first
      this.#observe({ type: 'preferred', server: first.name, roundTrip: first.roundTrip })
    }
    return order
  }

  #race(
    signal: AbortSignal,
    open: (server: Server, signal: AbortSignal) => Promise<TunnelStream>,
  ): Promise<TunnelStream> {
    return new Promise((resolve) => {
      const attempts = new Set<AbortController>()
      const left = this.#inOrder()
      const timers = new Set<Timer>()
      let underWay = 0
      let over = false
      /** All attempts but `last`, which has settled it, are given up. */
      const finish = (last: AbortController): boolean => {
        if (over) return false
        over = true
        for (const timer of timers) timer.cancel()
        attempts.delete(last)
        for (const attempt of attempts) attempt.abort(new AnyTlsError('ERR_POOL_CLOSED'))
        return true
      }
      const askNext = (): void => {
        const server = over ? undefined : left.shift()
        if (server === undefined) return
        underWay += 1
        const attempt = new AbortController()
        attempts.add(attempt)
        const own = AbortSignal.any([signal, attempt.signal])
        let timer: Timer | undefined
        const stopTimer = (): void => {
          timer?.cancel()
          if (timer !== undefined) timers.delete(timer)
        }
        this.#attempts.set(own, {
          waits: () => {
            stopTimer()
            if (over) return
            timer = this.#clock.schedule(HEAD_START, askNext)
            timers.add(timer)
          },
          waited: stopTimer,
          doubted: askNext,
        })
        const opening = open(server, own)
        opening.then(
          (stream) => {
            if (finish(attempt)) resolve(stream)
            else stream.destroy()
          },
          (error: unknown) => {
            stopTimer()
            underWay -= 1
            if (over) return
            const final = signal.aborted || !isServerFailure(error)
            if (!final) askNext()
            if ((final || underWay === 0) && finish(attempt)) resolve(opening)
          },
        )
      }
      askNext()
    })
  }

  /** For the server's opener. What its stream tells of the server is heard, whoever has the stream by then. */
  async #openStream(server: Server, signal: AbortSignal | undefined): Promise<TunnelStream> {
    const attempt = signal && this.#attempts.get(signal)
    attempt?.waits()
    let stream: TunnelStream
    try {
      stream = await server.source.openStream(signal)
    } catch (error) {
      if (signal?.aborted !== true) this.#heard(server, error)
      throw error
    } finally {
      attempt?.waited()
    }
    stream.once('silent', () => {
      this.#heard(server, new AnyTlsError('ERR_PING_TIMEOUT'))
      attempt?.doubted()
    })
    stream.accepted().then(
      () => this.#heard(server, undefined),
      (error: unknown) => {
        if (signal?.aborted !== true) this.#heard(server, error)
      },
    )
    return stream
  }

  #heard(server: Server, error: unknown): void {
    if (error !== undefined && !isServerFailure(error)) return
    if (this.#closed.signal.aborted) return
    if (error === undefined) {
      const wasLost = server.failures > 0
      server.failures = 0
      if (wasLost) this.#observe({ type: 'back', server: server.name })
      return
    }
    this.#observe({ type: 'failed', server: server.name, error })
    // What comes while it is known already counts once.
    if (server.failures > 0 && this.#clock.now() < server.due && !server.pinging) return
    server.due = this.#clock.now() + Math.min(FIRST_RETRY * 2 ** server.failures, MAX_RETRY)
    server.failures += 1
    this.#arm()
  }

  /** Waits for the next server that is to be asked. */
  #arm(): void {
    if (this.#servers.length === 1 || this.#closed.signal.aborted) return
    const now = this.#clock.now()
    // Whoever opens nothing needs to know nothing.
    if (now - this.#lastAsked > MEASURE_INTERVAL) return
    const due = Math.min(...this.#servers.filter(({ pinging }) => !pinging).map(({ due }) => due))
    if (due === Infinity) return
    this.#timer?.cancel()
    this.#timer = this.#clock.schedule(Math.max(0, due - now), () => this.#pingDue())
  }

  #pingDue(): void {
    if (this.#servers.length === 1) return
    const now = this.#clock.now()
    for (const server of this.#servers) {
      if (!server.pinging && server.due <= now) void this.#ping(server)
    }
    this.#arm()
  }

  async #ping(server: Server): Promise<void> {
    server.pinging = true
    const late = new AbortController()
    const limit = this.#clock.schedule(PING_TIMEOUT, () => {
      late.abort(new AnyTlsError('ERR_CONNECT_TIMEOUT', `${server.name} did not answer in time`))
    })
    const began = this.#clock.now()
    try {
      server.roundTrip = await server.source.ping(
        AbortSignal.any([late.signal, this.#closed.signal]),
      )
      this.#answered(server)
    } catch (error) {
      if (error instanceof AnyTlsError && error.code === 'ERR_PING_UNSUPPORTED') {
        server.roundTrip = this.#clock.now() - began
        this.#answered(server)
      } else {
        this.#heard(server, error)
      }
    } finally {
      limit.cancel()
      server.pinging = false
      this.#arm()
    }
  }

  #answered(server: Server): void {
    server.due = this.#clock.now() + MEASURE_INTERVAL
    this.#heard(server, undefined)
  }
}
