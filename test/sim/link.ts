// One direction of a simulated connection: bytes arrive late, in other pieces than they were written in,
// and in order.
import type { RandomInt } from '../../src/shaping/shaper.ts'

/** Bytes that a server's first record has at least, so that it can authenticate (D14). */
const FIRST_PIECE = 34

/** Most bytes that arrive at once, as from a TLS socket. */
const LARGEST_PIECE = 16_384

export class Link {
  readonly #random: RandomInt
  readonly #longestDelay: number
  readonly #queue: { readonly at: number; readonly bytes: Uint8Array }[] = []
  #lastAt = 0
  #first = true

  /** @param longestDelay milliseconds that bytes are under way at most, those before them aside */
  constructor(random: RandomInt, longestDelay: number) {
    this.#random = random
    this.#longestDelay = longestDelay
  }

  /** When the next bytes arrive; `Infinity` when none are under way. */
  get next(): number {
    return this.#queue[0]?.at ?? Infinity
  }

  send(bytes: Uint8Array, now: number): void {
    let offset = 0
    while (offset < bytes.length) {
      const end = Math.min(bytes.length, offset + this.#pieceLength(bytes.length))
      this.#lastAt = Math.max(this.#lastAt, now + this.#random(0, this.#longestDelay + 1))
      this.#queue.push({ at: this.#lastAt, bytes: bytes.slice(offset, end) })
      offset = end
    }
  }

  /** The next bytes, if they have arrived by `now`. */
  receive(now: number): Uint8Array | undefined {
    return this.next <= now ? this.#queue.shift()?.bytes : undefined
  }

  #pieceLength(available: number): number {
    if (this.#first) {
      this.#first = false
      return this.#random(FIRST_PIECE, FIRST_PIECE + available)
    }
    const kind = this.#random(0, 8)
    if (kind === 0) return this.#random(1, 4)
    return kind < 4 ? this.#random(1, 2_000) : LARGEST_PIECE
  }
}
