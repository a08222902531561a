// Time as the session sees it, so that tests can bring their own.

/** A timer that runs once. */
export interface Timer {
  /** Starts the wait afresh. */
  refresh(): void
  /** Nothing happens any more; again is no error. */
  cancel(): void
}

/** Where a session takes the time from. */
export interface Clock {
  /** Milliseconds, monotonic, from an arbitrary origin. */
  now(): number
  /** Calls `callback` once after `delay` milliseconds. The timer does not keep the process alive. */
  schedule(delay: number, callback: () => void): Timer
}

/** The longest delay that Node's timers take (ms): long enough for a limit; a session's wait comes due early and is set again. */
export const MAX_DELAY = 2_147_483_647

/**
 * A timer that comes so late, in milliseconds, does so because the process or its machine stood still: what came meanwhile
 * has not been read yet, and a peer that stood still as well has not answered (N94).
 */
const STOOD_STILL = 1_000

/** How long it then waits once more, in milliseconds, unless it is for less. */
const ONCE_MORE = 2_500

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule: (delay, callback) => new SystemTimer(Math.min(Math.max(delay, 0), MAX_DELAY), callback),
}

class SystemTimer implements Timer {
  readonly #wait: number
  readonly #callback: () => void
  #timer: NodeJS.Timeout
  #due: number
  #waitsOnceMore = false

  constructor(wait: number, callback: () => void) {
    this.#wait = wait
    this.#callback = callback
    this.#due = performance.now() + wait
    this.#timer = setTimeout(this.#onDue, wait).unref()
  }

  refresh(): void {
    this.#due = performance.now() + this.#wait
    if (this.#waitsOnceMore) {
      this.#waitsOnceMore = false
      clearTimeout(this.#timer)
      this.#timer = setTimeout(this.#onDue, this.#wait).unref()
    } else {
      this.#timer.refresh()
    }
  }

  cancel(): void {
    clearTimeout(this.#timer)
  }

  readonly #onDue = (): void => {
    if (performance.now() - this.#due < STOOD_STILL) {
      this.#callback()
    } else {
      this.#waitsOnceMore = true
      this.#timer = setTimeout(this.#callback, Math.min(this.#wait, ONCE_MORE)).unref()
    }
  }
}
