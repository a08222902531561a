// The program with --admin: where it listens, for whom, and what it refuses.
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, it } from 'vitest'
import { runProgram } from './run-program.ts'

const folder = mkdtempSync(join(tmpdir(), 'admin-'))
afterAll(() => rmSync(folder, { recursive: true }))
const SERVER = ['server', '-l', '127.0.0.1:0', '-p', 'secret', '--state-dir', folder]

it('Issue 12.7: a Unix socket is for its owner alone, answers without a token, and goes with the server', async () => {
  const path = join(folder, 'admin.sock')
  const program = runProgram([...SERVER, '--admin', `unix:${path}`])
  try {
    await program.said(/^admin on unix:.*admin\.sock$/m)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const asked = request({
      socketPath: path,
      path: '/api/v1/server',
      headers: { host: 'localhost' },
    }).end()
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    answer.resume()
    expect(answer.statusCode).toBe(200)
  } finally {
    program.child.kill('SIGTERM')
  }
  expect(await program.ended).toEqual({ code: 0, signal: null })
  expect(existsSync(path)).toBe(false)
})

it('Issue 12.7: where others come it does not listen without a token', async () => {
  const program = runProgram([...SERVER, '--admin', '0.0.0.0:0'])
  expect(await program.ended).toEqual({ code: 2, signal: null })
  expect(program.stderr()).toMatch(/anytls: --admin 0\.0\.0\.0:0: .* needs --admin-token-file$/m)
})
