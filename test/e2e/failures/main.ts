// The long form of the failures test: `npm run test:failures`, 15 minutes, with `-- --seconds 900 --seed 13` for others.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { requireProgram } from '../../support/programs.ts'
import { runFailures } from './run.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '900' },
    seed: { type: 'string', default: '13' },
    scale: { type: 'string', default: '1' },
    slack: { type: 'string', default: '1000' },
  },
})

const folder = mkdtempSync(join(tmpdir(), 'failures-'))
try {
  const report = await runFailures({
    haproxy: requireProgram('haproxy').path,
    folder,
    seconds: Number(values.seconds),
    seed: Number(values.seed),
    scale: Number(values.scale),
    slack: Number(values.slack),
    say: (line) => console.log(line),
  })
  const { faults, ...rest } = report
  console.log(JSON.stringify({ ...rest, faults: Object.fromEntries(faults) }, undefined, 2))
  process.exitCode = report.problems.length > 0 ? 1 : 0
} finally {
  rmSync(folder, { recursive: true, force: true })
}
