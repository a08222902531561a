// Subscriptions on a server's own port: who knows a path gets an answer in every form, everybody else the site.
import { once } from 'node:events'
import { connect as connectH2 } from 'node:http2'
import type { IncomingHttpHeaders, IncomingHttpStatusHeader } from 'node:http2'
import type { IncomingMessage } from 'node:http'
import { request } from 'node:https'
import { text as textOf } from 'node:stream/consumers'
import { parseHTML } from 'linkedom'
import { describe, expect, it, vi } from 'vitest'
import { parse as parseYaml } from 'yaml'
import { createFallback } from '../../src/fallback/fallback.ts'
import type { FallbackOptions } from '../../src/fallback/fallback.ts'
import { parseShareLink } from '../../src/serve/share-link.ts'
import { Subscriptions } from '../../src/serve/subscriptions/subscriptions.ts'
import type { User } from '../../src/serve/users/user.ts'
import { firstH2Bytes } from '../support/first-h2-bytes.ts'
import { startTcpServer, testCertificate } from '../support/server.ts'
import { slowestToQuickest } from '../support/timing.ts'
import { openStore, startUsersServer } from './support.ts'
import type { UsersServer } from './support.ts'

const ENDPOINT = { host: 'proxy.example', port: 443, sni: undefined, pin: undefined }

const ODD_NAMES = [
  'DIRECT',
  'Proxy',
  'null',
  "o'neil & <b>",
  'a"b\\c',
  'yes: no # {x}',
  '- [*&!|>%@`',
  'зоя 柳',
  '👩‍👩‍👧',
  '@../%2e?#',
]

/** What is asked of a parsed page; the types of browsers are not loaded in this package. */
interface Page {
  readonly textContent: string
  querySelector(selector: string): Page | null
  querySelectorAll(selector: string): Iterable<Page>
}

function parsePage(page: string): Page {
  const parsed: unknown = parseHTML(page)
  return (parsed as { document: Page }).document
}

const BROWSER = { 'user-agent': 'Mozilla/5.0 (X11) Firefox/140.0', accept: 'text/html,*/*;q=0.8' }

