// The primary process of a server with workers: counts, limits and quotas over all of them, with workers that are played.
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import { HeadOffice } from '../../../src/serve/workers/head-office.ts'
import type { Desk } from '../../../src/serve/workers/head-office.ts'
import type { UserBytes } from '../../../src/serve/workers/messages.ts'
import type { NewUser } from '../../../src/serve/users/user.ts'
import { openStore } from '../support.ts'

type Told = Parameters<Desk['send']>[0]

async function startOffice(...users: readonly NewUser[]) {
  const { store } = await openStore()
  for (const user of users) await store.add(user)
  const office = new HeadOffice({ store, warn: () => {} })
  onTestFinished(() => office.close())
  const join = () => {
    const told: Told[] = []
    const desk: Desk = { send: (message) => told.push(message) }
    const start = office.join(desk)
    const report = (...counts: readonly UserBytes[]): void =>
      office.receive(desk, { type: 'report', counts, taken: [], fallbacks: { violation: 1 } })
    const enter = async (user: string, session: string, remoteAddress = '192.0.2.1') => {
      office.receive(desk, { type: 'enter', user, session, remoteAddress })
      await Promise.resolve()
      const verdict = told.findLast(
        (message) => message.type === 'verdict' && message.session === session,
      )
      return verdict?.type === 'verdict' ? verdict.refusal?.code : 'no word'
    }
    return { desk, told, start, report, enter, leave: () => office.leave(desk) }
  }
  return { store, office, join }
}

describe('Issue 13.1: the primary process', () => {
  it('counts what workers report, once, whoever of them dies', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            worker: fc.nat(2),
            up: fc.nat(1e6),
            down: fc.nat(1e6),
            dies: fc.boolean(),
          }),
          { maxLength: 30 },
        ),
        async (reports) => {
          const { store, office, join } = await startOffice({ name: 'a' })
          const { id } = store.users.get('a')!
          const workers = [join(), join(), join()]
          const sum = { up: 0, down: 0 }
          for (const { worker, up, down, dies } of reports) {
            workers[worker]!.report([id, up, down])
            sum.up += up
            sum.down += down
            if (!dies) continue
            workers[worker]!.leave()
            workers[worker] = join()
          }
          await store.usage.flush()
          await store.usage.refresh()
          expect(store.usage.of(id)).toEqual(sum)
          for (const worker of workers) worker.leave()
          expect(await office.state()).toMatchObject({
            carried: sum,
            sessions: 0,
            fallbacks: { violation: reports.length },
          })
        },
      ),
      { numRuns: 15 },
    )
  })

  it('keeps limits over all workers; those of a worker that died are free', async () => {
    const { join } = await startOffice(
      { name: 'two', maxSessions: 2 },
      { name: 'home', maxAddresses: 1 },
    )
    const [one, other] = [join(), join()]
    expect(await one.enter('two', 's1')).toBeUndefined()
    expect(await other.enter('two', 's2')).toBeUndefined()
    expect(await other.enter('two', 's3')).toBe('ERR_USER_LIMIT')
    one.leave()
    expect(await other.enter('two', 's4')).toBeUndefined()
    expect(await other.enter('home', 's5', '192.0.2.1')).toBeUndefined()
    expect(await join().enter('home', 's6', '192.0.2.2')).toBe('ERR_USER_LIMIT')
  })

  it('tells every worker of a quota that is used up, at once, and when it is not any more', async () => {
    const { store, join } = await startOffice({ name: 'a', quota: { bytes: 100, per: 'day' } })
    const { id } = store.users.get('a')!
    const [one, other] = [join(), join()]
    one.report([id, 60, 0])
    other.report([id, 0, 40])
    for (const { told } of [one, other]) {
      expect(told).toContainEqual({ type: 'used', used: [[id, 60, 40]] })
    }
    expect(await one.enter('a', 's1')).toBe('ERR_USER_QUOTA')
    expect(join().start?.used).toEqual([[id, 60, 40]])
    await store.usage.flush()
    await store.usage.reset(id)
    await expect.poll(() => other.told).toContainEqual({ type: 'used', used: [[id, 0, 0]] })
    expect(await one.enter('a', 's2')).toBeUndefined()
  })

  it('waits for a worker that says nothing no longer than 2 s', async () => {
    const { office, join } = await startOffice()
    const [silent, well] = [join(), join()]
    const asked = office.state()
    const [question] = well.told.filter((message) => message.type === 'ask')
    const state = { sessions: 3, streams: 5, memory: 0 }
    office.receive(well.desk, { type: 'answer', number: question!.number, state })
    expect(await asked).toMatchObject({ sessions: 3, streams: 5 })
    expect(silent.told).toHaveLength(1)
    // Late words are of nobody's interest.
    office.receive(silent.desk, { type: 'answer', number: 1, state })
  })
})
