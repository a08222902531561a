// The admin server: who may ask, what the API does, what Prometheus is told, and that its description is true.
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { startTestAdmin } from './support.ts'

const codeOf = ({ json }: { json: Record<string, unknown> }) =>
  (json['error'] as { code?: string } | undefined)?.code

describe('who may ask', () => {
  it('Issue 12.7: on loopback everybody; with a token nobody without it, but for /healthz', async () => {
    const open = await startTestAdmin()
    expect((await open.ask('GET', '/api/v1/server')).status).toBe(200)
    const closed = await startTestAdmin({ token: 'geheim' })
    for (const path of ['/api/v1/server', '/api/v1/users', '/metrics', '/api/v1/openapi.json']) {
      const answer = await closed.ask('GET', path)
      expect([answer.status, codeOf(answer)]).toEqual([401, 'ERR_REQUEST_TOKEN'])
      for (const token of ['geheiM', 'gehei', 'geheim2', '']) {
        expect(
          (await closed.ask('GET', path, undefined, { authorization: `Bearer ${token}` })).status,
        ).toBe(401)
      }
      expect(
        (await closed.ask('GET', path, undefined, { authorization: 'Bearer geheim' })).status,
      ).toBe(200)
    }
    expect((await closed.ask('GET', '/healthz')).text).toBe('ok\n')
    closed.admin.setToken('neu')
    expect(
      (await closed.ask('GET', '/metrics', undefined, { authorization: 'Bearer geheim' })).status,
    ).toBe(401)
  })

  it('Issue 12.7: a name that leads here is refused, an address and a known name are not', async () => {
    const { ask, port } = await startTestAdmin({ names: ['proxy.example'] })
    const status = async (host: string) =>
      (await ask('GET', '/api/v1/server', undefined, { host })).status
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      'localhost.evil.example',
      'a b',
      '127.0.0.1.evil.example',
    ]) {
      expect([host, await status(host)]).toEqual([host, 403])
    }
    for (const host of [
      'localhost',
      `127.0.0.1:${port}`,
      '[::1]:9',
      'LOCALHOST:1',
      'Proxy.example',
    ]) {
      expect([host, await status(host)]).toEqual([host, 200])
    }
  })

  it('Issue 12.7: other sites are refused, by Origin and by Sec-Fetch-Site', async () => {
    const { ask, port } = await startTestAdmin()
    const status = async (headers: Record<string, string>) =>
      (await ask('GET', '/api/v1/server', undefined, headers)).status
    const host = `127.0.0.1:${port}`
    for (const origin of [
      'http://evil.example',
      'null',
      'http://127.0.0.1:1',
      `http://${host}.evil.example`,
    ]) {
      expect(await status({ origin, host })).toBe(403)
    }
    for (const site of ['cross-site', 'same-site'])
      expect(await status({ 'sec-fetch-site': site })).toBe(403)
    expect(await status({ origin: `http://${host}`, host, 'sec-fetch-site': 'same-origin' })).toBe(
      200,
    )
  })
})

