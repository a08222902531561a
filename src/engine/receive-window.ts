// How much one end takes on one stream, as numbers: a window of a fixed size, or one that is open as wide as no line
// needs and is narrowed to what the reader takes in two round trips once it falls behind (mux1, STREAM_HOLD).

/** What a stream may receive unless its reader is behind, in bytes: more than any line has under way. */
export const OPEN_WINDOW = 1_073_741_824

/**
 * What the streams of a connection may hold unread together, in bytes: then it is not read from until some of that
 * has been taken, as a socket is not.
 */
export const CONNECTION_UNREAD = 67_108_864

/** A reader that has no more than that unread is not behind, however near the peer is. */
const LEAST_UNREAD = 1_048_576

/** The same for one that has taken nothing at all yet. */
const UNTOUCHED_UNREAD = 262_144

/** That much a stream may have unread however much its siblings have. */
const LEAST_SHARE = 65_536

/** In a shorter round trip, in milliseconds, nobody takes more than {@link LEAST_UNREAD}. */
const SHORTEST_ROUND = 1

/** What a stream has to know of its connection to judge its reader. */
export interface Surroundings {
  /** Milliseconds. */
  readonly now: number
  /** The last round trip that was measured, in milliseconds; `undefined` before the first one was. */
  readonly roundTrip: number | undefined
  /** What all its streams hold unread, in bytes. */
  readonly unread: number
  /** There is no other stream. */
  readonly alone: boolean
}

export class ReceiveWindow {
  /** Where the peer may send up to, in bytes from the first one. */
  limit: number
  /** Bytes that have come. */
  received = 0
  /** Bytes of them that the reader has taken. */
  consumed = 0
  /** What the peer may send beyond what was consumed, in bytes. */
  #size: number
  /** The furthest that {@link limit} ever was. */
  #furthest: number
  /** When the round trip that is being measured began, and how much had been consumed by then. */
  #since: number | undefined
  #consumedBefore = 0
  /** What the reader took in the last round trip that is over, in bytes. */
  #pace = 0

  /** @param size in bytes */
  constructor(size: number) {
    this.#size = size
    this.#furthest = size
    this.limit = size
  }

  get unread(): number {
    return this.received - this.consumed
  }

  /** Bytes that may still come: what was ever permitted may be under way. */
  room(atLeast: number): number {
    return Math.max(this.#furthest, atLeast) - this.received
  }

  /**
   * The increment that is due to the peer: half a window or more, or any at all.
   *
   * @returns 0 for none
   */
  takeCredit(any: boolean): number {
    const due = this.consumed + this.#size - this.limit
    if (due <= 0 || (!any && due < this.#size / 2)) return 0
    this.limit += due
    this.#furthest = Math.max(this.#furthest, this.limit)
    return due
  }

  /** Whether it is worth knowing how long a round trip takes. */
  get mayBeBehind(): boolean {
    return this.unread >= UNTOUCHED_UNREAD && this.#size === OPEN_WINDOW
  }

  /** To be called when data has come: narrows the window of a reader that is behind. True when it has. */
  narrow(around: Surroundings): boolean {
    // What comes in bursts, one a round trip, is read right behind: that must not count for the time before.
    this.#measure(around, 2)
    if (this.#size < OPEN_WINDOW || this.unread < this.#share(around)) return false
    this.#size = this.#share(around)
    this.limit = this.consumed + this.#size
    return true
  }

  /** To be called when the reader has taken something: what it gets follows its pace, until it has caught up. */
  widen(around: Surroundings): void {
    this.#measure(around, 1)
    if (this.#size < OPEN_WINDOW) this.#size = this.unread === 0 ? OPEN_WINDOW : this.#share(around)
  }

  #measure({ now, roundTrip }: Surroundings, rounds: number): void {
    if (roundTrip === undefined) return
    this.#since ??= now
    const passed = now - this.#since
    if (passed < rounds * roundTrip || roundTrip < SHORTEST_ROUND) return
    // A longer while counts for the part of it that a round trip is.
    this.#pace = ((this.consumed - this.#consumedBefore) * roundTrip) / passed
    this.#since = now
    this.#consumedBefore = this.consumed
  }

  /** What a stream may have unread or under way before it counts as behind, in bytes. */
  #share({ roundTrip, unread, alone }: Surroundings): number {
    const near = roundTrip !== undefined && roundTrip < SHORTEST_ROUND
    // What it took in the round trip that is not yet over counts as well.
    const pace = Math.max(this.#pace, this.consumed - this.#consumedBefore)
    // Half of it waits while the other half is under way: who reads as fast as ever must not starve.
    const least = this.consumed === 0 ? UNTOUCHED_UNREAD : LEAST_UNREAD
    const wanted = near ? least : Math.max(least, 2 * pace)
    // The fuller the connection, the less for each: the first ones that are behind cannot take it all.
    const most = alone ? Infinity : Math.max(LEAST_SHARE, (CONNECTION_UNREAD - unread) / 2)
    return Math.floor(Math.min(wanted, most))
  }
}
