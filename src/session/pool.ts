// The client's pool of sessions: the newest idle one first, a minimum kept warm, the others closed when
// they have been idle for long.
// Must never hand out a stream on a session that is draining or closed, or dial more than is asked for.
import { setMaxListeners } from 'node:events'
import { AnyTlsError } from '../errors.ts'
import type { StreamRequest } from '../engine/machine.ts'
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
  /**
   * Streams at once on one session; asked for whenever it matters, so that it may follow what a server
   * turns out to speak. Default 8.
   */
  readonly streamsPerSession?: number | (() => number) | undefined
  /** Streams in all on one session, after which it takes no more. Default: no limit. */
  readonly streamsInAll?: number | undefined
  /**
   * How long a session may have been idle, or in use without a stream being accepted, to be used again
   * without being asked for a sign of life first, in milliseconds. Default 10,000.
   */
  readonly probeAfter?: number | undefined
  /** How long that sign of life may take, in milliseconds. Default 3,000. */
  readonly probeTimeout?: number | undefined
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
  /** Since when there is doubt whether the peer is there, as it did not answer. */
  doubtedSince: number
  /** The probe under way: whether the peer has shown itself. */
  probe: Promise<boolean> | undefined
}

/** Streams over as many sessions as they need. */
export class SessionPool {
  readonly #connect: SessionPoolOptions['connect']
  readonly #minIdle: number
  readonly #idleTimeout: number
  readonly #streamsPerSession: () => number
  readonly #streamsInAll: number
  readonly #probeAfter: number
  readonly #probeTimeout: number
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
    if (typeof streamsPerSession === 'number') requireCount('streamsPerSession', streamsPerSession)
    const { streamsInAll = Infinity, probeAfter = 10_000, probeTimeout = 3_000 } = options
    if (streamsInAll !== Infinity) requireCount('streamsInAll', streamsInAll)
    if (!(probeAfter >= 0) || !(probeTimeout > 0)) {
      throw invalid('probeAfter must be at least 0 milliseconds, probeTimeout above 0')
    }
    this.#connect = options.connect
    this.#minIdle = minIdle
    this.#idleTimeout = idleTimeout
    this.#streamsPerSession =
      typeof streamsPerSession === 'number' ? () => streamsPerSession : streamsPerSession
    this.#streamsInAll = streamsInAll
    this.#probeAfter = probeAfter
    this.#probeTimeout = probeTimeout
    this.#clock = options.clock ?? systemClock
    // Every dial under way listens.
    setMaxListeners(0, this.#abort.signal)
  }

  /** Sessions that stand now. */
  get size(): number {
    return this.#pooled.size
  }

