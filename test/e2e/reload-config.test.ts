// A server whose configuration file is changed while it serves: what it takes over on SIGHUP, and what it says of the rest.
import { X509Certificate } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { Address } from '../../src/codec/address.ts'
import { parseShareLink } from '../../src/serve/share-link.ts'
import type { Session } from '../../src/session/session.ts'
import { connect } from '../../src/tls/dial.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { runProgram, stop } from '../cli/run-program.ts'
import type { Program } from '../cli/run-program.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { readExactly } from '../proxy/support.ts'
import { startTcpOrigin } from '../interop/support/traffic.ts'
import { folder, whenDone } from './support.ts'

/** Tunnels that are given away once the server has said that the target is reached. */
const openerOf = (session: Session) => {
  const open = createTunnelOpener(session, { replyWait: Infinity })
  return (target: Address) => open(target, AbortSignal.timeout(5_000))
}

let servers = 0

/** A server of a file, which `write` changes before it is told so. */
async function startConfigured(lines: readonly string[], ...more: readonly string[]) {
  const state = join(folder, `state-${(servers += 1)}`)
  mkdirSync(state)
  const path = (name: string) => join(state, name)
  const file = path('server.toml')
  const certificates = [await makeTestCertificate(), await makeTestCertificate()] as const
  for (const [index, { cert, key }] of certificates.entries()) {
    writeFileSync(path(`cert-${index}`), cert)
    writeFileSync(path(`key-${index}`), key)
    writeFileSync(path(`password-${index}`), `secret ${index}`)
  }
  /** `@name` is a file of the state folder. */
  const write = (...now: readonly string[]) =>
    writeFileSync(file, now.map((line) => line.replace(/@([\w.-]+)/g, `"${state}/$1"`)).join('\n'))
  write(...lines)
  const args = ['server', '-l', '127.0.0.1:0', '--config', file, '--state-dir', state]
  const server: Program = runProgram([...args, ...more])
  whenDone(() => stop(server))
  const port = Number((await server.said(/listening on 127\.0\.0\.1:(\d+)/))[1])
  const pins = certificates.map(({ cert }) => {
    return new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase()
  })
  let told = 0
  /** Changes the file, sends SIGHUP, and resolves with what is said from then on once the configuration was looked at. */
  const change = async (...now: readonly string[]): Promise<string> => {
    const before = server.stderr().length
    write(...now)
    server.child.kill('SIGHUP')
    told += 1
    // The token's or the last part's line comes after all.
    const passed = new RegExp(`(?:${LAST}[^]*){${told}}`)
    await server.said(passed)
    return server.stderr().slice(before)
  }
  const logIn = (index: 0 | 1, pin: 0 | 1) =>
    connect({ host: '127.0.0.1', port, password: `secret ${index}`, pin: pins[pin] ?? '' })
  return { server, port, state, pins, change, logIn }
}

/** What is read last of all. */
const LAST = 'admin token: read anew'
const ADMIN = ['--admin', '127.0.0.1:0']

const BASE = ['password-file = @password-0', 'cert = @cert-0', 'key = @key-0', 'log-level = "info"']

