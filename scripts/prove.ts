// Proves the rows of the conformance matrix: plants the fault of each in a copy of the project, and runs the tests that
// the row names, one of which must fail. `npm run prove`, or `npm run prove -- Streams` for rows whose section or quote
// has these words. Takes minutes.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { readMatrix } from '../test/conformance/matrix.ts'
import type { Row } from '../test/conformance/matrix.ts'
import { MUTANTS } from '../test/conformance/mutants/all.ts'
import type { Mutant } from '../test/conformance/mutants/mutant.ts'

/** Of what vitest writes as JSON. */
interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly { readonly title: string; readonly status: string }[]
  }[]
}

const ROOT = join(import.meta.dirname, '..')
const COPY = join(ROOT, 'node_modules/.cache/prove', String(process.pid))
const COPIED = ['src', 'test', 'fixtures', 'bench', 'scripts', 'docs', 'spec-notes', 'examples']
const FILES = ['package.json', 'tsconfig.json', 'tsconfig.build.json', 'vitest.config.ts']

const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs')

/** In milliseconds: what a fault makes wait for ever has been found as well. */
const PATIENCE = 120_000

const words = process.argv.slice(2).join(' ')
const rows = readMatrix(join(ROOT, 'spec-notes/conformance.md')).filter(({ section, quote }) =>
  `${section} ${quote}`.includes(words),
)
const mutantOf = ({ section, quote }: Row): Mutant | undefined =>
  MUTANTS.find((mutant) => mutant.section === section && mutant.quote === quote)

// Whatever else runs on the machine goes first.
setPriority(constants.priority.PRIORITY_LOW)
mkdirSync(COPY, { recursive: true })
for (const name of [...COPIED, ...FILES]) {
  cpSync(join(ROOT, name), join(COPY, name), { recursive: true })
}
symlinkSync(join(ROOT, 'node_modules'), join(COPY, 'node_modules'))
process.on('exit', () => rmSync(COPY, { recursive: true, force: true }))

let failed = 0
for (const row of rows) {
  const verdict = prove(row, mutantOf(row))
  if (verdict === undefined) continue
  failed += 1
  console.log(`line ${row.line}, ${row.section}, "${row.quote}": ${verdict}`)
}
console.log(`${rows.length - failed} of ${rows.length} rows proved`)
process.exitCode = failed === 0 ? 0 : 1

/** @returns why the row is not proved, if that is so */
function prove(row: Row, mutant: Mutant | undefined): string | undefined {
  if (mutant === undefined) return 'it has no mutant'
  const before = run(row)
  if (before !== 'passed') return `without a fault its tests have ${before}`
  const path = join(COPY, mutant.file)
  const source = readFileSync(path, 'utf8')
  writeFileSync(
    path,
    source.replace(mutant.find, () => mutant.put),
  )
  const verdict = run(row)
  writeFileSync(path, source)
  return verdict === 'failed' ? undefined : `with its fault its tests have ${verdict}`
}

/** What the tests have done that the row names: one that failed is enough. */
function run({ tests }: Row): 'passed' | 'failed' | 'not run' {
  const out = join(COPY, 'report.json')
  rmSync(out, { force: true })
  const patterns = tests.map(({ title }) => patternOf(title))
  const files = [...new Set(tests.map(({ file }) => file))]
  const reporter = ['--reporter=json', `--outputFile=${out}`]
  const args = [VITEST, 'run', ...files, '-t', patterns.join('|'), ...reporter]
  const { error } = spawnSync(process.execPath, args, {
    cwd: COPY,
    timeout: PATIENCE,
    stdio: 'ignore',
  })
  if (error !== undefined) return 'failed'
  const report = JSON.parse(readFileSync(out, 'utf8')) as Report
  const named = report.testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ title }) => patterns.some((pattern) => new RegExp(`^${pattern}$`, 's').test(title)))
    .map(({ status }) => status)
  if (named.includes('failed')) return 'failed'
  return named.includes('passed') ? 'passed' : 'not run'
}

/** For a title in which values of a table may stand. */
function patternOf(title: string): string {
  return title
    .replaceAll(/[$()*+.?[\\\]^{|}]/g, String.raw`\$&`)
    .replaceAll(/%(?:[sdifjoO#%]|\\\$)|\\\$[\w.]+/g, '.*')
}
