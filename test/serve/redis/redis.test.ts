// Users in a Redis that servers share: changes reach all, counts arrive once, limits hold over servers, and whatever
// becomes of Redis, who is known goes on.
import { readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { parseRedisPlace } from '../../../src/serve/redis/redis-place.ts'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import type { UserStore } from '../../../src/serve/users/store.ts'
import type { UserChange } from '../../../src/serve/users/user-table.ts'
import type { Address } from '../../../src/codec/address.ts'
import { makeFolder } from '../support.ts'
import { startMiddlebox } from '../../e2e/middlebox.ts'
import { addMany, PASSWORD, startRedis, until } from './redis.ts'

interface Opened {
  readonly store: UserStore
  readonly folder: string
  readonly warnings: string[]
  readonly told: UserChange[]
  readonly reserved: Address[]
}

/** A store as a server uses it. */
async function open(place: string, folder = makeFolder()): Promise<Opened> {
  const warnings: string[] = []
  const told: UserChange[] = []
  const reserved: Address[] = []
  const store = await openUserStore(place, {
    warn: (problem) => warnings.push(problem),
    folder,
    reserve(address) {
      reserved.push(address)
      return () => {}
    },
  })
  store.watch((changes) => told.push(...changes))
  onTestFinished(() => store.close().catch(() => {}))
  return { store, folder, warnings, told, reserved }
}

const names = ({ users }: UserStore) => [...users].map(({ name }) => name).sort()

async function use(store: UserStore, name: string, up: number, down: number): Promise<void> {
  store.usage.add(store.users.get(name)?.id ?? '', up, down)
  await store.usage.flush()
}

const usedBy = (store: UserStore, name: string) => store.usage.of(store.users.get(name)?.id ?? '')

const isWaiting = (folder: string) => readdirSync(folder).some((name) => name.includes('waiting'))

describe('the place', () => {
  it('Issue 13.3: is read as people write it, and no password is shown or repeated', () => {
    const secret = encodeURIComponent(PASSWORD)
    expect(parseRedisPlace(`rediss://me:${secret}@r.example:7000/2`)).toMatchObject({
      shown: 'rediss://r.example:7000/2',
      tls: true,
      hosts: [{ host: 'r.example', port: 7_000 }],
      username: 'me',
      password: PASSWORD,
      database: 2,
      prefix: '{anytls}:',
    })
    expect(parseRedisPlace('redis://a,[::1]:7?sentinel=main&prefix=p')).toMatchObject({
      kind: 'sentinel',
      master: 'main',
      hosts: [
        { host: 'a', port: 26_379 },
        { host: '::1', port: 7 },
      ],
    })
    expect(parseRedisPlace('redis://a,b?cluster=1').kind).toBe('cluster')
    const wrong = [
      'redis://:se%cret@h',
      'redis://:secret@a,b',
      'redis://:secret@h?x=1',
      'redis://:secret@h/1?cluster=1',
      'redis://:secret@',
      'redis://:secret@h:99999',
      'redis://:secret@h?prefix=a b',
    ]
    for (const text of wrong) {
      expect(() => parseRedisPlace(text)).toThrow(/^the Redis that --users names: /)
      expect(() => parseRedisPlace(text)).not.toThrow(/secret|se%/)
    }
  })
})

describe('users in Redis', { timeout: 30_000 }, () => {
  it('Issue 13.3: changes reach every server within 2 s; names and passwords are there once', async () => {
    const redis = await startRedis()
    const [one, two] = [await open(redis.place), await open(redis.place)]
    await one.store.add({ name: 'anna', password: 'a', quota: { bytes: 100, per: 'month' } })
    const added = Array.from({ length: 20 }, (_, index) =>
      [one, two][index % 2]!.store.add({ name: `u${index}` }),
    )
    await Promise.all(added)
    await until(() => names(two.store).length === 21 && names(one.store).length === 21, 2_000)
    expect(two.store.users.get('anna')?.quota).toEqual({ bytes: 100, per: 'month' })
    await expect(two.store.add({ name: 'anna' })).rejects.toMatchObject({
      code: 'ERR_USER_EXISTS',
    })
    await expect(two.store.add({ name: 'x', password: 'a' })).rejects.toThrow(/this password/)
    await expect(two.store.update('nobody', {})).rejects.toMatchObject({
      code: 'ERR_USER_UNKNOWN',
    })
    // Both change one user at once: neither change is lost.
    await Promise.all([
      one.store.update('anna', { note: 'n' }),
      two.store.update('anna', { maxSessions: 3 }),
    ])
    const both = ({ note, maxSessions }: { note?: unknown; maxSessions?: unknown } = {}) =>
      note === 'n' && maxSessions === 3
    await until(() => both(one.store.users.get('anna')) && both(two.store.users.get('anna')))
    const started = performance.now()
    await one.store.remove('anna')
    await until(() => two.store.users.get('anna') === undefined)
    expect(performance.now() - started).toBeLessThan(2_000)
    expect(two.told.at(-1)).toMatchObject({ before: { name: 'anna' }, after: undefined })
    // The name is free again; the record of the revocation stays.
    await two.store.add({ name: 'anna', password: 'a' })
    expect(one.reserved).toContainEqual({ host: '127.0.0.1', port: redis.port })
    const endpoint = { host: 'h', port: 1, sni: undefined, pin: 'p' }
    await one.store.recordEndpoint(endpoint)
    expect((await open(redis.place)).store.endpoint).toEqual(endpoint)
    expect([...one.warnings, ...two.warnings]).toEqual([])
    for (const name of readdirSync(one.folder)) {
      expect(statSync(join(one.folder, name)).mode & 0o777).toBe(0o600)
    }
  })

  it('Issue 13.3: a start waits for all users of a Redis that answers, however long they take', async () => {
    const redis = await startRedis()
    await addMany(redis, 1_000)
    const line = await startMiddlebox(redis.port)
    onTestFinished(() => line.stop())
    line.delay(200)
    const begun = performance.now()
    const { store } = await open(`redis://127.0.0.1:${line.port}`)
    expect(store.users.size).toBe(1_000)
    // Longer than it would wait for one that says nothing.
    expect(performance.now() - begun).toBeGreaterThan(3_000)
  })

  it('Issue 13.3: counts of all servers are one sum, live, and a reset reaches all', async () => {
    const redis = await startRedis()
    const [one, two] = [await open(redis.place), await open(redis.place)]
    await one.store.add({ name: 'a' })
    await until(() => names(two.store).length === 1)
    await Promise.all([use(one.store, 'a', 1, 10), use(two.store, 'a', 2, 20)])
    await use(one.store, 'a', 4, 40)
    await until(() => usedBy(one.store, 'a').up === 7 && usedBy(two.store, 'a').up === 7)
    expect(usedBy(two.store, 'a')).toEqual({ up: 7, down: 70 })
    const three = await open(redis.place)
    const { id } = three.store.users.get('a')!
    expect(three.store.usage.days(id)).toMatchObject([{ up: 7, down: 70 }])
    await two.store.usage.reset(id)
    await use(two.store, 'a', 1, 1)
    await until(() => usedBy(one.store, 'a').up === 1 && usedBy(three.store, 'a').down === 1)
    // More users than one step takes.
    const many = new Map(Array.from({ length: 450 }, (_, index) => [`m${index}`, index]))
    for (const [user, bytes] of many) one.store.usage.add(user, bytes, 1)
    await one.store.usage.flush()
    await until(() => [...many].every(([user, bytes]) => two.store.usage.of(user).up === bytes))
  })

  it('Issue 13.3: an answer that is lost does no harm: the batch is told again and counts once', async () => {
    const redis = await startRedis()
    const { store, folder } = await open(redis.place)
    await store.add({ name: 'a' })
    // Frozen when the command is sent: it is done later, and nobody hears of it.
    for (const round of [1, 2]) {
      redis.signal('SIGSTOP')
      await use(store, 'a', 5, 50)
      expect(isWaiting(folder)).toBe(true)
      expect(store.trouble).toBeDefined()
      expect(usedBy(store, 'a')).toEqual({ up: 5 * round, down: 50 * round })
      redis.signal('SIGCONT')
      await until(async () => {
        await store.usage.flush()
        return store.trouble === undefined && !isWaiting(folder)
      })
    }
    const { store: fresh } = await open(redis.place)
    expect(usedBy(fresh, 'a')).toEqual({ up: 10, down: 100 })
  })

  it('Issue 13.3: Redis killed, and back empty: who is known goes on, also over a restart of ours; counts wait and arrive once', async () => {
    const redis = await startRedis()
    const first = await open(redis.place)
    await first.store.add({ name: 'a' })
    await first.store.add({ name: 'b' })
    await use(first.store, 'a', 1, 2)
    await redis.kill()
    await until(() => first.store.trouble?.includes('ECONNREFUSED') === true)
    await use(first.store, 'a', 10, 20)
    await expect(first.store.add({ name: 'c' })).rejects.toMatchObject({
      code: 'ERR_CONNECT_FAILED',
    })
    expect(names(first.store)).toEqual(['a', 'b'])
    const { id } = first.store.users.get('a')!
    await first.store.close()
    const second = await open(redis.place, first.folder)
    expect(names(second.store)).toEqual(['a', 'b'])
    expect(second.store.trouble).toBeDefined()
    await redis.start()
    await until(() => second.store.trouble?.includes('2 users that were known') === true)
    expect(names(second.store)).toEqual(['a', 'b'])
    await second.store.add({ name: 'c' })
    expect(names(second.store)).toEqual(['a', 'b', 'c'])
    // One is put there again, one is revoked.
    await second.store.update('a', { note: 'back' })
    await second.store.remove('b')
    expect(names(second.store)).toEqual(['a', 'c'])
    expect(second.store.trouble).toBeUndefined()
    await second.store.usage.flush()
    const { store: fresh } = await open(redis.place)
    expect(fresh.usage.of(id)).toEqual({ up: 10, down: 20 })
    await second.store.close()
    const third = await open(redis.place, first.folder)
    expect(names(third.store)).toEqual(['a', 'c'])
    expect(second.warnings.filter((line) => line.includes('2 users'))).toHaveLength(1)
  })

  it('Issue 13.3: a Redis that has lost the last batches, as after a switch, is told them again', async () => {
    const redis = await startRedis()
    const { store } = await open(redis.place)
    await store.add({ name: 'a' })
    await use(store, 'a', 1, 1)
    await redis.command('SAVE')
    await use(store, 'a', 2, 2)
    await use(store, 'a', 4, 4)
    await redis.kill()
    await until(() => store.trouble !== undefined)
    // As it was when it was saved.
    await redis.start()
    await until(() => store.trouble === undefined)
    const { store: fresh } = await open(redis.place)
    expect(usedBy(fresh, 'a')).toEqual({ up: 7, down: 7 })
  })

  it('Issue 13.3: limits on sessions and addresses hold over servers; who has gone counts no more', async () => {
    const redis = await startRedis()
    const [one, two] = [await open(redis.place), await open(redis.place)]
    const user = await one.store.add({ name: 'a', maxSessions: 3, maxAddresses: 2 })
    await until(() => names(two.store).length === 1)
    let session = 0
    const enter = async ({ store }: Opened, remoteAddress: string) => {
      session += 1
      const entering = { id: `s${session}`, remoteAddress }
      const verdict = await store.limiter?.enter(user, entering)
      if (verdict === undefined) return () => store.limiter?.leave(user, entering)
      return verdict.message
    }
    const leave = await enter(one, '192.0.2.1')
    expect(leave).toBeTypeOf('function')
    expect(await enter(two, '192.0.2.2')).toBeTypeOf('function')
    expect(await enter(two, '192.0.2.3')).toContain('addresses')
    expect(await enter(two, '192.0.2.1')).toBeTypeOf('function')
    expect(await enter(one, '192.0.2.1')).toContain('sessions')
    if (typeof leave === 'function') leave()
    await sleep(50)
    // All at once: not one too many.
    const rush = await Promise.all(
      Array.from({ length: 20 }, (_, index) => enter(index % 2 ? one : two, '192.0.2.1')),
    )
    expect(rush.filter((verdict) => typeof verdict === 'function')).toHaveLength(1)
    // Redis is emptied: who is in stays, and counts.
    await redis.command('FLUSHALL')
    await until(() => one.store.trouble !== undefined && two.store.trouble !== undefined)
    expect(await enter(one, '192.0.2.1')).toContain('sessions')
    // Away: each server by itself.
    await redis.kill()
    await until(() => two.store.trouble?.includes('ECONNREFUSED') === true)
    expect(await enter(one, '192.0.2.1')).toBeTypeOf('function')
  })

  it('Issue 13.3: sessions are shown over all servers', async () => {
    const redis = await startRedis()
    const [one, two] = [await open(redis.place), await open(redis.place)]
    const { id } = await one.store.add({ name: 'a' })
    one.store.publishSessions(new Map([[id, ['192.0.2.1', '192.0.2.1']]]))
    two.store.publishSessions(new Map([[id, ['192.0.2.2']]]))
    await until(() => one.store.sessionsOf(id) === 3 && two.store.sessionsOf(id) === 3)
    await two.store.close()
    await until(() => one.store.sessionsOf(id) === 2)
  })

  it('Issue 13.3: read-only, full, or with rubbish under our keys: one line, and who is known goes on', async () => {
    const redis = await startRedis()
    const { store, warnings } = await open(redis.place)
    const { id } = await store.add({ name: 'a' })
    await store.add({ name: 'b' })
    await redis.command('REPLICAOF', '127.0.0.1', '1')
    await use(store, 'a', 1, 1)
    expect(store.trouble).toContain('read-only')
    await redis.command('REPLICAOF', 'NO', 'ONE')
    await store.usage.flush()
    await redis.command('CONFIG', 'SET', 'maxmemory', '1')
    await use(store, 'a', 2, 2)
    expect(store.trouble).toContain('full')
    await redis.command('CONFIG', 'SET', 'maxmemory', '0')
    await until(async () => {
      await store.usage.flush()
      return store.trouble === undefined
    })
    expect(usedBy(store, 'a')).toEqual({ up: 3, down: 3 })
    await redis.command('HSET', '{anytls}:users', id, 'rubbish')
    await redis.command('XADD', '{anytls}:feed', '999-0', 'no', 'thing')
    await until(() => store.trouble?.includes('cannot be read') === true)
    expect(names(store)).toEqual(['a', 'b'])
    await redis.command('SET', '{anytls}:users', 'of another program')
    await redis.command('SET', '{anytls}:number', '0')
    await until(() => store.trouble?.includes('something else') === true)
    expect(names(store)).toEqual(['a', 'b'])
    await expect(store.add({ name: 'c' })).rejects.toThrow(/something else/)
    const lines = warnings.filter((line) => !line.includes('all is well'))
    expect(new Set(lines).size).toBe(lines.length)
  })

  it('Issue 13.3: a wrong password is one clear line without it; the right one may be in a file', async () => {
    const redis = await startRedis('--requirepass', PASSWORD)
    await expect(open(redis.place)).rejects.toThrow(/refuses the password, or wants one; no users/)
    const wrong = `redis://:wrong-one@127.0.0.1:${redis.port}`
    await expect(open(wrong)).rejects.toThrow(/refuses the password/)
    await expect(open(wrong)).rejects.not.toThrow(/wrong-one/)
    const file = join(makeFolder(), 'password')
    writeFileSync(file, PASSWORD)
    const { store } = await open(`${redis.place}?password-file=${file}`)
    await store.add({ name: 'a' })
    expect(store.place).toBe(`redis://127.0.0.1:${redis.port}/0`)
    const secret = encodeURIComponent(PASSWORD)
    const other = await open(`redis://:${secret}@127.0.0.1:${redis.port}`)
    expect(names(other.store)).toEqual(['a'])
  })
})
