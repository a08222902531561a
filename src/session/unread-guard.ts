// Bounds what a session keeps for applications that do not read: single streams where no credit bounds them, all
// streams of the connection together, and streams that are over with data still unread.
// Must never touch a stream that is read.
import { ChurningMap } from '../codec/churning.ts'
import { AnyTlsError } from '../errors.ts'
import { CONNECTION_UNREAD } from '../engine/receive-window.ts'
import type { Lane } from './lane.ts'

/** Without flow control: unread bytes of one stream at which the whole connection is paused. */
const UNREAD_HIGH_WATER = 262_144

/** Unread bytes of streams that are over, {@link ENDED_STREAM_COST} included, at which it is as well. */
const ENDED_UNREAD_LIMIT = 16 * 1_048_576

/** What a stream costs that is over and not read to its end, beside its bytes. */
const ENDED_STREAM_COST = 4_096

export class UnreadGuard {
  readonly #patience: number
  /** What the open streams hold unread, in bytes. */
  #unread = 0
  /** Since when that is too much. */
  #fullSince = Infinity
  /** Streams that hold up the connection, and since when, the longest first. */
  readonly #stalled = new ChurningMap<Lane, number>()
  /** Streams that are over and not read to their end, with what each costs, the oldest first. */
  readonly #ended = new ChurningMap<Lane, number>()
  #endedCost = 0
  /** Since when {@link #endedCost} is too high. */
  #endedSince = Infinity

  /** @param patience how long the connection may be held up, in milliseconds */
  constructor(patience: number) {
    this.#patience = patience
  }

  /** Whether the connection must not be read from. */
  get holding(): boolean {
    return this.#stalled.size > 0 || Math.min(this.#fullSince, this.#endedSince) !== Infinity
  }

  /** When {@link cut} must be called; `Infinity` for never. */
  get due(): number {
    return (
      Math.min(this.#stalled.first ?? Infinity, this.#fullSince, this.#endedSince) + this.#patience
    )
  }

  /** @param bounded whether credit bounds what the stream may receive */
  received(lane: Lane, bytes: number, bounded: boolean, now: number): void {
    this.#unread += bytes
    if (this.#unread >= CONNECTION_UNREAD && this.#fullSince === Infinity) this.#fullSince = now
    const full = !bounded && lane.unread >= UNREAD_HIGH_WATER
    if (full && this.#stalled.get(lane) === undefined) this.#stalled.set(lane, now)
  }

  /** `bytes` of a stream have been read. */
  consumed(lane: Lane, bytes: number, now: number): void {
    if (lane.unread < UNREAD_HIGH_WATER / 2) this.#stalled.delete(lane)
    if (this.#ended.get(lane) !== undefined) this.#setEnded(lane, now)
    else if (!lane.dropped) this.#release(bytes)
  }

  /** A stream has been given up with what it holds. */
  dropped(lane: Lane, now: number): void {
    this.#stalled.delete(lane)
    if (this.#ended.get(lane) !== undefined) this.#setEnded(lane, now)
    else this.#release(lane.unread)
  }

  #release(bytes: number): void {
    this.#unread -= bytes
    // Not at once: each stop and start of reading costs.
    if (this.#unread <= CONNECTION_UNREAD / 2) this.#fullSince = Infinity
  }

  /** A stream is over: what it still holds is counted, so that a peer cannot pile such streams up. */
  ended(lane: Lane, now: number): void {
    this.#stalled.delete(lane)
    if (lane.dropped) return
    this.#release(lane.unread)
    this.#setEnded(lane, now)
  }

  #setEnded(lane: Lane, now: number): void {
    const unread = lane.dropped ? 0 : lane.unread
    const cost = unread === 0 ? 0 : unread + ENDED_STREAM_COST
    this.#endedCost += cost - (this.#ended.get(lane) ?? 0)
    if (cost === 0) this.#ended.delete(lane)
    else this.#ended.set(lane, cost)
    if (this.#endedCost <= ENDED_UNREAD_LIMIT) this.#endedSince = Infinity
    else if (this.#endedSince === Infinity) this.#endedSince = now
  }

  /**
   * Ends the streams for which the patience is over.
   *
   * @param open the streams that are open
   */
  cut(open: readonly Lane[], now: number): void {
    const limit = now - this.#patience
    for (const [lane, since] of this.#stalled.entries()) {
      if (since > limit) continue
      this.#stalled.delete(lane)
      stalled(lane)
    }
    if (this.#fullSince <= limit) {
      // Whoever reads has read what it had by now.
      for (const lane of [...open].sort((a, b) => b.unread - a.unread)) {
        if (this.#fullSince === Infinity) break
        stalled(lane)
      }
    }
    if (this.#endedSince > limit) return
    for (const [lane] of this.#ended.entries()) {
      if (this.#endedSince === Infinity) return
      stalled(lane)
    }
  }

  clear(): void {
    this.#unread = 0
    this.#fullSince = Infinity
    this.#stalled.clear()
    this.#ended.clear()
    this.#endedCost = 0
    this.#endedSince = Infinity
  }
}

function stalled(lane: Lane): void {
  lane.sink?.destroy(new AnyTlsError('ERR_STREAM_STALLED'))
}
