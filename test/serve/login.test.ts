// Who gets in with a password of their own, on both wires, and how a user is thrown out.
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Session } from '../../src/session/session.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import type { ServerUsers } from '../../src/tls/first-record.ts'
import { startEchoServer } from '../support/server.ts'
import { takeUncaught } from '../support/uncaught.ts'
import { openStore, startUsersServer } from './support.ts'
import type { UsersServer } from './support.ts'

/** What comes back of one stream, or the code of the error that it ends with. */
async function echo(session: Session): Promise<string> {
  const stream = session.openStream()
  stream.write('hello')
  try {
    const [chunk] = (await once(stream, 'data')) as [Buffer]
    stream.destroy()
    return String(chunk)
  } catch (error) {
    return error instanceof AnyTlsError ? error.code : String(error)
  }
}

async function tryLogin(server: UsersServer, options: Partial<ConnectOptions>): Promise<string> {
  const session = await server.connect(options)
  return echo(session)
}

describe.each(['v1', 'legacy'] as const)('users on the wire %s', (wire) => {
  it('Issue 12.1: each logs in with the password of their own, and session.user says who', async () => {
    const { store } = await openStore()
    const added = await store.add({ name: 'alice', password: 'a' })
    await store.add({ name: 'bob', password: 'b', hashOnly: true })
    const server = await startUsersServer(store)
    const names: (string | undefined)[] = []
    server.server.on('session', ({ user }) => names.push(user?.name))
    expect(await tryLogin(server, { wire, password: 'a' })).toBe('hello')
    expect(await tryLogin(server, { wire, password: 'b' })).toBe('hello')
    expect(names).toEqual(['alice', 'bob'])
    // The hash is what logs in; a session knows no more of its user than it has to.
    const { id, name, hash } = added
    expect(server.accounts.lookup(Buffer.from(hash, 'hex'))).toEqual({ id, name })
  })

  it('Issue 12.1: unknown, disabled, expired and used up go to the fallback', async () => {
    const { store } = await openStore()
    await store.add({ name: 'off', password: 'off', enabled: false })
    await store.add({ name: 'old', password: 'old', expires: Date.now() - 1 })
    const { id } = await store.add({
      name: 'full',
      password: 'full',
      quota: { bytes: 9, per: 'day' },
    })
    store.usage.add(id, 4, 5)
    const server = await startUsersServer(store)
    for (const password of ['nobody', 'off', 'old', 'full']) {
      expect(await tryLogin(server, { wire, password })).not.toBe('hello')
    }
    expect(server.fallbacks).toEqual(Array(4).fill('auth-failed'))
  })

  it('Issue 12.5: a user who is disabled is out at once, and told; others go on', async () => {
    const { store, file } = await openStore()
    await store.add({ name: 'alice', password: 'a' })
    await store.add({ name: 'bob', password: 'b' })
    const server = await startUsersServer(store)
    const [alice, bob] = [
      await server.connect({ wire, password: 'a' }),
      await server.connect({ wire, password: 'b' }),
    ]
    expect([await echo(alice), await echo(bob)]).toEqual(['hello', 'hello'])
    // By another program, which shares nothing but the file.
    const other = await openStore(file)
    const started = performance.now()
    const over = once(alice, 'close') as Promise<[Error | undefined]>
    await other.store.update('alice', { enabled: false })
    const [error] = await over
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(error).toMatchObject({ code: 'ERR_ALERT_RECEIVED' })
    expect(error?.message).toContain('disabled')
    await sleep(10)
    expect(bob.closed).toBe(false)
    expect(await echo(bob)).toBe('hello')
  })
})

it('a server with a password and users serves both; without either it cannot be made', async () => {
  const { store } = await openStore()
  await store.add({ name: 'alice', password: 'a' })
  const server = await startUsersServer(store, { password: 'single' })
  const names: (string | undefined)[] = []
  server.server.on('session', ({ user }) => names.push(user?.name))
  expect(await tryLogin(server, { password: 'single' })).toBe('hello')
  expect(await tryLogin(server, { password: 'a' })).toBe('hello')
  expect(names).toEqual([undefined, 'alice'])
})

it('a lookup of an application that throws, waits or answers nonsense lets nobody in', async () => {
  const uncaught = takeUncaught()
  const answers: (() => unknown)[] = [
    () => {
      throw new Error('lookup is broken')
    },
    () => Promise.resolve({ name: 'late' }),
    () => ({ name: 7 }),
    () => null,
    () => 'alice',
  ]
  let answer: () => unknown = () => undefined
  const lookup = (() => answer()) as ServerUsers['lookup']
  const server = await startEchoServer({ password: undefined, users: { lookup } })
  for (answer of answers) {
    const session = await server.connect({ password: 'a' })
    expect(await echo(session)).not.toBe('hello')
  }
  expect(server.fallbacks).toEqual(answers.map(() => 'auth-failed'))
  // Once for each wire that was tried. (Node delays its own work for the site behind an exception that nobody caught.)
  const broken = uncaught.map(String).filter((text) => text.includes('lookup'))
  expect(broken).toEqual(Array(2).fill('Error: lookup is broken'))
  answer = () => ({ name: 'alice' })
  const names: (string | undefined)[] = []
  server.server.on('session', ({ user }) => names.push(user?.name))
  const session = await server.connect({ password: 'a' })
  expect(await echo(session)).toBe('hello')
  expect(names).toEqual(['alice'])
  const over = once(session, 'close')
  expect(server.server.revoke({ name: 'bob' })).toBe(0)
  expect(server.server.revoke({ name: 'alice' })).toBe(1)
  await over
})
