import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { runScript } from './run-program.ts'

const CHILD = join(import.meta.dirname, 'young-generation-child.ts')
const MIB = 1_048_576

/** The most that the young generation had, in MiB. */
async function most(how: 'bounded' | 'free', env: NodeJS.ProcessEnv = {}) {
  const program = runScript(CHILD, [how], { NODE_OPTIONS: '', ...env })
  const { code } = await program.ended
  expect(program.stderr()).toBe('')
  expect(code).toBe(0)
  return Number(program.stdout()) / MIB
}

describe('the young generation of a client or a server', { timeout: 60_000 }, () => {
  it('Issue 10.6: grows to 16 MiB or the step after it, and no further', async () => {
    const [bounded, free] = await Promise.all([most('bounded'), most('free')])
    expect(free).toBeGreaterThan(24)
    expect(bounded).toBeGreaterThan(8)
    // 16 on Node 20 to 24; 26 on Node 26, whose steps are others.
    expect(bounded).toBeLessThanOrEqual(27)
    expect(bounded).toBeLessThan(0.6 * free)
  })

  it('grows as far as whoever started the process has said', async () => {
    const chosen = await most('bounded', { NODE_OPTIONS: '--max-semi-space-size=12' })
    expect(chosen).toBeGreaterThan(18)
  })
})
