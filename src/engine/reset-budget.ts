// How often a peer may open a stream and reset it at once (D47): a token bucket, as HTTP/2 servers have had since
// 2023. Such an opening costs the peer nothing and this end an event, a stream and what the application makes of it.

/** Resets that may come in one burst. */
export const RESET_BURST = 1_000

/** Resets a second that are earned again. */
export const RESET_REFILL = 33

export class ResetBudget {
  #left = RESET_BURST
  #since = 0

  /** Takes one; false when none is left. */
  take(now: number): boolean {
    const earned = (Math.max(now - this.#since, 0) * RESET_REFILL) / 1_000
    this.#left = Math.min(RESET_BURST, this.#left + earned)
    this.#since = now
    if (this.#left < 1) return false
    this.#left -= 1
    return true
  }
}
