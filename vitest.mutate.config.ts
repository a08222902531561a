// What mutation testing runs: the tests of the folders that it mutates, none that reads the sources as text
// or starts programs.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/{codec,shaping,engine,wires,session,sim,property}/**/*.test.ts'],
    testTimeout: 20_000,
  },
})
