// From Delivers to Writes: what a padding scheme makes of the data of one direction of one connection
// (draft, Traffic Shaping Scheme v0; D28-D35). Each Write is to become one TLS record and one flush (D33).
// Must never do I/O, wait, or know what a padding frame looks like.
import { concatBytes } from '../wire/bytes.ts'
import type { SchemeItem, SizeItem } from './scheme-items.ts'
import type { Scheme } from './scheme.ts'

/** Draws a whole number from [min, max), each with the same chance; node's `crypto.randomInt` is one. */
export type RandomInt = (min: number, max: number) => number

/** How a wire pads: the frames that its peer throws away. */
export interface PaddingFormat {
  /**
   * A frame that lengthens a Write by exactly `bytes`, which is at least 1. `undefined` when none is that
   * short; the Write then stays as it is (D22).
   */
  fill(bytes: number): Uint8Array | undefined
  /**
   * The frame that is a Write of its own, for a target of `target` bytes when no data is left: exactly
   * `target` bytes on ANYTLS v1, `target` + 7 on the original wire. `undefined` when none can be made;
   * that Write is then left out, since nothing may be added (D22).
   */
  alone(target: number): Uint8Array | undefined
}

/**
 * Shapes one direction of one connection. Which side has one: D34.
 *
 * @example
 * const shaper = new Shaper(DEFAULT_SCHEME, crypto.randomInt, padding)
 * const auth = encodeAuth(hash, shaper.authPadding())
 * for (const write of shaper.deliver(concatBytes([auth, nego, open]))) await flush(write)
 */
export class Shaper {
  readonly #scheme: Scheme
  readonly #randomInt: RandomInt
  readonly #format: PaddingFormat
  #next = 0

  constructor(scheme: Scheme, randomInt: RandomInt, format: PaddingFormat) {
    this.#scheme = scheme
    this.#randomInt = randomInt
    this.#format = format
  }

  /**
   * Whether the next Deliver is still counted against the scheme's `stop`. Once false it stays false: from
   * then on data passes as it is and need not come through here any more.
   */
  get active(): boolean {
    return this.#next < this.#scheme.stop
  }

  /**
   * Draws the length of AUTH's padding in bytes: from the first range of index 0, whatever `stop` is, as
   * in the original; 0 when there is none (D28). To be called once for a connection.
   */
  authPadding(): number {
    const range = this.#scheme.entries.get(0)?.find((item) => item.kind === 'size')
    return range === undefined ? 0 : this.#draw(range)
  }

  /**
   * The Writes of the next Deliver, in order. The first call is Deliver 0, AUTH + NEGO + OPEN, and always
   * one Write (D28); each call counts one further (D29).
   *
   * @param data at least one byte. Empty data is no Deliver: it gives no Write and does not count.
   * @returns views of `data` wherever no padding is added to it, so it must stay unchanged until written
   */
  deliver(data: Uint8Array): Uint8Array[] {
    if (data.length === 0) return []
    const index = this.#next
    this.#next += 1
    const shaped = index > 0 && index < this.#scheme.stop
    const items = shaped ? this.#scheme.entries.get(index) : undefined
    return items === undefined ? [data] : this.#shape(data, items)
  }

  /** D31 and D32, to the letter. */
  #shape(data: Uint8Array, items: readonly SchemeItem[]): Uint8Array[] {
    const writes: Uint8Array[] = []
    let rest = data
    for (const item of items) {
      if (item.kind === 'check') {
        if (rest.length === 0) return writes
        continue
      }
      const target = this.#draw(item)
      if (rest.length === 0) {
        const padding = this.#format.alone(target)
        if (padding !== undefined) writes.push(padding)
      } else {
        writes.push(rest.length < target ? this.#pad(rest, target) : rest.subarray(0, target))
        rest = rest.subarray(target)
      }
    }
    if (rest.length > 0) writes.push(rest)
    return writes
  }

  #pad(data: Uint8Array, target: number): Uint8Array {
    const padding = this.#format.fill(target - data.length)
    return padding === undefined ? data : concatBytes([data, padding])
  }

  #draw({ min, max }: SizeItem): number {
    return max > min ? this.#randomInt(min, max) : min
  }
}
