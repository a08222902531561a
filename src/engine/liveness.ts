// Whether the other end is still there: when the last frame passed, when a ping must be sent, and when
// silence has lasted too long (draft, Timeout; D8, D26).
import type { RandomInt } from '../shaping/shaper.ts'
import type { LivenessTimeouts } from './timeouts.ts'

/** A time between pings is one of so many, at equal distances. */
export const KEEPALIVE_DRAWS = 1_000_001

/** A time from half of `most` to all of it, in whole milliseconds: pings at a fixed distance would tell what sends them. */
export function drawKeepalive(most: number, randomInt: RandomInt): number {
  return Math.ceil(most * (0.5 + randomInt(0, KEEPALIVE_DRAWS) / (2 * (KEEPALIVE_DRAWS - 1))))
}

export class Liveness {
  readonly #timeouts: LivenessTimeouts
  readonly #randomInt: RandomInt | undefined
  #keepalive: number
  #lastSent: number
  #lastAlive: number
  #pingSent: number | undefined
  #reading = true
  #readingSince: number

  /** @param randomInt draws how long the next silence may last before a ping is due; without it that is always the same */
  constructor(timeouts: LivenessTimeouts, randomInt: RandomInt | undefined, now: number) {
    this.#timeouts = timeouts
    this.#randomInt = randomInt
    this.#keepalive = this.#nextKeepalive()
    this.#lastSent = now
    this.#lastAlive = now
    this.#readingSince = now
  }

  #nextKeepalive(): number {
    const { keepalive } = this.#timeouts
    return this.#randomInt === undefined ? keepalive : drawKeepalive(keepalive, this.#randomInt)
  }

  /** A frame of ours is on its way. */
  sent(now: number): void {
    this.#lastSent = now
  }

  /** A frame has come, or the peer takes what we send: it is there. */
  alive(now: number): void {
    this.#lastAlive = now
  }

  /** When the last frame of ours was written. */
  get lastSent(): number {
    return this.#lastSent
  }

  /** When the peer was last known to be there. */
  get lastAlive(): number {
    return this.#lastAlive
  }

  /** While reading is stopped, silence means nothing. */
  setReading(reading: boolean, now: number): void {
    this.#reading = reading
    if (reading) this.#readingSince = now
    this.alive(now)
  }

  /** A ping is outstanding. */
  get pinging(): boolean {
    return this.#pingSent !== undefined
  }

  pingSent(now: number): void {
    this.#pingSent = now
    this.#keepalive = this.#nextKeepalive()
  }

  /** Takes the answer to the ping that is outstanding: its round trip in milliseconds, if there was one. */
  takePong(now: number): number | undefined {
    const sent = this.#pingSent
    this.#pingSent = undefined
    return sent === undefined ? undefined : now - sent
  }

  /** When silence of both ends will have lasted `limit` milliseconds. */
  idleDeadline(limit: number): number {
    if (!this.#reading) return Infinity
    return Math.max(this.#lastSent, this.#lastAlive) + limit
  }

  get pingDeadline(): number {
    if (this.#pingSent === undefined || !this.#reading) return Infinity
    return Math.max(this.#pingSent, this.#lastAlive) + this.#timeouts.ping
  }

  get keepaliveDeadline(): number {
    return this.#pingSent === undefined ? this.#lastAlive + this.#keepalive : Infinity
  }

  /** Where a wait for the peer begins: while reading is stopped, its frames may lie there unread. */
  waitSince(start: number, now: number): number {
    return this.#reading ? Math.max(start, this.#readingSince) : now
  }
}
