// The local port as real programs use it: curl over SOCKS5, HTTP CONNECT and plain-http forwarding.
import { randomBytes } from 'node:crypto'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Lookup } from '../../../src/proxy/outbound/outbound.ts'
import { closedPort, curl, listen, localTunnels, sha256, startInbound } from '../support.ts'

const AUTH = { username: 'user', password: 'pa ss:wörd' }

/** Answers every request with its method, Host header and the digest of its body. */
function originServer(): http.Server {
  return http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const digest = sha256(Buffer.concat(chunks))
      response.end(`${request.method ?? ''} ${request.headers.host ?? ''} ${digest}`)
    })
  })
}

const hasIPv6 = Object.values(networkInterfaces())
  .flat()
  .some((entry) => entry?.address === '::1')

const EMPTY = sha256(new Uint8Array(0))

/** Names of the tests; all others do not exist. */
const lookup: Lookup = (name) => {
  if (name === 'origin.test') return Promise.resolve([{ address: '127.0.0.1', family: 4 }])
  if (name === 'slow.test') return new Promise(() => {})
  return Promise.reject(Object.assign(new Error('not found'), { code: 'ENOTFOUND' }))
}
const openTunnel = localTunnels({
  dial: { lookup, timeout: 100 },
  allowTarget: ({ host }) => host !== 'forbidden.test',
})

describe('curl --socks5', () => {
  it('--socks5-hostname: the name travels to the server', async () => {
    const origin = await listen(originServer())
    const { port, events } = await startInbound({ openTunnel })
    const url = `http://origin.test:${origin}/`
    const { code, stdout, stderr } = await curl('--socks5-hostname', `127.0.0.1:${port}`, url)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(stdout.toString()).toBe(`GET origin.test:${origin} ${EMPTY}`)
    expect(events.tunnel).toMatchObject([
      {
        source: expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string,
        target: { host: 'origin.test', port: origin },
        protocol: 'socks5',
      },
    ])
  })

  it('--socks5: an IPv4 address', async () => {
    const origin = await listen(originServer())
    const { port } = await startInbound({ openTunnel })
    const { stdout } = await curl('--socks5', `127.0.0.1:${port}`, `http://127.0.0.1:${origin}/`)
    expect(stdout.toString()).toBe(`GET 127.0.0.1:${origin} ${EMPTY}`)
  })

  it.skipIf(!hasIPv6)('--socks5: an IPv6 address (only where ::1 is there)', async () => {
    const origin = await listen(originServer(), '::1')
    const { port } = await startInbound({ openTunnel })
    const { stdout } = await curl('-g', '--socks5', `127.0.0.1:${port}`, `http://[::1]:${origin}/`)
    expect(stdout.toString()).toBe(`GET [::1]:${origin} ${EMPTY}`)
  })

  it('--proxy-user: the right credentials are let in, wrong ones and none are not', async () => {
    const origin = await listen(originServer())
    const { port, events } = await startInbound({ openTunnel, auth: AUTH })
    const args = ['--socks5-hostname', `127.0.0.1:${port}`, `http://origin.test:${origin}/`]
    // curl splits at the first colon, so a password may have one.
    const right = await curl('--proxy-user', `${AUTH.username}:${AUTH.password}`, ...args)
    expect(right.stderr).toBe('')
    expect(right.code).toBe(0)
    for (const user of ['user:wrong', 'other:pa ss:wörd', 'user:']) {
      expect((await curl('--proxy-user', user, ...args)).code, user).toBe(97)
    }
    expect((await curl(...args)).code).toBe(97)
    expect(events.tunnel).toHaveLength(1)
    expect(events.invalid).toHaveLength(4)
  })

  it('RFC 1928, section 6: each failure gets its reply', async () => {
    const { port, events } = await startInbound({ openTunnel })
    const replyFor = async (url: string) => {
      const { code, stderr } = await curl('--socks5-hostname', `127.0.0.1:${port}`, url)
      expect(code, stderr).toBe(97)
      return Number(/\((\d+)\)\s*$/.exec(stderr)?.[1])
    }
    expect(await replyFor(`http://127.0.0.1:${await closedPort()}/`)).toBe(5)
    expect(await replyFor('http://unknown.test/')).toBe(4)
    expect(await replyFor('http://slow.test/')).toBe(4)
    expect(await replyFor('http://forbidden.test/')).toBe(2)
    expect(events.refused).toHaveLength(4)
    expect(events.tunnel).toHaveLength(0)
  })

  it('D7: without mux1 a refusal is reply 1', async () => {
    const plain = localTunnels({}, { plain: true })
    const { port } = await startInbound({ openTunnel: plain })
    const url = `http://127.0.0.1:${await closedPort()}/`
    const { stderr } = await curl('--socks5-hostname', `127.0.0.1:${port}`, url)
    expect(stderr).toMatch(/\(1\)\s*$/)
  })

  it('16 MiB come and go unchanged', async () => {
    const body = randomBytes(16 << 20)
    const folder = await mkdtemp(join(tmpdir(), 'anytls-proxy-'))
    onTestFinished(() => rm(folder, { recursive: true }))
    const file = join(folder, 'body')
    await writeFile(file, body)
    const origin = http.createServer((request, response) => request.pipe(response))
    const url = `http://127.0.0.1:${await listen(origin)}/`
    const { port } = await startInbound()
    const up = ['-H', 'Expect:', '--data-binary', `@${file}`, url]
    for (const how of ['--socks5', '-x']) {
      const { stdout } = await curl(how, `127.0.0.1:${port}`, ...up)
      expect(sha256(stdout), how).toBe(sha256(body))
    }
  })
})

