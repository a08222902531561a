// What a session of the pool has carried lately: whether a stream more would wait behind what it carries.
import type { Session } from './session.ts'

/** What is lately, in milliseconds. */
const INTERVAL = 1_000

export class RecentLoad {
  readonly #session: Session
  /** When the interval began, and what had been carried by then. */
  #since: number
  #carried = 0
  /** In the interval before, in bytes. */
  #before = 0

  constructor(session: Session, now: number) {
    this.#session = session
    this.#since = now
  }

  /** What it carries in a second, in bytes: in the second that runs, or in the one before. Nobody may have looked for longer. */
  bytes(now: number): number {
    const carried = this.#session.bytesPassed - this.#carried
    const time = now - this.#since
    const load = Math.max((carried * INTERVAL) / Math.max(time, INTERVAL), this.#before)
    if (time > INTERVAL) this.#begin(now, (carried * INTERVAL) / time)
    return load
  }

  /** Whatever it carried is over. */
  forget(now: number): void {
    this.#begin(now, 0)
  }

  #begin(now: number, before: number): void {
    this.#since = now
    this.#carried = this.#session.bytesPassed
    this.#before = before
  }
}
