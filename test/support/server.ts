// Servers on real TLS over loopback, each on a port of its own, ended with the test that started it.
import { once } from 'node:events'
import { createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls'
import type { ConnectionOptions, TLSSocket, TlsOptions } from 'node:tls'
import { onTestFinished } from 'vitest'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/tls/dial.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import { createServer } from '../../src/tls/listen.ts'
import type { Server } from '../../src/tls/listen.ts'
import type { ServerOptions } from '../../src/tls/server-options.ts'
import { makeTestCertificate } from './certificate.ts'
import type { TestCertificate } from './certificate.ts'

export const PASSWORD = 'correct horse'

export interface TestServer {
  readonly server: Server
  readonly port: number
  readonly certificate: TestCertificate
  /** Causes of the connections that went to the fallback, in order. */
  readonly fallbacks: string[]
  /** A session to it, with a scheme store of its own unless one is given; ended with the test. */
  readonly connect: (options?: Partial<ConnectOptions>) => Promise<Session>
  /** A TLS connection to it, as anybody may make one. */
  readonly connectRaw: (options?: ConnectionOptions) => Promise<TLSSocket>
}

/** An ANYTLS server; streams are echoed unless `onStream` serves them. */
export async function startEchoServer(
  options: Partial<ServerOptions> = {},
  onStream: (stream: Stream, session: Session) => void = (stream) => void stream.pipe(stream),
  listenOn = '127.0.0.1',
): Promise<TestServer> {
  const certificate = await testCertificate()
  const server = createServer({ ...certificate, password: PASSWORD, ...options }, onStream)
  const fallbacks: string[] = []
  server.on('fallback', ({ cause }) => fallbacks.push(cause))
  server.listen(0, listenOn)
  await once(server, 'listening')
  const { port } = server.address()
  onTestFinished(() => server.shutdown(0))
  return {
    server,
    port,
    certificate,
    fallbacks,
    async connect(overrides) {
      const session = await connect({
        host: '127.0.0.1',
        port,
        password: PASSWORD,
        ca: certificate.cert,
        schemeStore: new MemorySchemeStore(),
        ...overrides,
      })
      onTestFinished(() => session.destroy())
      return session
    },
    connectRaw: (overrides) => connectRaw(port, { ca: certificate.cert, ...overrides }),
  }
}

/** A TLS connection on loopback, shaken hands; ended with the test. */
export async function connectRaw(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = tlsConnect({ host: '127.0.0.1', port, servername: 'localhost', ...options })
  onTestFinished(() => void socket.destroy())
  socket.on('error', () => {})
  await once(socket, 'secureConnect')
  return socket
}

/** A TLS server made by hand, ended with the test. */
export async function startTlsServer(
  options: TlsOptions,
  onConnection: (socket: TLSSocket) => void,
): Promise<{ port: number; certificate: TestCertificate }> {
  const certificate = await testCertificate()
  const server = createTlsServer({ ...certificate, ...options }, (socket) => {
    socket.on('error', () => {})
    onConnection(socket)
  })
  server.on('tlsClientError', () => {})
  return { port: await listen(server), certificate }
}

/** A TCP server made by hand, ended with the test. */
export function startTcpServer(onConnection: (socket: Socket) => void): Promise<number> {
  return listen(
    createTcpServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      onConnection(socket)
    }),
  )
}

async function listen(server: TcpServer): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    const closed = once(server, 'close')
    server.close()
    for (const socket of sockets) socket.destroy()
    await closed
  })
  return (server.address() as AddressInfo).port
}

let shared: Promise<TestCertificate> | undefined

/** One certificate for all servers of a test file: it takes a while to make. */
export function testCertificate(): Promise<TestCertificate> {
  return (shared ??= makeTestCertificate())
}
