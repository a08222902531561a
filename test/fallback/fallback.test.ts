// Which way a connection goes, by ALPN and options, and how a fallback ends.
import { createServer as createHttp1Server } from 'node:http'
import type { RequestListener } from 'node:http'
import { connect as connectH2, createServer as createH2Server } from 'node:http2'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import type { AddressInfo, Server } from 'node:net'
import { promisify } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import type { Fallback, FallbackOptions } from '../../src/fallback/fallback.ts'
import type { FallbackEndpoint } from '../../src/fallback/fallback-endpoint.ts'
import { listenForFallback, readAll } from '../support/fallback-listener.ts'
import type { FallbackListener, HandoverOptions } from '../support/fallback-listener.ts'
import { requireCurlWithHttp2 } from '../support/programs.ts'

const run = promisify(execFile)
const curl = requireCurlWithHttp2()
const cleanup: (() => unknown)[] = []

afterEach(async () => {
  for (const stop of cleanup.splice(0).reverse()) await stop()
})

async function serve(fallback: Fallback, handover?: HandoverOptions): Promise<FallbackListener> {
  const listener = await listenForFallback(fallback, handover)
  cleanup.push(
    () => fallback.close(0),
    () => listener.stop(),
  )
  return listener
}

async function listen(server: Server): Promise<FallbackEndpoint> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  cleanup.push(() => server.close())
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

/** Web servers as an operator has them, one a protocol, that say who they are. */
async function startWebServers(): Promise<{ http1: FallbackEndpoint; h2: FallbackEndpoint }> {
  const answer: RequestListener = (request, response) => {
    request.resume()
    request.on('end', () => response.end(`endpoint ${request.httpVersion}`))
  }
  return {
    http1: await listen(createHttp1Server(answer)),
    h2: await listen(createH2Server(answer as unknown as Parameters<typeof createH2Server>[1])),
  }
}

async function curlGet(listener: FallbackListener, ...args: string[]): Promise<string> {
  return (await run('curl', ['-sk', ...args, `https://127.0.0.1:${listener.port}/`])).stdout
}

describe('fallback: ALPN', () => {
  const endpoint = { host: '127.0.0.1', port: 80 }
  const offers: [string, FallbackOptions | 'close' | undefined, string[]][] = [
    ['the built-in site offers h2 and http/1.1', undefined, ['h2', 'http/1.1']],
    ['an http/1.1 endpoint offers http/1.1 only', { http1: endpoint }, ['http/1.1']],
    ['two endpoints offer both', { http1: endpoint, h2: endpoint }, ['h2', 'http/1.1']],
    ['no fallback offers nothing', 'close', []],
  ]
  for (const [title, options, protocols] of offers) {
    it(`ALPN: ${title}`, async () => {
      const fallback = createFallback(options)
      expect(fallback.alpnProtocols).toEqual(protocols)
      await fallback.close()
    })
  }

  it.skipIf(curl.isMissing)(
    `D15: curl reaches the http/1.1 endpoint, also when it would like h2${curl.note}`,
    async () => {
      const { http1 } = await startWebServers()
      const listener = await serve(createFallback({ http1 }))
      expect(await curlGet(listener, '--http1.1')).toBe('endpoint 1.1')
      expect(await curlGet(listener, '--http2')).toBe('endpoint 1.1')
      expect(await curlGet(listener, '--no-alpn')).toBe('endpoint 1.1')
    },
  )

  it.skipIf(curl.isMissing)(
    `D15: curl reaches the endpoint of the protocol that ALPN agreed on${curl.note}`,
    async () => {
      const listener = await serve(createFallback(await startWebServers()))
      expect(await curlGet(listener, '--http1.1')).toBe('endpoint 1.1')
      expect(await curlGet(listener, '--http2')).toBe('endpoint 2.0')
      expect(await curlGet(listener, '--http2', '-d', 'x'.repeat(100_000))).toBe('endpoint 2.0')
    },
  )

  it("D15: Node's h2 client speaks with the h2 endpoint through the relay", async () => {
    const listener = await serve(createFallback(await startWebServers()))
    const session = connectH2(`https://127.0.0.1:${listener.port}`, { ca: listener.ca })
    cleanup.push(() => session.destroy())
    const bodies = Array.from({ length: 20 }, async () => {
      const stream = session.request({ ':path': '/', ':method': 'POST' })
      stream.end(Buffer.alloc(50_000))
      let body = ''
      for await (const chunk of stream.setEncoding('utf8')) body += String(chunk)
      return body
    })
    expect(new Set(await Promise.all(bodies))).toEqual(new Set(['endpoint 2.0']))
  })
})

describe('fallback: none', () => {
  it('D15: without a fallback the TLS connection is closed without a byte', async () => {
    const listener = await serve(createFallback('close'))
    const client = await listener.connect('http/1.1')
    const closed = once(client, 'close')
    const started = performance.now()
    client.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    expect((await readAll(client)).length).toBe(0)
    await closed
    expect(performance.now() - started).toBeLessThan(2_000)
  })

  it('D16: without a fallback a silent connection is closed without a byte', async () => {
    const listener = await serve(createFallback('close'), { silence: 20 })
    const client = await listener.connect('http/1.1')
    expect((await readAll(client)).length).toBe(0)
  })
})

describe('fallback: options', () => {
  const endpoint = { host: '127.0.0.1', port: 80 }
  const refused: [string, FallbackOptions][] = [
    ['an h2 endpoint without one for http/1.1', { h2: endpoint }],
    ['the PROXY protocol without an endpoint', { proxyProtocol: 'v2' }],
    ['a port that is none', { http1: { host: '127.0.0.1', port: 70_000 } }],
    ['a port of 0', { http1: endpoint, h2: { host: '127.0.0.1', port: 0 } }],
    ['a host that is none', { http1: { host: '', port: 80 } }],
  ]
  for (const [title, options] of refused) {
    it(`fallback option: ${title} is refused`, () => {
      expect(() => createFallback(options)).toThrow(AnyTlsError)
      expect(() => createFallback(options)).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error,
      )
    })
  }
})

describe('fallback: close', () => {
  it('close destroys a connection to the built-in site that has not asked anything in time', async () => {
    const fallback = createFallback()
    const listener = await serve(fallback)
    const handover = listener.handover()
    const client = await listener.connect('http/1.1')
    const closed = once(client.resume(), 'close')
    client.write('GET / HTTP/1.1\r\n')
    await handover
    await fallback.close(20)
    await closed
  })

  it('close waits as long as it is told where that is more than a timer takes', async () => {
    for (const grace of [2 ** 31, Infinity]) {
      const fallback = createFallback()
      const listener = await serve(fallback)
      const handover = listener.handover()
      const client = await listener.connect('http/1.1')
      client.resume().write('GET / HTTP/1.1\r\n')
      await handover
      const closed = fallback.close(grace)
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(client.readableEnded || client.destroyed).toBe(false)
      client.destroy()
      await closed
    }
  })

  it('close of a fallback that holds nothing resolves, again and again', async () => {
    const fallback = createFallback()
    await Promise.all([fallback.close(), fallback.close()])
    await fallback.close()
  })
})
