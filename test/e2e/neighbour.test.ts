// The server beside nginx with TLS of its own, as a prober sees both: what is measured is printed, what must be alike is
// asserted, and what Node cannot do stands in spec-notes/threat-model.md.

import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { createSecureContext, connect as connectTls } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { closedPort, curl } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { nginxProgram } from './nginx.ts'
import { curlProgram, folder, run, whenDone } from './support.ts'

/** Ports of the same site: nginx itself, and ours in front of it. */
const ports = { nginx: 0, ours: 0 }

const missing = nginxProgram.isMissing || curlProgram.isMissing

describe.skipIf(missing)(
  `beside nginx${nginxProgram.note}${curlProgram.note}`,
  { timeout: 60_000 },
  () => {
    beforeAll(async () => {
      const { key, cert } = await makeTestCertificate()
      const [keyFile, certFile] = ['key.pem', 'cert.pem'].map((name) => join(folder, name))
      writeFileSync(keyFile ?? '', key)
      writeFileSync(certFile ?? '', cert)
      const [https, plain, h2] = [await closedPort(), await closedPort(), await closedPort()]
      const home = join(folder, 'neighbour')
      mkdirSync(join(home, 'site'), { recursive: true })
      writeFileSync(join(home, 'site', 'index.html'), 'a site')
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
        .map((name) => `${name}_temp_path ${home}/${name};`)
        .join(' ')
      writeFileSync(
        join(home, 'nginx.conf'),
        `daemon off; master_process off; error_log stderr crit; pid ${home}/pid; events {}
         http { access_log off; ${temporary} server {
           listen 127.0.0.1:${https} ssl http2; listen 127.0.0.1:${plain}; listen 127.0.0.1:${h2} http2;
           ssl_certificate ${certFile}; ssl_certificate_key ${keyFile}; ssl_protocols TLSv1.3;
           ssl_prefer_server_ciphers off; root ${home}/site; } }`,
      )
      const flags = ['-p', home, '-c', join(home, 'nginx.conf'), '-e', 'stderr']
      const child = spawn(nginxProgram.path, flags, { stdio: 'ignore' })
      whenDone(() => void child.kill('SIGKILL'))
      const program = run([
        'server',
        '-l',
        '127.0.0.1:0',
        ...['--cert', certFile ?? '', '--key', keyFile ?? ''],
        ...['--fallback', `http://127.0.0.1:${plain}`, '--fallback-h2', `http://127.0.0.1:${h2}`],
        ...['--state-dir', join(folder, 'state')],
      ])
      const [, port = ''] = await program.said(/listening on 127\.0\.0\.1:(\d+)/)
      ports.nginx = https
      ports.ours = Number(port)
      await setTimeout(300)
    })

    /** Asks both the same, and prints both answers. */
    async function both<T>(what: string, ask: (port: number) => Promise<T>) {
      const [nginx, ours] = [await ask(ports.nginx), await ask(ports.ours)]
      process.stdout.write(`${what}: nginx ${shown(nginx)}, ours ${shown(ours)}\n`)
      return { nginx, ours }
    }

    async function shakeHands(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
      const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
      socket.on('error', () => {})
      onTestFinished(() => void socket.destroy())
      await once(socket, 'secureConnect')
      return socket
    }

    it('D53: the suite is the first that the client offers', async () => {
      const suites = [
        'TLS_CHACHA20_POLY1305_SHA256',
        'TLS_AES_128_GCM_SHA256',
        'TLS_AES_256_GCM_SHA384',
      ]
      for (const first of suites) {
        const ciphers = [first, ...suites.filter((suite) => suite !== first)].join(':')
        const chosen = await both(`suite for ${first} first`, async (port) => {
          return (await shakeHands(port, { ciphers })).getCipher().name
        })
        expect(chosen).toEqual({ nginx: first, ours: first })
      }
    })

    it('D53: as many tickets, of the same life', async () => {
      const tickets = await both('life of each ticket, s', async (port) => {
        const lives: number[] = []
        const context = createSecureContext({})
        const socket = connectTls({
          port,
          host: '127.0.0.1',
          rejectUnauthorized: false,
          secureContext: context,
        })
        socket.on('error', () => {})
        socket.on('session', (session: Buffer) => void lives.push(lifeOf(session)))
        await once(socket, 'secureConnect')
        await setTimeout(300)
        socket.destroy()
        return lives
      })
      expect(tickets.nginx).toEqual([300, 300])
      expect(tickets.ours).toEqual(tickets.nginx)
    })

    it('an ALPN offer without overlap, and TLS 1.2, are refused with the same alert', async () => {
      for (const options of [{ ALPNProtocols: ['foo'] }, { maxVersion: 'TLSv1.2' as const }]) {
        const refusals = await both(`refusal of ${JSON.stringify(options)}`, async (port) => {
          const socket = connectTls({
            port,
            host: '127.0.0.1',
            rejectUnauthorized: false,
            ...options,
          })
          const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
          return error.code
        })
        expect(refusals.ours).toBe(refusals.nginx)
      }
    })

    it('requests, also malformed ones, over HTTP/1.1 and h2', async () => {
      for (const request of MALFORMED) {
        const answers = await both(JSON.stringify(request.slice(0, 40)), async (port) => {
          const socket = await shakeHands(port, { ALPNProtocols: ['http/1.1'] })
          const bytes: Buffer[] = []
          socket.on('data', (chunk: Buffer) => void bytes.push(chunk))
          socket.write(request)
          await Promise.race([once(socket, 'close'), setTimeout(400)])
          return String(Buffer.concat(bytes))
            .replaceAll(/^Date:.*\r\n/gim, '')
            .slice(0, 400)
        })
        expect(answers.ours).toBe(answers.nginx)
      }
      const pages = await both('h2', async (port) => {
        const { stdout } = await curl('-k', '--http2', '-i', `https://127.0.0.1:${port}/`)
        return String(stdout).replace(/^date:.*\r\n/im, '')
      })
      expect(pages.ours).toBe(pages.nginx)
    })

    it('what is not TLS 1.3: printed, for what Node cannot do stands in the threat model', async () => {
      const probes: Record<string, Buffer> = {
        'plain HTTP': Buffer.from('GET / HTTP/1.1\r\nHost: a\r\n\r\n'),
        'an alert': Buffer.from('15030100020228', 'hex'),
        'application data': Buffer.from('17030300050102030405', 'hex'),
      }
      for (const [what, bytes] of Object.entries(probes)) {
        const answers = await both(what, async (port) => {
          const socket = connectTcp(port, '127.0.0.1')
          const got: Buffer[] = []
          socket.on('data', (chunk: Buffer) => void got.push(chunk)).on('error', () => {})
          socket.write(bytes)
          await Promise.race([once(socket, 'close'), setTimeout(500)])
          const closed = socket.closed
          socket.destroy()
          const all = Buffer.concat(got)
          return { closed, bytes: all.length, begins: all.subarray(0, 12).toString('latin1') }
        })
        expect(answers.ours.closed).toBe(answers.nginx.closed)
      }
    })

    it('h2 without a word of the client: printed; ours waits for its first bytes (threat model)', async () => {
      const settings = await both(
        'bytes of h2 before the client has said anything',
        async (port) => {
          const socket = await shakeHands(port, { ALPNProtocols: ['h2'] })
          let length = 0
          socket.on('data', (chunk: Buffer) => void (length += chunk.length))
          await setTimeout(300)
          return length
        },
      )
      expect(settings.ours).toBe(0)
      expect(settings.nginx).toBeGreaterThan(0)
    })
  },
)

const LINES = [
  '',
  'GET',
  'GET /',
  'GET / HTTP/1.1',
  'GET / HTTP/9.9',
  'GET / HTTP/1.0',
  'G@T / HTTP/1.1',
  'OPTIONS * HTTP/1.1',
]
const HEADERS = [
  '',
  'Host: a\r\n',
  'Host:\r\n',
  'Host: a\r\nHost: b\r\n',
  'Host: a\r\n: x\r\n',
  'Host: a\r\nContent-Length: x\r\n',
]

/** 48 of them. */
const MALFORMED = LINES.flatMap((line) => HEADERS.map((headers) => `${line}\r\n${headers}\r\n`))

/** The hint of a ticket, out of the session that OpenSSL writes as ASN.1: [9], in seconds. */
function lifeOf(session: Buffer): number {
  for (let at = 0; at + 4 < session.length; at += 1) {
    const [tag, outer = 0, type, inner = 0] = session.subarray(at, at + 4)
    const isHint = tag === 0xa9 && type === 2 && outer === inner + 2 && inner > 0 && inner < 5
    if (isHint) return session.readUIntBE(at + 4, inner)
  }
  return 0
}

function shown(answer: unknown): string {
  return JSON.stringify(answer).slice(0, 100)
}
