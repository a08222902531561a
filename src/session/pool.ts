// The client's pool of sessions: the newest idle one first, far away the fastest, near by the fullest, a minimum kept warm,
// the others closed when they have been idle for long.
// Must never hand out a stream on a session that is draining or closed.
import { ChurningMap } from '../codec/churning.ts'
import { AnyTlsError, invalidOption } from '../errors.ts'
import type { StreamRequest } from '../engine/machine.ts'
import { drawKeepalive } from '../engine/liveness.ts'
import type { RandomInt } from '../shaping/shaper.ts'
import { systemClock } from './clock.ts'
import type { Clock, Timer } from './clock.ts'
import { orAborted } from './callbacks.ts'
import { Dials } from './dials.ts'
import { RecentLoad } from './recent-load.ts'
import type { Session } from './session.ts'
import { SignsOfLife } from './signs-of-life.ts'
import type { SignsOfLifeSetup } from './signs-of-life.ts'
import type { Stream } from './stream.ts'

/** How a {@link SessionPool} makes sessions, and how long it keeps them. */
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
  /**
   * The same for a session to a server that is near by, which answers within 5 ms, while it carries less than 16 MiB a second:
   * there streams share as few sessions as they fit on, for what leaves together costs less. Default: as `streamsPerSession`.
   */
  readonly streamsNearby?: number | (() => number) | undefined
  /**
   * Sessions over which streams to a far server are spread before they share: one whose sessions take more than 150 ms
   * to make, and that answers no stream in half of that; before that is known, one whose first takes more than 20 ms.
   * Default 8.
   */
  readonly spread?: number | undefined
  /** Streams in all on one session, after which it takes no more. Default: no limit. */
  readonly streamsInAll?: number | undefined
  /**
   * How long a session may have been idle, or in use without a stream being accepted, to be used again
   * without being asked for a sign of life first, in milliseconds: that costs a round trip. Default 15,000, which
   * one in use is seldom silent for before it is pinged (N91).
   */
  readonly probeAfter?: number | undefined
  /**
   * How long that sign of life may take, in milliseconds; asked for whenever it matters, where it follows what is
   * known of the server. Default 2,000.
   */
  readonly probeTimeout?: number | (() => number) | undefined
  /**
   * How long a session that was used before may be silent after a stream was opened on it, in milliseconds, before
   * it is asked for a sign of life while the stream waits; asked for as `probeTimeout` is. Default 2,500.
   */
  readonly silence?: number | (() => number) | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
  /** Uniform whole numbers in [min, max), for tests. Default: `crypto.randomInt`. */
  readonly randomInt?: RandomInt | undefined
}

// Idle sessions are pinged at least that often (ms), at times that are drawn (N91): so they do not run into the connection
// timeout, and those that are alive never have to be asked before they are used.
const PING_INTERVAL = 12_000

// Nothing has passed on a session for so long (ms): whatever its streams wait for, they are in nobody's way. What one
// that was opened since will want of the connection is not known yet.
const QUIET = 1_000

// What a session carries in about a second (bytes) that weighs as much as a stream, and that a new stream does not wait
// behind where it can wait for a connection.
const [WEIGHS, TOO_MUCH] = [32 * 1024, 128 * 1024]

// Near by, what a session carries in a second (bytes) that more streams do not wait behind: of that a request has
// milliseconds of others' in front of it.
const BUSY = 16 * 1_048_576

// A use of less (bytes), or of less in a millisecond, does not show how fast a connection is.
const [TELLS, TELLS_EACH] = [256 * 1024, 32]

interface Pooled {
  readonly session: Session
  /** When the last stream ended; `Infinity` while there are streams. */
  idleSince: number
  /** Callers that wait for an answer on it. */
  awaited: number
  readonly peer: SignsOfLife
  /** When it was last taken into use, and what it had carried by then (bytes). */
  usedSince: number
  carriedBefore: number
  /** When the last stream was opened on it. */
  lastOpened: number
  /** Bytes a millisecond, when it last carried much; 0 while it never has. */
  pace: number
  readonly load: RecentLoad
}

