// The server as everybody without the password sees it when it has no fallback of its own.

import { once } from 'node:events'
import { connect } from 'node:tls'
import { beforeAll, describe, expect, it } from 'vitest'
import { SITE_FILES } from '../../src/fallback/site-content.ts'
import { curl } from '../proxy/support.ts'
import { curlProgram, startServer } from './support.ts'
import type { ServerProgram } from './support.ts'

describe.skipIf(curlProgram.isMissing)(`the built-in site for curl${curlProgram.note}`, () => {
  let server: ServerProgram

  beforeAll(async () => {
    server = await startServer()
  })

  const ask = (...args: string[]) => curl('-k', ...args)

  it.for([
    ['--http1.1', '1.1'],
    ['--http2', '2'],
    ['--no-alpn', '1.1'],
  ])(
    'main job: https://server/ over %s is an ordinary web site',
    async ([protocol = '', version]) => {
      const url = `https://${server.address}`
      const said = '%{http_code} %{http_version} %{content_type}'
      const page = await ask(protocol, '-w', said, `${url}/`)
      const [html, status] = [String(page.stdout).slice(0, -said.length), page.stderr]
      expect(status).toBe('')
      expect(html).toContain('<title>Brook Lane Garden</title>')
      expect(String(page.stdout)).toMatch(new RegExp(`200 ${version} text/html; charset=utf-8$`))
      for (const [path, { body }] of SITE_FILES) {
        expect((await ask(protocol, `${url}${path}`)).stdout.equals(body), path).toBe(true)
      }
      const missing = await ask(protocol, '-w', '%{http_code}', `${url}/nothing/here`)
      expect(String(missing.stdout)).toMatch(/Nothing grows here[^]*404$/)
      const posted = await ask(protocol, '-d', 'x=1', '-w', '%{http_code}', `${url}/`)
      expect(String(posted.stdout)).toBe('Method Not Allowed\n405')
      const head = await ask(protocol, '-I', `${url}/`)
      expect(String(head.stdout)).toMatch(
        /^HTTP\/[\d.]+ 200[^]*content-length: \d+\r\n[^]*\r\n\r\n$/i,
      )
    },
  )

  it.for(['--http1.1', '--http2'])(
    'main job: a large upload over %s is answered, not reset',
    async (protocol) => {
      const body = 'x'.repeat(100_000)
      const url = `https://${server.address}/`
      const { code, stdout, stderr } = await ask(protocol, '-w', '%{http_code}', '-d', body, url)
      expect(stderr).toBe('')
      expect(code).toBe(0)
      expect(String(stdout)).toBe('Method Not Allowed\n405')
    },
  )

  it('TLS: version 1.3 and no other', async () => {
    const old = await ask('--tls-max', '1.2', `https://${server.address}/`)
    expect(old.code).toBe(35)
    const { code } = await ask('--tlsv1.3', `https://${server.address}/`)
    expect(code).toBe(0)
  })

  it('Contract: SIGTERM ends the server although a browser keeps its connection', async () => {
    const own = await startServer()
    const socket = connect({ host: '127.0.0.1', port: own.port, rejectUnauthorized: false })
    socket.on('error', () => {}).write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'data')
    const begin = performance.now()
    own.program.child.kill('SIGTERM')
    expect(await own.program.ended).toEqual({ code: 0, signal: null })
    expect(performance.now() - begin).toBeLessThan(3_000)
    socket.destroy()
  })
})
