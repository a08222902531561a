// Our forest beside that of scikit-learn, on the same features of the same connections.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { crossValidate, judge } from '../../../src/harness/compare/evaluate.ts'
import { featuresOf, sequenceOf } from '../../../src/harness/compare/features.ts'
import { binColumns } from '../../../src/harness/compare/forest.ts'
import { seededRandomInt } from '../../../src/harness/simulate/seeded-random.ts'
import { requireScikitLearn } from '../../support/programs.ts'
import { makeRuns } from './runs.ts'

const python = requireScikitLearn()
const SCRIPT = join(import.meta.dirname, 'scikit-learn.py')

describe.skipIf(python.isMissing)(`beside scikit-learn${python.note}`, () => {
  // The second has more connections than a tree draws.
  it.each([
    [300, 30],
    [1000, 60],
  ])(
    '%i connections a side, %i bytes apart: the AUC is the same within 0.02',
    (side, shift) => {
      const runs = [...makeRuns(side, 1), ...makeRuns(side, 2, shift)]
      const rows = runs.map((run) => featuresOf(sequenceOf(run)))
      const classes = Uint8Array.from(rows, (_, place) => (place < side ? 0 : 1))
      const input = JSON.stringify({
        rows: rows.map((row) => Array.from(row)),
        classes: [...classes],
      })
      const { stdout, stderr } = spawnSync(python.path, [SCRIPT], { input, encoding: 'utf8' })
      expect(stderr).toBe('')
      const columns = binColumns(rows)
      const aucs = [1, 2].map((seed) => {
        const randomInt = seededRandomInt(seed)
        return judge(crossValidate(columns, classes, randomInt).folds, 1, randomInt).auc
      })
      const auc = aucs.reduce((sum, value) => sum + value, 0) / aucs.length
      console.log(`ours ${auc.toFixed(4)}, scikit-learn ${Number(stdout).toFixed(4)}`)
      expect(Math.abs(auc - Number(stdout))).toBeLessThanOrEqual(0.02)
    },
    300_000,
  )
})
