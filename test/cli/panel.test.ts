// A server that a panel runs, as an operator starts it: users in, bytes out, kill -9, and who is thrown out.

import { once } from 'node:events'
import { X509Certificate } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect as tlsConnect } from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import type { Session } from '../../src/session/session.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { connect } from '../../src/tls/dial.ts'
import { childrenOf } from '../e2e/failures/processes.ts'
import { closedPort } from '../proxy/support.ts'
import { Panel, startPanel, TOKEN } from '../serve/panel/panel.ts'
import { makeFolder } from '../serve/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { login, startTarget } from './login.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

interface Node {
  readonly program: Program
  readonly port: number
  readonly admin: number
}

function runNode(
  panel: Panel,
  folder: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Program {
  const program = runProgram(
    [
      ...['server', '--users', `${panel.place}&allow-private=1`, '--state-dir', folder],
      ...['--admin', '127.0.0.1:0', '--log-level', 'debug', ...args],
    ],
    { ANYTLS_PANEL_TOKEN: TOKEN, ...env },
  )
  onTestFinished(() => stop(program))
  return program
}

async function startNode(panel: Panel, folder: string, ...args: readonly string[]): Promise<Node> {
  return started(runNode(panel, folder, args))
}

async function started(program: Program): Promise<Node> {
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

describe('a node of a panel', { timeout: 60_000 }, () => {
  it('Issue 13.4: serves whom the panel names, where it says; bytes arrive once over kill -9 and a panel that is away', async () => {
    const panel = await startPanel(
      { id: 1, uuid: 'uuid-one' },
      { id: 2, uuid: 'uuid-two' },
      { id: 3, uuid: 'uuid-three' },
    )
    const [target, port, folder] = [await startTarget(), await closedPort(), makeFolder()]
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

  it('Issue 13.4: over https to whom an authority vouches for; --cert and --padding-scheme count more than the panel’s', async () => {
    const [authority, own] = [await makeTestCertificate(), await makeTestCertificate()]
    const panel = new Panel(authority)
    panel.users = [{ id: 1, uuid: 'uuid-one' }]
    panel.config['padding_scheme'] = ['stop=2', '0=30-30', '1=100-200']
    panel.config['server_name'] = 'of-the-panel.example'
    await panel.start()
    onTestFinished(() => panel.stop())
    const folder = makeFolder()
    const file = (name: string, text: string): string => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const listen = ['-l', '127.0.0.1:0']
    const stranger = runNode(panel, makeFolder(), listen, { NODE_EXTRA_CA_CERTS: undefined })
    expect((await stranger.ended).code).not.toBe(0)
    expect(stranger.stderr()).toMatch(/certificate/)
    expect(stranger.stderr()).not.toContain(TOKEN)
    expect(panel.asked).toEqual([])

    const trusting = { NODE_EXTRA_CA_CERTS: file('authority.pem', authority.cert) }
    const plain = await started(runNode(panel, makeFolder(), listen, trusting))
    const of = async ({ port }: Node) => {
      const schemes: string[] = []
      const schemeStore = {
        get: () => undefined,
        set: (_server: string, { text }: Scheme) => void schemes.push(text),
      }
      const session = await connect({
        host: '127.0.0.1',
        port,
        password: 'uuid-one',
        insecure: true,
        schemeStore,
      })
      onTestFinished(() => session.destroy())
      await session.ping()
      return { schemes, certificate: await certificateAt(port) }
    }
    const panels = await of(plain)
    expect(panels.schemes).toEqual(['stop=2\n0=30-30\n1=100-200'])
    expect(panels.certificate.subjectaltname).toContain('of-the-panel.example')

    const cert = ['--cert', file('cert.pem', own.cert), '--key', file('key.pem', own.key)]
    const scheme = ['--padding-scheme', file('scheme.txt', 'stop=3\n0=30-30\n1=300-400')]
    const args = [...listen, ...cert, ...scheme]
    const ours = await of(await started(runNode(panel, makeFolder(), args, trusting)))
    expect(ours.schemes).toEqual(['stop=3\n0=30-30\n1=300-400'])
    expect(ours.certificate.raw.equals(new X509Certificate(own.cert).raw)).toBe(true)
    expect(panel.violations).toEqual([])
  })

  it('Issue 13.4: what two workers count arrives at the panel once, over kill -9 of one', async () => {
    const panel = await startPanel({ id: 1, uuid: 'uuid-one' })
    const [target, folder] = [await startTarget(), makeFolder()]
    const node = await startNode(panel, folder, '-l', '127.0.0.1:0', '--workers', '2')
    const sessions = [await login(node.port, 'uuid-one'), await login(node.port, 'uuid-one')]
    for (const [index, session] of sessions.entries()) {
      expect(await echo(session, '127.0.0.1', target, 1_000 + index)).toBe(1_000 + index)
    }
    await vi.waitFor(() => expect(panel.used.get('1')).toEqual({ up: 2_001, down: 2_001 }), 6_000)
    // What was told has been told, whoever dies.
    const [worker = 0] = childrenOf(node.program.child.pid ?? 0)
    process.kill(worker, 'SIGKILL')
    await vi.waitFor(() => expect(sessions.some(({ closed }) => closed)).toBe(true), 3_000)
    const again = await login(node.port, 'uuid-one')
    expect(await echo(again, '127.0.0.1', target, 30)).toBe(30)
    await vi.waitFor(() => expect(panel.used.get('1')).toEqual({ up: 2_031, down: 2_031 }), 6_000)
    node.program.child.kill('SIGTERM')
    expect((await node.program.ended).code).toBe(0)
    expect(panel.used.get('1')).toEqual({ up: 2_031, down: 2_031 })
    expect(panel.violations).toEqual([])
  })
})

function certificateAt(port: number): Promise<PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = tlsConnect({ host: '127.0.0.1', port, rejectUnauthorized: false }, () => {
      resolve(socket.getPeerCertificate())
      socket.destroy()
    })
    socket.on('error', reject)
  })
}
