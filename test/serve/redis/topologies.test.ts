// More than one Redis: a master that Sentinels switch over, a cluster, and TLS. What was used stays one sum.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import { makeSelfSigned } from '../../../src/serve/self-signed.ts'
import type { UserStore } from '../../../src/serve/users/store.ts'
import { makeFolder } from '../support.ts'
import { closedPort } from '../../proxy/support.ts'
import { startRedis, TestRedis, until } from './redis.ts'

async function open(place: string): Promise<{ store: UserStore; warnings: string[] }> {
  const warnings: string[] = []
  const store = await openUserStore(place, {
    warn: (problem) => warnings.push(problem),
    folder: makeFolder(),
  })
  store.watch(() => {})
  onTestFinished(() => store.close().catch(() => {}))
  return { store, warnings }
}

async function use(store: UserStore, up: number): Promise<void> {
  const [user] = store.users
  store.usage.add(user?.id ?? '', up, 0)
  await store.usage.flush()
}

const used = (store: UserStore) => store.usage.of([...store.users][0]?.id ?? '').up

/** A Sentinel that takes two seconds to see that a master is gone. */
async function startSentinel(master: number): Promise<number> {
  const port = await closedPort()
  const file = join(makeFolder(), 'sentinel.conf')
  writeFileSync(
    file,
    [
      `port ${port}`,
      'bind 127.0.0.1',
      `sentinel monitor main 127.0.0.1 ${master} 1`,
      'sentinel down-after-milliseconds main 1000',
      'sentinel failover-timeout main 5000',
    ].join('\n'),
  )
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: 'ignore' })
  onTestFinished(async () => {
    const ended = once(child, 'exit')
    if (child.exitCode === null && child.kill('SIGKILL')) await ended
  })
  await until(() => new TestRedis(port, []).command('PING').then((text) => text.includes('PONG')))
  return port
}

describe('more than one Redis', { timeout: 30_000 }, () => {
  it('Issue 13.3: Sentinel switches over: all go on, and every byte is counted once', async () => {
    const master = await startRedis()
    const replica = await startRedis('--replicaof', '127.0.0.1', String(master.port))
    await until(() =>
      replica.command('INFO', 'replication').then((text) => text.includes('master_link_status:up')),
    )
    const sentinel = await startSentinel(master.port)
    const knows = new TestRedis(sentinel, [])
    await until(() =>
      knows
        .command('SENTINEL', 'replicas', 'main')
        .then((text) => text.includes(String(replica.port))),
    )
    const place = `redis://127.0.0.1:${sentinel}?sentinel=main`
    const [one, two] = [await open(place), await open(place)]
    await one.store.add({ name: 'a' })
    await until(() => [...two.store.users].length === 1)
    await use(one.store, 1)
    await use(two.store, 2)
    await master.kill()
    await use(one.store, 4)
    const started = performance.now()
    await until(async () => {
      await use(two.store, 0)
      await one.store.usage.flush()
      await two.store.usage.flush()
      return (
        one.store.trouble === undefined && two.store.trouble === undefined && used(two.store) === 7
      )
    }, 20_000)
    // A second until it is noticed, and what Sentinel takes.
    expect(performance.now() - started).toBeLessThan(10_000)
    for (const { warnings } of [one, two]) expect(new Set(warnings).size).toBe(warnings.length)
    await one.store.add({ name: 'b' })
    await until(() => two.store.users.size === 2)
    expect((await open(place)).store.usage.of(one.store.users.get('a')!.id).up).toBe(7)
  })

  it('Issue 13.3: a cluster keeps our keys together', async () => {
    const redis = await startRedis('--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
    await redis.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    await until(() =>
      redis.command('CLUSTER', 'INFO').then((text) => text.includes('cluster_state:ok')),
    )
    const place = `${redis.place}?cluster=1`
    const { store } = await open(place)
    const user = await store.add({ name: 'a', maxSessions: 1 })
    await use(store, 5)
    expect(
      await store.limiter?.enter(user, { id: 's', remoteAddress: '192.0.2.1' }),
    ).toBeUndefined()
    const other = await open(place)
    expect(used(other.store)).toBe(5)
    expect(
      await other.store.limiter?.enter(user, { id: 't', remoteAddress: '192.0.2.1' }),
    ).toBeDefined()
    await redis.kill()
    await until(() => store.trouble !== undefined)
    await use(store, 2)
    await redis.start()
    await until(() => store.trouble?.includes('missing') === true)
  })

  it('Issue 13.3: a certificate that does not fit is one clear line', async () => {
    const folder = makeFolder()
    const { key, cert } = await makeSelfSigned(['127.0.0.1'])
    writeFileSync(join(folder, 'key'), key)
    writeFileSync(join(folder, 'cert'), cert)
    const port = await closedPort()
    const tls = ['--tls-port', String(port), '--tls-auth-clients', 'no']
    await startRedis(
      ...tls,
      '--tls-cert-file',
      join(folder, 'cert'),
      '--tls-key-file',
      join(folder, 'key'),
    )
    await expect(open(`rediss://127.0.0.1:${port}`)).rejects.toThrow(
      /its certificate is not to be trusted/,
    )
  })
})