describe('SIGHUP and a configuration file', { timeout: 30_000 }, () => {
  it('Issue 12.5: password, certificate, scheme, blocked networks and log level are taken over', async () => {
    const echo = await startTcpOrigin((socket) => socket.pipe(socket))
    const { server, change, logIn } = await startConfigured(BASE, ...ADMIN)
    const session = await logIn(0, 0)
    const open = openerOf(session)
    const target = { host: '127.0.0.1', port: echo.port }
    const tunnel = await open(target)
    tunnel.write('one')
    expect(String(await readExactly(tunnel, 3))).toBe('one')

    // Nothing that runs is touched by what does not concern it.
    await change(...BASE.slice(0, 3), 'log-level = "debug"', 'block = ["127.0.0.0/8"]')
    tunnel.write('two')
    expect(String(await readExactly(tunnel, 3))).toBe('two')
    await expect(open(target).then((stream) => readExactly(stream, 1))).rejects.toThrow()
    await server.said(/DEBUG/)

    await change('password-file = @password-0', 'cert = @cert-1', 'key = @key-1', 'drain-time = 1')
    const again = await logIn(0, 1)
    await expect(logIn(0, 0)).rejects.toMatchObject({ code: 'ERR_CERTIFICATE_PIN' })
    const allowed = await openerOf(again)(target)
    allowed.write('three')
    expect(String(await readExactly(allowed, 5))).toBe('three')
    tunnel.destroy()

    const closed = new Promise((resolve) => again.once('close', resolve))
    await change('password-file = @password-1', 'cert = @cert-1', 'key = @key-1')
    await closed
    const last = await logIn(1, 1)
    last.destroy()
    session.destroy()
  })

  it('Issue 12.5: a bad file keeps the old, with line and column; what needs a restart is named', async () => {
    const { server, change, logIn } = await startConfigured(BASE, ...ADMIN)
    const unknown = await change(...BASE, 'blok = ["private"]')
    expect(unknown).toMatch(
      /configuration file: not usable, the old one stays.*server\.toml', line 5, column 1: unknown key/,
    )
    const torn = await change('password-file = @password-1', 'cert = "')
    expect(torn).toMatch(/not usable, the old one stays.*line 2, column \d+: this is not TOML/)
    const half = await change('password-file = @password-1', 'cert = @cert-1')
    expect(half).toMatch(/line 2, column 1: --cert and --key are needed together/)
    ;(await logIn(0, 0)).destroy()

    const waits = await change(
      ...['password-file = @password-1', 'legacy = false', 'log-level = "info"'],
      ...['fallback = "http://127.0.0.1:1"', 'cert = @cert-0', 'key = @key-0'],
    )
    const lines = waits.split('\n').filter((line) => line.includes('restart'))
    expect(lines).toHaveLength(1)
    expect(lines[0]).toMatch(/a restart is needed for .*--fallback/)
    expect(lines[0]).toMatch(/--legacy/)
    ;(await logIn(1, 0)).destroy()

    // A password that goes would leave the old one in force unseen.
    const without = await change(...BASE.slice(1))
    expect(without).toMatch(/a restart is needed for --password-file/)
    ;(await logIn(0, 0)).destroy()
    expect(server.stderr()).not.toMatch(/secret [01]/)
  })

  it('Issue 12.5: workers take it over, too', async () => {
    const echo = await startTcpOrigin((socket) => socket.pipe(socket))
    const { change, logIn } = await startConfigured(BASE, ...ADMIN, '--workers', '2')
    const target = { host: '127.0.0.1', port: echo.port }
    const reaches = async (): Promise<boolean> => {
      const session = await logIn(0, 0)
      try {
        const tunnel = await openerOf(session)(target)
        tunnel.write('x')
        return (await readExactly(tunnel, 1)).length === 1
      } catch {
        return false
      } finally {
        session.destroy()
      }
    }
    expect([await reaches(), await reaches()]).toEqual([true, true])
    await change(...BASE, 'block = ["private"]')
    expect([await reaches(), await reaches()]).toEqual([false, false])
  })
})

describe('links and a certificate that is renewed', { timeout: 30_000 }, () => {
  it('Issue 12.1: links pin the certificate that is served now, when one that nobody vouches for is renewed', async () => {
    const { change, server, state, pins, logIn } = await startConfigured(
      [...BASE, 'users = @users.json'],
      ...ADMIN,
    )
    const users = ['--users', join(state, 'users.json')]
    const add = runProgram(['user', 'add', 'anna', ...users])
    await add.ended
    expect(parseShareLink(add.stdout().trim()).pin).toBe(pins[0])

    const renewed = BASE.map((line) => line.replace('-0', line.startsWith('p') ? '-0' : '-1'))
    await change(...renewed, 'users = @users.json')
    ;(await logIn(0, 1)).destroy()

    const link = runProgram(['user', 'link', 'anna', ...users])
    await link.ended
    expect(parseShareLink(link.stdout().trim()).pin).toBe(pins[1])
    const [, admin = ''] = /^admin on (\S+)$/m.exec(server.stderr()) ?? []
    const answer = await fetch(`http://${admin}/api/v1/users/anna/link`)
    const { uri } = (await answer.json()) as { uri: string }
    expect(parseShareLink(uri).pin).toBe(pins[1])
  })
})
