// The server in front of a real nginx: whoever has no password sees what nginx says, to the byte.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { beforeAll, describe, expect, it } from 'vitest'
import { encodeAuth } from '../../src/wires/anytls/frame-encoder.ts'
import { hashPassword } from '../../src/tls/session-options.ts'
import { closedPort, curl, readAll } from '../proxy/support.ts'
import { nginxProgram, startNginx } from './nginx.ts'
import type { Nginx } from './nginx.ts'
import { AWAKE, startDeafEndpoint } from '../support/deaf-endpoint.ts'
import {
  curlProgram,
  describeRequest,
  serveHttp,
  startClient,
  startServer,
  whenDone,
} from './support.ts'
import type { ServerProgram } from './support.ts'

const HOME = '<!doctype html><title>Behind it</title>\n'
const BIG = randomBytes(5 << 20)

const isMissing = curlProgram.isMissing || nginxProgram.isMissing

describe.skipIf(isMissing)(
  `in front of nginx${curlProgram.note}${nginxProgram.note}`,
  { timeout: 30_000 },
  () => {
    let nginx: Nginx
    let server: ServerProgram

    beforeAll(async () => {
      const app = await serveHttp(describeRequest)
      nginx = await startNginx({ 'index.html': HOME, 'big.bin': BIG }, app.port)
      const flags = ['--fallback', `http://127.0.0.1:${nginx.http1}`]
      server = await startServer([...flags, '--fallback-h2', `http://127.0.0.1:${nginx.h2}`])
    })

    it.for([
      ['HTTP/1.1', '--http1.1', '--http1.1', 'http1'],
      ['HTTP/2', '--http2', '--http2-prior-knowledge', 'h2'],
    ] as const)(
      'D15: over %s every answer is the one that nginx gives itself',
      async ([, through, direct, port]) => {
        const both = async (path: string, ...args: string[]) => {
          const common = ['-i', '-H', 'Host: site.test', ...args]
          const [behind, itself] = await Promise.all([
            curl('-k', through, ...common, `https://${server.address}${path}`),
            curl(direct, ...common, `http://127.0.0.1:${nginx[port]}${path}`),
          ])
          expect(behind.stderr).toBe('')
          expect(behind.code).toBe(itself.code)
          const answer = withoutDate(behind.stdout)
          expect(answer.equals(withoutDate(itself.stdout)), path).toBe(true)
          return answer.toString('latin1')
        }
        expect(await both('/')).toContain(`\r\n\r\n${HOME}`)
        expect(await both('/big.bin')).toHaveLength(
          (await both('/big.bin', '-I')).length + BIG.length,
        )
        expect(await both('/big.bin', '-r', '1000-1999')).toMatch(/^HTTP\/[\d.]+ 206/)
        expect(await both('/missing')).toMatch(/^HTTP\/[\d.]+ 404[^]*nginx/)
        // An answer before the body: in h2, nginx resets the stream then, and curl 7 may take that for an error.
        if (port === 'http1') expect(await both('/', '-d', 'a=1')).toMatch(/^HTTP\/1\.1 405/)
        expect(await both('/app/form', '-d', 'a=1')).toMatch(/POST site.test \/app\/form 3 /)
        const upload = await both('/app/form', '-d', 'x'.repeat(100_000))
        expect(upload).toMatch(/ \/app\/form 100000 /)
      },
    )

    it('D15: what is not HTTP gets the answer that nginx gives itself, a wrong AUTH like any other bytes', async () => {
      const wrong = Buffer.concat([
        encodeAuth(hashPassword('not the password'), 30),
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
      ])
      for (const probe of [
        Buffer.from('GARBAGE\r\n\r\n'),
        Buffer.from([0]),
        Buffer.from('GET / HTTP/1.1\r\n\r\n'),
        Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
        randomBytes(64),
        Buffer.alloc(64),
        wrong,
      ]) {
        const direct = connectTcp({ port: nginx.http1, host: '127.0.0.1' })
        const behind = connectTls({
          port: server.port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
        })
        direct.end(probe)
        await once(behind, 'secureConnect')
        behind.end(probe)
        const answers = await Promise.all([readAll(direct), readAll(behind)])
        const [itself, through] = answers.map((answer) => withoutDate(answer).toString('latin1'))
        expect(through, probe.toString('latin1')).toBe(itself)
      }
    })

    it('Contract: with --fallback alone ALPN offers http/1.1 and no h2', async () => {
      const own = await startServer(['--fallback', `http://127.0.0.1:${nginx.http1}`])
      const { stdout } = await curl(
        '-k',
        '--http2',
        '-w',
        '%{http_version}',
        `https://${own.address}/`,
      )
      expect(String(stdout)).toBe(`${HOME}1.1`)
    })

    it.for(['v1', 'v2'])(
      'Contract: --fallback-proxy-protocol %s tells nginx the address and port of the client',
      async (version) => {
        const own = await startServer([
          ...['--fallback', `http://127.0.0.1:${nginx.proxied}`],
          ...['--fallback-h2', `http://127.0.0.1:${nginx.proxiedH2}`],
          ...['--fallback-proxy-protocol', version],
        ])
        for (const protocol of ['--http1.1', '--http2']) {
          const args = ['-w', ' %{local_port}', `https://${own.address}/whoami`]
          const { stdout } = await curl('-k', protocol, ...args)
          const [address, port, ownPort, localPort] = String(stdout).split(' ')
          expect([address, port, ownPort]).toEqual(['127.0.0.1', localPort, String(own.port)])
        }
      },
    )

    it('D15: an endpoint that is not there is a 502 as of nginx, and the proxy serves on', async () => {
      const own = await startServer(['--fallback', `http://127.0.0.1:${await closedPort()}`])
      const { stdout: page } = await curl('-k', '-i', `https://${own.address}/`)
      expect(String(page)).toMatch(/^HTTP\/\S+ 502\b[^]*502 Bad Gateway/)
      const client = await startClient(own.link)
      const { stdout } = await curl('-x', client.proxy, `http://127.0.0.1:${nginx.http1}/`)
      expect(String(stdout)).toBe(HOME)
    })
  },
)

/** The head's `Date` is of the second in which it was asked. */
function withoutDate(answer: Buffer): Buffer {
  return Buffer.from(answer.toString('latin1').replace(/^date: .*\r\n/im, ''), 'latin1')
}

// How a full backlog behaves is the system's affair.
describe('in front of a server that stands still', () => {
  it.skipIf(process.platform !== 'linux')(
    'D54: the start tells of it, visitors wait, and get their page once it goes on (only on Linux)',
    async () => {
      const deaf = await startDeafEndpoint()
      whenDone(() => deaf.stop())
      const { port, program } = await startServer(['--fallback', `http://127.0.0.1:${deaf.port}`])
      const visitor = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
      await once(visitor, 'secureConnect')
      visitor.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      const answer = readAll(visitor)
      let isOver = false
      void answer.then(() => (isOver = true))
      // That takes its 5 s.
      await program.said(/the fallback .* cannot be reached .*visitors get an error page/)
      expect(isOver).toBe(false)
      deaf.wake()
      expect(String(await answer)).toMatch(new RegExp(`^HTTP/1\\.1 200 OK\r\n[^]*${AWAKE}`))
    },
  )
})
