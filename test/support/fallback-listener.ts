// A TLS listener that hands every connection to a fallback as a server does whose authentication failed: after
// the first record, or after some silence.
import { EventEmitter, once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { Fallback } from '../../src/fallback/fallback.ts'
import { makeTestCertificate } from './certificate.ts'

/** When the listener hands over. */
export interface HandoverOptions {
  /** Ms without data after which a connection is handed over with nothing (D16). Default: never. */
  readonly silence?: number
  /** Ms between the first record, when the socket is paused, and the handover. Default: at once. */
  readonly delay?: number
}

export interface FallbackListener {
  readonly port: number
  readonly ca: string
  /** A client with the given ALPN, connected. A half-open one goes on after the server's end. */
  connect(alpn: string, options?: { halfOpen?: boolean }): Promise<TLSSocket>
  /** Resolves when the next connection is paused, and will be handed over. */
  paused(): Promise<unknown>
  /** Resolves when the next connection has been handed over. */
  handover(): Promise<unknown>
  /** Stops listening and destroys what is open. */
  stop(): Promise<void>
}

export async function listenForFallback(
  fallback: Fallback,
  { silence, delay }: HandoverOptions = {},
): Promise<FallbackListener> {
  const certificate = await makeTestCertificate()
  const rawSockets = new Map<number | undefined, Socket>()
  const events = new EventEmitter<{ paused: []; handover: [] }>()
  const { alpnProtocols } = fallback
  const server = createServer({
    ...certificate,
    minVersion: 'TLSv1.3',
    allowHalfOpen: true,
    ...(alpnProtocols.length > 0 ? { ALPNProtocols: [...alpnProtocols] } : {}),
  })
  server.on('connection', (raw: Socket) => {
    const { remotePort } = raw
    rawSockets.set(remotePort, raw)
    raw.once('close', () => rawSockets.delete(remotePort))
  })
  server.on('secureConnection', (socket) => {
    const rawSocket = rawSockets.get(socket.remotePort)
    if (rawSocket === undefined) {
      socket.destroy()
      return
    }
    const timer = silence === undefined ? undefined : setTimeout(() => handOver(), silence)
    const onError = () => socket.destroy()
    const onData = (first: Buffer) => handOver(first)
    const handOver = (first?: Buffer) => {
      clearTimeout(timer)
      socket.off('data', onData)
      socket.off('error', onError)
      socket.pause()
      events.emit('paused')
      const handle = () => {
        fallback.handle({ socket, rawSocket, unread: first === undefined ? [] : [first] })
        events.emit('handover')
      }
      if (delay === undefined) handle()
      else setTimeout(handle, delay)
    }
    socket.on('data', onData)
    socket.on('error', onError)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    ca: certificate.cert,
    async connect(alpn, options) {
      const socket = connect({
        host: '127.0.0.1',
        port,
        ca: certificate.cert,
        ALPNProtocols: [alpn],
        ...{ allowHalfOpen: options?.halfOpen ?? false },
      })
      socket.on('error', () => {})
      await once(socket, 'secureConnect')
      return socket
    },
    paused: () => once(events, 'paused'),
    handover: () => once(events, 'handover'),
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const raw of rawSockets.values()) raw.destroy()
      await closed
    },
  }
}

/** Everything a socket receives until its end or its close, whichever comes. */
export async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await new Promise<void>((resolve) => {
    socket.once('end', () => resolve())
    socket.once('close', () => resolve())
    socket.resume()
  })
  return Buffer.concat(chunks)
}
