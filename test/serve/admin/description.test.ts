// The OpenAPI description against the server that runs: schemathesis asks everything it describes.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { requireProgram } from '../../support/programs.ts'
import { startTestAdmin } from './support.ts'

const schemathesis = requireProgram('schemathesis')

it.skipIf(schemathesis.isMissing)(
  `Issue 12.7: what the API does is what its description says${schemathesis.note}`,
  async () => {
    const { port, store, failures } = await startTestAdmin({ token: 'secret' })
    await store.add({ name: 'alice' })
    const folder = mkdtempSync(join(tmpdir(), 'schemathesis-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const args = ['run', `http://127.0.0.1:${port}/api/v1/openapi.json`, '--no-color']
    const bounds = ['--max-examples', '3', '--phases', 'coverage,fuzzing', '--seed', '1']
    const token = ['-H', 'Authorization: Bearer secret']
    const { stdout } = await promisify(execFile)(
      schemathesis.path,
      [...args, ...bounds, ...token],
      { cwd: folder, timeout: 110_000 },
    ).catch((error: unknown) => error as { stdout: string })
    expect(stdout).not.toMatch(/^Failures:/m)
    expect(stdout).toMatch(/Tested: 14$/m)
    expect(failures).toEqual([])
  },
  120_000,
)
