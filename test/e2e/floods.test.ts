// The worst that one client with the password can do, in short: a server with 512 MiB of heap outlives it, and
// answers its other clients meanwhile. `npm run bench:floods` has the whole table.
import { describe, it } from 'vitest'
import { measureFlood } from '../../bench/flood-measure.ts'
import { FORGED } from '../../bench/flood-wires.ts'
import type { WireKey } from '../../bench/flood-wires.ts'

const MIB = 1_048_576
const SHORT = { limit: 40_000, rest: 100, calm: 50 }

/** What a flood of single bytes has: 22 MB of frames, in whole blocks. */
const ALL = 21_900_000

/** What the sources and their loader take before anything happens, and what a flood may add to it. */
const MOST_RESIDENT = 300 * MIB

const named = (wire: WireKey): [string, WireKey] => [FORGED[wire].name, wire]

// Mostly they wait for programs to start and for what was said to have its effect.
describe.concurrent('a flood', { timeout: 90_000 }, () => {
  it.for([named('v1'), named('draft'), named('legacy')])(
    '%s: of 22 MB in single bytes to 32 streams whose dial hangs leaves the server alive and small',
    async ([, wire], { expect }) => {
      const figures = await measureFlood(wire, 'one byte, 32 dials that hang', SHORT)
      expect(figures.lives).toBe(true)
      expect(figures.sent).toBeGreaterThan(ALL)
      expect(figures.peak).toBeLessThan(MOST_RESIDENT)
      expect(figures.during).toBeLessThan(Infinity)
    },
  )

  it.for([named('v1'), named('draft'), named('legacy'), named('muxPro'), named('netMux')])(
    '%s: of openings that are reset at once ends its connection, and no other',
    async ([, wire], { expect }) => {
      const figures = await measureFlood(wire, 'OPEN+RST', SHORT)
      expect(figures.ended).toBe(true)
      expect(figures.lives).toBe(true)
      expect(figures.during).toBeLessThan(Infinity)
    },
  )
})
