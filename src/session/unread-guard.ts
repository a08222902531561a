// Bounds what a session keeps for applications that do not read: streams that hold up their connection
// where no credit bounds them, and streams that are over with data still unread.
// Must never touch a stream that is read.
import { AnyTlsError } from '../errors.ts'
import type { Lane } from './lane.ts'

/** Without flow control: unread bytes of one stream at which the whole connection is paused. */
const UNREAD_HIGH_WATER = 262_144

/** Unread bytes of streams that are over, {@link ENDED_STREAM_COST} included, at which it is as well. */
const ENDED_UNREAD_LIMIT = 16 * 1_048_576

/** What a stream costs that is over and not read to its end, beside its bytes. */
const ENDED_STREAM_COST = 4_096

export class UnreadGuard {
  readonly #patience: number
  /** Streams that hold up the connection, and since when, the longest first. */
  readonly #stalled = new Map<Lane, number>()
  /** Streams that are over and not read to their end, with what each costs, the oldest first. */
  readonly #ended = new Map<Lane, number>()
  #endedCost = 0
  /** Since when {@link #endedCost} is too high. */
  #endedSince = Infinity

  /** @param patience how long the connection may be held up, in milliseconds */
  constructor(patience: number) {
    this.#patience = patience
  }

  /** Whether the connection must not be read from. */
  get holding(): boolean {
    return this.#stalled.size > 0 || this.#endedSince !== Infinity
  }

  /** When {@link cut} must be called; `Infinity` for never. */
  get due(): number {
    const [since = Infinity] = this.#stalled.values()
    return Math.min(since, this.#endedSince) + this.#patience
  }

  /** A stream that no credit bounds has received data. */
  received(lane: Lane, now: number): void {
    const full = lane.unread >= UNREAD_HIGH_WATER
    if (full && !this.#stalled.has(lane)) this.#stalled.set(lane, now)
  }

  /** A stream has been read from, or destroyed. */
  released(lane: Lane, now: number): void {
    const read = lane.dropped || lane.unread < UNREAD_HIGH_WATER / 2
    if (read) this.#stalled.delete(lane)
    if (this.#ended.has(lane)) this.ended(lane, now)
  }

  /** A stream is over: what it still holds is counted, so that a peer cannot pile such streams up. */
  ended(lane: Lane, now: number): void {
    this.#stalled.delete(lane)
    const unread = lane.dropped ? 0 : lane.unread
    const cost = unread === 0 ? 0 : unread + ENDED_STREAM_COST
    this.#endedCost += cost - (this.#ended.get(lane) ?? 0)
    if (cost === 0) this.#ended.delete(lane)
    else this.#ended.set(lane, cost)
    if (this.#endedCost <= ENDED_UNREAD_LIMIT) this.#endedSince = Infinity
    else if (this.#endedSince === Infinity) this.#endedSince = now
  }

  /** Ends the streams for which the patience is over. */
  cut(now: number): void {
    const limit = now - this.#patience
    for (const [lane, since] of [...this.#stalled]) {
      if (since > limit) continue
      this.#stalled.delete(lane)
      lane.sink?.destroy(new AnyTlsError('ERR_STREAM_STALLED'))
    }
    if (this.#endedSince > limit) return
    for (const lane of [...this.#ended.keys()]) {
      if (this.#endedSince === Infinity) return
      lane.sink?.destroy(new AnyTlsError('ERR_STREAM_STALLED'))
    }
  }

  clear(): void {
    this.#stalled.clear()
    this.#ended.clear()
    this.#endedCost = 0
    this.#endedSince = Infinity
  }
}
