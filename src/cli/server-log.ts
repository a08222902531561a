// What a server logs: a line for each session as it comes and goes, and what became of streams.
// Must never let a client fill the log: of each kind and session a line a second, and how many were left out.

import type { Logger } from 'pino'
import { AnyTlsError } from '../errors.ts'
import { formatHostPort } from '../codec/host-port.ts'
import type { ProxyStreamEvent } from '../proxy/outbound/serve-target.ts'
import { systemCode } from '../serve/files.ts'
import { SessionMeter } from '../serve/usage/session-meter.ts'
import type { Session } from '../session/session.ts'
import type { Server } from '../tls/listen.ts'

/** How often a line of one kind may come from one session, in milliseconds. */
const INTERVAL = 1_000

type Fields = Readonly<Record<string, unknown>>

/** Lines of one kind: the first at once, then the last of each second, with how many came in between. */
class Throttle {
  #waiting: (() => Fields) | undefined
  #leftOut = 0
  #timer: NodeJS.Timeout | undefined

  /** @param fields made only for a line that is written */
  log(write: (fields: Fields) => void, fields: () => Fields): void {
    if (this.#timer === undefined) {
      write(fields())
      this.#timer = setTimeout(() => this.#onTime(write), INTERVAL).unref()
      return
    }
    if (this.#waiting !== undefined) this.#leftOut += 1
    this.#waiting = fields
  }

  #onTime(write: (fields: Fields) => void): void {
    this.#timer = undefined
    const waiting = this.#waiting
    if (waiting === undefined) return
    const leftOut = this.#leftOut
    this.#waiting = undefined
    this.#leftOut = 0
    this.log(write, () => (leftOut > 0 ? { ...waiting(), leftOut } : waiting()))
  }
}

/** What is kept of a session while it runs. */
interface Entry {
  readonly fields: Fields
  readonly meter: SessionMeter
  readonly throttles: Map<string, Throttle>
  readonly started: number
}

/** Handshakes that fail because the client is of another kind, by OpenSSL's code: somebody's program may be at the door. */
const REFUSALS: Readonly<Record<string, string>> = {
  ERR_SSL_UNSUPPORTED_PROTOCOL:
    'it speaks no TLS version that is allowed here (--legacy-tls12 lets TLS 1.2 in)',
  ERR_SSL_NO_APPLICATION_PROTOCOL:
    'it offers none of the application protocols of the fallback (ALPN), as h2 or http/1.1',
}

export class ServerLog {
  readonly #logger: Logger
  readonly #entries = new WeakMap<Session, Entry>()
  /** Of what belongs to no session, by kind. */
  readonly #throttles = new Map<string, Throttle>()

  constructor(logger: Logger) {
    this.#logger = logger
  }

  attach(server: Server): void {
    server.on('session', (session) => this.#onSession(session))
    server.on('sessionClose', (session, error) => this.#onSessionClose(session, error))
    server.on('fallback', ({ cause, remoteAddress }) => {
      this.#log(
        'info',
        this.#throttles,
        `fallback ${cause}`,
        'a connection went to the web site',
        () => {
          return { cause, remoteAddress }
        },
      )
    })
    server.on('handshakeError', (error, remoteAddress) => {
      const isBalancer = error instanceof AnyTlsError && error.code === 'ERR_PROXY_PROTOCOL'
      const code = systemCode(error)
      const refusal = REFUSALS[code]
      const [level, message] = isBalancer
        ? (['warn', 'a balancer was refused'] as const)
        : refusal !== undefined
          ? (['info', `a client was refused: ${refusal}`] as const)
          : (['debug', 'a TLS handshake failed'] as const)
      this.#log(level, this.#throttles, message, message, () => ({
        // Of a refusal OpenSSL says no more than the message does, and in words that are none.
        ...(refusal === undefined ? errorFields(error) : { code }),
        remoteAddress,
      }))
    })
  }

  /** To be told of what happens on the streams of a session. */
  observe(session: Session, event: ProxyStreamEvent): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    entry.meter.observe(event)
    const { level, message } = STREAM_LINES[event.type]
    this.#log(level, entry.throttles, message, message, () => ({
      ...entry.fields,
      ...this.#targetOf(event),
      ...('counts' in event && { datagrams: event.counts }),
      ...('error' in event && errorFields(event.error)),
    }))
  }

  #onSession(session: Session): void {
    const { id, user, remoteAddress, wire } = session
    const fields = { session: id, user: user?.name, remoteAddress }
    const kept = { meter: new SessionMeter(), throttles: new Map(), started: performance.now() }
    this.#entries.set(session, { fields, ...kept })
    this.#logger.info({ ...fields, wire }, 'a client has connected')
  }

  #onSessionClose(session: Session, error: Error | undefined): void {
    const entry = this.#entries.get(session)
    if (entry === undefined) return
    const { fields, meter, started } = entry
    const duration = Math.round(performance.now() - started)
    const { up, down } = meter
    this.#logger.info({ ...fields, duration, up, down, ...errorFields(error) }, 'a client has gone')
  }

  #log(
    level: 'debug' | 'info' | 'warn',
    throttles: Map<string, Throttle>,
    kind: string,
    message: string,
    fields: () => Fields,
  ): void {
    if (!this.#logger.isLevelEnabled(level)) return
    let throttle = throttles.get(kind)
    if (throttle === undefined) throttles.set(kind, (throttle = new Throttle()))
    throttle.log((line) => this.#logger[level](line, message), fields)
  }

  #targetOf(event: ProxyStreamEvent): Fields {
    if (!('target' in event) || event.target === undefined) return {}
    return this.#logger.isLevelEnabled('debug') ? { target: formatHostPort(event.target) } : {}
  }
}

const STREAM_LINES = {
  open: { level: 'debug', message: 'connected to a target' },
  closed: { level: 'debug', message: 'done with a target' },
  refused: { level: 'info', message: 'a stream was refused' },
  'udp-open': { level: 'debug', message: 'a stream carries datagrams' },
  'udp-refused': { level: 'info', message: 'datagrams to a target are dropped' },
  'udp-closed': { level: 'debug', message: 'done with datagrams' },
} as const satisfies Record<
  ProxyStreamEvent['type'],
  { readonly level: 'debug' | 'info'; readonly message: string }
>

function errorFields(error: unknown): Fields {
  if (error === undefined) return {}
  return { err: error, ...(error instanceof AnyTlsError && { code: error.code }) }
}
