// The commands around users as an operator has them: added, linked, counted, thrown out, while the server runs on.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text as textOf } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { parseShareLink } from '../../src/serve/share-link.ts'
import { connect } from '../../src/tls/dial.ts'
import type { Session } from '../../src/session/session.ts'
import { runProgram, runScript, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

function makeState(): readonly string[] {
  const folder = mkdtempSync(join(tmpdir(), 'anytls-users-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return ['--users', join(folder, 'users.json'), '--state-dir', folder]
}

/** Runs a command to its end; gives what it printed. */
async function run(...args: readonly string[]): Promise<string> {
  const program = runProgram(args)
  const { code } = await program.ended
  if (code !== 0) throw new Error(program.stderr())
  return program.stdout()
}

async function startServer(state: readonly string[], ...args: readonly string[]): Promise<Program> {
  const program = runProgram([
    'server',
    '-l',
    '127.0.0.1:0',
    '--log-format',
    'json',
    ...state,
    ...args,
  ])
  onTestFinished(() => stop(program))
  await program.said(/listening on/)
  return program
}

async function connectTo(link: string): Promise<Session> {
  const { host, port, password = '', pin } = parseShareLink(link.trim())
  const session = await connect({ host, port, password, ...(pin !== undefined && { pin }) })
  onTestFinished(() => session.destroy())
  return session
}

interface Listed {
  readonly name: string
  readonly enabled: boolean
  readonly up: number
  readonly down: number
  readonly quota: number | null
  readonly expires: string | null
  readonly sessions: number
}

async function list(state: readonly string[]): Promise<Listed[]> {
  return JSON.parse(await run('user', 'list', '--json', ...state)) as Listed[]
}

/** A target that answers each connection with as many bytes as it is asked for, and ends. */
async function startTarget(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', (data) => socket.end(Buffer.alloc(Number(data))))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** Fetches that many bytes over a session. */
async function fetchBytes(session: Session, port: number, bytes: number): Promise<number> {
  const stream = await createTunnelOpener(session)(
    { host: '127.0.0.1', port },
    AbortSignal.timeout(5_000),
  )
  stream.end(String(bytes))
  let got = 0
  for await (const chunk of stream as AsyncIterable<Buffer>) got += chunk.length
  return got
}

/** Asks a server whose certificate is its own. */
async function fetchText(url: URL): Promise<{ readonly status: number; readonly text: string }> {
  const asked = get(url, { rejectUnauthorized: false, agent: false })
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  return { status: response.statusCode ?? 0, text: await textOf(response) }
}

interface Line {
  readonly msg: string
  readonly [field: string]: unknown
}

function linesOf(program: Program): Line[] {
  return program
    .stderr()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line)
}

describe('anytls user', { timeout: 60_000 }, () => {
  it('Issue 12: add, link, serve, count, kill -9, disable: what each may and used is told exactly', async () => {
    const state = makeState()
    const odd = 'bob "<b>\\{}'
    const [port, server] = [await startTarget(), await startServer(state)]
    const alice = await run(
      'user',
      'add',
      'alice',
      '--allow-private',
      '--quota',
      '1GB/month',
      ...state,
    )
    const bob = await run('user', 'add', odd, '--allow-private', ...state)
    expect(alice).toMatch(/^anytls:\/\/[\w-]{22}@127\.0\.0\.1:\d+\/\?hpkp=[0-9a-f]{64}#alice\n$/)
    expect(await run('user', 'link', odd, ...state)).toBe(bob)
    // Followed within 2 s.
    await sleep(1_000)
    const [one, two] = [await connectTo(alice), await connectTo(bob)]
    expect(await fetchBytes(one, port, 100_000)).toBe(100_000)
    expect(await fetchBytes(two, port, 5)).toBe(5)
    await sleep(4_500)
    expect(await list(state)).toMatchObject([
      {
        name: 'alice',
        enabled: true,
        up: 6,
        down: 100_000,
        quota: 1e9,
        expires: null,
        sessions: 1,
      },
      { name: odd, enabled: true, up: 1, down: 5, quota: null, sessions: 1 },
    ])
    // Killed: what stood in the file for 5 s stays, once.
    server.child.kill('SIGKILL')
    await server.ended
    const again = await startServer(state)
    expect(await list(state)).toMatchObject([
      { up: 6, down: 100_000, sessions: 0 },
      { up: 1, down: 5, sessions: 0 },
    ])
    const fresh = await connectTo(await run('user', 'link', 'alice', ...state))
    expect(await fetchBytes(fresh, port, 10)).toBe(10)
    const other = await connectTo(await run('user', 'link', odd, ...state))
    expect(await fetchBytes(other, port, 1)).toBe(1)
    const over = once(fresh, 'close')
    await run('user', 'disable', 'alice', ...state)
    const started = performance.now()
    await over
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(other.closed).toBe(false)
    // What is left is written at the end.
    again.child.kill('SIGTERM')
    expect((await again.ended).code).toBe(0)
    expect(await list(state)).toMatchObject([
      { enabled: false, up: 8, down: 100_010, sessions: 0 },
      { up: 2, down: 6 },
    ])
    const gone = linesOf(again).filter(({ msg }) => msg === 'a client has gone')
    expect(gone).toHaveLength(2)
    expect(gone[0]).toMatchObject({ user: 'alice', remoteAddress: '127.0.0.1', up: 2, down: 10 })
    expect(gone[0]).toMatchObject({ code: 'ERR_USER_REVOKED' })
    expect(gone[1]).toMatchObject({ user: odd, up: 1, down: 1 })
    for (const line of gone)
      expect([typeof line['session'], typeof line['duration']]).toEqual(['string', 'number'])
    // Neither a target nor a password.
    expect(again.stderr()).not.toContain(`:${port}`)
    expect(again.stderr()).not.toContain(parseShareLink(alice.trim()).password)
    expect(readFileSync(state[1]!, 'utf8')).toContain('"enabled":false')
  })

  it('Issue 12.8: a subscription gives the link until it is renewed, and no log has its path', async () => {
    const state = makeState()
    const server = await startServer(state, '--log-level', 'debug')
    const link = await run('user', 'add', 'anna', ...state)
    const url = async () => new URL(await run('user', 'link', 'anna', '--subscription', ...state))
    const before = await url()
    await sleep(1_000)
    expect(Buffer.from((await fetchText(before)).text, 'base64').toString()).toBe(
      link.replace('#anna', '#anna%40127.0.0.1'),
    )
    await run('user', 'renew', 'anna', ...state)
    await sleep(1_000)
    expect((await fetchText(before)).status).toBe(404)
    const after = await url()
    expect((await fetchText(after)).status).toBe(200)
    expect(after.host).toBe(before.host)
    for (const { pathname } of [before, after]) {
      expect(server.stderr()).not.toContain(pathname.slice(1))
    }
    await run('user', 'set', 'anna', '--hash-only', ...state)
    const program = runProgram(['user', 'renew', 'anna', ...state])
    expect((await program.ended).code).toBe(2)
    expect(program.stderr()).toMatch(/^anytls: the hash of the password alone is kept/)
  })

  it('Issue 12, bad input: one clear line, and exit code 2', async () => {
    const state = makeState()
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [['add', 'a', '--quota', '1e99GB'], /--quota.*1e99GB.*500MB/],
      [['show', 'nobody'], /there is no user "nobody"/],
      [['add', 'a\u001b[31m'], /cannot be shown/],
      [['set', 'a'], /nothing to set/],
    ]
    await Promise.all(
      cases.map(async ([args, line]) => {
        const program = runProgram(['user', ...args, ...state])
        expect((await program.ended).code).toBe(2)
        expect(program.stderr()).toMatch(line)
        expect(program.stderr().trim().split('\n')).toHaveLength(1)
      }),
    )
  })
})

describe('the log', { timeout: 60_000 }, () => {
  it('Issue 12.4: a reader that stands still never stops a program; lines are left out and counted', async () => {
    const program = runScript(join(import.meta.dirname, 'log-flood-child.ts'), [])
    onTestFinished(() => stop(program))
    program.child.stderr.pause()
    await once(program.child.stdout, 'data')
    program.child.stderr.resume()
    const [, told] = await program.said(/"lines":(\d+),"msg":"lines were left out/)
    await program.said(/still here/)
    // Those that came and those that were left out are all that there were.
    const came = program.stderr().match(/"msg":"a line"/g)?.length ?? 0
    expect(came + Number(told)).toBe(20_000)
    expect(came).toBeGreaterThan(100)
  })
})
