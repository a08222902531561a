// A listener that throws harms itself alone: the exception is told once, and the other streams of the
// connection get every byte. In processes of their own: there an exception may be uncaught.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { carriersWith } from './carriers.ts'
import type { Outcome, Place } from './throwing-child.ts'

const CHILD = fileURLToPath(new URL('./throwing-child.ts', import.meta.url))
const PLACES: readonly Place[] = ['data', 'end', 'close', 'stream', 'callback']

const run = promisify(execFile)

describe('a listener that throws', () => {
  it.each(carriersWith('shared'))(
    '%s: is heard of once, and its sibling misses nothing',
    async (name) => {
      const args = ['--import', 'tsx', CHILD, name, ...PLACES]
      const { stdout } = await run(process.execPath, args, { timeout: 60_000 })
      const outcomes = JSON.parse(stdout) as Record<Place, Outcome>
      const expected: Outcome = { thrown: 1, arrived: 'AAAABBBB', ended: true, later: 'CCCC' }
      expect(outcomes).toEqual(Object.fromEntries(PLACES.map((place) => [place, expected])))
    },
    60_000,
  )
})