async function startSubscribed(options: FallbackOptions = {}) {
  const { store, file } = await openStore()
  const { cert } = await testCertificate()
  const pages = new Subscriptions({
    ...{ store, endpoint: () => ENDPOINT, certificate: () => cert },
    count: () => {},
  })
  const fallback = createFallback({ ...options, privatePages: pages })
  const server = await startUsersServer(store, { fallback })
  return { store, file, pages, server, fallback }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

type Protocol = 'http/1.1' | 'h2'

async function ask(
  server: UsersServer,
  protocol: Protocol,
  path: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { method = 'GET', ...rest } = headers
  const socket = await server.connectRaw({ ALPNProtocols: [protocol] })
  if (protocol === 'http/1.1') {
    const asked = request({ createConnection: () => socket, path, method, headers: rest }).end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    const { statusCode: status = 0, headers: got } = response
    return { status, headers: got, body: await textOf(response) }
  }
  const session = connectH2('https://localhost', { createConnection: () => socket })
  const stream = session.request({ ':path': path, ':method': method, ...rest })
  type Head = IncomingHttpHeaders & IncomingHttpStatusHeader
  const [got] = (await once(stream, 'response')) as [Head]
  const body = await textOf(stream)
  session.close()
  return { status: Number(got[':status']), headers: got, body }
}

const pathOf = ({ subscription = '' }: User) => `/${subscription}`

/** The first characters of it, which no more text changes. */
const base64Of = (text: string) =>
  Buffer.from(text).toString('base64').replace(/=.*/, '').slice(0, -1)

/** What comes near to a path without being it. */
const nearMisses = (path: string) => [
  path.slice(0, -1),
  `${path}a`,
  `${path}/`,
  `/${path}`,
  path.slice(0, -1) + (path.endsWith('A') ? 'B' : 'A'),
  path.toLowerCase() === path ? path.toUpperCase() : path.toLowerCase(),
  `${path}${'a'.repeat(60)}`,
  '/?format=clash',
]

describe('subscriptions', () => {
  it.each(['http/1.1', 'h2'] as const)(
    'Issue 12.8: over %s anybody else gets the answer of the site, to the byte',
    async (protocol) => {
      const { store, server } = await startSubscribed()
      const user = await store.add({ name: 'anna' })
      const plain = await startUsersServer((await openStore()).store)
      const refused = await store.add({ name: 'off', enabled: false })
      const late = await store.add({ name: 'late', expires: Date.now() - 1 })
      for (const path of [...nearMisses(pathOf(user)), pathOf(refused), pathOf(late)]) {
        const [answer, expected] = await Promise.all([
          ask(server, protocol, path, BROWSER),
          ask(plain, protocol, path, BROWSER),
        ])
        for (const { headers } of [answer, expected]) {
          delete headers.date
          delete headers['last-modified']
        }
        expect(answer, path).toEqual(expected)
      }
      expect((await ask(server, protocol, pathOf(user))).status).toBe(200)
    },
  )

  it('Issue 12.8: an endpoint gets what came for it, to the byte, and nothing of what is asked of a subscription', async () => {
    const got: Buffer[] = []
    const port = await startTcpServer((socket) => {
      socket.once('data', (data) => {
        got.push(data)
        socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
      })
    })
    const http1 = { host: '127.0.0.1', port }
    const { store, server } = await startSubscribed({ http1, h2: http1 })
    const path = pathOf(await store.add({ name: 'anna' }))
    const send = async (protocol: Protocol, ...records: Uint8Array[]) => {
      const socket = await server.connectRaw({ ALPNProtocols: [protocol] })
      for (const record of records) await new Promise((done) => socket.write(record, done))
      return textOf(socket)
    }
    const http1Request = (target: string) =>
      Buffer.from(`GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`)

    const answer = await send('http/1.1', http1Request(path))
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*Connection: close\r\n/)
    expect((await ask(server, 'http/1.1', path)).status).toBe(200)
    expect(await send('h2', await firstH2Bytes({ ':path': path }))).toContain(base64Of('anytls://'))
    expect(got).toEqual([])
    // In pieces it is nobody's.
    const [whole, h2Whole] = [http1Request(path), await firstH2Bytes({ ':path': path })]
    const strangers: [Protocol, ...Uint8Array[]][] = [
      ['http/1.1', whole.subarray(0, 20), whole.subarray(20)],
      ['h2', h2Whole.subarray(0, 24), h2Whole.subarray(24)],
      ...nearMisses(path).map((near): [Protocol, Uint8Array] => ['http/1.1', http1Request(near)]),
      ['h2', await firstH2Bytes({ ':path': `${path}a` })],
    ]
    for (const [protocol, ...records] of strangers) {
      expect(await send(protocol, ...records)).toMatch(/^HTTP\/1\.1 204/)
      const bytes = Buffer.concat(records)
      const last = got.pop() ?? Buffer.alloc(0)
      expect(last.equals(bytes.subarray(0, last.length)) && last.length > 0).toBe(true)
    }
  })

  it('Issue 12.8: whoever renews a path ends the one before within 2 s', async () => {
    const { store, file, server } = await startSubscribed()
    const before = pathOf(await store.add({ name: 'anna' }))
    const other = await openStore(file)
    const path = 'x'.repeat(22)
    await other.store.update('anna', { subscription: path })
    const statuses = () =>
      Promise.all([before, `/${path}`].map(async (one) => (await ask(server, 'h2', one)).status))
    await vi.waitFor(async () => expect(await statuses()).toEqual([404, 200]), 2_000)
    await other.store.update('anna', { enabled: false })
    await vi.waitFor(async () => expect(await statuses()).toEqual([404, 404]), 2_000)
  })

  it.each(ODD_NAMES)('Issue 12.8: what each app gets can be read, for %j', async (name) => {
    const { store, server } = await startSubscribed()
    const user = await store.add({ name })
    const path = pathOf(user)
    const get = (format: string) => ask(server, 'http/1.1', `${path}?a=b&format=${format}`, BROWSER)
    const title = `${name}@proxy.example`

    const { body: list } = await get('base64')
    const link = Buffer.from(list, 'base64').toString().trim()
    expect(parseShareLink(link)).toEqual({
      ...{ host: 'proxy.example', port: 443, password: user.password, insecure: false },
      name: title,
    })

    const clash: unknown = parseYaml((await get('clash')).body, { strict: true, uniqueKeys: true })
    expect(clash).toEqual({
      'mixed-port': 7890,
      mode: 'rule',
      proxies: [
        {
          name: title,
          type: 'anytls',
          server: 'proxy.example',
          port: 443,
          udp: true,
          password: user.password,
        },
      ],
      'proxy-groups': [{ name: 'Proxy', type: 'select', proxies: [title, 'DIRECT'] }],
      rules: ['MATCH,Proxy'],
    })

    const singBox = JSON.parse((await get('sing-box')).body) as {
      outbounds: object[]
      route: { final: string }
    }
    expect(singBox.outbounds[0]).toEqual({
      ...{ type: 'anytls', tag: title, server: 'proxy.example', server_port: 443 },
      ...{ password: user.password, tls: { enabled: true } },
    })
    expect(singBox.route.final).toBe(title)

    const { body: page } = await get('html')
    const document = parsePage(page)
    expect(document.querySelector('h1')?.textContent).toBe(name)
    expect([...document.querySelectorAll('code')].map(({ textContent }) => textContent)).toEqual([
      link,
      `https://proxy.example${path}`,
    ])
    expect([...document.querySelectorAll('svg')]).toHaveLength(2)
    expect([...document.querySelectorAll('b, script, img, [onclick]')]).toHaveLength(0)
  })

  it.each([
    ['clash-verge/v2.4.2', 'text/yaml'],
    ['FlClash/v0.8.90 clash-verge', 'text/yaml'],
    ['mihomo/1.19.0', 'text/yaml'],
    ['NekoBox/Android/1.4.1 (Prefer ClashMeta Format)', 'text/yaml'],
    ['SFA/1.13.2 (597; sing-box 1.13.2; language en_US)', 'application/json'],
    ['sing-box 1.13.2', 'application/json'],
    ['v2rayN/7.14', 'text/plain'],
    ['Shadowrocket/2678 CFNetwork/1568.100.1', 'text/plain'],
    ['Go-http-client/2.0', 'text/plain'],
    [BROWSER['user-agent'], 'text/html'],
  ])('Issue 12.8: %s gets what it can read', async (program, type) => {
    const { store, pages } = await startSubscribed()
    const target = pathOf(await store.add({ name: 'anna' }))
    const headers = { 'user-agent': program, accept: BROWSER.accept }
    for (const format of ['', '?format=', '?format=__proto__', '?format=x#?format=html']) {
      const answer = pages.answer({ method: 'GET', target: target + format, headers })
      expect(answer.headers['Content-Type']).toMatch(new RegExp(`^${type}`))
    }
  })

  it('Issue 12.8: says what is used of the period and left, and that nobody on the way is to keep it; HEAD has no body', async () => {
    const { store, server } = await startSubscribed()
    const expires = Date.UTC(2099, 0, 1)
    const user = await store.add({
      ...{ name: 'anna', quota: { bytes: 5e9, per: 'month' }, expires },
    })
    store.usage.add(user.id, 1_000_000_000, 2_500_000_000)
    for (const protocol of ['http/1.1', 'h2'] as const) {
      const { headers, body } = await ask(server, protocol, pathOf(user), BROWSER)
      expect(headers).toMatchObject({
        'subscription-userinfo': `upload=1000000000; download=2500000000; total=5000000000; expire=${expires / 1_000}`,
        'cache-control': 'no-store',
        'referrer-policy': 'no-referrer',
        'profile-update-interval': '12',
      })
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; style-src 'sha256-/)
      expect(body).toContain('Left: 1.5GB of 5GB/month')
      const head = await ask(server, protocol, pathOf(user), { ...BROWSER, method: 'HEAD' })
      delete head.headers.date
      delete headers.date
      expect(head).toEqual({ status: 200, headers, body: '' })
    }
    expect((await ask(server, 'h2', pathOf(user), { method: 'POST' })).status).toBe(405)
    const free = await store.add({ name: 'free' })
    expect((await ask(server, 'h2', pathOf(free))).headers['subscription-userinfo']).toBe(
      'upload=0; download=0; total=0; expire=0',
    )
  })

  it('D55: to miss a path takes as long however much of it is right', async () => {
    const { store, pages } = await startSubscribed()
    const path = pathOf(await store.add({ name: 'anna' }))
    const near = path.slice(0, -1) + (path.endsWith('A') ? 'B' : 'A')
    const far = `/${'~'.repeat(22)}`
    const misses = { near: () => pages.has(near), far: () => pages.has(far) }
    expect(slowestToQuickest(misses, 1.3)).toBeLessThan(1.3)
  })
})
