import { configDefaults, defineConfig } from 'vitest/config'

/** What `npm run test:unit` runs: no program, no port but those of sessions on loopback, half a minute for all of it. */
const UNIT = [
  'test/*.test.ts',
  'test/{codec,shaping,engine,wires,session,property,sim,harness,fuzz}/**/*.test.ts',
]

/** What takes too long for that: processor time alone. */
const LONG = [
  'test/{fuzz,property,sim}/**/*.test.ts',
  'test/harness/{compare,fit,pcap}/**/*.test.ts',
  'test/harness/{capture/capture-parser,report/page}.test.ts',
]

/** What measures times, memory or the sizes of records, or loads the machine: one file at a time, and last. */
const ALONE = [
  'test/e2e/two-ends/{answers,browser,prober,requests,socks,tools}.test.ts',
  'test/e2e/{bulk,floods,load,record-shape,report-browser}.test.ts',
  'test/e2e/{deploy,failures/failures,haproxy,servers,shaping-on-the-wire,slow-reader}.test.ts',
  'test/interop/{netmux,shaping-story}.test.ts',
  'test/{package,serve/admin}/**/*.test.ts',
]

/** Workers: as many as the smallest machine of a CI has cores. */
const TOGETHER = 2

/** Files that change nothing outside themselves share a process: loading the sources anew takes as long as the tests. */
const sharing = { maxWorkers: TOGETHER, isolate: false }

const programs = { globalSetup: ['test/support/build-programs.ts'] }

export default defineConfig({
  test: {
    testTimeout: 20_000,
    hookTimeout: 30_000,
    reporters: ['default', './test/support/closing-line-reporter.ts'],
    projects: [
      {
        extends: true,
        test: { name: 'unit', include: UNIT, exclude: LONG, ...sharing },
      },
      {
        extends: true,
        test: { name: 'long', include: LONG, ...sharing },
      },
      {
        extends: true,
        test: {
          ...programs,
          name: 'io',
          include: ['test/**/*.test.ts'],
          exclude: [...configDefaults.exclude, ...UNIT, ...ALONE],
          maxWorkers: TOGETHER,
        },
      },
      {
        extends: true,
        test: {
          ...programs,
          name: 'alone',
          include: ALONE,
          maxWorkers: 1,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
})
