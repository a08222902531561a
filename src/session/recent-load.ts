// What a session of the pool has carried lately: whether a stream more would wait behind what it carries.
import type { Session } from './session.ts'

/** Lately, in milliseconds: one to two of these. */
const INTERVAL = 1_000

export class RecentLoad {
  readonly #session: Session
  /** When the interval began, and what had been carried and opened by then. */
  #since: number
  #carried = 0
  #opened = 0
  /** Of the interval before. */
  #before = { bytes: 0, streams: 0 }

  constructor(session: Session, now: number) {
    this.#session = session
    this.#since = now
  }

  /** What was carried lately, in bytes. */
  bytes(now: number): number {
    return this.#look(now).bytes
  }

  /** The same by the streams that were open, in bytes. */
  perStream(now: number): number {
    const { bytes, streams } = this.#look(now)
    return bytes / Math.max(1, streams)
  }

  /** Whatever it carried is over. */
  forget(now: number): void {
    this.#begin(now, { bytes: 0, streams: 0 })
  }

  #look(now: number) {
    const bytes = this.#session.bytesPassed - this.#carried
    const streams = this.#session.openedCount - this.#opened
    const before = this.#before
    if (now - this.#since > INTERVAL) this.#begin(now, { bytes, streams })
    return bytes >= before.bytes ? { bytes, streams } : before
  }

  #begin(now: number, before: { readonly bytes: number; readonly streams: number }): void {
    this.#since = now
    this.#carried = this.#session.bytesPassed
    this.#opened = this.#session.openedCount
    this.#before = before
  }
}
