// A disk that is full, and is not any more: nothing is lost, nothing counts twice.
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { UsageJournal } from '../../src/serve/usage/journal.ts'
import { requireProgram } from '../support/programs.ts'
import { makeFolder } from './support.ts'

/** More than the child may write to one file, in blocks of 1 KiB. */
const BLOCKS = 4

const prlimit = requireProgram('prlimit')

it.skipIf(prlimit.isMissing)(
  `Issue 12, bad input: a full disk${prlimit.note}`,
  { timeout: 60_000 },
  async () => {
    const path = join(makeFolder(), 'usage')
    const script = join(import.meta.dirname, 'full-disk-child.ts')
    const limited = `trap '' XFSZ; ulimit -S -f ${BLOCKS}; exec "$@"`
    const command = [process.execPath, '--import', 'tsx', script, path]
    const child = spawn('bash', ['-c', limited, 'bash', ...command], {
      stdio: ['pipe', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    const ask = async (batches: number) => {
      child.stdin.write(`${batches}\n`)
      const [answer] = (await once(child.stdout, 'data')) as [Buffer]
      return JSON.parse(String(answer)) as { up: number; down: number; failed: number }
    }
    const full = await ask(100)
    expect(full.failed).toBeGreaterThan(10)
    expect([full.up, full.down]).toEqual([100, 200])
    expect(statSync(path).size).toBeLessThanOrEqual(BLOCKS * 1_024)
    // What others read meanwhile is whole, and less.
    const reader = new UsageJournal(path, () => expect.unreachable())
    await reader.refresh()
    expect(reader.of('a').up).toBeLessThan(100)
    execFileSync(prlimit.path, ['--pid', String(child.pid), '--fsize=unlimited'])
    const { up, down, failed } = await ask(1)
    expect({ up, down, failed }).toEqual({ up: 101, down: 202, failed: full.failed })
    await reader.refresh()
    expect(reader.of('a')).toEqual({ up: 101, down: 202 })
  },
)
