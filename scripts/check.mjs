// What must hold before a change is handed on, side by side on all cores: `npm run check`. With `--all` every test runs
// instead of the unit tests alone. What prettier, eslint and tsc found of unchanged files is taken from their caches, which
// `.ci/run` does without.

import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CACHE = 'node_modules/.cache/check'
const isAll = process.argv.includes('--all')

/** The longest first. */
const STEPS = [
  [
    'lint',
    'eslint',
    '.',
    '--cache',
    '--cache-strategy',
    'content',
    '--cache-location',
    `${CACHE}/eslint`,
  ],
  ...(isAll ? [] : [['unit tests', 'vitest', 'run', '--project', 'unit']]),
  ['docs', 'typedoc', '--emit', 'none', '--skipErrorChecking'],
  ['types', 'tsc', '--noEmit', '--incremental', '--tsBuildInfoFile', `${CACHE}/types`],
  ['format', 'prettier', '--check', '.', '--cache', '--cache-strategy', 'content'],
  ['dead code', 'knip'],
]

/** Runs a command; what it says is shown when it fails. */
function run([name, command, ...args]) {
  const started = performance.now()
  const child = spawn(join(ROOT, 'node_modules/.bin', command), args, { cwd: ROOT })
  const said = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => said.push(data))
  return new Promise((resolve) => {
    const done = (isGood) => {
      const seconds = ((performance.now() - started) / 1000).toFixed(1)
      console.log(`${isGood ? 'passed' : 'FAILED'}  ${name}, ${seconds} s`)
      if (!isGood) process.stdout.write(Buffer.concat(said))
      resolve(isGood)
    }
    child.once('error', (error) => {
      said.push(Buffer.from(`${error.message}\n`))
      done(false)
    })
    child.once('close', (code) => done(code === 0))
  })
}

const waiting = [...STEPS]
const results = []
async function work() {
  for (let step = waiting.shift(); step !== undefined; step = waiting.shift()) {
    results.push(await run(step))
  }
}
await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, work))
let isGood = results.every(Boolean)
if (isAll && isGood) isGood = await run(['tests', 'vitest', 'run'])
process.exitCode = isGood ? 0 : 1
