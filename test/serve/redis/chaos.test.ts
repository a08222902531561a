// Two servers and a Redis that is frozen, killed and cut off at random: at the end every byte is there, once.
import { setTimeout as sleep } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { expect, it, onTestFinished } from 'vitest'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import type { UserStore } from '../../../src/serve/users/store.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'
import { makeFolder } from '../support.ts'
import { startRedis, until } from './redis.ts'

const SEED = Number(process.env['ANYTLS_SEED'] ?? 13)

it(
  `Issue 13.3: counts are exact over a Redis that is frozen, killed and cut off, and servers that start anew (seed ${SEED})`,
  { timeout: 40_000 },
  async () => {
    const draw = seededRandomInt(SEED)
    const random = () => draw(0, 1_000_000) / 1_000_000
    // What it has said is done is on its disk: what is lost is the answer.
    const redis = await startRedis('--appendonly', 'yes', '--appendfsync', 'always')
    const folders = [makeFolder(), makeFolder()]
    const open = async (folder: string): Promise<UserStore> => {
      const store = await openUserStore(redis.place, { warn: () => {}, folder })
      store.watch(() => {})
      onTestFinished(() => store.close().catch(() => {}))
      return store
    }
    const stores = await Promise.all(folders.map(open))
    const users = await Promise.all(['a', 'b', 'c'].map((name) => stores[0]!.add({ name })))
    const sums = new Map(users.map(({ id }) => [id, { up: 0, down: 0 }]))
    const end = performance.now() + 8_000
    const load = stores.map(async (_, index) => {
      while (performance.now() < end) {
        for (const [id, sum] of sums) {
          const [up, down] = [Math.floor(random() * 1_000), Math.floor(random() * 1_000)]
          stores[index]!.usage.add(id, up, down)
          sum.up += up
          sum.down += down
        }
        await stores[index]!.usage.flush()
        if (random() < 0.02) {
          const folder = folders[index]!
          await stores[index]!.close()
          stores[index] = await open(folder)
        }
        await sleep(random() * 60)
      }
    })
    const faults = async (): Promise<void> => {
      while (performance.now() < end) {
        await sleep(random() * 500)
        const fault = random()
        if (fault < 0.4) {
          redis.signal('SIGSTOP')
          await sleep(random() * 2_000)
          redis.signal('SIGCONT')
        } else if (fault < 0.6) {
          await redis.kill()
          await sleep(random() * 300)
          await redis.start()
        } else {
          await redis.command('CLIENT', 'KILL', 'TYPE', 'normal').catch(() => {})
        }
      }
    }
    await Promise.all([...load, faults()])
    const counted = ({ usage }: UserStore) => users.map(({ id }) => usage.of(id))
    const expected = users.map(({ id }) => sums.get(id)!)
    const reader = await open(makeFolder())
    // A connection that is being made anew is no trouble yet: what waits on disk meanwhile comes later.
    await until(async () => {
      for (const store of stores) await store.usage.flush()
      await reader.usage.refresh()
      return isDeepStrictEqual(counted(reader), expected)
    }).catch(() => {})
    for (const store of stores) await store.close()
    expect(counted(await open(makeFolder()))).toEqual(expected)
  },
)