  /**
   * Opens a stream on the newest idle session, else on one with room, else on a new one. A session that has
   * proven itself long ago, or on which a stream was not answered, is asked for a sign of life first;
   * without one an idle session is given up, and one in use gets no new streams.
   *
   * @param request what the stream is for, where the wire says so (Mux.Pro)
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with `ERR_SESSION_CLOSED` when three new sessions
   *   in a row took no stream, with what `connect` rejects with, or with the signal's reason
   */
  async openStream(signal?: AbortSignal, request?: StreamRequest): Promise<Stream> {
    let lost = 0
    for (;;) {
      if (this.#abort.signal.aborted) throw new AnyTlsError('ERR_POOL_CLOSED')
      signal?.throwIfAborted()
      const session = this.#pick(this.#isProven)
      if (session !== undefined) return session.openStream({ signal, request })
      const proven = await orAborted(this.#probeDoubtful(), signal)
      if (proven !== undefined && this.#hasRoom(proven)) {
        return proven.openStream({ signal, request })
      }
      if (proven !== undefined) continue
      // The session may have ended, or filled up, before this caller's turn: then once more.
      const dialled = await orAborted(this.#dial(), signal)
      if (this.#hasRoom(dialled)) return dialled.openStream({ signal, request })
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

  /** The newest idle session, else the one with the fewest streams, of those that are wanted. */
  #pick(wanted: (pooled: Pooled) => boolean): Session | undefined {
    let idle: Session | undefined
    let shared: Session | undefined
    for (const pooled of this.#pooled.values()) {
      const { session, idleSince } = pooled
      if (!this.#hasRoom(session) || !wanted(pooled)) continue
      if (idleSince !== undefined) idle = session
      else if (shared === undefined || session.streamCount < shared.streamCount) shared = session
    }
    return idle ?? shared
  }

  #hasRoom(session: Session): boolean {
    return (
      session.mayOpen &&
      session.streamCount < this.#streamsPerSession() &&
      session.openedCount < this.#streamsInAll
    )
  }

  /** Whether the peer has shown itself lately; where it cannot be asked, that has to be believed. */
  readonly #isProven = ({ session, doubtedSince }: Pooled): boolean => {
    if (!session.pingable) return true
    const { lastAlive } = session
    return lastAlive > doubtedSince && this.#clock.now() - lastAlive <= this.#probeAfter
  }

  /** Asks all sessions that have room at once: the first one that shows itself. */
  async #probeDoubtful(): Promise<Session | undefined> {
    const probes: Promise<Session>[] = []
    for (const pooled of this.#pooled.values()) {
      const { session, idleSince, doubtedSince } = pooled
      if (!this.#hasRoom(session)) continue
      // It has been asked already, and has streams that may wait for the answer; new ones do not.
      if (idleSince === undefined && session.lastAlive <= doubtedSince) continue
      pooled.probe ??= this.#probe(pooled)
      probes.push(pooled.probe.then((alive) => (alive ? session : Promise.reject(new Error()))))
    }
    return Promise.any(probes).catch(() => undefined)
  }

  /** Asks a session for a sign of life. One that gives none is ended if it is idle, else left alone. */
  async #probe(pooled: Pooled): Promise<boolean> {
    const { session } = pooled
    const alive = await new Promise<boolean>((resolve) => {
      const timer = this.#clock.schedule(this.#probeTimeout, () => {
        if (session.streamCount === 0) session.destroy(new AnyTlsError('ERR_PING_TIMEOUT'))
        pooled.doubtedSince = this.#clock.now()
        resolve(false)
      })
      const settle = (answered: boolean): void => {
        timer.cancel()
        resolve(answered)
      }
      // A ping that fails does so because the session has ended.
      session.ping().then(
        () => settle(true),
        () => settle(false),
      )
    })
    pooled.probe = undefined
    return alive
  }

  /** Joins a dial that has a stream to spare, or starts one. */
  #dial(): Promise<Session> {
    for (const dial of this.#dials) {
      if (dial.promised < Math.min(this.#streamsPerSession(), this.#streamsInAll)) {
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
    const pooled: Pooled = {
      session,
      idleSince: undefined,
      doubtedSince: -Infinity,
      probe: undefined,
    }
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
      if (session.openedCount >= this.#streamsInAll && session.streamCount === 0) {
        void session.close()
      } else if (session.streamCount === 0 && this.#pooled.has(session)) {
        setIdle()
      }
    })
    session.on('streamUnanswered', () => {
      pooled.doubtedSince = this.#clock.now()
      session.ping().catch(() => {})
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
    for (const pooled of [...this.#pooled.values()]) {
      const { session, idleSince } = pooled
      if (idleSince === undefined || !session.mayOpen) continue
      const overdue = idleSince <= limit
      if (overdue && idle > this.#minIdle) {
        idle -= 1
        void session.close()
        continue
      }
      if (session.pingable) session.ping().catch(() => {})
      next = Math.min(next, overdue ? this.#idleTimeout : idleSince - limit)
    }
    if (next < Infinity) this.#scheduleSweep(next)
  }
}

interface Dial {
  promised: number
  readonly session: Promise<Session>
}

function requireCount(name: string, value: number): void {
  if (!Number.isSafeInteger(value) || value < 1) {
    throw invalid(`${name} must be a whole number of at least 1`)
  }
}

function invalid(message: string): AnyTlsError {
  return new AnyTlsError('ERR_OPTION_INVALID', message)
}
