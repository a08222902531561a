// The built-in site over real TLS, with bytes read before it got the connection: Node's clients and curl.
import { execFile } from 'node:child_process'
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { connect as connectH2, constants } from 'node:http2'
import type { ClientHttp2Session, IncomingHttpHeaders as H2Headers } from 'node:http2'
import { Agent, request } from 'node:https'
import type { RequestOptions } from 'node:https'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { createSite, createTargets } from '../../src/fallback/built-in-site.ts'
import type { SiteTimeouts } from '../../src/fallback/built-in-site.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import type { Fallback } from '../../src/fallback/fallback.ts'
import { NOT_FOUND_PAGE, SITE_FILES } from '../../src/fallback/site-content.ts'
import { listenForFallback, readAll } from '../support/fallback-listener.ts'
import type { FallbackListener, HandoverOptions } from '../support/fallback-listener.ts'
import { requireCurlWithHttp2 } from '../support/programs.ts'

const run = promisify(execFile)
const curl = requireCurlWithHttp2()
const cleanup: (() => unknown)[] = []

afterEach(async () => {
  for (const stop of cleanup.splice(0).reverse()) await stop()
})

async function serve(
  handover: HandoverOptions = {},
  fallback: Fallback = createFallback(),
): Promise<FallbackListener & { fallback: Fallback }> {
  const listener = await listenForFallback(fallback, handover)
  cleanup.push(
    () => fallback.close(0),
    () => listener.stop(),
  )
  return { ...listener, fallback }
}

/** The site with other timeouts than an operator can have. */
function impatientSite(timeouts: Partial<SiteTimeouts>): Fallback {
  const targets = createTargets(createSite(), {
    headers: 60_000,
    request: 60_000,
    keepAlive: 60_000,
    idle: 60_000,
    checkInterval: 20,
    ...timeouts,
  })
  return {
    alpnProtocols: ['h2', 'http/1.1'],
    handle(connection) {
      connection.socket.on('error', () => {})
      const isH2 = connection.socket.alpnProtocol === 'h2'
      targets[isH2 ? 'h2' : 'http1'].take(connection)
    },
    close() {
      targets.http1.drain()
      targets.h2.drain()
      return Promise.resolve()
    },
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders & H2Headers
  readonly body: Buffer
}

async function askHttp1(
  { port, ca }: FallbackListener,
  path: string,
  options: RequestOptions & { body?: Uint8Array } = {},
): Promise<Answer> {
  const client = request({ host: '127.0.0.1', port, ca, path, agent: false, ...options })
  client.end(options.body)
  const [response] = (await once(client, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of response) chunks.push(chunk as Buffer)
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body: Buffer.concat(chunks),
  }
}

function openH2({ port, ca }: FallbackListener): ClientHttp2Session {
  const session = connectH2(`https://127.0.0.1:${port}`, { ca })
  session.on('error', () => {})
  cleanup.push(() => session.destroy())
  return session
}

async function askH2(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
  body?: Uint8Array,
): Promise<Answer> {
  const stream = session.request({ ':path': path, ...headers }, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const [answered] = (await once(stream, 'response')) as [H2Headers]
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return { status: Number(answered[':status']), headers: answered, body: Buffer.concat(chunks) }
}

/** Asks over either protocol. */
type Ask = (
  path: string,
  options?: { method?: string; headers?: Record<string, string>; body?: Uint8Array },
) => Promise<Answer>

/** A connection of its own for each. */
const PROTOCOLS: [string, (listener: FallbackListener) => Ask][] = [
  [
    'http/1.1',
    (listener) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 })
      cleanup.push(() => agent.destroy())
      return (path, options) => askHttp1(listener, path, { agent, ...options })
    },
  ],
  [
    'h2',
    (listener) => {
      const session = openH2(listener)
      return (path, { method = 'GET', headers, body } = {}) =>
        askH2(session, path, { ':method': method, ...headers }, body)
    },
  ],
]

