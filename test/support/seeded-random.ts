// A random source that gives the same numbers in every run (xorshift32).
// Must never be used outside of tests.
import type { RandomInt } from '../../src/shaping/shaper.ts'

/** Draws whole numbers from [min, max), like node's `crypto.randomInt`, and throws on an empty range too. */
export function seededRandomInt(seed: number): RandomInt {
  let state = Math.imul(seed + 1, 0x9e37_79b1) | 1
  return (min, max) => {
    if (!(max > min)) throw new RangeError(`nothing to draw from [${min}, ${max})`)
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return min + Math.floor(((state >>> 0) / 2 ** 32) * (max - min))
  }
}