describe('the API', () => {
  it('Issue 12.7: users are added, changed, listed, linked, reset and removed', async () => {
    const { ask, store } = await startTestAdmin()
    const name = 'Zoë "x" <b>/é'
    const path = `/api/v1/users/${encodeURIComponent(name)}`
    const added = await ask('POST', '/api/v1/users', {
      name,
      quota: 5,
      quotaPeriod: 'month',
      expires: '2999-12-31',
      maxUp: 4000,
    })
    expect(added.status).toBe(201)
    expect(added.json).toMatchObject({
      name,
      state: 'active',
      quota: 5,
      quotaPeriod: 'month',
      maxUp: 4000,
      expires: '2999-12-31T23:59:59.999Z',
    })
    expect(added.text).not.toContain(store.users.get(name)?.password)
    expect(codeOf(await ask('POST', '/api/v1/users', { name }))).toBe('ERR_USER_EXISTS')
    store.usage.add(store.users.get(name)?.id ?? '', 4, 5)
    expect((await ask('GET', path)).json).toMatchObject({
      up: 4,
      down: 5,
      quotaUsed: 9,
      state: 'used up',
    })
    expect(
      (await ask('PATCH', path, { quotaPeriod: 'day', maxUp: null, note: 'n' })).json,
    ).toMatchObject({ quota: 5, quotaPeriod: 'day', maxUp: null, note: 'n' })
    expect((await ask('PATCH', path, { quota: null, enabled: false })).json).toMatchObject({
      quota: null,
      quotaPeriod: null,
      state: 'disabled',
    })
    const before = store.users.get(name)?.hash
    await ask('PATCH', path, { newPassword: true })
    expect(store.users.get(name)?.hash).not.toBe(before)
    const { uri, singBox, mihomo, subscription } = (await ask('GET', `${path}/link`)).json
    expect(uri).toMatch(/^anytls:\/\/[\w-]{22}@proxy\.example:443\//)
    expect(JSON.parse(String(singBox))).toMatchObject({ server: 'proxy.example', tag: name })
    expect(mihomo).toContain('type: "anytls"')
    expect(subscription).toBe(
      `https://proxy.example/${store.users.get(name)?.subscription ?? 'none'}`,
    )
    const renewed = (await ask('POST', `${path}/renew`)).json
    expect(renewed).toMatchObject({ uri, singBox, mihomo })
    expect(renewed['subscription']).toMatch(/^https:\/\/proxy\.example\/[\w-]{22}$/)
    expect(renewed['subscription']).not.toBe(subscription)
    expect((await ask('GET', '/api/v1/usage')).json['days']).toMatchObject([{ up: 4, down: 5 }])
    expect((await ask('POST', `${path}/reset`)).json).toMatchObject({ up: 0, down: 0 })
    await ask('POST', '/api/v1/users', { name: 'bob', hashOnly: true })
    expect((await ask('GET', '/api/v1/users/bob/link')).json).toEqual({
      uri: null,
      singBox: null,
      mihomo: null,
      subscription: null,
    })
    expect(codeOf(await ask('POST', '/api/v1/users/bob/renew'))).toBe('ERR_OPTION_INVALID')
    expect((await ask('GET', '/api/v1/users?search=ZO%C3%AB')).json).toMatchObject({
      total: 1,
      users: [{ name }],
    })
    expect((await ask('GET', '/api/v1/users?limit=1&offset=1')).json).toMatchObject({
      total: 2,
      users: [{ name: 'bob' }],
    })
    expect((await ask('DELETE', path)).json).toEqual({ removed: name })
    expect(codeOf(await ask('GET', path))).toBe('ERR_USER_UNKNOWN')
  })

  it('Issue 12.7: sessions are listed with who and how much, and ended; others go on', async () => {
    const { ask, store, server } = await startTestAdmin()
    await store.add({ name: 'alice', password: 'a' })
    const [one, other] = [
      await server.connect({ password: 'a' }),
      await server.connect({ password: 'a' }),
    ]
    for (const session of [one, other]) {
      const stream = session.openStream()
      stream.write('hello')
      stream.on('error', () => {})
      await once(stream, 'data')
    }
    const { total, sessions } = (await ask('GET', '/api/v1/sessions')).json as {
      total: number
      sessions: { id: string }[]
    }
    expect(total).toBe(2)
    expect(sessions[0]).toMatchObject({
      user: 'alice',
      wire: 'v1',
      streams: 1,
      remoteAddress: '127.0.0.1',
      up: 0,
      down: 0,
    })
    expect((await ask('GET', '/api/v1/server')).json).toMatchObject({
      users: 1,
      sessions: 2,
      streams: 2,
    })
    expect((await ask('GET', '/metrics')).text).toContain('\nanytls_sessions 2\n')
    const over = once(one, 'close')
    expect((await ask('DELETE', `/api/v1/sessions/${sessions[0]?.id ?? ''}`)).status).toBe(200)
    await over
    expect(other.closed).toBe(false)
    expect(codeOf(await ask('DELETE', '/api/v1/sessions/none'))).toBe('ERR_REQUEST_PATH')
  })

  it('bad input: whatever is asked, the answer is JSON with a code, and nothing is left of it', async () => {
    const { ask, store, failures } = await startTestAdmin()
    const users = '/api/v1/users'
    const cases: readonly (readonly [string, string, unknown, number, Record<string, string>?])[] =
      [
        ['POST', users, '{', 400],
        ['POST', users, '[]', 400],
        ['POST', users, { name: '' }, 400],
        ['POST', users, { name: '..' }, 400],
        ['POST', users, { name: 'a\nb' }, 400],
        ['POST', users, { name: 'a', quota: '1e99GB' }, 400],
        ['POST', users, { name: 'a', quota: 1e99 }, 400],
        ['POST', users, { name: 'a', quota: 1.5 }, 400],
        ['POST', users, { name: 'a', expires: '2030-02-31' }, 400],
        ['POST', users, { name: 'a', expires: '9999-12-31T23:59:59-12:00' }, 400],
        ['POST', users, { name: 'a', admin: true }, 400],
        ['POST', users, '{"name":"a","__proto__":{}}', 400],
        ['POST', users, { note: 'a' }, 400],
        ['POST', users, { name: 'a', note: 'x'.repeat(70_000) }, 413],
        ['POST', users, { name: 'a' }, 415, { 'content-type': 'text/plain' }],
        ['GET', `${users}/%ff`, undefined, 400],
        ['GET', `${users}?limit=0`, undefined, 400],
        ['GET', `${users}?limit=1&limit=2`, undefined, 400],
        ['GET', `${users}/nobody`, undefined, 404],
        ['GET', '/api/v2', undefined, 404],
        ['GET', '//', undefined, 404],
        ['PUT', users, {}, 405],
        ['GET', users, undefined, 431, { x: 'y'.repeat(20_000) }],
      ]
    for (const [method, path, body, status, headers] of cases) {
      const answer = await ask(method, path, body, headers)
      expect([path, body, answer.status]).toEqual([path, body, status])
      expect(codeOf(answer)).toMatch(/^ERR_/)
    }
    expect((await ask('PUT', users, {})).headers['allow']).toBe('GET, POST, HEAD')
    expect([store.users.size, failures]).toEqual([0, []])
  })
})

it('Issue 12: metrics have the names that scripts know, and series for users with traffic alone', async () => {
  const { ask, store, server } = await startTestAdmin()
  const odd = await store.add({ name: 'a"b\\c' })
  await store.add({ name: 'idle' })
  store.usage.add(odd.id, 7, 8)
  await server.connect({ password: 'nobody' }).then(
    (session) => once(session, 'close'),
    () => {},
  )
  const { text, headers } = await ask('GET', '/metrics')
  expect(headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8')
  const series = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
  expect(series).toEqual([
    expect.stringMatching(/^anytls_build_info\{version="[\d.]+",node="[\d.]+"\} 1$/),
    'anytls_sessions 0',
    'anytls_streams 0',
    'anytls_fallback_total{cause="auth-failed"} 1',
    'anytls_fallback_total{cause="auth-timeout"} 0',
    'anytls_fallback_total{cause="violation"} 0',
    String.raw`anytls_user_bytes_total{user="a\"b\\c",direction="up"} 7`,
    String.raw`anytls_user_bytes_total{user="a\"b\\c",direction="down"} 8`,
  ])
})
