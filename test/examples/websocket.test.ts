// The example of streams inside a WebSocket: both ends as programs, and what else its server answers.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { fetch } from 'undici'
import { builtExample, portOf, runExample } from './run-example.ts'

const LINES = ['one', 'zwei', '', 'x'.repeat(300_000), 'the last one']

it(
  'each line comes back on a stream of its own inside one WebSocket',
  { timeout: 30_000 },
  async () => {
    const server = runExample('websocket-server', ['--listen', '127.0.0.1:0'])
    const port = await portOf(server, 'websocket')
    const url = `ws://127.0.0.1:${port}/streams`
    const client = spawn(process.execPath, [builtExample('websocket-client'), '--connect', url], {
      timeout: 20_000,
    })
    client.stdin.end(LINES.join('\n'))
    const over = once(client, 'close')
    const [said, complained] = await Promise.all([text(client.stdout), text(client.stderr)])
    expect(complained).toBe('')
    expect(said).toBe(`${LINES.join('\n')}\n`)
    expect(await over).toEqual([0, null])
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe('a web server\n')
  },
)
