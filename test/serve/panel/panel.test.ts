// Users from a panel: what it says is done, what goes wrong with it harms nobody, and nothing is counted twice.
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Address } from '../../../src/codec/address.ts'
import { openUserStore } from '../../../src/serve/users/open-store.ts'
import { parsePanelPlace } from '../../../src/serve/panel/panel-place.ts'
import { readRoutes } from '../../../src/serve/panel/panel-routes.ts'
import { hashOf } from '../../../src/serve/users/user.ts'
import type { UserStore } from '../../../src/serve/users/store.ts'
import { makeFolder } from '../support.ts'
import { startPanel, TOKEN } from './panel.ts'
import type { Panel } from './panel.ts'

beforeEach(() => {
  vi.stubEnv('ANYTLS_PANEL_TOKEN', TOKEN)
  return () => vi.unstubAllEnvs()
})

interface Opened {
  readonly store: UserStore
  readonly warnings: string[]
  readonly reserved: Address[]
}

async function open(panel: Panel, folder = makeFolder(), more = ''): Promise<Opened> {
  const warnings: string[] = []
  const reserved: Address[] = []
  const store = await openUserStore(panel.place + more, {
    warn: (problem) => warnings.push(problem),
    folder,
    reserve(address) {
      reserved.push(address)
      return () => {}
    },
  })
  onTestFinished(() => store.close().catch(() => {}))
  return { store, warnings, reserved }
}

const namesOf = ({ users }: UserStore) => [...users].map(({ name }) => name)

describe('the place', () => {
  it('Issue 13.4: is refused with what is wrong, and the token is never repeated', () => {
    const cases: readonly (readonly [string, RegExp])[] = [
      [`uniproxy+https://p.example?node_id=1&token=${TOKEN}`, /ANYTLS_PANEL_TOKEN/],
      [`uniproxy+https://u:${TOKEN}@p.example?node_id=1`, /ANYTLS_PANEL_TOKEN/],
      ['uniproxy+http://p.example?node_id=1', /loopback/],
      ['uniproxy+https://p.example', /node_id/],
      ['uniproxy+https://p.example?node_id=1&x=1', /allow-private/],
      ['uniproxy+https://p.example?node_id=1&node_id=2', /twice/],
      ['uniproxy+https://', /no URL/],
    ]
    for (const [text, problem] of cases) {
      expect(() => parsePanelPlace(text)).toThrow(problem)
      expect(() => parsePanelPlace(text)).not.toThrow(TOKEN)
    }
    expect(
      parsePanelPlace('uniproxy+https://p.example/sub/?node_id=3&allow-private=1'),
    ).toMatchObject({
      shown: 'uniproxy+https://p.example/sub?node_id=3',
      node: '3',
      allowPrivate: true,
    })
  })
})

