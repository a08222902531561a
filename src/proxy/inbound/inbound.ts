// The local port that programs use as their proxy: SOCKS5 and HTTP, told apart by the first byte.
// Must never let a silent program hold a connection longer than the handshake timeout.
import { createServer } from 'node:http'
import type { Server, Socket } from 'node:net'
import type { Credentials } from './credentials.ts'
import { credentialsCheck } from './credentials.ts'
import { serveHttp } from './http-inbound.ts'
import type { InboundEvents } from './inbound-tunnel.ts'
import { sourceOf } from './inbound-tunnel.ts'
import { serveSocks5 } from './socks5-inbound.ts'
import type { Socks5Context } from './socks5-inbound.ts'
import type { OpenTunnel } from '../tunnel.ts'
import { UdpAssociations } from '../udp/udp-inbound.ts'
import type { UdpInboundOptions } from '../udp/udp-inbound.ts'

/** Options of {@link createInbound}. */
export interface InboundOptions {
  /** Must resolve once the target is reached, for then the program is told so. */
  readonly openTunnel: OpenTunnel
  /** What a program must give. Default: everybody who reaches the port may use it. */
  readonly auth?: Credentials
  /** How long a program may take until its request stands, in ms. Default 10,000. */
  readonly handshakeTimeout?: number
  readonly udp?: UdpInboundOptions
}

/** The local port. */
export interface Inbound extends Server {
  /** {@link InboundEvents}, and those of `net.Server`. */
  on: (<E extends keyof InboundEvents>(
    event: E,
    listener: (...args: InboundEvents[E]) => void,
  ) => this) &
    Server['on']
  /** Ends every connection, in whatever state, at once. `close` alone lets tunnels run to their end. */
  closeAllConnections(): void
}

const DEFAULT_HANDSHAKE_TIMEOUT = 10_000
const KEEP_ALIVE_DELAY = 60_000
const FIRST_BYTE_SOCKS4 = 4
const FIRST_BYTE_SOCKS5 = 5

/**
 * Makes the local port; call `listen` on it.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for credentials that nobody could give
 */
export function createInbound(options: InboundOptions): Inbound {
  const { openTunnel, auth, handshakeTimeout = DEFAULT_HANDSHAKE_TIMEOUT } = options
  const server = createServer({
    headersTimeout: handshakeTimeout,
    // A request may have a body of any length.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.ceil(handshakeTimeout / 4),
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY,
  })
  // Headers are bounded in bytes; those above a count would be dropped silently.
  server.maxHeadersCount = 0
  const context: Socks5Context = {
    openTunnel,
    checkCredentials: auth && credentialsCheck(auth),
    associations: new UdpAssociations(options.udp),
    emit: (event, ...args) => void server.emit(event, ...args),
  }
  serveHttp(server, context)

  // An HTTP server that is handed only those connections that turn out to be HTTP.
  const [parseHttp] = server.listeners('connection') as [(socket: Socket) => void]
  server.off('connection', parseHttp)
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // An error is followed by close, which is what is acted upon.
    socket.on('error', () => {})
    tellApart(socket, context, handshakeTimeout, (httpSocket) => parseHttp.call(server, httpSocket))
  })
  const closeAllConnections = () => {
    // What is cut off must not look complete to the program.
    for (const socket of sockets) socket.resetAndDestroy()
  }
  return Object.assign(server, { closeAllConnections })
}

function tellApart(
  socket: Socket,
  context: Socks5Context,
  handshakeTimeout: number,
  parseHttp: (socket: Socket) => void,
): void {
  const timer = setTimeout(() => {
    context.emit('invalid', {
      source: sourceOf(socket),
      reason: 'no request within the time limit',
    })
    socket.destroy()
  }, handshakeTimeout)
  const stopTimer = () => clearTimeout(timer)
  const onReadable = () => {
    const chunk = socket.read() as Uint8Array | null
    if (chunk === null) return
    socket.off('readable', onReadable)
    socket.off('end', onEnd)
    socket.unshift(chunk)
    if (chunk[0] === FIRST_BYTE_SOCKS5) {
      serveSocks5(socket, context, stopTimer)
    } else if (chunk[0] === FIRST_BYTE_SOCKS4) {
      context.emit('invalid', { source: sourceOf(socket), reason: 'SOCKS4 is not supported' })
      socket.destroy()
    } else {
      // From here on the HTTP server's own headersTimeout counts.
      stopTimer()
      parseHttp(socket)
    }
  }
  const onEnd = () => socket.destroy()
  socket.once('close', stopTimer)
  socket.on('readable', onReadable)
  socket.on('end', onEnd)
}
