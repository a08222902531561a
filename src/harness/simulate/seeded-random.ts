// A random source that draws the same numbers for the same seed, so that a simulation can be repeated.
// Whoever knows the seed knows every size: real connections are shaped by the random source of the system.
import type { RandomInt } from '../../shaping/shaper.ts'

/** Draws whole numbers from [min, max), where max - min is at most 2^32. Any whole number is a seed. */
export function seededRandomInt(seed: number): RandomInt {
  // Weyl sequence with a mixing function: neighbouring seeds have nothing in common after two rounds.
  let state = mix(mix(Math.trunc(seed) | 0) ^ Math.floor(seed / 2 ** 32))
  return (min, max) => {
    state = (state + 0x9e37_79b9) | 0
    return min + Math.floor((mix(state) / 2 ** 32) * (max - min))
  }
}

/** Spreads every bit of a 32-bit number over all of them; the result is from 0 to 2^32 - 1. */
function mix(value: number): number {
  let bits = value ^ (value >>> 16)
  bits = Math.imul(bits, 0x21f0_aaad)
  bits ^= bits >>> 15
  bits = Math.imul(bits, 0x735a_2d97)
  return (bits ^ (bits >>> 15)) >>> 0
}
