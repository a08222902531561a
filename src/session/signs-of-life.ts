// Whether the peer of a pooled session is still there: watched while streams wait, asked when nothing comes, and doubted
// until it shows itself.
import { ChurningMap } from '../codec/churning.ts'
import { AnyTlsError } from '../errors.ts'
import type { Clock, Timer } from './clock.ts'
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

/** Times in milliseconds; asked for whenever they matter. */
export interface SignsOfLifeSetup {
  readonly clock: Clock
  /** How long a session may be silent after a stream was opened on it. */
  readonly silence: () => number
  /** How long the answer may take. */
  readonly probeTimeout: () => number
}

export class SignsOfLife {
  readonly #session: Session
  readonly #setup: SignsOfLifeSetup
  /** Streams that were opened while the session stood and that nothing was received on yet, with when that was. */
  readonly #unheard = new ChurningMap<Stream, number>()
  /** When the last of them was opened. */
  #openedLast = -Infinity
  /** When the peer was last known to be there as it began to be doubted; it is as long as that stays so. */
  #doubted = -Infinity
  /** When it was last asked because of a stream that waits. */
  #asked = -Infinity
  #watching: Timer | undefined
  /** The question under way: whether the peer has shown itself. */
  #question: Promise<boolean> | undefined

  constructor(session: Session, setup: SignsOfLifeSetup) {
    this.#session = session
    this.#setup = setup
  }

  /** The peer has not shown itself since that was expected of it. */
  get isDoubted(): boolean {
    return this.#session.lastAlive <= this.#doubted
  }

  /** When something was last heard, or a stream opened to hear something. */
  get lastBusy(): number {
    return Math.max(this.#session.lastAlive, this.#openedLast)
  }

  /**
   * Whether the peer has shown itself lately; where it cannot be asked, that has to be believed.
   *
   * @param lately in milliseconds
   */
  isProven(lately: number): boolean {
    if (this.isDoubted) return false
    const { pingable, lastAlive } = this.#session
    return !pingable || this.#setup.clock.now() - lastAlive <= lately
  }

  /** Something is missing: the peer is doubted until it shows itself. */
  doubt(): void {
    this.#doubted = this.#session.lastAlive
  }

  /** Something has to be heard on a stream that was opened just now, or at least of its session. */
  expect(stream: Stream): void {
    const opened = this.#setup.clock.now()
    const heard = (): void => void this.#unheard.delete(stream)
    this.#unheard.set(stream, opened)
    stream.once('accept', heard).once('close', heard)
    this.#openedLast = opened
    if (this.#watching === undefined) this.#watch(opened)
  }

  /** Asks for a sign of life, once at a time. A session that gives none is ended if it is idle, else left alone. */
  ask(): Promise<boolean> {
    this.#question ??= this.#ask()
    return this.#question
  }

  /** The session is over. */
  end(): void {
    this.#watching?.cancel()
  }

  /**
   * Asks for a sign of life when none has come for some time after `since` while a stream waits. What was under way
   * when the stream was opened is no sign that its opening has arrived, so each one puts the question off, no more.
   */
  #watch(since: number): void {
    const { clock, silence } = this.#setup
    this.#watching = clock.schedule(since + silence() - clock.now(), () => {
      this.#watching = undefined
      const { lastAlive } = this.#session
      // The first one that waits, as it has waited longest; else there may be somebody who has given up already.
      const first = this.#unheard.list().find((opened) => opened > this.#asked)
      const opened = first ?? this.#openedLast
      if (first === undefined && opened <= lastAlive) return
      const quietSince = Math.max(opened, lastAlive)
      if (quietSince <= since) void this.#askSilent()
      else this.#watch(quietSince)
    })
  }

  /** New streams go elsewhere until the peer shows itself; those that have heard nothing may follow. */
  async #askSilent(): Promise<void> {
    this.#asked = this.#setup.clock.now()
    this.doubt()
    // Against version 1 of the original wire nothing can be asked: a silence there may have its reasons.
    if (!this.#session.pingable) return
    const unheard = this.#unheard.entries()
    if (await this.ask()) return
    for (const [stream] of unheard)
      if (this.#unheard.get(stream) !== undefined) stream.emit('silent')
  }

  async #ask(): Promise<boolean> {
    const session = this.#session
    const alive = await new Promise<boolean>((resolve) => {
      const timer = this.#setup.clock.schedule(this.#setup.probeTimeout(), () => {
        if (session.streamCount === 0) session.destroy(new AnyTlsError('ERR_PING_TIMEOUT'))
        this.doubt()
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
    this.#question = undefined
    return alive
  }
}