describe('curl -x', () => {
  it('-p: CONNECT', async () => {
    const origin = await listen(originServer())
    const { port, events } = await startInbound({ openTunnel })
    const url = `http://origin.test:${origin}/`
    const { code, stdout } = await curl('-p', '-x', `http://127.0.0.1:${port}`, url)
    expect(code).toBe(0)
    expect(stdout.toString()).toBe(`GET origin.test:${origin} ${EMPTY}`)
    expect(events.tunnel).toMatchObject([{ protocol: 'http-connect' }])
  })

  it('plain http: a page, a POST, a HEAD', async () => {
    const origin = await listen(originServer())
    const { port, events } = await startInbound({ openTunnel })
    const proxied = ['-x', `http://127.0.0.1:${port}`, `http://origin.test:${origin}/a?b`]
    const page = await curl(...proxied)
    expect(page.stdout.toString()).toBe(`GET origin.test:${origin} ${EMPTY}`)
    const post = await curl('-d', 'a body', ...proxied)
    expect(post.stdout.toString()).toBe(
      `POST origin.test:${origin} ${sha256(Buffer.from('a body'))}`,
    )
    const head = await curl('-I', ...proxied)
    expect(head.stdout.toString()).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(events.tunnel.map(({ protocol }) => protocol)).toEqual(['http', 'http', 'http'])
  })

  it('plain http: a body in chunks, and one that waits for 100-continue', async () => {
    const origin = await listen(originServer())
    const { port } = await startInbound({ openTunnel })
    const proxied = ['-x', `http://127.0.0.1:${port}`, `http://origin.test:${origin}/`]
    const expected = `POST origin.test:${origin} ${sha256(Buffer.from('a body'))}`
    const chunked = await curl('-H', 'Transfer-Encoding: chunked', '-d', 'a body', ...proxied)
    expect(chunked.stdout.toString()).toBe(expected)
    const waiting = await curl(
      ...['-v', '-H', 'Expect: 100-continue', '--expect100-timeout', '9'],
      ...['-d', 'a body', ...proxied],
    )
    expect(waiting.stdout.toString()).toBe(expected)
    expect(waiting.stderr).toContain('HTTP/1.1 100 Continue')
  })

  it('keep-alive: one connection to the proxy serves two hosts', async () => {
    const [first, second] = [await listen(originServer()), await listen(originServer())]
    const { inbound, port } = await startInbound({ openTunnel })
    let connections = 0
    inbound.on('connection', () => (connections += 1))
    const urls = [`http://origin.test:${first}/`, `http://127.0.0.1:${second}/`]
    const { stdout } = await curl('-x', `127.0.0.1:${port}`, ...urls)
    expect(stdout.toString()).toBe(
      `GET origin.test:${first} ${EMPTY}GET 127.0.0.1:${second} ${EMPTY}`,
    )
    expect(connections).toBe(1)
  })

  it('--proxy-user: 407 without the credentials, on CONNECT and on plain http', async () => {
    const origin = await listen(originServer())
    const { port, events } = await startInbound({ openTunnel, auth: AUTH })
    const url = `http://origin.test:${origin}/`
    for (const how of [['-p'], []]) {
      const args = [...how, '-w', '%{http_connect} %{http_code}', '-o', '/dev/null']
      const proxied = [...args, '-x', `127.0.0.1:${port}`, url]
      const right = await curl('-U', `${AUTH.username}:${AUTH.password}`, ...proxied)
      expect(right.stdout.toString()).toMatch(/ 200$/)
      for (const user of [[], ['-U', 'user:wrong']]) {
        expect((await curl(...user, ...proxied)).stdout.toString()).toContain('407')
      }
    }
    expect(events.tunnel).toHaveLength(2)
    expect(events.invalid).toHaveLength(4)
  })

  it('each failure gets its status, on CONNECT and on plain http', async () => {
    const { port } = await startInbound({ openTunnel })
    const statusFor = async (url: string) => {
      const args = ['-o', '/dev/null', '-x', `127.0.0.1:${port}`, url]
      const connect = await curl('-p', '-w', '%{http_connect}', ...args)
      const plain = await curl('-w', '%{http_code}', ...args)
      expect(plain.stdout.toString()).toBe(connect.stdout.toString())
      return Number(plain.stdout.toString())
    }
    expect(await statusFor(`http://127.0.0.1:${await closedPort()}/`)).toBe(502)
    expect(await statusFor('http://unknown.test/')).toBe(502)
    expect(await statusFor('http://slow.test/')).toBe(504)
    expect(await statusFor('http://forbidden.test/')).toBe(403)
  })

  it('a server that cannot be reached is 502', async () => {
    const unreachable = () => Promise.reject(new Error('no server'))
    const { port, events } = await startInbound({ openTunnel: unreachable })
    const args = ['-x', `127.0.0.1:${port}`, 'http://origin.test/']
    const { stdout } = await curl('-w', '%{http_code}', '-o', '/dev/null', ...args)
    expect(stdout.toString()).toBe('502')
    expect(events.refused).toHaveLength(1)
  })

  it('a request to the proxy itself is 400 with a word of help', async () => {
    const { inbound, port } = await startInbound({ openTunnel })
    expect((inbound.address() as AddressInfo).port).toBe(port)
    const { stdout } = await curl('-i', `http://127.0.0.1:${port}/`)
    expect(stdout.toString()).toMatch(/^HTTP\/1\.1 400 [^]*this is a proxy/)
  })
})
