// One code for a refused password: whatever a server does with one, on either wire, and whoever asks.
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { createSecureServer } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { fetch, Agent } from 'undici'
import { createFallback } from '../../src/fallback/fallback.ts'
import { createAgents } from '../../src/proxy/agent.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { createConnector } from '../../src/proxy/connector.ts'
import { isServerFailure } from '../../src/proxy/servers.ts'
import { SessionPool } from '../../src/session/pool.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/tls/dial.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import { MemoryWireStore } from '../../src/tls/wire-store.ts'
import { listen } from '../proxy/support.ts'
import {
  startEchoServer,
  startTcpServer,
  startTlsServer,
  testCertificate,
} from '../support/server.ts'

/** A server that takes what a client says first and does something about it. */
const answering = (onWords: (socket: TLSSocket) => void) => async (): Promise<number> => {
  const { port } = await startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
    socket.once('data', () => onWords(socket))
  })
  return port
}

const own = async (fallback?: Parameters<typeof createFallback>[0]): Promise<number> => {
  const { port } = await startEchoServer(
    fallback === undefined ? {} : { fallback: createFallback(fallback) },
  )
  return port
}

/** What servers do with a password that is not theirs. */
const REFUSALS: Record<string, () => Promise<number>> = {
  'the built-in site, with its 400': () => own(),
  'no fallback: the end, without a word': () => own('close'),
  'an HTTP/1.1 endpoint behind': async () =>
    own({ http1: { host: '127.0.0.1', port: await listen(http.createServer()) } }),
  'an endpoint behind that hangs up': async () => {
    const endpoint = http.createServer().on('connection', (socket: Socket) => socket.end())
    return own({ http1: { host: '127.0.0.1', port: await listen(endpoint) } })
  },
  'a web server of HTTP/1.1': async () => listen(https.createServer(await testCertificate())),
  'a web server of h2': async () =>
    listen(createSecureServer({ ...(await testCertificate()), allowHTTP1: true })),
  'a redirect to another site': answering((socket) =>
    socket.end('HTTP/1.1 301 Moved Permanently\r\nLocation: https://other.test/\r\n\r\n'),
  ),
  'a redirect, and a connection that stays': answering((socket) =>
    socket.write('HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n'),
  ),
  'the end': answering((socket) => socket.end()),
  'a byte, and the end': answering((socket) => socket.end('\0')),
  'a banner': answering((socket) => socket.write('SSH-2.0-OpenSSH_9.6\r\n')),
}

const WIRES = ['v1', 'legacy', 'auto'] as const

async function optionsFor(port: number): Promise<ConnectOptions> {
  return {
    host: '127.0.0.1',
    port,
    password: 'not that of the server',
    ca: (await testCertificate()).cert,
    schemeStore: new MemorySchemeStore(),
    wireStore: new MemoryWireStore(),
  }
}

describe.for(Object.keys(REFUSALS))('refused by %s', (name) => {
  it.for(WIRES)(
    'a session on %s, its stream and its ping end with ERR_AUTH_REJECTED',
    async (wire) => {
      const port = await REFUSALS[name]!()
      const session = await connect({ ...(await optionsFor(port)), wire })
      onTestFinished(() => session.destroy())
      const closed = once(session, 'close')
      const ping = session.ping().catch((error: unknown) => error)
      const stream = session.openStream()
      const failed = once(stream, 'error')
      stream.write('hello')
      const code = 'ERR_AUTH_REJECTED'
      expect(await failed).toMatchObject([{ code }])
      expect(await closed).toMatchObject([
        { code, message: expect.stringMatching(/wrong password/) as string },
      ])
      expect(await ping).toMatchObject({ code })
      expect(session.established).toBe(false)
    },
  )
})

describe.for(['the built-in site, with its 400', 'no fallback: the end, without a word'])(
  'whoever asks a server that refuses by %s',
  (name) => {
    /** A pool that has a wrong password. */
    async function startPool(wire: (typeof WIRES)[number]) {
      const options = await optionsFor(await REFUSALS[name]!())
      const pool = new SessionPool({
        connect: (signal) => connect({ ...options, wire, signal }),
      })
      onTestFinished(() => pool.destroy())
      return { pool, options }
    }

    it.for(WIRES)('a pool, tunnels, agents, undici and fetch on %s tell the same', async (wire) => {
      const { pool, options } = await startPool(wire)
      const code = 'ERR_AUTH_REJECTED'
      const never = new AbortController().signal
      const target = { host: 'target.test', port: 80 }

      const stream = await pool.openStream()
      stream.on('error', () => {})
      await expect(stream.accepted()).rejects.toMatchObject({ code })
      await expect(pool.ping()).rejects.toMatchObject({ code })

      const exact = { replyWait: Infinity }
      const openTunnel = createTunnelOpener(pool, exact)
      const refused = await openTunnel(target, never).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code })
      expect(isServerFailure(refused)).toBe(true)
      const session = await connect({ ...options, wire })
      onTestFinished(() => session.destroy())
      await expect(createTunnelOpener(session, exact)(target, never)).rejects.toMatchObject({
        code,
      })

      const agents = createAgents(openTunnel)
      for (const ask of [
        () => http.get('http://target.test/', { agent: agents.http }),
        () => https.get('https://target.test/', { agent: agents.https }),
      ]) {
        expect(await once(ask(), 'error')).toMatchObject([{ code }])
      }
      const dispatcher = new Agent({ connect: createConnector(openTunnel) })
      onTestFinished(() => dispatcher.destroy())
      await expect(fetch('http://target.test/', { dispatcher })).rejects.toMatchObject({
        cause: { code },
      })
    })
  },
)

describe('what cannot be told from a link that is lost', () => {
  it.for(['v1', 'legacy'] as const)(
    'a reset before any answer on %s is ERR_CONNECTION_LOST',
    async (wire) => {
      const { port: upstream } = await startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
        socket.once('data', () => client?.resetAndDestroy())
      })
      let client: Socket | undefined
      const port = await startTcpServer((socket) => {
        client = socket
        const server = createConnection(upstream, '127.0.0.1').on('error', () => {})
        socket.pipe(server).pipe(socket)
        socket.once('close', () => server.destroy())
      })
      const session = await connect({ ...(await optionsFor(port)), wire })
      onTestFinished(() => session.destroy())
      session.openStream().on('error', () => {})
      expect(await once(session, 'close')).toMatchObject([{ code: 'ERR_CONNECTION_LOST' }])
    },
  )

  it('silence is ERR_CONNECTION_TIMEOUT on v1, and names the password', async () => {
    const port = await answering(() => {})()
    const session = await connect({ ...(await optionsFor(port)), timeouts: { nego: 100 } })
    onTestFinished(() => session.destroy())
    session.openStream().on('error', () => {})
    expect(await once(session, 'close')).toMatchObject([
      {
        code: 'ERR_CONNECTION_TIMEOUT',
        message: expect.stringMatching(/wrong password/) as string,
      },
    ])
  })

  it('bytes that never become a frame, and then silence, are a refusal', async () => {
    const port = await answering((socket) => socket.write('\0'))()
    const session = await connect({ ...(await optionsFor(port)), timeouts: { nego: 100 } })
    onTestFinished(() => session.destroy())
    session.openStream().on('error', () => {})
    expect(await once(session, 'close')).toMatchObject([{ code: 'ERR_AUTH_REJECTED' }])
  })
})
