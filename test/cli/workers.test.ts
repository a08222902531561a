// `anytls server --workers 2`: what clients, users and operators have of one server, they have of two processes.

import { once } from 'node:events'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { PeerCloseError } from '../../src/errors.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { openUserStore } from '../../src/serve/users/open-store.ts'
import type { UserStore } from '../../src/serve/users/store.ts'
import type { NewUser } from '../../src/serve/users/user.ts'
import type { Session } from '../../src/session/session.ts'
import { connect } from '../../src/tls/dial.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { seededRandomInt } from '../support/seeded-random.ts'
import { runProgram, stop } from './run-program.ts'
import type { Program } from './run-program.ts'

const onLinux = process.platform === 'linux'
const PASSWORD = 'the-servers-own-password'
const folder = mkdtempSync(join(tmpdir(), 'anytls-workers-'))
const file = (name: string): string => join(folder, name)

let program: Program
let store: UserStore
let port: number
let admin: string
let target: number

beforeAll(async () => {
  const { key, cert } = await makeTestCertificate()
  writeFileSync(file('key.pem'), key)
  writeFileSync(file('cert.pem'), cert)
  writeFileSync(file('password'), PASSWORD)
  store = await openUserStore(file('users.json'), { warn: () => {}, folder })
  await store.add({ name: 'alice', password: 'alice', allowPrivate: true })
  target = await startTarget()
  program = await startServer()
  ;[port, admin] = placesOf(program)
}, 60_000)

afterAll(async () => {
  await stop(program)
  await store.close()
  rmSync(folder, { recursive: true })
})

async function startServer(...args: readonly string[]): Promise<Program> {
  const files = [
    '--cert',
    file('cert.pem'),
    '--key',
    file('key.pem'),
    '--users',
    file('users.json'),
  ]
  const places = ['-l', '127.0.0.1:0', '--admin', '127.0.0.1:0', '--state-dir', folder]
  const password = ['--password-file', file('password')]
  const log = ['--log-format', 'json', '--drain-time', '1']
  const started = runProgram(
    ['server', '--workers', '2', ...files, ...places, ...password, ...log, ...args],
    { ANYTLS_PASSWORD: 'of-the-environment' },
  )
  await started.said(/listening on/)
  return started
}

function placesOf(server: Program): [port: number, admin: string] {
  const [, listening = ''] = /listening on 127\.0\.0\.1:(\d+)/.exec(server.stderr()) ?? []
  const [, place = ''] = /admin on (127\.0\.0\.1:\d+)/.exec(server.stderr()) ?? []
  return [Number(listening), place]
}

/** A target that answers with as many bytes as it is asked for; for `-N` it resets in the middle of N. */
async function startTarget(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.once('data', (data) => {
      const wanted = Number(data)
      if (wanted >= 0) socket.end(Buffer.alloc(wanted))
      else socket.write(Buffer.alloc(-wanted >> 1), () => socket.resetAndDestroy())
    })
  })
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** Connected; what the server says to the password is still to come. */
async function dial(password: string): Promise<Session> {
  const session = await connect({ host: '127.0.0.1', port, password, insecure: true })
  onTestFinished(() => session.destroy())
  return session
}

async function logIn(password = 'alice'): Promise<Session> {
  const session = await dial(password)
  await session.ping()
  return session
}

/** Connections go to one worker after the other. */
const logInEverywhere = async (password?: string): Promise<[Session, Session]> => [
  await logIn(password),
  await logIn(password),
]

async function fetchBytes(session: Session, asked: number): Promise<number> {
  const stream = await createTunnelOpener(session)(
    { host: '127.0.0.1', port: target },
    AbortSignal.timeout(5_000),
  )
  stream.end(String(asked))
  let got = 0
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) got += chunk.length
  } catch {
    // Reset by the target.
  }
  return got
}

