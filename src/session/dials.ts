// The sessions that a pool is making, who waits for one, and how many are worth making: near a server as few as streams
// fit on; far from it, or where it may be far, one for each stream, up to a limit, for there what is lost on a
// connection holds up all its streams.
import { setMaxListeners } from 'node:events'
import { AnyTlsError } from '../errors.ts'
import type { Clock, Timer } from './clock.ts'
import { orAborted } from './callbacks.ts'
import type { Session } from './session.ts'

/** Two round trips to a server that is far take longer, in milliseconds: as a session does to be made. */
const FAR = 150

/** Two round trips to a server that is near by take no longer, in milliseconds: nothing is lost there, and windows are soon wide. */
const NEARBY = 10

/** A first dial that takes longer, in milliseconds, may go far: who waits gets one of their own before that is certain. */
const MAY_BE_FAR = 20

/** How much longer than the quickest, or than the one before, a dial may take until it is late, in milliseconds. */
const PATIENCE = 50

/**
 * A dial that has taken so long, in milliseconds, and so many times what the quickest took, may have lost its way: another is
 * made beside it, for a handshake over a path that has died is not heard of again, and its own limit is far off.
 */
const [SLOW, SLOW_TIMES] = [2_500, 4]

/** New sessions that may end before they took a stream, until callers are told so. */
const MAX_LOST = 3

export interface DialsSetup {
  readonly connect: (signal: AbortSignal) => Promise<Session>
  readonly clock: Clock
  /** Whether the session was taken in and has room. */
  readonly adopt: (session: Session) => boolean
  /** The session that a stream would be opened on now. */
  readonly find: () => Session | undefined
  /** Streams that a new session has room for. */
  readonly room: () => number
  /** Sessions over which streams to a far server are spread before they share. */
  readonly spread: number
  /** Sessions that stand and take streams. */
  readonly standing: () => number
}

interface Waiter {
  readonly take: (session: Session) => void
  readonly fail: (error: unknown) => void
}

interface Dial {
  readonly abort: AbortController
  readonly started: number
  /** For whoever comes next. */
  readonly ahead: boolean
  /** It was made because another is late. */
  readonly beside: boolean
  /** It has taken {@link MAY_BE_FAR}. */
  mayBeFar: boolean
  /** Nobody counts on it any more; it may still come to something. */
  slow: boolean
}

export class Dials {
  readonly #setup: DialsSetup
  readonly #closed = new AbortController()
  readonly #dials = new Set<Dial>()
  /** In the order in which they came. */
  readonly #waiters: Waiter[] = []
  /** What two round trips took when they were quickest, in milliseconds: the rest was somebody's work. */
  #quickest = Infinity
  /** The same since the last session was made: the next one may take another way. */
  #quickestNow = Infinity
  #lost = 0
  #patience: Timer | undefined