/** Streams over as many sessions as they need. */
export class SessionPool {
  readonly #minIdle: number
  readonly #idleTimeout: number
  readonly #streamsPerSession: () => number
  readonly #streamsNearby: () => number
  readonly #streamsInAll: number
  readonly #probeAfter: number
  readonly #signs: SignsOfLifeSetup
  readonly #clock: Clock
  readonly #randomInt: RandomInt
  readonly #pooled = new ChurningMap<Session, Pooled>()
  /** Those without streams, in the order in which they became so. */
  readonly #idle: Pooled[] = []
  readonly #dials: Dials
  #closed = false
  #sweep: Timer | undefined
  #referenced = true

  /** @throws AnyTlsError `ERR_OPTION_INVALID` */
  constructor(options: SessionPoolOptions) {
    const { minIdle = 0, idleTimeout = 30_000, streamsPerSession = 8 } = options
    if (!Number.isSafeInteger(minIdle) || minIdle < 0) {
      throw invalidOption('minIdle must be a whole number of at least 0')
    }
    if (!Number.isFinite(idleTimeout) || idleTimeout <= 0) {
      throw invalidOption('idleTimeout must be a finite number above 0 milliseconds')
    }
    const { streamsNearby = streamsPerSession } = options
    if (typeof streamsPerSession === 'number') requireCount('streamsPerSession', streamsPerSession)
    if (typeof streamsNearby === 'number') requireCount('streamsNearby', streamsNearby)
    const { streamsInAll = Infinity, spread = 8, probeAfter = 15_000 } = options
    const { probeTimeout = 2_000, silence = 2_500 } = options
    if (streamsInAll !== Infinity) requireCount('streamsInAll', streamsInAll)
    requireCount('spread', spread)
    if (!(probeAfter >= 0) || !isTime(probeTimeout) || !isTime(silence)) {
      throw invalidOption(
        'probeAfter must be at least 0 milliseconds, probeTimeout and silence above 0',
      )
    }
    this.#minIdle = minIdle
    this.#idleTimeout = idleTimeout
    this.#streamsPerSession = asked(streamsPerSession)
    this.#streamsNearby = asked(streamsNearby)
    this.#streamsInAll = streamsInAll
    this.#probeAfter = probeAfter
    this.#clock = options.clock ?? systemClock
    this.#signs = {
      clock: this.#clock,
      silence: asked(silence),
      probeTimeout: asked(probeTimeout),
    }
    this.#randomInt = options.randomInt ?? process.getBuiltinModule('node:crypto').randomInt
    this.#dials = new Dials({
      connect: options.connect,
      clock: this.#clock,
      adopt: (session) => this.#adopt(session),
      find: () => this.#pick(this.#isProven)?.session,
      room: () => Math.min(this.#mostStreams(), this.#streamsInAll),
      spread,
      standing: () => this.#pooled.list().filter(({ session }) => session.mayOpen).length,
    })
  }

  /** Sessions that stand now. */
  get size(): number {
    return this.#pooled.size
  }

  /**
   * Opens a stream on the newest idle session, else on one with room, else on a new one; where the server is near by, first
   * of all on the one with the most streams. Where it is far, the idle session that was fastest when it last carried much
   * goes before the newest, and when the one with room is in use, another is dialled meanwhile, up to `spread`; behind much
   * data, and where one was opened within the last second, it waits for that one. A session that has proven itself long ago, or on which a stream was not answered, is asked for
   * a sign of life first; without one an idle session is given up, and one in use gets no new streams.
   *
   * A stream on a session that was used before emits `silent` when nothing was received on it and its session
   * has given no sign of life for `silence` and `probeTimeout` together: whoever has told the peer nothing that
   * must not be told twice may open another instead.
   *
   * @param request what the stream is for, where the wire says so (Mux.Pro)
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with `ERR_SESSION_CLOSED` when three new sessions
   *   in a row took no stream, with what `connect` rejects with, or with the signal's reason
   */
  async openStream(signal?: AbortSignal, request?: StreamRequest): Promise<Stream> {
    for (;;) {
      if (this.#closed) throw new AnyTlsError('ERR_POOL_CLOSED')
      signal?.throwIfAborted()
      const pooled = this.#pick(this.#isProven)
      if (pooled !== undefined) {
        if (this.#servesNow(pooled)) return this.#openOn(pooled.session, signal, request)
      } else {
        const proven = await orAborted(this.#probeDoubtful(), signal)
        if (proven !== undefined) {
          if (this.#hasRoom(proven.session)) return this.#openOn(proven.session, signal, request)
          continue
        }
      }
      return this.#dials.wait((session) => this.#openOn(session, signal, request), signal)
    }
  }

  /** Whether another session would serve no better; else one is under way, and it is a question of waiting for it. */
  #servesNow(pooled: Pooled): boolean {
    if (isIdle(pooled) || !this.#dials.far || this.#isQuiet(pooled)) return true
    const isKnown = this.#clock.now() - pooled.lastOpened > QUIET
    return !this.#dials.ahead() || (isKnown && pooled.load.bytes(this.#clock.now()) <= TOO_MUCH)
  }

  #isQuiet({ peer }: Pooled): boolean {
    return this.#clock.now() - peer.lastBusy > QUIET
  }

  /**
   * Asks the server for a sign of life, on a session that has proven itself lately, else on a new one.
   *
   * @returns the round trip in milliseconds
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with what `connect` or `Session.ping` rejects with, or with the
   *   signal's reason
   */
  async ping(signal?: AbortSignal): Promise<number> {
    if (this.#closed) throw new AnyTlsError('ERR_POOL_CLOSED')
    // Behind streams the answer would take longer.
    const pooled = this.#pickIdle(this.#isProven) ?? this.#pick(this.#isProven)
    const ask = (session: Session): Promise<number> =>
      this.#awaitOn(session, orAborted(session.ping(), signal))
    return pooled === undefined ? this.#dials.wait(ask, signal) : ask(pooled.session)
  }

  /**
   * Lets the process end while streams are open. (Sessions without streams keep it up only while a caller waits for
   * their answer; a connection that is being made does.)
   */
  unref(): this {
    return this.#setReferenced(false)
  }

  /** Undoes {@link unref}: while streams are open the process stays up. */
  ref(): this {
    return this.#setReferenced(true)
  }

  /** Closes every session gracefully; streams that are open run to their end. */
  async close(): Promise<void> {
    this.#stop()
    await Promise.all(this.#pooled.list().map(({ session }) => session.close()))
  }

  /** Closes it as {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Ends every session at once. */
  destroy(): void {
    this.#stop()
    for (const { session } of this.#pooled.list()) session.destroy()
  }

  #stop(): void {
    this.#closed = true
    this.#dials.close()
    this.#sweep?.cancel()
  }

  #setReferenced(referenced: boolean): this {
    this.#referenced = referenced
    for (const pooled of this.#pooled.list()) this.#holdProcess(pooled)
    return this
  }

  #holdProcess(pooled: Pooled): void {
    if (this.#referenced && (!isIdle(pooled) || pooled.awaited > 0)) pooled.session.ref()
    else pooled.session.unref()
  }

  /** Holds the process as well while nothing but a caller waits for an answer on the session. */
  async #awaitOn<T>(session: Session, answer: Promise<T>): Promise<T> {
    const pooled = this.#pooled.get(session)
    if (pooled === undefined) return answer
    pooled.awaited += 1
    this.#holdProcess(pooled)
    try {
      return await answer
    } finally {
      pooled.awaited -= 1
      this.#holdProcess(pooled)
    }
  }

  /**
   * An idle session, else one that carries little and the fewest streams, of those that are wanted; near by first of all
   * the one with the most.
   */
  #pick(wanted: (pooled: Pooled) => boolean): Pooled | undefined {
    const fullest = this.#dials.nearby ? this.#pickFullest(wanted) : undefined
    if (fullest !== undefined) return fullest
    const idle = this.#pickIdle(wanted)
    if (idle !== undefined) return idle
    // One that carries much near by has no more room than elsewhere.
    const room = this.#streamsPerSession()
    if (room === 1) return undefined
    let shared: Pooled | undefined
    let least = Infinity
    for (const pooled of this.#pooled.values()) {
      const { session } = pooled
      if (isIdle(pooled) || !this.#hasRoom(session, room) || !wanted(pooled)) continue
      const weight = session.streamCount + pooled.load.bytes(this.#clock.now()) / WEIGHS
      if (weight >= least) continue
      least = weight
      shared = pooled
    }
    return shared
  }

  #pickFullest(wanted: (pooled: Pooled) => boolean): Pooled | undefined {
    const room = this.#streamsNearby()
    // Not even one that has a stream.
    if (room === 1) return undefined
    const now = this.#clock.now()
    let fullest: Pooled | undefined
    let most = 0
    for (const pooled of this.#pooled.values()) {
      const { session, load } = pooled
      if (session.streamCount <= most || !this.#hasRoom(session, room)) continue
      if (!wanted(pooled) || load.bytes(now) > BUSY) continue
      most = session.streamCount
      fullest = pooled
    }
    return fullest
  }

  /** The newest; far away the one that was fastest: of connections that shared a line some have a wide window, others do not. */
  #pickIdle(wanted: (pooled: Pooled) => boolean): Pooled | undefined {
    const isUsable = (pooled: Pooled): boolean => this.#hasRoom(pooled.session) && wanted(pooled)
    if (!this.#dials.far) return this.#idle.findLast(isUsable)
    let best: Pooled | undefined
    for (const pooled of this.#idle) {
      if (pooled.pace >= (best?.pace ?? 0) && isUsable(pooled)) best = pooled
    }
    return best
  }

  /** It is in use, gone, or the newest anew. */
  #leaveIdle(pooled: Pooled): void {
    pooled.idleSince = Infinity
    const place = this.#idle.lastIndexOf(pooled)
    if (place !== -1) this.#idle.splice(place, 1)
  }

  /** Opens a stream, and watches whether the peer is still there if the session was used before. */
  #openOn(
    session: Session,
    signal: AbortSignal | undefined,
    request: StreamRequest | undefined,
  ): Stream {
    const isFresh = session.openedCount === 0 || !session.established
    const stream = session.openStream({ signal, request })
    const opened = this.#clock.now()
    stream.once('accept', () => {
      // A server that gives no answers has none that was quick.
      if (session.pingable) this.#dials.answered(this.#clock.now() - opened)
    })
    if (!isFresh) this.#pooled.get(session)?.peer.expect(stream)
    return stream
  }

  /** Streams at once on one session, for all that is known of the server. */
  #mostStreams(): number {
    return this.#dials.nearby ? this.#streamsNearby() : this.#streamsPerSession()
  }

  #hasRoom(session: Session, most = this.#mostStreams()): boolean {
    return session.mayOpen && session.streamCount < most && session.openedCount < this.#streamsInAll
  }

  readonly #isProven = ({ peer }: Pooled): boolean => peer.isProven(this.#probeAfter)

  /** Asks all sessions that have room at once: the first one that shows itself. */
  async #probeDoubtful(): Promise<Pooled | undefined> {
    const probes: Promise<Pooled>[] = []
    for (const pooled of this.#pooled.values()) {
      const { session, peer } = pooled
      if (!this.#hasRoom(session) || this.#isProven(pooled) || !session.pingable) continue
      // It has been asked already, and has streams that may wait for the answer; new ones do not.
      if (!isIdle(pooled) && peer.isDoubted) continue
      const asked = this.#awaitOn(session, peer.ask())
      probes.push(asked.then((alive) => (alive ? pooled : Promise.reject(new Error()))))
    }
    return Promise.any(probes).catch(() => undefined)
  }

  /** @returns whether it has room */
  #adopt(session: Session): boolean {
    // It may have ended before anybody could listen.
    if (session.closed) return false
    const pooled: Pooled = {
      session,
      idleSince: Infinity,
      awaited: 0,
      peer: new SignsOfLife(session, this.#signs),
      usedSince: this.#clock.now(),
      carriedBefore: 0,
      lastOpened: this.#clock.now(),
      pace: 0,
      load: new RecentLoad(session, this.#clock.now()),
    }
    const setIdle = (): void => {
      this.#leaveIdle(pooled)
      pooled.idleSince = this.#clock.now()
      const carried = session.bytesPassed - pooled.carriedBefore
      const took = Math.max(1, pooled.idleSince - pooled.usedSince)
      if (carried >= Math.max(TELLS, TELLS_EACH * took)) pooled.pace = carried / took
      this.#idle.push(pooled)
      pooled.load.forget(this.#clock.now())
      this.#holdProcess(pooled)
      this.#scheduleSweep(this.#idleTimeout)
    }
    session.on('streamOpened', () => {
      pooled.lastOpened = this.#clock.now()
      if (!isIdle(pooled)) return
      this.#leaveIdle(pooled)
      pooled.usedSince = this.#clock.now()
      pooled.carriedBefore = session.bytesPassed
      this.#holdProcess(pooled)
    })
    session.on('streamEnded', () => {
      if (session.openedCount >= this.#streamsInAll && session.streamCount === 0) {
        void session.close()
      } else if (session.streamCount === 0 && this.#pooled.get(session) !== undefined) {
        setIdle()
      }
      this.#dials.serve(1)
    })
    session.on('streamUnanswered', () => {
      pooled.peer.doubt()
      session.ping().catch(() => {})
    })
    session.once('close', () => {
      pooled.peer.end()
      this.#pooled.delete(session)
      this.#leaveIdle(pooled)
    })
    this.#pooled.set(session, pooled)
    setIdle()
    return this.#hasRoom(session)
  }

  #scheduleSweep(delay: number): void {
    if (this.#closed) return
    if (this.#sweep !== undefined) return
    const wait = Math.min(delay, drawKeepalive(PING_INTERVAL, this.#randomInt))
    this.#sweep = this.#clock.schedule(wait, () => {
      this.#sweep = undefined
      this.#closeIdle()
    })
  }

  /** Closes what has been idle for too long, the oldest first, down to the minimum. */
  #closeIdle(): void {
    const limit = this.#clock.now() - this.#idleTimeout
    const usable = this.#idle.filter(({ session }) => session.mayOpen)
    let idle = usable.length
    let next = Infinity
    for (const pooled of usable) {
      const { session, peer, idleSince } = pooled
      const overdue = idleSince <= limit
      // One that is doubted and cannot be asked would be kept for nobody.
      const lost = peer.isDoubted && !session.pingable
      if (overdue && (lost || idle > this.#minIdle)) {
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

function isIdle({ idleSince }: Pooled): boolean {
  return idleSince < Infinity
}

/** What is asked for whenever it matters. */
function asked(value: number | (() => number)): () => number {
  return typeof value === 'number' ? () => value : value
}

function isTime(limit: number | (() => number)): boolean {
  return typeof limit === 'function' || limit > 0
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` for what is no whole number of at least 1 */
export function requireCount(name: string, value: number): void {
  if (Number.isSafeInteger(value) && value >= 1) return
  throw invalidOption(`${name} must be a whole number of at least 1`)
}
