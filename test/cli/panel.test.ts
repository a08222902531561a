// A server that a panel runs, as an operator starts it: users in, bytes out, kill -9, and who is thrown out.

import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { readFileSync } from 'node:fs'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import type { Session } from '../../src/session/session.ts'
import { startPanel, TOKEN } from '../serve/panel/panel.ts'
import type { Panel } from '../serve/panel/panel.ts'
import { makeFolder } from '../serve/support.ts'
import { login, startTarget } from './login.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

interface Node {
  readonly program: Program
  readonly port: number
  readonly admin: number
}

async function startNode(panel: Panel, folder: string, ...args: readonly string[]): Promise<Node> {
  const program = runProgram(
    [
      ...['server', '--users', `${panel.place}&allow-private=1`, '--state-dir', folder],
      ...['--admin', '127.0.0.1:0', '--log-level', 'debug', ...args],
    ],
    { ANYTLS_PANEL_TOKEN: TOKEN },
  )
  onTestFinished(() => stop(program))
  const [, admin = ''] = await program.said(/admin on 127\.0\.0\.1:(\d+)/)
  const [, port = ''] = await program.said(/listening on [\d.]+:(\d+)/)
  return { program, port: Number(port), admin: Number(admin) }
}

async function echo(session: Session, host: string, port: number, bytes: number): Promise<number> {
  const stream = await createTunnelOpener(session)({ host, port }, AbortSignal.timeout(5_000))
  stream.end(Buffer.alloc(bytes))
  let got = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) got += chunk.length
  return got
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

describe('a node of a panel', { timeout: 60_000 }, () => {
  it('Issue 13.4: serves whom the panel names, where it says; bytes arrive once over kill -9 and a panel that is away', async () => {
    const panel = await startPanel(
      { id: 1, uuid: 'uuid-one' },
      { id: 2, uuid: 'uuid-two' },
      { id: 3, uuid: 'uuid-three' },
    )
    const [target, port, folder] = [await startTarget(), await freePort(), makeFolder()]
    panel.config['server_port'] = String(port)
    panel.config['routes'] = [{ id: 1, match: ['localhost'], action: 'block' }]
    const node = await startNode(panel, folder)
    expect(node.port).toBe(port)
    const command = readFileSync(`/proc/${node.program.child.pid}/cmdline`, 'utf8')
    expect(command).not.toContain(TOKEN)
    const [one, two] = [await login(port, 'uuid-one'), await login(port, 'uuid-two')]
    expect(await echo(one, '127.0.0.1', target, 10_000)).toBe(10_000)
    // What the panel blocks, and the panel itself, are dialled for nobody.
    await expect(echo(two, 'localhost', target, 1)).rejects.toThrow()
    await expect(echo(two, '127.0.0.1', panel.port, 1)).rejects.toThrow()
    const up = { up: 10_000, down: 10_000 }
    await vi.waitFor(() => expect(panel.used.get('1')).toMatchObject(up), 6_000)
    const online = { 1: ['127.0.0.1'], 2: ['127.0.0.1'] }
    await vi.waitFor(() => expect(panel.alive).toEqual(online), 3_000)
    const health = async () => (await fetch(`http://127.0.0.1:${node.admin}/healthz`)).text()
    expect(await health()).toBe('ok\n')
    await panel.stop()
    expect(await echo(two, '127.0.0.1', target, 500)).toBe(500)
    await vi.waitFor(async () => expect(await health()).toBe('degraded\n'), 6_000)
    // Written every two seconds.
    await new Promise((resolve) => setTimeout(resolve, 2_500))
    node.program.child.kill('SIGKILL')
    await node.program.ended
    const again = await startNode(panel, folder, '-l', '127.0.0.1:0')
    expect(again.port).not.toBe(port)
    const session = await login(again.port, 'uuid-two')
    expect(await echo(session, '127.0.0.1', target, 7)).toBe(7)
    await panel.start()
    await vi.waitFor(() => expect(panel.used.get('2')).toEqual({ up: 507, down: 507 }), 8_000)
    // Revoked: the session ends, and the web site is what is left.
    const over = once(session, 'close')
    panel.users = panel.users.filter(({ id }) => id !== 2)
    await over
    again.program.child.kill('SIGTERM')
    expect((await again.program.ended).code).toBe(0)
    expect(panel.used.get('1')).toMatchObject(up)
    expect(panel.violations).toEqual([])
    expect(node.program.stderr() + again.program.stderr()).not.toContain(TOKEN)
    expect(node.program.stderr()).toMatch(
      /the panel 127\.0\.0\.1:\d+: it cannot be reached \(ECONNREFUSED\)/,
    )
  })
})