async function ask(path: string, method = 'GET'): Promise<Record<string, unknown>> {
  const answer = await fetch(`http://${admin}/api/v1/${path}`, { method })
  return (await answer.json()) as Record<string, unknown>
}

/** What a subscription says of what alice has used. */
async function subscriptionInfo(): Promise<unknown> {
  const path = `/${store.users.get('alice')?.subscription}`
  const options = { host: '127.0.0.1', port, path, rejectUnauthorized: false, agent: false }
  const [answer] = (await once(request(options).end(), 'response')) as [IncomingMessage]
  answer.resume()
  return answer.headers['subscription-userinfo']
}

/** The newest user, known to the workers. */
async function addUser(user: NewUser): Promise<void> {
  await store.add({ ...user, allowPrivate: true })
  for (;;) {
    const answer = await fetch(`http://${admin}/api/v1/users/${user.name}`)
    if (answer.ok) return
    await sleep(50)
  }
}

/** Milliseconds until all are over, with what they end with. */
async function ends(...sessions: readonly Session[]): Promise<[ms: number, codes: unknown[]]> {
  const begin = performance.now()
  const over = sessions.map(async (session) => {
    if (session.closed) return undefined
    const [error] = (await once(session, 'close')) as [Error | undefined]
    return error
  })
  const errors = await Promise.all(over)
  return [performance.now() - begin, errors.map((error) => reasonOf(error))]
}

/** What the server said, or what the session ended with. */
function reasonOf(error: Error | undefined): string {
  return error instanceof PeerCloseError ? error.reason : (error?.message ?? '')
}

/** Those of the program's children that are workers. Linux alone can tell. */
function workersOf({ child }: Program): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const [, parent] =
          /^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
        return Number(parent) === child.pid && cmdline(pid).includes('server-worker')
      } catch {
        return false
      }
    })
    .map(Number)
}

const cmdline = (pid: number | string): string => readFileSync(`/proc/${pid}/cmdline`, 'latin1')

