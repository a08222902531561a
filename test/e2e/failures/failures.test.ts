// The short form of the failures test; the long one is `npm run test:failures`.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { requireProgram } from '../../support/programs.ts'
import { runFailures } from './run.ts'

const SEED = Number(process.env['ANYTLS_SEED'] ?? 13)

const haproxy = requireProgram('haproxy')
const redis = requireProgram('redis-server')

it.skipIf(haproxy.isMissing || redis.isMissing || process.platform !== 'linux')(
  `Issue 13.6 (only on Linux): servers, workers, Redis, HAProxy and links pulled out in turn, seed ${SEED}: every byte, count and descriptor is accounted for${haproxy.note}${redis.note}`,
  { timeout: 120_000 },
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'failures-'))
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
    const lines: string[] = []
    const { problems, answered, mayBeLost, carried } = await runFailures({
      haproxy: haproxy.path,
      folder,
      seconds: 20,
      seed: SEED,
      scale: 0.2,
      slack: 2_000,
      say: (line) => lines.push(line),
    })
    expect(problems, lines.join('\n')).toEqual([])
    expect(answered).toBeGreaterThan(50)
    // What may be lost is little, or a batch that counts twice would not be seen.
    expect(mayBeLost.down).toBeLessThan(carried.down)
  },
)
