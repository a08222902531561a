// A random source that gives the same numbers in every run (xorshift32).
import { KEEPALIVE_DRAWS } from '../../src/engine/liveness.ts'
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

/**
 * `randomInt` for all but the times between pings, which it is not asked for: they are 15 s, by the default of at most
 * 20 s, so that a test can be exact to the millisecond, and a seed gives a scheme the same numbers on every wire.
 */
export function steady(randomInt: RandomInt): RandomInt {
  return (min, max) => (max === KEEPALIVE_DRAWS ? (max - 1) / 2 : randomInt(min, max))
}

/** A {@link steady} source of {@link seededRandomInt}. */
export function steadyRandomInt(seed: number): RandomInt {
  return steady(seededRandomInt(seed))
}
