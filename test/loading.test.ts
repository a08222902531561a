// What loading the library brings with it, in a process of its own.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

/** Loads what serves and asks over HTTP, and uses what loads late. */
const PROGRAM = `
  import { createFallback } from './src/index.ts'
  import { createAgents, createInbound } from './src/proxy.ts'
  import './src/serve/admin/admin-server.ts'
  import './src/serve/acme-order.ts'
  import './src/serve/panel/panel-client.ts'
  createFallback()
  createAgents(() => { throw new Error('never called') })
  createInbound({ openTunnel() { throw new Error('never called') } })
  const loaded = process.moduleLoadList.map((entry) => entry.replace('NativeModule ', ''))
  console.log(JSON.stringify(loaded))
`

// Node has it for fetch and WebSocket; from 22 on an import of node:http loads it. (On 20 nothing could.)
test('nothing loads undici', async () => {
  const args = ['--import', 'tsx', '--input-type', 'module', '--eval', PROGRAM]
  const { stdout } = await promisify(execFile)(process.execPath, args)
  const loaded = JSON.parse(stdout) as string[]
  expect(loaded).toEqual(expect.arrayContaining(['http', 'tls', 'http2']))
  expect(loaded).not.toContain('internal/deps/undici/undici')
})
