// How far a quota is overrun when it is used up at several servers at once: by what the sessions carry in five seconds.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { expect, it, onTestFinished } from 'vitest'
import { createTunnelOpener } from '../../../src/proxy/client.ts'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import { connect } from '../../../src/tls/dial.ts'
import { makeFolder, startUsersProxy } from '../support.ts'
import { startRedis, until } from './redis.ts'

const SERVERS = 3
/** Bytes a second, at each server. */
const RATE = 400_000
const QUOTA = 2_000_000
/** Within which sessions of who has used up the quota end, in seconds (docs/operating.md). */
const BOUND = 5

it(
  `Issue 13.3: a quota that is used up at ${SERVERS} servers at once is overrun by at most what they carry in ${BOUND} s`,
  { timeout: 30_000 },
  async () => {
    const redis = await startRedis()
    const source = createServer((socket) => {
      const chunk = Buffer.alloc(65_536)
      const send = (): void => {
        while (!socket.destroyed && socket.write(chunk));
      }
      socket.on('drain', send).on('error', () => {})
      send()
    }).listen(0, '127.0.0.1')
    onTestFinished(() => void source.close())
    await once(source, 'listening')
    const { port } = source.address() as AddressInfo
    const stores = await Promise.all(
      Array.from({ length: SERVERS }, () =>
        openUserStore(redis.place, { warn: () => {}, folder: makeFolder() }),
      ),
    )
    const { password = '' } = await stores[0]!.add({
      name: 'a',
      maxDown: RATE,
      quota: { bytes: QUOTA, per: 'month' },
      allowPrivate: true,
    })
    const used = (): number => {
      const { up, down } = stores[0]!.usage.of(stores[0]!.users.get('a')!.id)
      return up + down
    }
    const sessions = await Promise.all(
      stores.map(async (store) => {
        const server = await startUsersProxy(store)
        await until(() => store.users.get('a') !== undefined)
        const session = await connect({
          host: '127.0.0.1',
          port: server.port,
          password,
          insecure: true,
        })
        onTestFinished(() => session.destroy())
        const stream = await createTunnelOpener(session)(
          { host: '127.0.0.1', port },
          AbortSignal.timeout(5_000),
        )
        stream.on('error', () => {}).resume()
        return session
      }),
    )
    for (const session of sessions) if (!session.closed) await once(session, 'close')
    // What they carried at last is told within the next seconds.
    let before = -1
    await until(async () => {
      await new Promise((resolve) => setTimeout(resolve, 2_500))
      const isAtRest = used() === before
      before = used()
      return isAtRest
    }, 15_000)
    expect(used()).toBeGreaterThanOrEqual(QUOTA)
    expect(used() - QUOTA).toBeLessThan(SERVERS * RATE * BOUND)
  },
)
