// The client's pool of sessions: the newest idle one first, a minimum kept warm, the others closed when
// they have been idle for long.
// Must never hand out a stream on a session that is draining or closed, or dial more than is asked for.
import { AnyTlsError } from '../errors.ts'
import { systemClock } from './clock.ts'
import type { Clock, Timer } from './clock.ts'
import { orAborted } from './or-aborted.ts'
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

export interface SessionPoolOptions {
  /** Makes a session; must give up when the signal is aborted. */
  readonly connect: (signal: AbortSignal) => Promise<Session>
  /** Idle sessions that are kept beyond their time. Default 0. */
  readonly minIdle?: number | undefined
  /** How long a session without streams is kept, in milliseconds. Default 30,000. */
  readonly idleTimeout?: number | undefined
  /** Streams at once on one session. Default 8. */
  readonly streamsPerSession?: number | undefined
  readonly clock?: Clock | undefined
}

// Idle sessions must not run into the connection timeout, so they are pinged at least that often (ms).
const PING_INTERVAL = 30_000

// Sessions of its own that may end before a caller's turn, until it is told so.
const MAX_LOST_DIALS = 3

interface Pooled {
  readonly session: Session
  /** When the last stream ended; `undefined` while there are streams. */
  idleSince: number | undefined
}

/** Streams over as many sessions as they need. */
export class SessionPool {
  readonly #connect: SessionPoolOptions['connect']
  readonly #minIdle: number
  readonly #idleTimeout: number
  readonly #streamsPerSession: number
  readonly #clock: Clock
  /** In the order in which they became idle, so that the newest idle one is the last. */
  readonly #pooled = new Map<Session, Pooled>()
  readonly #abort = new AbortController()
  /** Dials under way, and the streams that have been promised on each. */
  readonly #dials = new Set<Dial>()
  #sweep: Timer | undefined

  /** @throws AnyTlsError `ERR_OPTION_INVALID` */
  constructor(options: SessionPoolOptions) {
    const { minIdle = 0, idleTimeout = 30_000, streamsPerSession = 8 } = options
    if (!Number.isSafeInteger(minIdle) || minIdle < 0) {
      throw invalid('minIdle must be a whole number of at least 0')
    }
    if (!Number.isFinite(idleTimeout) || idleTimeout <= 0) {
      throw invalid('idleTimeout must be a finite number above 0 milliseconds')
    }
    if (!Number.isSafeInteger(streamsPerSession) || streamsPerSession < 1) {
      throw invalid('streamsPerSession must be a whole number of at least 1')
    }
    this.#connect = options.connect
    this.#minIdle = minIdle
    this.#idleTimeout = idleTimeout
    this.#streamsPerSession = streamsPerSession
    this.#clock = options.clock ?? systemClock
  }

  /** Sessions that stand now. */
  get size(): number {
    return this.#pooled.size
  }

  /**
   * Opens a stream on the newest idle session, else on one with room, else on a new one.
   *
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with `ERR_SESSION_CLOSED` when three new sessions
   *   in a row took no stream, with what `connect` rejects with, or with the signal's reason
   */
  async openStream(signal?: AbortSignal): Promise<Stream> {
    let lost = 0
    for (;;) {
      if (this.#abort.signal.aborted) throw new AnyTlsError('ERR_POOL_CLOSED')
      signal?.throwIfAborted()
      const session = this.#pick()
      if (session !== undefined) return session.openStream({ signal })
      // The session may have ended, or filled up, before this caller's turn: then once more.
      const dialled = await orAborted(this.#dial(), signal)
      if (this.#hasRoom(dialled)) return dialled.openStream({ signal })
      // With streams on it, it served other callers.
      if (dialled.streamCount === 0) lost += 1
      if (lost === MAX_LOST_DIALS) throw new AnyTlsError('ERR_SESSION_CLOSED')
    }
  }

  /** Closes every session gracefully; streams that are open run to their end. */
  async close(): Promise<void> {
    this.#abort.abort(new AnyTlsError('ERR_POOL_CLOSED'))
    this.#sweep?.cancel()
    await Promise.all([...this.#pooled.keys()].map((session) => session.close()))
  }

  /** Ends every session at once. */
  destroy(): void {
    this.#abort.abort(new AnyTlsError('ERR_POOL_CLOSED'))
    this.#sweep?.cancel()
    for (const session of this.#pooled.keys()) session.destroy()
  }

  #pick(): Session | undefined {
    let idle: Session | undefined
    let shared: Session | undefined
    for (const { session, idleSince } of this.#pooled.values()) {
      if (!this.#hasRoom(session)) continue
      if (idleSince !== undefined) idle = session
      else if (shared === undefined || session.streamCount < shared.streamCount) shared = session
    }
    return idle ?? shared
  }

  #hasRoom(session: Session): boolean {
    return session.mayOpen && session.streamCount < this.#streamsPerSession
  }

  /** Joins a dial that has a stream to spare, or starts one. */
  #dial(): Promise<Session> {
    for (const dial of this.#dials) {
      if (dial.promised < this.#streamsPerSession) {
        dial.promised += 1
        return dial.session
      }
    }
    const dial: Dial = { promised: 1, session: this.#connect(this.#abort.signal) }
    this.#dials.add(dial)
    const done = (): void => void this.#dials.delete(dial)
    dial.session.then((session) => {
      done()
      this.#adopt(session)
    }, done)
    return dial.session
  }

  #adopt(session: Session): void {
    if (this.#abort.signal.aborted) session.destroy()
    // It may have ended before anybody could listen.
    if (session.closed) return
    const pooled: Pooled = { session, idleSince: undefined }
    const setIdle = (): void => {
      pooled.idleSince = this.#clock.now()
      this.#pooled.delete(session)
      this.#pooled.set(session, pooled)
      this.#scheduleSweep(this.#idleTimeout)
    }
    session.on('streamOpened', () => {
      pooled.idleSince = undefined
    })
    session.on('streamEnded', () => {
      if (session.streamCount === 0 && this.#pooled.has(session)) setIdle()
    })
    session.once('close', () => this.#pooled.delete(session))
    setIdle()
  }

  #scheduleSweep(delay: number): void {
    if (this.#abort.signal.aborted) return
    this.#sweep ??= this.#clock.schedule(Math.min(delay, PING_INTERVAL), () => {
      this.#sweep = undefined
      this.#closeIdle()
    })
  }

  /** Closes what has been idle for too long, the oldest first, down to the minimum. */
  #closeIdle(): void {
    const limit = this.#clock.now() - this.#idleTimeout
    let idle = 0
    for (const { session, idleSince } of this.#pooled.values()) {
      if (idleSince !== undefined && session.mayOpen) idle += 1
    }
    let next = Infinity
    for (const { session, idleSince } of [...this.#pooled.values()]) {
      if (idleSince === undefined || !session.mayOpen) continue
      const overdue = idleSince <= limit
      if (overdue && idle > this.#minIdle) {
        idle -= 1
        void session.close()
        continue
      }
      session.ping().catch(() => {})
      next = Math.min(next, overdue ? this.#idleTimeout : idleSince - limit)
    }
    if (next < Infinity) this.#scheduleSweep(next)
  }
}

interface Dial {
  promised: number
  readonly session: Promise<Session>
}

function invalid(message: string): AnyTlsError {
  return new AnyTlsError('ERR_OPTION_INVALID', message)
}
