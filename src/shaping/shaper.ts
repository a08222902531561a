// From Delivers to Writes: what a padding scheme makes of the data of one direction of one connection
// (draft, Traffic Shaping Scheme v0; D28-D35). Each Write is to become one TLS record and one flush (D33).
import { concatBytes } from '../codec/bytes.ts'
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

/** Options of {@link Shaper.deliver}. */
export interface DeliverOptions {
  /** The Deliver consists of control frames alone: no Write of it is to be tiny. Default: false. */
  readonly control?: boolean
}

/**
 * Shapes one direction of one connection. The client always has one, the server where it was asked to (D34).
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
   * Whether the next Deliver is still counted against the scheme's `stop`. Once false, data passes as it is
   * and need not come through here, until {@link streamOpened} makes it true again, if ever.
   */
  get active(): boolean {
    return this.#next < this.#scheme.stop
  }

  /** The index that the next Deliver has in the scheme. */
  get nextIndex(): number {
    return this.#next
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
   * A stream is about to be opened: to be called before the Deliver with its OPEN. Under a scheme with
   * `restart=N`, the Delivers are counted from N again if the count was beyond it, so that the entries from
   * N on apply to that Deliver and to those after it. Under any other nothing happens.
   */
  streamOpened(): void {
    const { restart } = this.#scheme
    if (restart !== undefined && this.#next > restart) this.#next = restart
  }

  /**
   * The Writes of the next Deliver, in order. The first call is Deliver 0, AUTH + NEGO + OPEN, and always
   * one Write (D28); each call counts one further (D29).
   *
   * With `control`, what the scheme leaves unshaped below `stop` (all of the data where the index has no
   * entry, or what is left over when the sizes are used up) does not go as it is: it is padded up to a size
   * drawn from the largest range of the nearest lower index that has ranges, or else of this one or the
   * nearest higher one: a bare frame of a few bytes would stand out between the shaped Writes. It stays as it
   * is where the scheme has no ranges, where it is no shorter than that size, and where no padding frame fits
   * (D22).
   *
   * @param data at least one byte. Empty data is no Deliver: it gives no Write and does not count.
   * @returns views of `data` wherever no padding is added to it, so it must stay unchanged until written
   */
  deliver(data: Uint8Array, { control = false }: DeliverOptions = NO_OPTIONS): Uint8Array[] {
    if (data.length === 0) return []
    const index = this.#next
    this.#next += 1
    if (index === 0 || index >= this.#scheme.stop) return [data]
    const writes: Uint8Array[] = []
    const rest = this.#shape(data, this.#scheme.entries.get(index) ?? NO_ITEMS, writes)
    if (rest.length > 0) writes.push(control ? this.#lift(rest, index) : rest)
    return writes
  }

  /** D31 and D32, to the letter, but for the data that is left over: that is returned. */
  #shape(data: Uint8Array, items: readonly SchemeItem[], writes: Uint8Array[]): Uint8Array {
    let rest = data
    for (const item of items) {
      if (item.kind === 'check') {
        if (rest.length === 0) return rest
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
    return rest
  }

  /** Pads what control frames leave unshaped. */
  #lift(data: Uint8Array, index: number): Uint8Array {
    const range = usualRange(this.#scheme, index)
    const target = range === undefined ? 0 : this.#draw(range)
    return data.length < target ? this.#pad(data, target) : data
  }

  #pad(data: Uint8Array, target: number): Uint8Array {
    const padding = this.#format.fill(target - data.length)
    return padding === undefined ? data : concatBytes([data, padding])
  }

  #draw({ min, max }: SizeItem): number {
    return max > min ? this.#randomInt(min, max) : min
  }
}

const NO_OPTIONS: DeliverOptions = Object.freeze({})
const NO_ITEMS: readonly SchemeItem[] = Object.freeze([])

/** The largest range of the nearest lower index that has any, or else of this one or a higher one. */
function usualRange({ stop, entries }: Scheme, index: number): SizeItem | undefined {
  let [found, nearest]: [SizeItem | undefined, number] = [undefined, Infinity]
  for (const [at, items] of entries) {
    if (at === 0 || at >= stop) continue
    const distance = at < index ? index - at : at
    if (distance >= nearest) continue
    const largest = largestRange(items)
    if (largest !== undefined) [found, nearest] = [largest, distance]
  }
  return found
}

function largestRange(items: readonly SchemeItem[]): SizeItem | undefined {
  let largest: SizeItem | undefined
  for (const item of items) {
    if (item.kind === 'size' && (largest === undefined || item.max > largest.max)) largest = item
  }
  return largest
}
