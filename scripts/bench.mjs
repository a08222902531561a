// Runs a benchmark: `node scripts/bench.mjs main --quick`. It is compiled first, by what compiles nothing else
// into it: the loader that runs the sources in tests gives every function a name of its own, which costs time
// and memory that users of the package do not pay.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { build } from 'esbuild'

const [name = 'main', ...args] = process.argv.slice(2)
const root = join(import.meta.dirname, '..')
const outdir = join(root, 'node_modules/.cache/bench')

await build({
  entryPoints: [name, 'server', 'flood-server', 'flood-client'].map((entry) =>
    join(root, `bench/${entry}.ts`),
  ),
  outdir,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  packages: 'external',
})
const { status } = spawnSync(
  process.execPath,
  ['--expose-gc', join(outdir, `${name}.mjs`), ...args],
  {
    stdio: 'inherit',
  },
)
process.exit(status ?? 1)
