// Requests as programs in the wild write them to a forward proxy, by raw sockets and curl, through both of ours.

import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, it } from 'vitest'
import { closedPort, connectTo, curl, readAll, readExactly, sha256 } from '../../proxy/support.ts'
import { curlProgram, describeRequest, serveHttp, until } from '../support.ts'
import type { ClientProgram } from '../support.ts'
import { get, readUntil, serveAnswer, startPrograms, url } from './programs.ts'
import type { Ask } from './programs.ts'

let client: ClientProgram
let ask: Ask

beforeAll(async () => {
  ;({ client, ask } = await startPrograms())
})

describe('requests as programs write them', () => {
  let origin: number

  beforeAll(async () => {
    origin = (await serveHttp(describeRequest)).port
  })

  it.for([
    ['of HTTP/1.0, without a header', 'HTTP/1.0', ''],
    ['without Host', 'HTTP/1.1', ''],
    ['with a length, which means nothing there', 'HTTP/1.1', 'Host: x\r\nContent-Length: 0\r\n'],
    ['that asks to be kept', 'HTTP/1.1', 'Host: x\r\nProxy-Connection: keep-alive\r\n'],
  ])('CONNECT %s', async ([, version, headers]) => {
    const connect = `CONNECT 127.0.0.1:${origin} ${version}\r\n${headers}\r\n`
    expect(await ask(`${connect}${get('/a')}`)).toMatch(
      /^HTTP\/1\.1 200 Connection Established\r\n\r\nHTTP\/1\.1 200 OK\r\n[^]*GET x \/a 0 /,
    )
  })

  it('CONNECT without a port is 400 (RFC 9110 section 9.3.6)', async () => {
    const connect = (authority: string) => `CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`
    for (const authority of ['localhost', 'localhost:', 'localhost:x', 'localhost:65536']) {
      expect(await ask(connect(authority)), authority).toMatch(/^HTTP\/1\.1 400 /)
    }
  })

  it.for([
    ['GET', '/', 'abc', 'Content-Length: 3', 'abc'],
    ['DELETE', '/', 'abc', 'Transfer-Encoding: chunked', '3\r\nabc\r\n0\r\n\r\n'],
    ['PROPFIND', '/', '', 'Depth: 1', ''],
    ['M-SEARCH', '/a', '', 'X: 1', ''],
  ])('%s %s with %j for a body', async ([method = '', path = '', body = '', header = '', sent]) => {
    const head = get(url(origin, path), header).replace('GET', method)
    expect(await ask(`${head}${sent}`)).toContain(
      `${method} 127.0.0.1:${origin} ${path} ${body.length} ${sha256(Buffer.from(body))}\n`,
    )
  })

  it('an empty line first, another case', async () => {
    for (const request of [`\r\n${get(url(origin))}`, get(`HTTP://LOCALHOST:${origin}/`)]) {
      expect(await ask(request), request).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    }
  })

  it('IPv4 written as IPv6 is IPv4, for CONNECT and in a URL', async () => {
    const before = client.program.stderr().length
    const port = await closedPort()
    await ask(`CONNECT [::ffff:127.0.0.1]:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await ask(get(`http://[::ffff:127.0.0.1]:${port}/`))
    const lines = () =>
      client.program.stderr().slice(before).split(`"127.0.0.1:${port}"`).length - 1
    await until(() => lines() === 2, 'both are told of')
  })

  it('two Host headers are 400 (RFC 9112 section 3.2), an empty one is none of our business', async () => {
    expect(await ask(get(url(origin), 'Host: y'))).toMatch(/^HTTP\/1\.1 400 /)
    expect(await ask(get(url(origin)).replace('Host: x', 'Host:'))).toMatch(/^HTTP\/1\.1 200 /)
  })

  it.for([
    ['lines that end in LF alone', (port: number) => `GET ${url(port)} HTTP/1.1\nHost: x\n\n`],
    ['a space before a colon', (port: number) => get(url(port), 'X-A : 1')],
    ['two lengths', (port: number) => get(url(port), 'Content-Length: 1', 'Content-Length: 1')],
    [
      'a length beside chunks',
      (port: number) => get(url(port), 'Content-Length: 1', 'Transfer-Encoding: chunked'),
    ],
    [
      'chunks that are not the last coding',
      (port: number) => get(url(port), 'Transfer-Encoding: chunked, gzip'),
    ],
    ['control characters in a value', (port: number) => get(url(port), 'X-A: a\x01b')],
    ['a version that is none', (port: number) => get(url(port)).replace('1.1', '9.9')],
  ] as const)('%s: 400, for programs are held to the standard', async ([, request]) => {
    expect(await ask(request(origin))).toMatch(/^HTTP\/1\.1 400 /)
  })

  it('Max-Forwards of OPTIONS and TRACE is counted down, and 0 goes no further (RFC 9110 section 7.6.2)', async () => {
    const received: string[] = []
    const port = await serveAnswer('HTTP/1.1 204 Fine\r\n\r\n', received)
    const forwards = (method: string, count: number) =>
      ask(get(url(port), `X-A: max-forwards\r\nMax-Forwards: ${count}`).replace('GET', method))
    for (const method of ['OPTIONS', 'TRACE', 'GET']) {
      expect(await forwards(method, 5)).toMatch(/^HTTP\/1\.1 204 /)
    }
    const passed = received.map((text) => /^Max-Forwards: (\d+)\r$/m.exec(text)?.[1])
    expect(passed).toEqual(['4', '4', '5'])
    for (const text of received) expect(text).toContain('\r\nX-A: max-forwards\r\n')
    expect(await forwards('OPTIONS', 0)).toMatch(/^HTTP\/1\.1 200 /)
    expect(await forwards('TRACE', 0)).toMatch(/^HTTP\/1\.1 200 /)
    expect(received).toHaveLength(3)
  })

  it.for(['https://a.test/', 'wss://a.test/', 'ftp://a.test/'])(
    '%s, which is asked for with CONNECT, is a 400 that says so',
    async (target) => {
      expect(await ask(get(target))).toMatch(/^HTTP\/1\.1 400 [^]*CONNECT for host:port/)
    },
  )

  it('a proxy that is taken for one over TLS or h2 says no at once', async () => {
    const hello = Buffer.from('16030100050100000100', 'hex')
    expect(await ask(hello)).toMatch(/^HTTP\/1\.1 400 /)
    await until(() => /this port speaks no TLS/.test(client.program.stderr()), 'the log says why')
    expect(await ask('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')).toMatch(/^(?:HTTP\/1\.1 400 |$)/)
  })

  it.skipIf(curlProgram.isMissing)(
    'curl that asks for h2 by an upgrade, and for a body to be wanted, by proxies that are up and origins that are not (only where curl is installed)',
    async () => {
      const status = async (...args: string[]) => {
        const { stdout } = await curl('-o', '/dev/null', '-w', '%{http_code}', ...args)
        return String(stdout)
      }
      const proxied = ['-x', client.proxy]
      const dead = url(await closedPort())
      expect(await status('--http2', ...proxied, url(origin))).toBe('200')
      expect(await status('--http2', '-d', 'a=b', ...proxied, url(origin))).toBe('200')
      expect(await status('--http2', ...proxied, dead)).toBe('502')
      const expecting = ['-H', 'Expect: 100-continue', '-d', 'a=b', ...proxied]
      expect(await status(...expecting, dead)).toBe('502')
      expect(await status(...expecting, url(origin))).toBe('200')
    },
  )

  it('OPTIONS without a path asks the origin itself; http://host:/ is its default port', async () => {
    const received: string[] = []
    const port = await serveAnswer('HTTP/1.1 204 Fine\r\n\r\n', received)
    const target = `http://127.0.0.1:${port}`
    expect(await ask(get(target).replace('GET', 'OPTIONS'))).toMatch(/^HTTP\/1\.1 204 /)
    expect(received[0]).toMatch(/^OPTIONS \* HTTP\/1\.1\r\n/)
    // Nobody listens on port 80 of this address.
    await ask(get('http://127.0.0.9:/'))
    await until(() => /127\.0\.0\.9:80/.test(client.program.stderr()), 'port 80 was asked for')
  })

  it('a program that half-closes behind its request gets its answer', async () => {
    const { port } = await serveHttp((_request, response) => {
      void setTimeout(300).then(() => response.end('late'))
    })
    const program = await connectTo(client.port)
    program.end(`GET ${url(port)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(String(await readAll(program))).toMatch(/^HTTP\/1\.1 200 OK[^]*late/)
  })

  // 74 s with ANYTLS_LONG=true: a second less than we promise.
  const idle = process.env.ANYTLS_LONG === 'true' ? 74_000 : 7_000
  it(
    `a kept connection outlives ${idle / 1_000} s without a request`,
    { timeout: idle + 20_000 },
    async () => {
      const port = await serveAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
      const program = await connectTo(client.port)
      const request = `GET ${url(port)} HTTP/1.1\r\nHost: x\r\n\r\n`
      program.write(request)
      expect(await readUntil(program, /\r\n\r\nok$/)).toMatch(/^Keep-Alive: timeout=75\r$/m)
      await setTimeout(idle)
      program.write(request)
      expect(await readUntil(program, /\r\n\r\nok$/)).toMatch(/^HTTP\/1\.1 200 OK/)
    },
  )

  it('CONNECT to an IPv6 address without brackets', async () => {
    const port = await closedPort()
    expect(await ask(`CONNECT ::1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 502 /)
    expect(client.program.stderr()).toContain(`[::1]:${port}`)
  })

  it('names beyond ASCII go out in their ASCII form, paths percent-encoded, on any request', async () => {
    const sees = (name: string) =>
      until(() => client.program.stderr().includes(name), `${name} was asked for`)
    const answers = [
      ask(get('http://b\u00fccher.invalid/')),
      ask(get('http://b%C3%BCcher2.invalid/')),
      ask('CONNECT m\u00fcnchen.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n'),
    ]
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 502 /)
    await sees('xn--bcher-kva.invalid:80')
    await sees('xn--bcher2-3ya.invalid:80')
    await sees('xn--mnchen-3ya.invalid:443')
    const name = Buffer.from('stra\u00dfe.invalid')
    const program = await connectTo(client.port)
    program.write(
      Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]),
    )
    await readExactly(program, 4)
    await sees('xn--strae-oqa.invalid:80')
    const received: string[] = []
    const port = await serveAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', received)
    // The second one comes on a kept connection, and again on its own.
    const { code } = await curl('-x', client.proxy, url(port, '/a'), url(port, '/\u00fc'))
    expect(code).toBe(0)
    expect(received.map((text) => text.split(' ')[1])).toEqual(['/a', '/%C3%BC'])
  })

  it('what the parser refuses leaves one line in the log', async () => {
    const lines = () => client.program.stderr().match(/did not ask properly/g)?.length ?? 0
    const hostless = 'GET http://a.test/ HTTP/1.1\r\nConnection: close\r\n\r\n'
    for (const request of ['nonsense\r\n\r\n', hostless, get('/')]) {
      const before = lines()
      expect(await ask(request)).toMatch(/^HTTP\/1\.1 400 /)
      expect(lines()).toBe(before + 1)
    }
  })
})
