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

// The longest delay that Node's timers take; a longer wait comes due early and is set again.
const MAX_DELAY = 2_147_483_647

export const systemClock: Clock = {
  now: () => performance.now(),
  schedule(delay, callback) {
    const timer = setTimeout(callback, Math.min(Math.max(delay, 0), MAX_DELAY))
    timer.unref()
    return { refresh: () => timer.refresh(), cancel: () => clearTimeout(timer) }
  },
}
