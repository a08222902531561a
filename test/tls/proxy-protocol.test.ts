// Balancers in front: who the client is, as their PROXY protocol header says it, from hand-made senders and from
// HAProxy and nginx; and headers that are refused.
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect as tcpConnect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer, text } from 'node:stream/consumers'
import { connect as tlsConnect } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { encodeProxyProtocol } from '../../src/codec/proxy-protocol.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import { HEADER_TIMEOUT } from '../../src/tls/entrance.ts'
import type { ServerOptions } from '../../src/tls/server-options.ts'
import { closedPort } from '../proxy/support.ts'
import { startDaemon } from '../support/daemon.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { requireProgram } from '../support/programs.ts'
import { startEchoServer, startTcpServer } from '../support/server.ts'

const CLIENT = { host: '203.0.113.9', port: 40_000 }
const US = { host: '192.0.2.1', port: 443 }

/** A server behind balancers on loopback, with what it said of addresses. */
async function startBehind(options: Partial<ServerOptions> = {}) {
  const behind = await startEchoServer({ acceptProxyProtocol: ['127.0.0.0/8'], ...options })
  const refused: string[] = []
  const strangers: string[] = []
  behind.server.on('handshakeError', (error, address) =>
    refused.push(`${address} ${error.message}`),
  )
  behind.server.on('fallback', ({ remoteAddress }) => strangers.push(remoteAddress))
  return { ...behind, refused, strangers }
}

async function connectTcp(port: number): Promise<Socket> {
  const socket = tcpConnect(port, '127.0.0.1')
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** Sends `pieces` one by one, then shakes hands on the rest of the connection and asks for a page. */
async function askAfter(port: number, pieces: readonly Uint8Array[]): Promise<string> {
  const raw = await connectTcp(port)
  for (const piece of pieces) {
    raw.write(piece)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  const socket = tlsConnect({ socket: raw, servername: 'localhost', rejectUnauthorized: false })
  socket.on('error', () => {})
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  return text(socket)
}

describe('a PROXY protocol header from a network that is named', () => {
  for (const version of ['v1', 'v2'] as const) {
    it(`PROXY ${version}: in one piece or byte by byte, sessions and strangers have the client's address`, async () => {
      const { port, strangers } = await startBehind()
      const header = encodeProxyProtocol(version, { source: CLIENT, destination: US })
      expect(await askAfter(port, [header])).toMatch(/^HTTP\/1\.1 200/)
      const bytes = [...header].map((byte) => Uint8Array.of(byte))
      expect(await askAfter(port, bytes)).toMatch(/^HTTP\/1\.1 200/)
      expect(strangers).toEqual([CLIENT.host, CLIENT.host])
    })
  }

  it('PROXY: the header and the ClientHello in one segment', async () => {
    const { port, strangers } = await startBehind()
    const relay = await startTcpServer((socket) => {
      const upstream = tcpConnect(port, '127.0.0.1')
      upstream.on('error', () => {})
      socket.once('data', (hello) => {
        const header = encodeProxyProtocol('v2', { source: CLIENT, destination: US })
        upstream.write(Buffer.concat([header, hello]))
        socket.pipe(upstream).pipe(socket)
      })
    })
    expect(await askAfter(relay, [])).toMatch(/^HTTP\/1\.1 200/)
    expect(strangers).toEqual([CLIENT.host])
  })

  it('PROXY: an IPv4 client is one, whatever family the balancer names it in', async () => {
    const { port, strangers } = await startBehind()
    const mapped = 'PROXY TCP6 ::ffff:203.0.113.9 ::ffff:192.0.2.1 40000 443\r\n'
    expect(await askAfter(port, [Buffer.from(mapped)])).toMatch(/^HTTP\/1\.1 200/)
    expect(strangers).toEqual([CLIENT.host])
  })

  it('PROXY: UNKNOWN and LOCAL leave the balancer as the client', async () => {
    const { port, strangers } = await startBehind()
    for (const version of ['v1', 'v2'] as const) {
      const header = encodeProxyProtocol(version, { source: undefined, destination: US })
      expect(await askAfter(port, [header])).toMatch(/^HTTP\/1\.1 200/)
    }
    expect(strangers).toEqual(['127.0.0.1', '127.0.0.1'])
  })

  it('PROXY: the fallback is told the client that the balancer named', async () => {
    const heads: string[] = []
    const endpoint = await startTcpServer((socket) => {
      void once(socket, 'data').then(([head]: Buffer[]) => {
        heads.push(String(head).split('\r\n', 1)[0] ?? '')
        socket.end('HTTP/1.1 204 No Content\r\n\r\n')
      })
    })
    const http1 = { host: '127.0.0.1', port: endpoint }
    const { port } = await startBehind({ fallback: createFallback({ http1, proxyProtocol: 'v1' }) })
    const header = encodeProxyProtocol('v2', { source: CLIENT, destination: US })
    expect(await askAfter(port, [header])).toMatch(/^HTTP\/1\.1 204/)
    expect(heads).toEqual([`PROXY TCP4 ${CLIENT.host} ${US.host} ${CLIENT.port} ${US.port}`])
  })

  it('PROXY: what is no header is hung up on at once, and said', async () => {
    const { port, refused, server } = await startBehind()
    for (const bytes of ['\x16\x03\x01', 'PROXY TCP4 nonsense\r\n', 'GET / HTTP/1.1\r\n']) {
      const socket = await connectTcp(port)
      socket.write(bytes, 'latin1')
      expect((await buffer(socket)).length).toBe(0)
    }
    const cut = await connectTcp(port)
    cut.end('PROXY TCP4 192')
    await buffer(cut)
    expect(refused.map((line) => line.replace(/.*: /, ''))).toEqual([
      'there is none',
      'its line names no two ends',
      'there is none',
      'it is cut off',
    ])
    expect(server.sessions.size).toBe(0)
  })

  it('PROXY: who only looks whether somebody listens is no fault', async () => {
    const { port, refused } = await startBehind()
    const socket = await connectTcp(port)
    socket.end()
    await buffer(socket)
    expect(refused).toEqual([])
  })

  it('PROXY: a header that does not come in time is not waited for', async () => {
    const clock = new FakeClock()
    const { port, refused, server } = await startBehind({ clock })
    const socket = await connectTcp(port)
    socket.write('PROXY TCP4 ')
    await vi.waitFor(() => expect(clock.armed).toBe(1))
    await clock.advance(HEADER_TIMEOUT - 1)
    expect(clock.armed).toBe(1)
    await clock.advance(1)
    await buffer(socket)
    expect(refused).toEqual([expect.stringContaining('did not come in time')])
    expect(server.sessions.size).toBe(0)
  })

  it('PROXY: the end of the server does not wait for a header', async () => {
    const { port, server } = await startBehind()
    const socket = await connectTcp(port)
    socket.write('PROXY TCP4 ')
    const closed = new Promise((resolve) => socket.once('close', resolve))
    await server.shutdown(0)
    await closed
  })

  it('PROXY: from elsewhere the bytes are TLS or nothing', async () => {
    const { port, refused, connect } = await startBehind({ acceptProxyProtocol: ['192.0.2.0/24'] })
    const session = await connect()
    await once(session, 'established')
    const socket = await connectTcp(port)
    socket.write(encodeProxyProtocol('v1', { source: CLIENT, destination: US }))
    const answer = await buffer(socket)
    // An alert of TLS at most.
    expect(answer.length).toBeLessThanOrEqual(7)
    expect(refused).toEqual([expect.not.stringContaining('PROXY')])
  })

  it('PROXY: a network that is none is said', async () => {
    await expect(startBehind({ acceptProxyProtocol: ['127.0.0.1/8'] })).rejects.toMatchObject({
      code: 'ERR_OPTION_INVALID',
    })
  })
})

const haproxy = requireProgram('haproxy')
const nginx = requireProgram('nginx')

/** Starts a balancer with this configuration in a folder of its own, on `ports`. */
async function startBalancer(
  program: typeof haproxy,
  ports: readonly number[],
  config: string,
  args: (file: string, folder: string) => string[],
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'balancer-'))
  const file = join(folder, 'config')
  writeFileSync(file, config)
  const daemon = await startDaemon(program, args(file, folder), ports)
  onTestFinished(async () => {
    await daemon.stop()
    rmSync(folder, { recursive: true })
  })
}

