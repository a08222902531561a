// The echo example, server and client as programs, on every wire.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { describe, expect, it } from 'vitest'
import { closedPort } from '../proxy/support.ts'
import {
  builtExample,
  clientFlags,
  PASSWORD,
  portOf,
  runExample,
  serverFlags,
  WIRES,
} from './run-example.ts'

const LINES = ['one', 'zwei', '', 'x'.repeat(300_000), 'the last one without an end']

describe('examples: echo', { timeout: 30_000 }, () => {
  it.for(WIRES)('on %s each line comes back on a stream of its own', async (wire) => {
    const server = runExample('echo-server', ['--listen', '127.0.0.1:0', ...serverFlags(wire)])
    const port = await portOf(server, 'echo')
    const to = ['--connect', `127.0.0.1:${port}`, ...clientFlags(wire)]
    const { code, stdout, stderr } = await runClient(to, LINES.join('\n'))
    expect(stderr).toBe('')
    expect(stdout).toBe(`${LINES.join('\n')}\n`)
    expect(code).toBe(0)
  })

  it('bad input: what cannot work is one line on standard error', async () => {
    const nobody = ['--connect', `127.0.0.1:${await closedPort()}`]
    for (const args of [nobody, ['--wire', 'smoke'], ['--wire', 'v1'], ['--connect', 'x']]) {
      const { code, stdout, stderr } = await runClient([...args], 'hello', {})
      expect(code).toBe(1)
      expect(stdout).toBe('')
      expect(stderr).toMatch(/^[^\n]+\n$/)
    }
  })
})

async function runClient(
  args: readonly string[],
  input: string,
  env: NodeJS.ProcessEnv = PASSWORD,
) {
  const child = spawn(process.execPath, [builtExample('echo-client'), ...args], {
    env: { ...process.env, ANYTLS_PASSWORD: undefined, ...env },
    timeout: 15_000,
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const over = once(child, 'close') as Promise<[number | null]>
  const [stdout, stderr] = await Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = await over
  return { code, stdout, stderr }
}
