// `npm run test:nodes`: the unit tests on the other Nodes that the package promises, on 24 and 26 some of those with sockets and
// programs, and what needs no TLS on Bun and Deno. They come from npm (runtimes.mjs).

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { ensureBuilt } from './build.mjs'
import { installRuntime } from './runtimes.mjs'

const ROOT = join(import.meta.dirname, '..')
const VITEST = join(ROOT, 'node_modules/vitest/vitest.mjs')
const SMOKE = join(ROOT, 'scripts/smoke.mjs')
const ONE_WORKER = ['--maxWorkers', '1']

const checks = [
  ...['node-22', 'node-24', 'node-26'].map((key) => [key, VITEST, 'run', '--project', 'unit']),
  [
    'node-24',
    VITEST,
    'run',
    ...['connect', 'records', 'wires'].map((name) => `test/tls/${name}.test.ts`),
  ],
  [
    'node-24',
    VITEST,
    'run',
    'test/e2e/bulk.test.ts',
    'test/e2e/fallback.test.ts',
    'test/e2e/udp.test.ts',
  ],
  // Its parser reads the body of an upgrade, and hands over something else than the socket.
  ['node-26', VITEST, 'run', 'test/proxy/inbound/inbound-http.test.ts'],
].map(([key, ...args]) => [key, ...args, ...ONE_WORKER])
checks.push(['bun', SMOKE], ['deno', 'run', '--allow-all', SMOKE])

/** How many run at a time. */
const TOGETHER = 2

await ensureBuilt({ types: false })
let failed = 0
const waiting = [...checks]
await Promise.all(
  Array.from({ length: TOGETHER }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await check(next)
  }),
)
process.exit(failed === 0 ? 0 : 1)

async function check([key, ...args]) {
  const child = spawn(installRuntime(key), args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding('utf8').on('data', (text) => (said += text))
  }
  const code = await new Promise((resolve) => child.once('close', resolve))
  if (code !== 0) failed += 1
  const [closing = ''] = said.match(/^\d+ passed, \d+ failed, \d+ skipped$/m) ?? []
  const what = key.startsWith('node') ? args.slice(2, -2).join(' ') : 'scripts/smoke.mjs'
  console.log(code === 0 ? `${key}: ${closing} (${what})` : `${key} FAILED (${what})\n${said}`)
}
