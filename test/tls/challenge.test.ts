// TLS-ALPN-01 (RFC 8737): the authority gets its certificate, everybody else what they always get.
import { once } from 'node:events'
import { connect as tcpConnect } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { X509Certificate } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { encodeProxyProtocol } from '../../src/codec/proxy-protocol.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { startEchoServer } from '../support/server.ts'

const AUTHORITY = { servername: 'example.test', ALPNProtocols: ['acme-tls/1'] }

async function certificateFor(port: number, options: ConnectionOptions): Promise<string> {
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...options })
  try {
    await once(socket, 'secureConnect')
    return socket.getPeerX509Certificate()?.fingerprint256 ?? ''
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? ''
  } finally {
    socket.destroy()
  }
}

const REFUSED = 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL'

describe('a challenge on the port of the server', () => {
  it('RFC 8737: who asks for acme-tls/1 alone and the name gets the answer, nobody else, and only as long as it stands', async () => {
    const { server, port, certificate } = await startEchoServer()
    const answer = await makeTestCertificate()
    const own = new X509Certificate(certificate.cert).fingerprint256
    expect(await certificateFor(port, AUTHORITY)).toBe(REFUSED)

    server.setChallenge('Example.test', answer)
    const expected = new X509Certificate(answer.cert).fingerprint256
    expect(await certificateFor(port, AUTHORITY)).toBe(expected)
    for (const other of [
      { servername: 'example.test' },
      { servername: 'example.test', ALPNProtocols: ['h2', 'acme-tls/1'] },
      { ALPNProtocols: ['h2', 'http/1.1'] },
    ]) {
      expect(await certificateFor(port, other)).toBe(own)
    }
    expect(await certificateFor(port, { ...AUTHORITY, servername: 'other.test' })).toBe(REFUSED)

    server.setChallenge('example.test')
    expect(await certificateFor(port, AUTHORITY)).toBe(REFUSED)
  })

  it('sessions, visitors and balancers go on while it stands', async () => {
    const { server, port, connect, connectRaw } = await startEchoServer({
      acceptProxyProtocol: ['127.0.0.2/32'],
    })
    server.setChallenge('example.test', await makeTestCertificate())
    const stream = (await connect()).openStream()
    stream.end('hello')
    expect(await text(stream)).toBe('hello')
    const visitor = await connectRaw()
    visitor.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text(visitor)).toMatch(/^HTTP\/1\.1 200/)

    const raw = tcpConnect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    raw.write(encodeProxyProtocol('v2', { source: undefined, destination: undefined }))
    const behind = tlsConnect({ socket: raw, servername: 'localhost', rejectUnauthorized: false })
    behind.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
    expect(await text(behind)).toMatch(/^HTTP\/1\.1 200/)

    const plain = tcpConnect(port, '127.0.0.1')
    plain.write('GET / HTTP/1.1\r\n\r\n')
    expect(await text(plain)).toBe('')
    const half = tcpConnect(port, '127.0.0.1')
    half.end(Buffer.of(22, 3, 1))
    half.resume()
    await once(half, 'close')
  })

  it('an answer that is no certificate is refused', async () => {
    const { server } = await startEchoServer()
    expect(() => server.setChallenge('example.test', { key: 'none', cert: 'none' })).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error,
    )
  })
})
