// What mutation testing runs: the tests of the folders that it mutates, none that reads the sources as text
// or starts programs. Each runs once for every mutant that it reaches, so properties ask fewer cases and the
// explorer, which takes minutes, is left out.
import { fileURLToPath } from 'node:url'
import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: {
    alias: [
      {
        find: /^fast-check$/,
        replacement: fileURLToPath(new URL('test/support/fewer-runs.ts', import.meta.url)),
      },
    ],
  },
  test: {
    include: ['test/{codec,shaping,engine,wires,session,sim,property}/**/*.test.ts'],
    exclude: [...configDefaults.exclude, 'test/sim/explore.test.ts'],
    testTimeout: 20_000,
  },
})