describe.each(PROTOCOLS)('the built-in site over %s', (protocol, open) => {
  it(`D15: ${protocol}: every file of the site comes whole, with its type and length`, async () => {
    const ask = open(await serve())
    for (const [path, file] of SITE_FILES) {
      const answer = await ask(path)
      expect([path, answer.status]).toEqual([path, 200])
      expect(answer.headers['content-type']).toBe(file.type)
      expect(answer.headers['content-length']).toBe(String(file.body.length))
      expect(answer.body.equals(file.body)).toBe(true)
    }
  })

  it(`D15: ${protocol}: HEAD has the headers of GET and no body, for pages and for errors`, async () => {
    const ask = open(await serve())
    for (const path of ['/', '/nothing', '/style.css']) {
      const [get, head] = [await ask(path), await ask(path, { method: 'HEAD' })]
      expect(head.status).toBe(get.status)
      expect(head.body.length).toBe(0)
      expect({ ...head.headers, date: '' }).toEqual({ ...get.headers, date: '' })
    }
  })

  it(`D15: ${protocol}: an unknown path is 404 with a page, a query changes nothing`, async () => {
    const ask = open(await serve())
    const missing = await ask('/wp-login.php')
    expect(missing.status).toBe(404)
    expect(missing.body.equals(Buffer.from(NOT_FOUND_PAGE.body))).toBe(true)
    expect((await ask('/about.html?x=1')).status).toBe(200)
  })

  it(`D15: ${protocol}: other methods are 405 with Allow, and the connection goes on`, async () => {
    const ask = open(await serve())
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS']) {
      const answer = await ask('/', { method, body: Buffer.alloc(method === 'POST' ? 200_000 : 0) })
      expect([method, answer.status, answer.headers.allow]).toEqual([method, 405, 'GET, HEAD'])
    }
    expect((await ask('/')).status).toBe(200)
  })

  it(`D15: ${protocol}: what a client has already is 304, by ETag or by date`, async () => {
    const ask = open(await serve())
    const { headers } = await ask('/')
    const [etag, date] = [String(headers.etag), String(headers['last-modified'])]
    const statusWith = async (conditions: Record<string, string>) =>
      (await ask('/', { headers: conditions })).status
    expect(await statusWith({ 'if-none-match': etag })).toBe(304)
    expect(await statusWith({ 'if-none-match': `"x", W/${etag}` })).toBe(304)
    expect(await statusWith({ 'if-none-match': '*' })).toBe(304)
    expect(await statusWith({ 'if-modified-since': date })).toBe(304)
    expect(await statusWith({ 'if-none-match': '"x"', 'if-modified-since': date })).toBe(200)
    expect(await statusWith({ 'if-modified-since': 'Thu, 01 Jan 1970 00:00:00 GMT' })).toBe(200)
    expect(await statusWith({ 'if-modified-since': 'nonsense' })).toBe(200)
    const unchanged = await ask('/', { headers: { 'if-none-match': etag } })
    expect(unchanged.headers.etag).toBe(etag)
    expect(unchanged.body.length).toBe(0)
  })

  it(`D15: ${protocol}: no header names the server, security headers are there`, async () => {
    const ask = open(await serve())
    for (const path of ['/', '/nothing']) {
      const { headers } = await ask(path)
      expect(Object.keys(headers).sort()).not.toContain('server')
      expect(Object.keys(headers).filter((name) => name.startsWith('x-'))).toEqual([
        'x-content-type-options',
      ])
      expect(headers['content-security-policy']).toContain("default-src 'none'")
      expect(headers['referrer-policy']).toBe('no-referrer')
    }
  })

  it.each<[string, HandoverOptions]>([
    ['at once', {}],
    ['later', { delay: 20 }],
  ])(
    `D15: ${protocol}: a hundred connections, handed over %s, each with a body of 100 KB and a page`,
    async (_when, handover) => {
      const listener = await serve(handover)
      const statuses: number[] = []
      for (let round = 0; round < 10; round += 1) {
        const answers = Array.from({ length: 10 }, async () => {
          const ask = open(listener)
          const posted = await ask('/', { method: 'POST', body: Buffer.alloc(100_000) })
          return [posted.status, (await ask('/')).status]
        })
        statuses.push(...(await Promise.all(answers)).flat())
      }
      expect(statuses.filter((status) => status === 405).length).toBe(100)
      expect(statuses.filter((status) => status === 200).length).toBe(100)
    },
  )

  it(`D15: ${protocol}: close ends connections without a request under way at once`, async () => {
    const listener = await serve()
    await open(listener)('/')
    const start = performance.now()
    await listener.fallback.close(10_000)
    expect(performance.now() - start).toBeLessThan(5_000)
  })
})

