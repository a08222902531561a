// Pages fetched by curl through both programs, in every way that curl can ask a proxy.

import { once } from 'node:events'
import { createServer } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { curl, sha256 } from '../../proxy/support.ts'
import { curlProgram, describeRequest, hasIPv6, serve, serveHttp, serveHttps } from '../support.ts'
import { startPair } from '../support.ts'
import type { ClientProgram } from '../support.ts'

const EMPTY = sha256(new Uint8Array(0))

/** How curl is told to use the proxy. */
const WAYS = {
  'SOCKS5 with names': (proxy: string) => ['--socks5-hostname', proxy],
  'plain http': (proxy: string) => ['-x', `http://${proxy}`],
  CONNECT: (proxy: string) => ['-p', '-x', `http://${proxy}`],
}
const EACH_WAY = Object.entries(WAYS)

describe.skipIf(curlProgram.isMissing)(`curl through both programs${curlProgram.note}`, () => {
  let client: ClientProgram
  let plain: number
  let secure: number
  let odd: number

  beforeAll(async () => {
    client = (await startPair()).client
    plain = (await serveHttp(describeRequest)).port
    secure = (await serveHttps(describeRequest)).port
    odd = (await serveHttp(answerOddly)).port
  })

  it.for(EACH_WAY)('main job: %s fetches a page by IPv4 address and by name', async ([, way]) => {
    for (const host of ['127.0.0.1', 'localhost']) {
      const url = `http://${host}:${plain}/a/page?with=query`
      const { code, stdout, stderr } = await curl(...way(client.proxy), url)
      expect(stderr).toBe('')
      expect(code).toBe(0)
      expect(String(stdout)).toBe(`GET ${host}:${plain} /a/page?with=query 0 ${EMPTY}\n`)
    }
  })

  it.for([
    ['SOCKS5', (proxy: string) => ['--socks5-hostname', proxy]],
    ['CONNECT', (proxy: string) => ['-x', `http://${proxy}`]],
  ] as const)('main job: %s fetches a page over https', async ([, way]) => {
    const url = `https://localhost:${secure}/`
    const { code, stdout, stderr } = await curl('-k', ...way(client.proxy), url)
    expect(stderr).toBe('')
    expect(code).toBe(0)
    expect(String(stdout)).toBe(`GET localhost:${secure} / 0 ${EMPTY}\n`)
  })

  it.skipIf(!hasIPv6).for(EACH_WAY)(
    'main job: %s fetches from an IPv6 address (only where ::1 is there)',
    async ([, way]) => {
      const { port } = await serveHttp(describeRequest, '::1')
      const { stdout } = await curl('-g', ...way(client.proxy), `http://[::1]:${port}/`)
      expect(String(stdout)).toBe(`GET [::1]:${port} / 0 ${EMPTY}\n`)
    },
  )

  it.for(EACH_WAY)(
    'main job: %s carries a POST with its body, whole and in chunks',
    async ([, way]) => {
      const body = 'a=1&b=2'.repeat(5_000)
      const url = `http://127.0.0.1:${plain}/form`
      for (const framing of [[], ['-H', 'Transfer-Encoding: chunked'], ['-H', 'Expect:']]) {
        const { stdout } = await curl(...way(client.proxy), ...framing, '-d', body, url)
        const digest = sha256(Buffer.from(body))
        expect(String(stdout)).toBe(`POST 127.0.0.1:${plain} /form ${body.length} ${digest}\n`)
      }
    },
  )

  it.for(EACH_WAY)('main job: %s carries an answer in chunks', async ([, way]) => {
    const { stdout } = await curl(...way(client.proxy), '-i', `http://127.0.0.1:${odd}/chunked`)
    expect(String(stdout)).toMatch(/^transfer-encoding: chunked\r$/im)
    expect(String(stdout)).toMatch(/\r\n\r\nfirst second third$/)
  })

  it.for(EACH_WAY)('main job: %s carries answers that have no body', async ([, way]) => {
    const ask = async (...args: string[]) => {
      const url = `http://127.0.0.1:${odd}/validated`
      const { code, stdout } = await curl(...way(client.proxy), ...args, url)
      expect(code).toBe(0)
      // CONNECT has an answer of its own.
      return String(stdout).replace(/^HTTP\/1.1 200 Connection Established\r\n\r\n/, '')
    }
    expect(await ask('-I')).toMatch(/^HTTP\/1.1 200 OK\r\n[^]*content-length: 12\r\n[^]*\r\n\r\n$/i)
    const notModified = await ask('-i', '-H', 'If-None-Match: "v1"')
    expect(notModified).toMatch(/^HTTP\/1.1 304 Not Modified\r\n[^]*etag: "v1"\r\n[^]*\r\n\r\n$/i)
    expect(await ask()).toBe('validated ok')
    const noContent = await ask('-i', '-X', 'DELETE')
    expect(noContent).toMatch(/^HTTP\/1.1 204 No Content\r\n[^]*\r\n\r\n$/)
  })

  it.for(EACH_WAY)(
    'main job: %s reads an HTTP/1.0 answer that ends with its connection',
    async ([, way]) => {
      const page = 'until the end'.repeat(10_000)
      const { port } = await serve(
        createServer((socket) => {
          void once(socket, 'data').then(() => {
            socket.end(`HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n${page}`)
          })
        }),
      )
      const { code, stdout } = await curl(...way(client.proxy), `http://127.0.0.1:${port}/`)
      expect(code).toBe(0)
      expect(String(stdout)).toBe(page)
    },
  )

  it('main job: an origin that is cut off in its answer is an error for curl, not a short page', async () => {
    const { port } = await serve(
      createServer((socket) => {
        void once(socket, 'data').then(() => {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this', () => {
            setTimeout(() => socket.resetAndDestroy(), 50)
          })
        })
      }),
    )
    for (const [name, way] of EACH_WAY) {
      const { code } = await curl(...way(client.proxy), `http://127.0.0.1:${port}/`)
      expect([18, 56], name).toContain(code)
    }
  })

  it('main job: two pages over one kept-alive connection, and bytes that follow at once', async () => {
    const urls = [`http://127.0.0.1:${plain}/1`, `http://127.0.0.1:${plain}/2`]
    for (const [name, way] of EACH_WAY) {
      const { stdout, stderr } = await curl('-v', ...way(client.proxy), ...urls)
      expect(String(stdout).match(/ \/[12] /g), name).toEqual([' /1 ', ' /2 '])
      expect(stderr, name).toContain('Re-using existing connection')
    }
  })

  it('main job: everything of one program after the other went over one TLS connection', () => {
    expect(client.connections()).toBe(1)
  })
})

function answerOddly(
  request: Parameters<typeof describeRequest>[0],
  response: Parameters<typeof describeRequest>[1],
): void {
  if (request.url === '/chunked') {
    response.write('first ')
    setTimeout(() => response.write('second '), 20)
    setTimeout(() => response.end('third'), 40)
    return
  }
  response.setHeader('ETag', '"v1"')
  if (request.headers['if-none-match'] === '"v1"') response.writeHead(304).end()
  else if (request.method === 'DELETE') response.writeHead(204).end()
  else response.setHeader('Content-Length', 12).end('validated ok')
}
