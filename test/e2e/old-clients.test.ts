// Clients of the original wire that are of another kind than ours: TLS 1.2 alone, or ALPN that no web server takes. What
// is refused is refused as nginx does it, and the operator is told why (D53).

import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import { curl, readAll } from '../proxy/support.ts'
import { requireProgram } from '../support/programs.ts'
import { write as v1 } from '../support/v1-frames.ts'
import { write } from '../wires/legacy/frames.ts'
import { PASSWORD, curlProgram, describeRequest, serveHttp, startServer, until } from './support.ts'
import type { ServerProgram } from './support.ts'

const HASH = hashPassword(PASSWORD)
const TLS12: ConnectionOptions = { maxVersion: 'TLSv1.2' }

const openssl = requireProgram('openssl')

function dial({ port }: ServerProgram, options: ConnectionOptions): TLSSocket {
  const socket = connect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  return socket
}

async function shakeHands(server: ServerProgram, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = dial(server, options)
  await once(socket, 'secureConnect')
  return socket
}

/** The alert that a handshake ends with. */
async function refusal(server: ServerProgram, options: ConnectionOptions): Promise<unknown> {
  const [error] = (await once(dial(server, options), 'error')) as [NodeJS.ErrnoException]
  return error.code
}

/** Fetches a page from an origin as a client of the original wire does, and gives all that came back. */
async function fetchOnOriginalWire(socket: TLSSocket): Promise<string> {
  const { port } = await serveHttp(describeRequest)
  const target = Uint8Array.of(1, 127, 0, 0, 1, port >> 8, port & 0xff)
  socket.write(
    Buffer.concat([
      write.auth(30, HASH),
      write.settings('v=2\nclient=test/1\npadding-md5=0\n'),
      write.syn(1),
      write.push(1, target),
      write.push(1, 'GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'),
    ]),
  )
  let received = ''
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    received += chunk.toString('latin1')
    if (received.includes('GET x /a 0 ')) break
  }
  return received
}

