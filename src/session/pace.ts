// A rate in bytes a second that several sessions keep together.

/** What may have been left unused, in milliseconds of the rate. */
const BURST = 250

/** Milliseconds of the rate that are taken at once, and the bounds of it in bytes. */
const QUANTUM = 50
const MIN_QUANTUM = 2_048
const MAX_QUANTUM = 262_144

/** A rate that all sessions keep together that are given it. */
export class Pace {
  #rate: number
  /** When all that was taken has been let through. */
  #free = -Infinity

  /** @param rate bytes a second */
  constructor(rate: number) {
    this.#rate = rate
  }

  /** Bytes a second. */
  get rate(): number {
    return this.#rate
  }

  /** Another rate from now on. */
  set rate(rate: number) {
    this.#rate = rate
  }

  /** Most bytes that should be taken at once. */
  get quantum(): number {
    return Math.min(Math.max(Math.floor((this.#rate * QUANTUM) / 1_000), MIN_QUANTUM), MAX_QUANTUM)
  }

  /**
   * Takes bytes, always.
   *
   * @param now milliseconds of a monotonic clock
   * @returns for how long whoever took them must wait before the next, in milliseconds
   */
  take(bytes: number, now: number): number {
    this.#free = Math.max(this.#free, now - BURST) + (bytes * 1_000) / this.#rate
    return Math.max(0, this.#free - now)
  }
}

/** The rates that a session keeps; a direction without one is as fast as it can be. */
export interface SessionPaces {
  /** What is received from the peer. */
  readonly receive: Pace | undefined
  /** What is sent on streams. */
  readonly send: Pace | undefined
}