describe('a panel', () => {
  it('Issue 13.4: says who may log in, how fast, from how many devices; ETags spare what has not changed', async () => {
    const panel = await startPanel(
      { id: 1, uuid: 'one', speed_limit: 100, device_limit: 2 },
      { id: '2', uuid: 'two', speed_limit: null, device_limit: '0' },
    )
    panel.config['padding_scheme'] = ['stop=2', '0=100-200', '1=300-400']
    const { store, warnings, reserved } = await open(panel, makeFolder(), '&allow-private=1')
    expect(store.users.lookup(Buffer.from(hashOf('one'), 'hex'))).toMatchObject({
      id: '1',
      maxUp: 12_500_000,
      maxDown: 12_500_000,
      maxAddresses: 2,
      allowPrivate: true,
    })
    expect(store.users.get('2')).toMatchObject({ maxUp: undefined, maxAddresses: undefined })
    expect(store.node?.scheme?.text).toBe('stop=2\n0=100-200\n1=300-400')
    expect(store.node?.listen).toEqual({ host: '127.0.0.1', port: 1 })
    expect(reserved).toContainEqual({ host: '127.0.0.1', port: panel.port })
    expect(reserved).toContainEqual({ host: '0.0.0.0', port: panel.port })
    const told: string[] = []
    store.watch((changes) =>
      told.push(...changes.map(({ after, before }) => `${before?.name}>${after?.name}`)),
    )
    await vi.waitFor(
      () => expect(panel.asked.filter(({ status }) => status === 304).length).toBeGreaterThan(1),
      4_000,
    )
    panel.users = [panel.users[0]!, { id: 3, uuid: 'three' }]
    await vi.waitFor(() => expect(told.sort()).toEqual(['2>undefined', 'undefined>3']), 3_000)
    expect(store.trouble).toBeUndefined()
    expect(warnings).toEqual([])
    expect(panel.violations).toEqual([])
    expect(panel.load).toMatchObject({ mem: { total: expect.any(Number) as number } })
    await expect(store.add({ name: 'x' })).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
  })

  it('Issue 13.4: away, silent, nonsense, half an answer: who is known goes on, also after a restart; counts arrive once', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' }, { id: 2, uuid: 'two' })
    const folder = makeFolder()
    const first = await open(panel, folder)
    first.store.watch(() => {})
    for (const fault of ['away', 'nonsense', 'half', 'status 500', 'status 403'] as const) {
      panel.faults.set('*', fault)
      first.store.usage.add('1', 3, 7)
      await first.store.usage.flush()
      await first.store.refresh()
      expect(namesOf(first.store)).toEqual(['1', '2'])
      expect(first.store.trouble).toBeDefined()
    }
    panel.faults.clear()
    await vi.waitFor(() => expect(panel.used.get('1')).toEqual({ up: 15, down: 35 }), 4_000)
    await first.store.refresh()
    expect(first.store.trouble).toBeUndefined()
    expect(first.warnings.at(-1)).toContain('all is well')
    await panel.stop()
    first.store.usage.add('2', 1, 2)
    await first.store.close()
    const files = readdirSync(folder)
    for (const file of files) expect(statSync(join(folder, file)).mode & 0o777).toBe(0o600)
    const second = await open(panel, folder)
    expect(namesOf(second.store)).toEqual(['1', '2'])
    expect(second.store.trouble).toContain('cannot be reached')
    expect(second.store.usage.of('1')).toEqual({ up: 15, down: 35 })
    second.store.watch(() => {})
    await panel.start()
    await vi.waitFor(() => expect(panel.used.get('2')).toEqual({ up: 1, down: 2 }), 4_000)
    await sleep(1_200)
    expect(Object.fromEntries(panel.used)).toEqual({
      1: { up: 15, down: 35 },
      2: { up: 1, down: 2 },
    })
    expect(panel.violations).toEqual([])
    const said = [...first.warnings, ...second.warnings].join('\n')
    expect(said).not.toContain(TOKEN)
    expect(readdirSync(folder).filter((name) => name.includes('waiting'))).toEqual([])
  })

  it('Issue 13.4: a panel that is silent holds up a start for three seconds, if users are known', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    const folder = makeFolder()
    await (await open(panel, folder)).store.close()
    panel.faults.set('*', 'silent')
    const started = performance.now()
    const { store } = await open(panel, folder)
    expect(performance.now() - started).toBeLessThan(4_000)
    expect(namesOf(store)).toEqual(['1'])
    // Its requests end with it.
    await panel.stop()
  })

  it('Issue 13.4: a push whose answer is lost is not repeated, and its bytes are logged', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    const { store, warnings } = await open(panel)
    panel.faults.set('push', 'lost')
    store.usage.add('1', 1_001, 2_002)
    await store.usage.flush()
    store.watch(() => {})
    await vi.waitFor(() => expect(warnings.join('\n')).toContain('{"1":[1001,2002]}'), 3_000)
    panel.faults.clear()
    store.usage.add('1', 1, 1)
    await vi.waitFor(() => expect(panel.used.get('1')).toEqual({ up: 1_002, down: 2_003 }), 3_000)
  })

  it('Issue 13.4: a list that throws more than half of the users out is believed when it comes again', async () => {
    const users = [1, 2, 3, 4].map((id) => ({ id, uuid: `u${id}` }))
    const panel = await startPanel(...users)
    const { store, warnings } = await open(panel)
    panel.users = []
    await store.refresh()
    expect(namesOf(store)).toHaveLength(4)
    expect(store.trouble).toContain('4 of 4 users are missing')
    panel.users = users.slice(1)
    await store.refresh()
    expect(namesOf(store)).toEqual(['2', '3', '4'])
    expect(store.trouble).toBeUndefined()
    panel.users = []
    await store.refresh()
    await store.refresh()
    expect(namesOf(store)).toEqual([])
    expect(warnings.filter((line) => line.includes('missing'))).toHaveLength(2)
  })

  it('Issue 13.4: an entry that is none takes the whole list along, and so does another protocol', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    const { store } = await open(panel)
    panel.users = [
      { id: 1, uuid: 'one' },
      { id: 'x', uuid: 'y' },
    ]
    await store.refresh()
    expect(namesOf(store)).toEqual(['1'])
    expect(store.trouble).toContain('entry 2')
    panel.config['protocol'] = 'vmess'
    await store.refresh()
    expect(store.trouble).toBeDefined()
  })

  it('Issue 13.4: without users from before a panel that is away is one clear line, and so is a wrong token', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    panel.faults.set('*', 'status 403')
    await expect(open(panel)).rejects.toThrow(
      /^the panel 127.0.0.1:\d+: it refuses the token \(status 403\); no users/,
    )
    panel.faults.set('*', 'away')
    await expect(open(panel)).rejects.toMatchObject({ code: 'ERR_CONNECT_FAILED' })
  })

  it('Issue 13.4: who is online is told, idle or not; devices at other nodes count', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one', device_limit: 3 }, { id: 2, uuid: 'two' })
    panel.elsewhere = { 1: 2 }
    const { store } = await open(panel)
    const user = store.users.get('1')!
    store.watch(() => {})
    store.publishSessions(
      new Map([
        ['1', ['192.0.2.1', '192.0.2.1']],
        ['2', ['2001:db8::1']],
      ]),
    )
    await vi.waitFor(
      () => expect(panel.alive).toEqual({ 1: ['192.0.2.1'], 2: ['2001:db8::1'] }),
      3_000,
    )
    const { limiter } = store
    const enter = (id: string, remoteAddress: string) => limiter?.enter(user, { id, remoteAddress })
    await vi.waitFor(() => expect(panel.asked.at(-1)?.path).toBe('status'), 2_000)
    expect(enter('a', '192.0.2.1')).toBeUndefined()
    expect(enter('b', '192.0.2.2')).toMatchObject({ code: 'ERR_USER_LIMIT' })
    panel.elsewhere = { 1: 1 }
    await store.refresh()
    expect(enter('b', '192.0.2.2')).toBeUndefined()
    expect(panel.violations).toEqual([])
    expect(store.sessionsOf('1')).toBe(2)
    store.publishSessions(new Map())
    await vi.waitFor(() => expect(panel.alive).toEqual({}), 3_000)
  })

  it('Issue 13.4: older panels that know neither devices nor load are well, too', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    panel.faults.set('alivelist', 'status 404').set('status', 'status 404')
    const { store } = await open(panel)
    store.watch(() => {})
    await sleep(1_200)
    expect(store.trouble).toBeUndefined()
  })

  it('Issue 13.4: its routes block names and what is below, patterns, networks and transports', async () => {
    const panel = await startPanel({ id: 1, uuid: 'one' })
    panel.config['routes'] = [
      { id: 1, match: ['bad.example', '192.0.2.0/24', 'regexp:^ads\\d+\\.'], action: 'block' },
      { id: 2, match: 'worse.example,protocol:udp', action: 'block', action_value: null },
    ]
    const { store } = await open(panel)
    const blocks = (host: string, transport: 'tcp' | 'udp' = 'tcp') =>
      store.node?.blocks({ host, port: 443 }, transport)
    const blocked = [
      'bad.example',
      'A.bad.example.',
      '192.0.2.9',
      'ads12.good.example',
      'x.worse.example',
    ]
    expect(blocked.map((host) => blocks(host))).toEqual([true, true, true, true, true])
    expect(['notbad.example', '198.51.100.1'].map((host) => blocks(host))).toEqual([false, false])
    expect(blocks('good.example', 'udp')).toBe(true)
    const problems: string[] = []
    readRoutes(
      [
        { match: ['regexp:(a+)+$', 'regexp:(', 'protocol:quic', 'a b'], action: 'block' },
        { action: 'dns' },
        1,
      ],
      problems,
    )
    expect(problems).toHaveLength(6)
  })

  it('Issue 13.4: the token may stand in a file', async () => {
    vi.stubEnv('ANYTLS_PANEL_TOKEN', undefined)
    const panel = await startPanel({ id: 1, uuid: 'one' })
    await expect(open(panel)).rejects.toThrow(/needs a token/)
    const folder = makeFolder()
    const file = join(folder, 'token')
    const { writeFileSync } = await import('node:fs')
    writeFileSync(file, `${TOKEN}\n`)
    const { store } = await open(panel, folder, `&token-file=${encodeURIComponent(file)}`)
    expect(namesOf(store)).toEqual(['1'])
    expect(store.place).not.toContain(file)
    expect(panel.violations).toEqual([])
    for (const name of readdirSync(folder)) {
      if (name !== 'token') expect(readFileSync(join(folder, name), 'utf8')).not.toContain(TOKEN)
    }
  })
})
