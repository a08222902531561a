// What the study makes of connections on which nothing happens.
import { describe, expect, it } from 'vitest'
import { areaByClock, keepsTime, silenceOf, silencesOf } from '../../../bench/study/silences.ts'

const sized = (times: readonly number[]) => ({ times: [...times], sizes: times.map(() => 50) })
const run = (up: readonly number[], down: readonly number[] = []) => ({
  up: sized(up),
  down: sized(down),
})

describe('silence', () => {
  it('begins where nothing has passed for four seconds, and is counted from there', () => {
    const busy = run([100, 500, 3_000, 20_000, 21_000], [200, 3_900, 20_100])
    expect(silenceOf(busy, 70_000)).toEqual({
      up: { times: [0, 16_100, 17_100], sizes: [1, 50, 50] },
      down: { times: [16_200], sizes: [50] },
    })
  })

  it('has a mark even where nothing follows, and ends before the connection is closed', () => {
    const quiet = { up: { times: [0], sizes: [1] }, down: { times: [], sizes: [] } }
    expect(silenceOf(run([100], [200]), 70_000)).toEqual(quiet)
    expect(silenceOf(run([100, 64_200]), 70_000)).toEqual(quiet)
    expect(silenceOf(run([]), 70_000)).toBeUndefined()
  })

  it('leaves out what passes within an exchange', () => {
    expect(silencesOf(run([0, 15_000, 30_000], [15_050, 30_040]))).toEqual([15_000, 14_950])
  })
})

describe('the onlooker without examples', () => {
  it('finds three silences in a row of 14.5 to 15.5 s', () => {
    expect(keepsTime([14_500, 15_000, 15_500])).toBe(true)
    expect(keepsTime([9_000, 15_000, 15_000, 15_000])).toBe(true)
    expect(keepsTime([15_000, 15_000, 9_000, 15_000])).toBe(false)
    expect(keepsTime([15_000, 15_000, 15_501])).toBe(false)
    expect(keepsTime([])).toBe(false)
  })

  it('ranks connections by the distance of their first silences from 15 s', () => {
    const clock = [[15_000, 15_010], [15_100], [14_950, 15_000, 15_000, 99_000]]
    const polling = [[5_000, 29_000], [22_000], []]
    expect(areaByClock(polling, clock)).toBe(1)
    expect(areaByClock(clock, clock)).toBe(0.5)
    expect(areaByClock([[]], clock)).toBeUndefined()
  })
})
