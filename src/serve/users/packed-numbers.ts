// Whole numbers in three bytes each where that is enough for the largest, else in four.

/** A list of so many numbers, all 0 at first. */
export class PackedNumbers {
  readonly length: number
  /** The largest that there is room for. */
  readonly max: number
  readonly #low: Uint16Array
  readonly #high: Uint8Array | Uint16Array

  /** @param most the largest that there may be, less than 2^32 */
  constructor(length: number, most: number) {
    const High = most < 2 ** 24 ? Uint8Array : Uint16Array
    this.length = length
    this.max = 2 ** (16 + 8 * High.BYTES_PER_ELEMENT) - 1
    this.#low = new Uint16Array(length)
    this.#high = new High(length)
  }

  /** 0 for a place that there is not. */
  at(index: number): number {
    return (this.#high[index] ?? 0) * 65_536 + (this.#low[index] ?? 0)
  }

  set(index: number, number: number): void {
    this.#low[index] = number
    this.#high[index] = Math.floor(number / 65_536)
  }
}
