// Runs scripts/explore.ts, compiled by what compiles nothing else into it: the loader that runs the sources in tests
// gives every function a name of its own, which costs a quarter of the time. Takes minutes, so whatever else runs on
// the machine goes first; an end that is none is told.
import { spawnSync } from 'node:child_process'
import { constants, setPriority } from 'node:os'
import { join } from 'node:path'
import { build } from 'esbuild'

const root = join(import.meta.dirname, '..')
const outfile = join(root, 'node_modules/.cache/explore/explore.mjs')

await build({
  entryPoints: [join(root, 'scripts/explore.ts')],
  outfile,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
})
setPriority(constants.priority.PRIORITY_LOW)
const { status, signal } = spawnSync(process.execPath, [outfile, ...process.argv.slice(2)], {
  stdio: 'inherit',
})
if (signal !== null) console.error(`stopped by ${signal} before the end`)
process.exitCode = status ?? 1
