// Connections made from a seed, for the tests of the comparison.

import type { RandomInt } from '../../../src/shaping/shaper.ts'
import { seededRandomInt } from '../../../src/harness/simulate/seeded-random.ts'
import type { Run } from '../../../src/harness/report/source.ts'

/**
 * Connections whose records hang together as real ones do: a page of one of several kinds, with sizes and times
 * that vary around what the kind has.
 *
 * @param shift bytes that records of the client have on top
 */
export function makeRuns(count: number, seed: number, shift = 0): Run[] {
  const randomInt = seededRandomInt(seed)
  return Array.from({ length: count }, () => makeRun(randomInt, shift))
}

function makeRun(randomInt: RandomInt, shift: number): Run {
  const kind = randomInt(0, 5)
  const [up, down] = [trace(), trace()]
  let time = 0
  for (let turn = randomInt(3, 5 + kind); turn > 0; turn -= 1) {
    time += randomInt(1, 50) / 10
    up.times.push(time)
    up.sizes.push(200 + 40 * kind + randomInt(0, 300) + shift)
    for (let answer = randomInt(1, 4); answer > 0; answer -= 1) {
      time += randomInt(10, 300) / 10
      down.times.push(time)
      down.sizes.push(400 * (kind + 1) + randomInt(0, 1000))
    }
  }
  return { up, down }
}

function trace(): { times: number[]; sizes: number[] } {
  return { times: [], sizes: [] }
}