  constructor(setup: DialsSetup) {
    this.#setup = setup
    // Every dial under way listens.
    setMaxListeners(0, this.#closed.signal)
  }

  /** A connection more is worth its time, as far as is known. */
  get far(): boolean {
    if (this.#quickest < Infinity) return this.#quickest > FAR
    return [...this.#dials].some(({ mayBeFar }) => mayBeFar)
  }

  /** Streams lose nothing by sharing a connection. */
  get nearby(): boolean {
    return this.#quickestNow <= NEARBY
  }

  /** @throws AnyTlsError `ERR_POOL_CLOSED` to those who wait, and later to whoever would */
  close(): void {
    this.#closed.abort(new AnyTlsError('ERR_POOL_CLOSED'))
    this.#endWait()
    this.#failAll(this.#closed.signal.reason)
  }

  /**
   * Dials for whoever comes next, unless there are as many sessions as are worth it.
   *
   * @returns whether those that may be there shortly have room for another who waits
   */
  ahead(): boolean {
    const { clock, standing, spread, room } = this.#setup
    if (this.#dials.size + standing() < spread) this.#start({ ahead: true })
    const oldest = clock.now() - this.#enough
    const soon = [...this.#dials].filter(({ started }) => started >= oldest).length
    return this.#waiters.length < soon * room()
  }

  /** How long a dial is counted on where a session stands, in milliseconds: it may take longer than its elders, or be lost. */
  get #enough(): number {
    return 2 * this.#quickest + PATIENCE
  }

  /** When a dial to a far server is late, in milliseconds. */
  get #late(): number {
    return this.#quickest + PATIENCE
  }

  /**
   * Waits for a session with room and takes it in the turn in which it is there.
   *
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with `ERR_SESSION_CLOSED` when three new sessions in a row had no
   *   room, with what `connect` or `take` fails with, or with the signal's reason
   */
  async wait<T>(
    take: (session: Session) => T | PromiseLike<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    this.#closed.signal.throwIfAborted()
    let waiter!: Waiter
    const taken = new Promise<T>((resolve, reject) => {
      // What `take` throws is what the inner promise rejects with.
      const settle = (session: Session): void =>
        resolve(new Promise<T>((done) => done(take(session))))
      waiter = { take: settle, fail: reject }
    })
    this.#waiters.push(waiter)
    this.#dialEnough()
    if (this.#setup.find() !== undefined) this.#wait(this.far ? this.#late : this.#enough)
    try {
      return await orAborted(taken, signal)
    } finally {
      const index = this.#waiters.indexOf(waiter)
      if (index >= 0) {
        this.#waiters.splice(index, 1)
        if (this.#waiters.length === 0) this.#endWait()
        this.#dropUnwanted()
      }
    }
  }

  /** A stream was answered `time` milliseconds after it was opened. */
  answered(time: number): void {
    this.#quickest = Math.min(this.#quickest, 2 * time)
    this.#quickestNow = Math.min(this.#quickestNow, 2 * time)
  }

  /** Gives sessions with room to those who wait, at most `most` of them. */
  serve(most = Infinity): void {
    for (let count = 0; count < most && this.#waiters.length > 0; count += 1) {
      const session = this.#setup.find()
      if (session === undefined) break
      this.#waiters.shift()?.take(session)
    }
    if (this.#waiters.length === 0) this.#endWait()
  }

  #needed(): number {
    const { room, spread, standing } = this.#setup
    const waiters = this.#waiters.length
    const shared = Math.ceil(waiters / room())
    return this.far ? Math.max(shared, Math.min(waiters, spread - standing())) : shared
  }

  /** What is wanted beside the dials that are counted on. */
  #missing(): number {
    return this.#needed() - [...this.#dials].filter(({ slow }) => !slow).length
  }

  #dialEnough(): void {
    for (let more = this.#missing(); more > 0; more -= 1) this.#start({})
  }

  /**
   * @param ahead it is for whoever comes next
   * @param beside it is made beside one that is slow: no other is made beside it, so that there are never many
   */
  #start({ ahead = false, beside = false }): void {
    const { connect, clock } = this.#setup
    const abort = new AbortController()
    const dial: Dial = { abort, started: clock.now(), ahead, beside, mayBeFar: false, slow: false }
    this.#dials.add(dial)
    const isLong = clock.schedule(MAY_BE_FAR, () => {
      dial.mayBeFar = true
      this.#dialEnough()
    })
    const patience = this.#quickest < Infinity ? SLOW_TIMES * this.#quickest : 0
    const look = (): Timer =>
      clock.schedule(Math.max(SLOW, patience), () => {
        dial.slow = true
        if (this.#missing() > 0) this.#start({ beside: true })
        isSlow = look()
      })
    let isSlow = beside ? undefined : look()
    const signal = AbortSignal.any([abort.signal, this.#closed.signal])
    // Asked at once; what it throws is a dial that fails, as what it rejects with is.
    const session = new Promise<Session>((resolve) => resolve(connect(signal)))
    const done = (): void => {
      this.#dials.delete(dial)
      isLong.cancel()
      isSlow?.cancel()
    }
    session.then(
      (made) => {
        done()
        if (abort.signal.aborted || this.#closed.signal.aborted) made.destroy()
        else this.#dialled(made, clock.now() - dial.started)
      },
      (error: unknown) => {
        done()
        if (!abort.signal.aborted) this.#failed(error)
      },
    )
  }

  #dialled(session: Session, took: number): void {
    this.#quickest = Math.min(this.#quickest, took)
    this.#quickestNow = took
    if (!this.#setup.adopt(session)) {
      this.#lost += 1
      if (this.#lost < MAX_LOST) this.#dialEnough()
      else this.#failAll(new AnyTlsError('ERR_SESSION_CLOSED'))
      return
    }
    this.#lost = 0
    // Those who can have one of their own shortly do not share.
    this.serve(this.far ? Math.ceil(this.#waiters.length / (this.#dials.size + 1)) : Infinity)
    if (this.#waiters.length === 0) {
      // They may have been for a server that is far.
      if (!this.far) this.#dropUnwanted()
      return
    }
    this.#endWait()
    if (this.#dials.size > 0) this.#wait(PATIENCE)
    else this.#dialEnough()
  }

  #failed(error: unknown): void {
    if (this.#dials.size > 0) return
    this.serve()
    this.#failAll(error)
  }

  #failAll(error: unknown): void {
    this.#lost = 0
    for (const { fail } of this.#waiters.splice(0)) fail(error)
  }

  #wait(time: number): void {
    this.#patience ??= this.#setup.clock.schedule(time, () => {
      this.#patience = undefined
      const more = this.far ? this.#replaceLate() : 0
      if (more > 0) {
        this.#wait(more)
        return
      }
      this.serve()
      this.#dialEnough()
    })
  }

  /**
   * Counts on late dials no more and makes one more beside each, once: what is lost of a handshake holds that one up alone,
   * while two streams on one connection that loses packets take twice the time.
   *
   * @returns how long until the next of those that are counted on is late as well, in milliseconds; 0 where there is none
   */
  #replaceLate(): number {
    const now = this.#setup.clock.now()
    const late = [...this.#dials].filter(
      ({ slow, started }) => !slow && now - started >= this.#late,
    )
    for (const dial of late) dial.slow = true
    const first = late.filter(({ beside }) => !beside).length
    for (let more = Math.min(first, this.#missing()); more > 0; more -= 1) {
      this.#start({ beside: true })
    }
    const started = [...this.#dials].filter(({ slow }) => !slow).map((dial) => dial.started)
    return started.length > 0 ? Math.min(...started) + this.#late - now : 0
  }

  #endWait(): void {
    this.#patience?.cancel()
    this.#patience = undefined
  }

  /** Of the dials that nobody waits for any more one goes on, for whoever comes next. */
  #dropUnwanted(): void {
    const kept = Math.max(1, this.#needed())
    const dials = [...this.#dials].filter(({ ahead }) => !ahead)
    const promisingFirst = dials.sort((a, b) => Number(a.slow) - Number(b.slow))
    for (const dial of promisingFirst.slice(kept)) {
      this.#dials.delete(dial)
      dial.abort.abort(
        new AnyTlsError('ERR_POOL_CLOSED', 'nobody waits for the connection any more'),
      )
    }
  }
}
