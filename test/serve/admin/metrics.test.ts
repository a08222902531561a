// What Prometheus is told, as Prometheus' own tool reads it: from a server with users, odd names and traffic.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { expect, it } from 'vitest'
import { requireProgram } from '../../support/programs.ts'
import { tableOf } from '../support.ts'
import { startTestAdmin } from './support.ts'

const promtool = requireProgram('promtool')

/** What promtool finds wrong with metrics. */
async function check(metrics: string): Promise<readonly [code: number | null, problems: string]> {
  const child = spawn(promtool.path, ['check', 'metrics'], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.on('error', () => {}).end(metrics)
  const said = Promise.all([text(child.stdout), text(child.stderr)])
  const [code] = (await once(child, 'close')) as [number | null]
  return [code, (await said).join('')]
}

it.skipIf(promtool.isMissing)(
  `Issue 12.7: promtool finds nothing wrong with /metrics${promtool.note}`,
  async () => {
    const { ask, store, server } = await startTestAdmin()
    const names = ['a"b\\c', 'zoë', '<b>', '{user="x"} 1', '名前', "'; --", '#']
    for (const name of names) {
      const { id } = await store.add({ name })
      store.usage.add(id, 7, Number.MAX_SAFE_INTEGER - 7)
    }
    await store.add({ name: 'somebody', password: 'p' })
    const session = await server.connect({ password: 'p' })
    const stream = session.openStream()
    stream.write('hello')
    await once(stream, 'data')
    const metrics = (await ask('GET', '/metrics')).text
    expect(metrics).toContain('\nanytls_streams 1\n')
    expect(await check(metrics)).toEqual([0, ''])
    // It does find what is wrong.
    expect(await check(metrics.replace('# HELP anytls_streams', '# anytls_streams'))).not.toEqual([
      0,
      '',
    ])
    expect((await check(metrics.replace('\\"b', '"b')))[0]).not.toBe(0)
    stream.destroy()
    session.destroy()
  },
)

it('Issue 12: of 10,050 users with traffic 10,000 have series', async () => {
  const { ask, store } = await startTestAdmin()
  const users = Array.from({ length: 10_050 }, (_, index) => ({ id: `${index}`, name: `${index}` }))
  const known = await store.add({ name: 'known' })
  store.users.become(
    tableOf(
      users.map((user) => ({
        ...{ ...known, subscription: undefined },
        ...user,
        hash: known.hash.slice(5) + user.id.padStart(5, '0'),
      })),
    ),
  )
  for (const { id } of users) store.usage.add(id, 1, 0)
  const { text: metrics } = await ask('GET', '/metrics')
  expect(metrics.match(/^anytls_user_bytes_total\{.*direction="up"\} 1$/gm)).toHaveLength(10_000)
})
