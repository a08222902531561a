// Two halves of one source: how often the comparison claims a difference that is none.
import { describe, expect, it } from 'vitest'
import { crossValidate, judge } from '../../../src/harness/compare/evaluate.ts'
import { featuresOf, sequenceOf } from '../../../src/harness/compare/features.ts'
import { binColumns } from '../../../src/harness/compare/forest.ts'
import { seededRandomInt } from '../../../src/harness/simulate/seeded-random.ts'
import { makeRuns } from './runs.ts'

/** `ANYTLS_SEEDS=200` asks more closely, for three times as long. */
const SEEDS = Number(process.env.ANYTLS_SEEDS ?? 60)
/** How many fail at most, in 99 of 100 series in which each does in 5 of 100. */
const MOST = Math.floor(0.05 * SEEDS + 2.6 * Math.sqrt(0.05 * 0.95 * SEEDS))
const SIDE = 50

describe('two halves of one source', () => {
  it(
    'the interval misses 0.5, and p is below 0.05, as often as they say',
    { timeout: 600_000 },
    () => {
      let [missed, low] = [0, 0]
      for (let seed = 1; seed <= SEEDS; seed += 1) {
        const rows = makeRuns(2 * SIDE, seed).map((run) => featuresOf(sequenceOf(run)))
        const classes = Uint8Array.from(rows, (_, place) => place % 2)
        const randomInt = seededRandomInt(seed)
        const { folds } = crossValidate(binColumns(rows), classes, randomInt)
        const { ci, p } = judge(folds, 400, randomInt)
        if (ci.low > 0.5 || ci.high < 0.5) missed += 1
        if (p < 0.05) low += 1
      }
      console.log(`of ${SEEDS}: ${missed} intervals miss 0.5, ${low} p are below 0.05`)
      for (const alarms of [missed, low]) {
        expect(alarms).toBeGreaterThan(0)
        expect(alarms).toBeLessThanOrEqual(MOST)
      }
    },
  )
})
