// What mutation testing runs: the tests of the folders that it mutates, none that reads the sources as text
// or starts programs. Each runs once for every mutant that it reaches, so properties ask fewer cases and the
// explorer, which takes minutes, is left out.
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'
import { BaseSequencer } from 'vitest/node'
import type { TestSpecification } from 'vitest/node'

/** What takes seconds, or waits for ever for what a mutant never does, goes last: most mutants die before it. */
const SLOW = [
  /\/test\/sim\//,
  /\/test\/property\//,
  /\/frame-decoder\.test\.ts$/,
  /\/test\/session\/(?:clock|far|pool|session|stream)\.test\.ts$/,
]

class QuickFirst extends BaseSequencer {
  override sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) =>
      SLOW.some((pattern) => pattern.test(moduleId)) ? 1 : 0
    return Promise.resolve(files.toSorted((a, b) => rank(a) - rank(b)))
  }
}

const FEWER_RUNS = fileURLToPath(new URL('test/support/fewer-runs.ts', import.meta.url))

export default defineConfig({
  plugins: [
    {
      name: 'fewer-runs',
      enforce: 'pre',
      resolveId: (source, importer) =>
        source === 'fast-check' && importer !== FEWER_RUNS ? FEWER_RUNS : undefined,
    },
  ],
  test: {
    include: ['test/{codec,shaping,engine,wires,session,sim,property}/**/*.test.ts'],
    exclude: [
      ...configDefaults.exclude,
      'test/sim/explore.test.ts',
      'test/session/garbage.test.ts',
    ],
    testTimeout: 20_000,
    // As in vitest.config.ts: loading the sources anew takes as long as the tests.
    isolate: false,
    sequence: { sequencer: QuickFirst },
  },
})