describe.skipIf(haproxy.isMissing)(`behind HAProxy${haproxy.note}`, () => {
  for (const [version, keyword] of [
    ['v1', 'send-proxy'],
    ['v2', 'send-proxy-v2'],
    ['v2 with TLVs', 'send-proxy-v2 proxy-v2-options crc32c,unique-id'],
  ] as const) {
    it(`HAProxy, PROXY ${version}: sessions work and have the client's address`, async () => {
      const { port, server, certificate, connect } = await startBehind()
      const front = await closedPort()
      await startBalancer(
        haproxy,
        [front],
        `
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
listen anytls
  bind 127.0.0.1:${front}
  unique-id-format %{+X}o%ci:%cp
  source 127.0.0.8
  server one 127.0.0.1:${port} ${keyword}
`,
        (file) => ['-db', '-f', file],
      )
      const addresses: (string | undefined)[] = []
      server.on('session', (session) => addresses.push(session.remoteAddress))
      const session = await connect({ port: front, ca: certificate.cert })
      const stream = session.openStream()
      stream.end('through the balancer')
      expect(await text(stream)).toBe('through the balancer')
      // Not 127.0.0.8, where HAProxy is.
      expect(addresses).toEqual(['127.0.0.1'])
    })
  }
})

describe.skipIf(nginx.isMissing)(`behind nginx${nginx.note}`, () => {
  it("nginx, PROXY v1: sessions work and have the client's address", async () => {
    const { port, server, connect } = await startBehind()
    const front = await closedPort()
    await startBalancer(
      nginx,
      [front],
      `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
master_process off;
error_log stderr crit;
events {}
stream {
  server {
    listen 127.0.0.1:${front};
    proxy_bind 127.0.0.8;
    proxy_protocol on;
    proxy_pass 127.0.0.1:${port};
  }
}
`,
      (file, folder) => ['-p', folder, '-c', file, '-e', 'stderr', '-g', `pid ${folder}/pid;`],
    )
    const addresses: (string | undefined)[] = []
    server.on('session', (session) => addresses.push(session.remoteAddress))
    const session = await connect({ port: front })
    const stream = session.openStream()
    stream.end('through nginx')
    expect(await text(stream)).toBe('through nginx')
    expect(addresses).toEqual(['127.0.0.1'])
  })
})