/** Lines of the log about refused clients, as objects. */
function refusals({ program }: ServerProgram) {
  return program
    .stderr()
    .split('\n')
    .filter((line) => line.includes('a client was refused'))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/**
 * Has many clients refused at once. All are told of, in a line for each second.
 *
 * @returns what they were refused with
 */
async function expectFewLines(server: ServerProgram, count: number, options: ConnectionOptions) {
  const began = performance.now()
  const codes = await Promise.all(Array.from({ length: count }, () => refusal(server, options)))
  const told = () =>
    refusals(server).reduce((sum, { leftOut }) => sum + 1 + Number(leftOut ?? 0), 0)
  await until(() => told() === count, 'all refusals are told of')
  const seconds = (performance.now() - began) / 1_000
  expect(refusals(server).length).toBeLessThan(seconds + 2)
  return new Set(codes)
}

describe('TLS 1.2 (D53)', () => {
  it('is refused by default, with a line at info that says why and what would help, one a second', async () => {
    const server = await startServer(['--log-format', 'json', '--log-level', 'info'])
    const tries = Array.from({ length: 30 }, () => refusal(server, TLS12))
    const codes = await Promise.all(tries)
    expect(new Set(codes)).toEqual(new Set(['ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION']))
    await until(() => refusals(server).length === 2, 'the line of the others')
    const [first, second] = refusals(server)
    for (const line of [first, second]) {
      expect(line).toMatchObject({
        level: 'info',
        remoteAddress: '127.0.0.1',
        msg: expect.stringMatching(
          /no TLS version that is allowed here.*--legacy-tls12/,
        ) as unknown,
      })
    }
    expect(second).toMatchObject({ leftOut: 28 })
    // Who speaks TLS 1.3 is served meanwhile.
    await expect(fetchOnOriginalWire(await shakeHands(server, {}))).resolves.toMatch(/200 OK/)
  })

  it('--legacy-tls12: a client of the original wire fetches a page; visitors see the site', async () => {
    const server = await startServer(['--legacy-tls12'])
    const socket = await shakeHands(server, TLS12)
    expect(socket.getProtocol()).toBe('TLSv1.2')
    expect(await fetchOnOriginalWire(socket)).toMatch(/HTTP\/1\.1 200 OK[^]*GET x \/a 0 /)
    expect(server.program.stderr()).toMatch(/a client has connected.*legacy/)
    const visitor = await shakeHands(server, TLS12)
    visitor.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
    expect(String(await readAll(visitor))).toMatch(/^HTTP\/1\.1 200 OK[^]*Brook Lane Garden/)
  })

  it('--legacy-tls12: the first record of version 1 is a stranger there, and TLS 1.1 stays refused', async () => {
    const server = await startServer(['--legacy-tls12', '--log-format', 'json'])
    const answerTo = async (record: Uint8Array) => {
      const socket = await shakeHands(server, TLS12)
      socket.write(record)
      return (await readAll(socket)).toString('latin1').replace(/^date: .*\r\n/im, '')
    }
    const garbage = await answerTo(Buffer.alloc(64, 0xee))
    expect(garbage).toMatch(/^HTTP\/1\.1 400 /)
    expect(await answerTo(v1.auth(HASH, 30))).toBe(garbage)
    expect(server.clients()).toBe(0)
    // OpenSSL offers nothing so old unless it is told that security does not matter.
    const old = {
      maxVersion: 'TLSv1.1',
      minVersion: 'TLSv1',
      ciphers: 'DEFAULT@SECLEVEL=0',
    } as const
    expect(await refusal(server, old)).toBe('ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION')
    await until(() => refusals(server).length === 1, 'its line')
  })

  it.skipIf(openssl.isMissing || curlProgram.isMissing)(
    `openssl s_client and curl agree${openssl.note}${curlProgram.note}`,
    async () => {
      const askOpenssl = async ({ address }: ServerProgram) => {
        const args = ['s_client', '-connect', address, '-tls1_2', '-brief']
        const child = execFile(openssl.path, args, { timeout: 10_000 })
        child.stdin?.end()
        let said = ''
        child.stderr?.on('data', (text: string) => (said += text))
        await once(child, 'close')
        return said
      }
      const [off, on] = await Promise.all([startServer(), startServer(['--legacy-tls12'])])
      expect(await askOpenssl(off)).toMatch(/alert protocol version/)
      expect(await askOpenssl(on)).toMatch(/Protocol version: TLSv1\.2/)
      const ask = async ({ address }: ServerProgram) =>
        (await curl('-k', '--tls-max', '1.2', '-o', '/dev/null', `https://${address}/`)).code
      expect([await ask(off), await ask(on)]).toEqual([35, 0])
    },
  )
})

describe('ALPN', () => {
  it('offers without h2 and http/1.1 are refused with a line at info, one a second; others are served', async () => {
    const server = await startServer(['--log-format', 'json'])
    const codes = await expectFewLines(server, 30, { ALPNProtocols: ['h3', 'foo', 'http/1.0'] })
    expect(codes).toEqual(new Set(['ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL']))
    for (const line of refusals(server)) {
      expect(line).toMatchObject({
        level: 'info',
        remoteAddress: '127.0.0.1',
        msg: expect.stringMatching(/none of the application protocols.*ALPN/) as unknown,
      })
    }
    for (const ALPNProtocols of [undefined, ['http/1.1'], ['h3', 'h2'], ['foo', 'http/1.1']]) {
      const socket = await shakeHands(server, ALPNProtocols ? { ALPNProtocols } : {})
      expect(await fetchOnOriginalWire(socket)).toMatch(/200 OK/)
    }
  })

  it('behind a fallback for HTTP/1.1 alone, h2 alone is refused, as nginx without h2 does it', async () => {
    const { port } = await serveHttp((_request, response) => response.end('a site'))
    const server = await startServer(['--fallback', `http://127.0.0.1:${port}`])
    expect(await refusal(server, { ALPNProtocols: ['h2'] })).toBe(
      'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL',
    )
    const socket = await shakeHands(server, { ALPNProtocols: ['h2', 'http/1.1'] })
    expect(socket.alpnProtocol).toBe('http/1.1')
  })
})
