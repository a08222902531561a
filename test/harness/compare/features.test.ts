// The features of a connection, against numbers reckoned by hand.
import { describe, expect, it } from 'vitest'
import {
  FEATURE_NAMES,
  featuresOf,
  firstRecords,
  sequenceOf,
} from '../../../src/harness/compare/features.ts'
import type { Run } from '../../../src/harness/report/source.ts'

const RUN: Run = {
  up: { times: [0, 4, 30], sizes: [100, 300, 50] },
  down: { times: [10, 12], sizes: [1000, 2000] },
}

function named(run: Run, count = Infinity): Record<string, number> {
  const features = featuresOf(firstRecords(sequenceOf(run), count))
  return Object.fromEntries(FEATURE_NAMES.map((name, place) => [name, features[place] ?? NaN]))
}

describe('features', () => {
  it('every one has a name of its own and a number', () => {
    expect(new Set(FEATURE_NAMES).size).toBe(FEATURE_NAMES.length)
    expect(featuresOf(sequenceOf(RUN))).toHaveLength(FEATURE_NAMES.length)
    expect(Object.values(named(RUN)).every(Number.isFinite)).toBe(true)
  })

  it('counts, sizes, times and bursts', () => {
    expect(named(RUN)).toMatchObject({
      ...{ records: 5, bytes: 3450, turns: 2, duration: 30 },
      ...{ 'records up': 3, 'bytes up': 450, 'first burst up': 400 },
      ...{ 'records down': 2, 'bytes down': 3000, 'first burst down': 3000 },
      ...{ 'size mean up': 150, 'size least up': 50, 'size most up': 300 },
      ...{ 'gap mean up': 15, 'gap least up': 4, 'gap most up': 26, 'gap deviation up': 11 },
      ...{ 'size deviation down': 500, 'gap mean down': 2, 'gap deviation down': 0 },
    })
  })

  it('places: of both directions with their sign, and of each alone', () => {
    expect(named(RUN)).toMatchObject({
      ...{ 'record 1': 100, 'record 2': 300, 'record 3': -1000, 'record 4': -2000, 'record 5': 50 },
      ...{ 'gap before record 2': 4, 'gap before record 3': 6, 'gap before record 5': 18 },
      ...{ 'up 1': 100, 'up 3': 50, 'down 1': 1000, 'down 2': 2000 },
    })
  })

  it('what is not there is 0, a gap -1', () => {
    const few = named(RUN, 2)
    expect(few).toMatchObject({ 'record 3': 0, 'gap before record 3': -1, 'up 3': 0 })
    expect(few).toMatchObject({ records: 2, 'records down': 0, 'gap mean down': -1, 'down 1': 0 })
    expect(few.duration).toBe(4)
  })

  it('times count from the first record; of two at once the one of the client comes first', () => {
    const { times, sizes } = sequenceOf({
      up: { times: [7, 9], sizes: [1, 2] },
      down: { times: [7], sizes: [3] },
    })
    expect([...times]).toEqual([0, 0, 2])
    expect([...sizes]).toEqual([1, -3, 2])
  })

  it('a record without content keeps its direction', () => {
    const run = { up: { times: [0], sizes: [0] }, down: { times: [1, 2], sizes: [0, 5] } }
    expect(named(run)).toMatchObject({ 'records up': 1, 'records down': 2, turns: 1 })
  })
})
