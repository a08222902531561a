// A clock that stands still until a test moves it.
import { setImmediate } from 'node:timers/promises'
import type { Clock, Timer } from '../../src/session/clock.ts'

interface FakeTimer {
  due: number
  readonly delay: number
  readonly callback: () => void
}

export class FakeClock implements Clock {
  // Not 0, so that a forgotten origin shows.
  #now = 1_000_000
  readonly #armed = new Set<FakeTimer>()

  now(): number {
    return this.#now
  }

  schedule(delay: number, callback: () => void): Timer {
    const timer: FakeTimer = { due: this.#now + Math.max(delay, 0), delay, callback }
    this.#armed.add(timer)
    return {
      // As with Node's timers: one that has run is armed again, one that was cancelled is not.
      refresh: () => {
        if (timer.due === Infinity) return
        timer.due = this.#now + Math.max(delay, 0)
        this.#armed.add(timer)
      },
      cancel: () => {
        timer.due = Infinity
        this.#armed.delete(timer)
      },
    }
  }

  /** Timers that are armed now. */
  get armed(): number {
    return this.#armed.size
  }

  /** Milliseconds until each armed timer, the soonest first. */
  get waits(): number[] {
    return [...this.#armed].map((timer) => timer.due - this.#now).sort((a, b) => a - b)
  }

  /**
   * Moves time on by `ms`, stopping at each timer that comes due in between, and lets everything in
   * memory settle before the first, after each, and at the end.
   */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    await settle()
    for (let timer = this.#next(target); timer !== undefined; timer = this.#next(target)) {
      this.#now = Math.max(this.#now, timer.due)
      this.#armed.delete(timer)
      timer.callback()
      await settle()
    }
    this.#now = target
  }

  #next(target: number): FakeTimer | undefined {
    let next: FakeTimer | undefined
    for (const timer of this.#armed) {
      if (timer.due <= target && (next === undefined || timer.due < next.due)) next = timer
    }
    return next
  }
}

/** Lets everything that goes on in memory come to rest. */
export async function settle(): Promise<void> {
  // Each round runs every tick and microtask there is; streams that end take several.
  for (let round = 0; round < 5; round += 1) await setImmediate()
}