describe('the built-in site: HTTP/1.1 connections', () => {
  it('D15: one connection serves many requests', async () => {
    const listener = await serve()
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    cleanup.push(() => agent.destroy())
    const handover = listener.handover()
    for (let count = 0; count < 5; count += 1) {
      const answer = await askHttp1(listener, '/', { agent, body: Buffer.alloc(0) })
      expect(answer.status).toBe(200)
    }
    await handover
    expect(Object.values(agent.freeSockets).flat().length).toBe(1)
  })

  it('D15: a request in two records is answered, whatever the first record was', async () => {
    const listener = await serve()
    const handover = listener.handover()
    const client = await listener.connect('http/1.1')
    client.write('G')
    await handover
    client.write('ET /robots.txt HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    const answer = (await readAll(client)).toString()
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(answer).toMatch(/\r\n\r\nUser-agent: \*\nAllow: \/\n$/)
  })

  it('D15: pipelined requests are answered in order', async () => {
    const listener = await serve()
    const client = await listener.connect('http/1.1')
    client.write(
      'GET /robots.txt HTTP/1.1\r\nHost: a\r\n\r\nGET /none HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    )
    const answer = (await readAll(client)).toString()
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404'])
  })

  it('D15: a client that ends behind its request is answered', async () => {
    const listener = await serve()
    const client = await listener.connect('http/1.1', { halfOpen: true })
    client.end('GET /robots.txt HTTP/1.0\r\n\r\n')
    expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  it.each([1, 34, 40, 20_000])('D15: %i bytes of garbage get 400 and the end', async (length) => {
    const listener = await serve()
    const client = await listener.connect('http/1.1')
    client.write(Buffer.alloc(length, 1))
    expect((await readAll(client)).toString()).toMatch(
      /^HTTP\/1\.1 400 Bad Request\r\nConnection: close\r\n\r\n$/,
    )
  })

  it('D15: a request without Host, and a target that is no path, are 400', async () => {
    const listener = await serve()
    for (const head of ['GET / HTTP/1.1', 'OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close']) {
      const client = await listener.connect('http/1.1')
      client.write(`${head}\r\n\r\n`)
      expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    }
  })

  it('D15: a whole URL as the target is its path', async () => {
    const listener = await serve()
    expect((await askHttp1(listener, 'https://example.org/about.html?a')).status).toBe(200)
    expect((await askHttp1(listener, 'http://example.org')).status).toBe(200)
    expect((await askHttp1(listener, 'ftp://example.org/')).status).toBe(400)
  })

  it('D15: headers of more than 16 KiB are 431', async () => {
    const listener = await serve()
    const answer = await askHttp1(listener, '/', { headers: { cookie: 'x'.repeat(20_000) } })
    expect(answer.status).toBe(431)
  })

  it('D16: a silent connection is closed once the headers are overdue', async () => {
    const listener = await serve({ silence: 20 }, impatientSite({ headers: 50 }))
    const client = await listener.connect('http/1.1')
    expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
  })

  it('D16: a connection that dribbles headers is closed once they are overdue', async () => {
    const listener = await serve({}, impatientSite({ headers: 100 }))
    const client = await listener.connect('http/1.1')
    client.write('GET / HTTP/1.1\r\nHost: a\r\n')
    const dribble = setInterval(() => client.write('x'), 10)
    expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\n/)
    clearInterval(dribble)
  })

  it('D16: a connection whose request body does not come is closed', async () => {
    const listener = await serve({}, impatientSite({ headers: 50, request: 100 }))
    const client = await listener.connect('http/1.1')
    client.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nx')
    expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 405 /)
  })

  it('D16: an idle connection between requests is closed', async () => {
    const listener = await serve({}, impatientSite({ keepAlive: 50 }))
    const client = await listener.connect('http/1.1')
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await readAll(client)).toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  it('D16: a client that ended without a byte gets the end', async () => {
    const listener = await serve({ silence: 50 })
    const client = await listener.connect('http/1.1', { halfOpen: true })
    client.end()
    expect((await readAll(client)).length).toBe(0)
  })

  it('D16: a client that ended before its unread bytes could be put back gets the end', async () => {
    const fallback = createFallback()
    const late: Fallback = {
      ...fallback,
      handle(connection) {
        // As an owner does who saw the end of a connection it was waiting for.
        connection.socket.resume().once('end', () => fallback.handle(connection))
      },
    }
    const listener = await serve({}, late)
    const client = await listener.connect('http/1.1', { halfOpen: true })
    client.end('GET / HTTP/1.1\r\n')
    expect((await readAll(client)).length).toBe(0)
  })
})

/** The preface and empty SETTINGS. */
const EMPTY_SESSION = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0'

function randomFrame(): Buffer {
  const payload = randomBytes(randomInt(40))
  const head = Buffer.alloc(9)
  head.writeUIntBE(payload.length, 0, 3)
  head.writeUInt8(randomInt(12), 3)
  head.writeUInt8(randomInt(256), 4)
  head.writeUInt32BE(randomInt(8), 5)
  return Buffer.concat([head, payload])
}

describe('the built-in site: h2 connections', () => {
  it('D15: a preface in two records is understood', async () => {
    const listener = await serve()
    const handover = listener.handover()
    const client = await listener.connect('h2')
    client.write('PRI * HTTP')
    await handover
    client.write('/2.0\r\n\r\nSM\r\n\r\n')
    client.write(Buffer.from('000000040000000000', 'hex'))
    const [first] = (await once(client, 'data')) as [Buffer]
    // A SETTINGS frame on stream 0.
    expect(first.subarray(3, 9).toString('hex')).toBe('040000000000')
    client.destroy()
  })

  it('D15: garbage instead of the preface gets GOAWAY and the end', async () => {
    const listener = await serve()
    const client = await listener.connect('h2')
    client.write(Buffer.alloc(40, 1))
    const answer = await readAll(client)
    expect(answer.includes(Buffer.from('070000000000', 'hex'))).toBe(true)
  })

  it('D15: headers of more than 16 KiB are refused, and the server lives on', async () => {
    const listener = await serve()
    const session = openH2(listener)
    // Until the client has the settings, Node's default of 64 KiB is the limit.
    await once(session, 'remoteSettings')
    const stream = session.request({ ':path': '/', cookie: 'x'.repeat(17_000) })
    await once(stream, 'error')
    expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM)
    expect((await askH2(openH2(listener), '/')).status).toBe(200)
  })

  it('D15: a client that ends its side ends the session', async () => {
    const listener = await serve()
    const client = await listener.connect('h2', { halfOpen: true })
    client.end(EMPTY_SESSION)
    await readAll(client)
  })

  it('D15: random frames behind the preface harm nobody', async () => {
    const listener = await serve()
    for (let round = 0; round < 40; round += 1) {
      const client = await listener.connect('h2')
      client.end(
        Buffer.concat([Buffer.from(EMPTY_SESSION), ...Array.from({ length: 5 }, randomFrame)]),
      )
      await readAll(client)
    }
    expect((await askH2(openH2(listener), '/')).status).toBe(200)
  })

  it('D16: a session without traffic is closed', async () => {
    const listener = await serve({}, impatientSite({ idle: 50 }))
    const session = openH2(listener)
    const closed = once(session, 'close')
    expect((await askH2(session, '/')).status).toBe(200)
    await closed
  })

  it('D16: a silent connection that agreed on h2 is closed', async () => {
    const listener = await serve({ silence: 20 }, impatientSite({ idle: 50 }))
    const client = await listener.connect('h2')
    await readAll(client)
  })

  it('close says goodbye to an h2 session', async () => {
    const listener = await serve()
    const session = openH2(listener)
    const goaway = once(session, 'goaway')
    await askH2(session, '/')
    await listener.fallback.close(10_000)
    const [code] = (await goaway) as [number]
    expect(code).toBe(constants.NGHTTP2_NO_ERROR)
  })
})

describe('the built-in site: curl', () => {
  it.skipIf(curl.isMissing).each(['--http1.1', '--http2'])(
    `D15: curl %s gets the page${curl.note}`,
    async (option) => {
      const listener = await serve()
      const url = `https://127.0.0.1:${listener.port}/`
      const format = '%{http_code} %{http_version} %{num_connects}\\n'
      const { stdout } = await run('curl', ['-sk', option, '-o', '/dev/null', '-w', format, url])
      expect(stdout).toBe(`200 ${option === '--http2' ? '2' : '1.1'} 1\n`)
      const page = await run('curl', ['-sk', option, url])
      expect(page.stdout).toBe(Buffer.from(SITE_FILES.get('/')!.body).toString())
    },
  )

  it.skipIf(curl.isMissing).each(['--http1.1', '--http2'])(
    `D15: curl %s reuses the connection after POST${curl.note}`,
    async (option) => {
      const listener = await serve()
      const url = `https://127.0.0.1:${listener.port}/`
      const format = '%{http_code} %{num_connects} '
      const { stdout } = await run('curl', [
        ...['-sk', option, '-d', 'a=b', '-w', format, '-o', '/dev/null', url],
        ...['--next', '-sk', option, '-w', format, '-o', '/dev/null', url],
      ])
      expect(stdout).toBe('405 1 200 0 ')
    },
  )

  it.skipIf(curl.isMissing)(`D15: curl -I gets the headers${curl.note}`, async () => {
    const listener = await serve()
    const { stdout } = await run('curl', ['-skI', `https://127.0.0.1:${listener.port}/style.css`])
    expect(stdout).toMatch(/^HTTP\/2 200 \r\ncontent-type: text\/css; charset=utf-8\r\n/)
  })
})

describe('the built-in site: its content', () => {
  const pages = [...SITE_FILES.values(), NOT_FOUND_PAGE].filter(({ type }) => /html/.test(type))
  const texts = pages.map(({ body }) => Buffer.from(body).toString())

  it('every link on a page leads to a file of the site', () => {
    for (const text of texts) {
      const links = [...text.matchAll(/(?:href|src)="([^"]*)"/g)].map(([, link]) => link ?? '')
      expect(links.length).toBeGreaterThan(3)
      for (const link of links) expect([link, SITE_FILES.has(link)]).toEqual([link, true])
    }
  })

  it('every element of a page is closed where it must be', () => {
    for (const text of texts) {
      const open: string[] = []
      for (const [, slash, name = ''] of text.matchAll(/<(\/?)([a-z][a-z\d]*)[^>]*>/g)) {
        if (['meta', 'link'].includes(name)) continue
        if (slash === '') open.push(name)
        else expect(open.pop()).toBe(name)
      }
      expect(open).toEqual([])
    }
  })

  it('nothing in it tells what the server is', () => {
    const all = [...SITE_FILES.values(), NOT_FOUND_PAGE].map(({ body }) =>
      Buffer.from(body).toString('latin1'),
    )
    expect(all.join('\n')).not.toMatch(/any.?tls|proxy|tunnel|padding scheme|node\.?js|fallback/i)
  })

  it('the page follows the light or dark of the visitor', () => {
    const style = Buffer.from(SITE_FILES.get('/style.css')!.body).toString()
    expect(style).toContain('color-scheme: light dark')
    expect(style).toContain('prefers-color-scheme: dark')
  })
})