describe('Issue 13.1: a server of two workers', { timeout: 30_000 }, () => {
  it('says once where it listens and what it logs, in one log, with no password in its workers', async () => {
    const session = await logIn()
    session.destroy()
    await program.said(/"user":"alice".*"msg":"a client has gone"/)
    expect(program.stderr().match(/listening on/g)).toHaveLength(1)
    for (const line of program.stderr().trim().split('\n')) JSON.parse(line)
    if (!onLinux) return
    const pids = workersOf(program)
    expect(pids).toHaveLength(2)
    for (const pid of pids) {
      expect(cmdline(pid)).not.toMatch(/password|cert/)
      expect(readFileSync(`/proc/${pid}/environ`, 'latin1')).not.toContain('of-the-environment')
    }
  })

  it('sessions of both are told of and counted at one place, and ended from there', async () => {
    const sessions = [...(await logInEverywhere()), ...(await logInEverywhere())]
    const { up, down } = await ask('users/alice')
    const random = seededRandomInt(13)
    let [sent, got] = [0, 0]
    await Promise.all(
      Array.from({ length: 40 }, async (_, index) => {
        const size = random(0, 100_000)
        const asked = random(0, 5) === 0 ? -size - 2 : size
        sent += String(asked).length
        const bytes = await fetchBytes(sessions[index % sessions.length]!, asked)
        got += bytes
      }),
    )
    await expect
      .poll(async () => await ask('users/alice'), { timeout: 4_000 })
      .toMatchObject({ up: Number(up) + sent, sessions: 4 })
    const user = await ask('users/alice')
    // What was on its way to a stream that was reset is counted where it was sent.
    expect(Number(user['down']) - Number(down)).toBeGreaterThanOrEqual(got)
    const metrics = await (await fetch(`http://${admin}/metrics`)).text()
    expect(metrics).toContain('anytls_sessions 4\n')
    expect(metrics).toContain(
      `anytls_user_bytes_total{user="alice",direction="up"} ${Number(user['up'])}`,
    )
    // Whichever worker answers a subscription.
    const used = `upload=${Number(user['up'])}; download=${Number(user['down'])}; total=0; expire=0`
    for (let at = 0; at < 2; at += 1) {
      await expect.poll(subscriptionInfo).toBe(used)
    }
    const list = (await ask('sessions')) as { total: number; sessions: { id: string }[] }
    expect(list.total).toBe(4)
    const over = sessions.map((session) => once(session, 'close'))
    for (const { id } of list.sessions) await ask(`sessions/${id}`, 'DELETE')
    await Promise.all(over)
    expect(await ask('sessions')).toMatchObject({ total: 0 })
    expect(await ask('sessions/none', 'DELETE')).toMatchObject({ error: {} })
  })

  it('limits of a user hold over both', async () => {
    await addUser({ name: 'two', password: 'two', maxSessions: 2 })
    const [one, other] = await logInEverywhere('two')
    const third = await dial('two')
    const [ms, [reason]] = await ends(third)
    expect(reason).toMatch(/as many sessions/)
    expect(ms).toBeLessThan(1_000)
    one.destroy()
    await expect.poll(() => ask('users/two'), { timeout: 4_000 }).toMatchObject({ sessions: 1 })
    const again = await logIn('two')
    expect(await fetchBytes(again, 5)).toBe(5)
    expect(other.closed).toBe(false)
  })

  it('a quota that is used up, and a user who is disabled, end sessions at both within 2 s', async () => {
    await addUser({ name: 'poor', password: 'poor', quota: { bytes: 50_000, per: 'month' } })
    const [one, other] = await logInEverywhere('poor')
    expect(await fetchBytes(one, 60_000)).toBe(60_000)
    const [ms, reasons] = await ends(one, other)
    expect(ms).toBeLessThan(2_000)
    for (const reason of reasons) expect(reason).toMatch(/quota/)
    await expect(logIn('poor')).rejects.toMatchObject({ code: 'ERR_AUTH_REJECTED' })
    await expect(logIn('poor')).rejects.toMatchObject({ code: 'ERR_AUTH_REJECTED' })
    expect(await ask('users/poor/reset', 'POST')).toMatchObject({ down: 0, state: 'active' })
    await sleep(500)
    const both = await logInEverywhere('poor')
    await store.update('poor', { enabled: false })
    const [later, words] = await ends(...both)
    expect(later).toBeLessThan(2_000)
    for (const word of words) expect(word).toMatch(/disabled/)
  })

  it('a rate of a user is shared by both', async () => {
    await addUser({ name: 'slow', password: 'slow', maxDown: 2_000_000 })
    const [one, other] = await logInEverywhere('slow')
    const begin = performance.now()
    // One is done sooner: the other then has all of it.
    await Promise.all([fetchBytes(one, 2_000_000), fetchBytes(other, 4_000_000)])
    const rate = 6_000_000 / ((performance.now() - begin) / 1_000)
    expect(rate / 2_000_000).toBeGreaterThan(0.75)
    expect(rate / 2_000_000).toBeLessThan(1.15)
  })

  it('TLS sessions are resumed at either, also after a reload', async () => {
    let ticket: Buffer | undefined
    const visit = async (): Promise<{ resumed: boolean; fingerprint: string }> => {
      const options = { port, host: '127.0.0.1', rejectUnauthorized: false }
      const socket = tlsConnect({ ...options, session: ticket })
      socket.on('session', (session: Buffer) => (ticket ??= session))
      await once(socket, 'secureConnect')
      const { fingerprint256: fingerprint } = socket.getPeerCertificate()
      const resumed = socket.isSessionReused()
      socket.resume().end('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
      await once(socket, 'close')
      return { resumed, fingerprint }
    }
    const resumedAll = async (count: number) => {
      const visits = []
      for (let at = 0; at < count; at += 1) visits.push(await visit())
      return visits.every(({ resumed }) => resumed)
    }
    const { fingerprint } = await visit()
    expect(await resumedAll(4)).toBe(true)
    // Sessions that run are not touched by what follows.
    const [running] = await logInEverywhere()
    const { key, cert } = await makeTestCertificate()
    writeFileSync(file('key.pem'), key)
    writeFileSync(file('cert.pem'), cert)
    program.child.kill('SIGHUP')
    await program.said(/certificate: read anew/)
    expect(await resumedAll(4)).toBe(true)
    for (let at = 0; at < 3; at += 1) {
      ticket = undefined
      expect((await visit()).fingerprint).not.toBe(fingerprint)
    }
    expect(await fetchBytes(running, 5)).toBe(5)
  })

  it('SIGHUP reaches both: another password is the one', async () => {
    const [one, other] = await logInEverywhere(PASSWORD)
    writeFileSync(file('password'), 'another')
    const over = ends(one, other)
    program.child.kill('SIGHUP')
    expect((await over)[0]).toBeLessThan(2_000)
    await expect(logIn(PASSWORD)).rejects.toThrow()
    await expect(logIn(PASSWORD)).rejects.toThrow()
    await logInEverywhere('another')
  })

  it.skipIf(!onLinux)(
    'one that is killed -9 is replaced; it had half of the sessions, and its counts of 5 s ago (only on Linux)',
    async () => {
      const sessions: Session[] = []
      for (let at = 0; at < 6; at += 1) sessions.push(await logIn())
      await Promise.all(sessions.map((session) => fetchBytes(session, 1_000)))
      await sleep(600)
      const before = await ask('users/alice')
      const [victim = 0] = workersOf(program)
      process.kill(victim, 'SIGKILL')
      const killed = performance.now()
      await expect
        .poll(() => sessions.filter(({ closed }) => closed).length, { interval: 10 })
        .toBe(3)
      // Whoever comes back meets the other one.
      const again = await logIn()
      expect(await fetchBytes(again, 0)).toBe(0)
      expect(performance.now() - killed).toBeLessThan(1_000)
      await program.said(/"cause":"SIGKILL".*"msg":"a worker has ended/)
      await expect.poll(() => workersOf(program).length).toBe(2)
      await expect
        .poll(() => ask('users/alice'), { timeout: 4_000 })
        .toMatchObject({ sessions: 4, down: before['down'] })
      // The new one serves as well.
      await expect
        .poll(async () => {
          const [left] = workersOf(program).filter((pid) => pid !== victim)
          return left !== undefined && (await Promise.all([logIn(), logIn()])).length
        })
        .toBe(2)
      // Another short life: its successor waits.
      const [, second = 0] = workersOf(program)
      process.kill(second, 'SIGKILL')
      await program.said(/"wait":500,"msg":"a worker has ended/)
    },
  )

  it('SIGTERM drains both; what was counted is written, once', async () => {
    const session = await logIn()
    await fetchBytes(session, 12_345)
    const { up, down } = await ask('users/alice')
    await fetchBytes(session, 1)
    // A stream that stays open holds it up, as long as it may.
    const open = await createTunnelOpener(session)(
      { host: '127.0.0.1', port: target },
      AbortSignal.timeout(5_000),
    )
    program.child.kill('SIGTERM')
    await expect
      .poll(async () => {
        const answer = await fetch(`http://${admin}/healthz`)
        return [answer.status, await answer.text()]
      })
      .toEqual([503, 'draining\n'])
    expect(open.destroyed).toBe(false)
    expect((await program.ended).code).toBe(0)
    await store.usage.refresh()
    const { id } = store.users.get('alice')!
    expect(store.usage.of(id)).toEqual({ up: Number(up) + 1, down: Number(down) + 1 })
    if (onLinux) expect(workersOf(program)).toEqual([])
  })
})
