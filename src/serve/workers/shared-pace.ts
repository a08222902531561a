// A worker's share of a rate, which changes all the time: what was taken too much is kept in bytes, not in time.
// Must never hold anybody up for long because of a share that was small when the bytes were taken.
import { Pace } from '../../session/pace.ts'

/** What may have been left unused, in milliseconds of the share. */
const BURST = 250

/** How long after bytes were taken the share may have become what it should be, in milliseconds. */
const SHARING = 300

export class SharedPace extends Pace {
  /** Of which this is a share, in bytes a second. */
  whole = Infinity
  /** Bytes that were taken and not let through at {@link #settled}; below 0 what was left unused. */
  #debt = 0
  #settled = -Infinity
  #taken = 0

  constructor() {
    super(Infinity)
  }

  override take(bytes: number, now: number): number {
    this.#taken += bytes
    if (this.rate === Infinity) return 0
    this.#settle(now)
    this.#debt += bytes
    const wait = (this.#debt * 1_000) / this.rate
    return Math.max(0, Math.min(wait, (this.#debt * 1_000) / this.whole + SHARING))
  }

  /** Another share from now on. */
  share(rate: number, now: number): void {
    this.#settle(now)
    this.rate = rate
  }

  /** Bytes a second that were taken in so many; at least the share where somebody waits for it. */
  measure(seconds: number, now: number): number {
    const taken = this.#taken / seconds
    this.#taken = 0
    this.#settle(now)
    return this.#debt > 0 ? Math.max(taken, this.rate) : taken
  }

  #settle(now: number): void {
    if (this.rate === Infinity) this.#debt = 0
    else {
      const passed = Math.min(now - this.#settled, 86_400_000)
      const burst = (this.rate * BURST) / 1_000
      this.#debt = Math.max(this.#debt - (passed * this.rate) / 1_000, -burst)
    }
    this.#settled = now
  }
}
