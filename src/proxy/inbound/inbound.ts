// The local port that programs use as their proxy: SOCKS4, SOCKS4a, SOCKS5 and HTTP, told apart by the first byte.
// Must never let a silent program hold a connection longer than the handshake timeout.
import type { Server, Socket } from 'node:net'
import { ChurningSet } from '../../codec/churning.ts'
import type { Credentials } from './credentials.ts'
import { credentialsCheck } from './credentials.ts'
import { MAX_HEAD } from './http-answer.ts'
import { HttpInbound } from './http-inbound.ts'
import { KEPT_IDLE } from './http-kept.ts'
import type { InboundEvents } from './inbound-tunnel.ts'
import { sourceOf } from './inbound-tunnel.ts'
import { serveSocks } from './socks-inbound.ts'
import type { SocksContext } from './socks-inbound.ts'
import { tell } from '../../session/callbacks.ts'
import { MAX_DELAY } from '../../session/clock.ts'
import { holdReads, keepReads, lendReads, takeReads } from '../../session/lent-reads.ts'
import type { OpenTunnel } from '../tunnel.ts'
import { UdpAssociations } from '../udp/udp-inbound.ts'
import type { UdpInboundOptions } from '../udp/udp-inbound.ts'

/** Options of {@link createInbound}. */
export interface InboundOptions {
  /** The program is told that it may speak once it resolves. A refusal that comes later resets its connection. */
  readonly openTunnel: OpenTunnel
  /** What a program must give. Default: everybody who reaches the port may use it. */
  readonly auth?: Credentials
  /** How long a program may take until its request stands, in ms. Default 10,000. */
  readonly handshakeTimeout?: number
  /** Limits of SOCKS5 UDP ASSOCIATE. */
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

/**
 * Makes the local port; call `listen` on it.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for credentials that nobody could give
 */
export function createInbound(options: InboundOptions): Inbound {
  const { openTunnel, auth } = options
  const handshakeTimeout = Math.min(
    options.handshakeTimeout ?? DEFAULT_HANDSHAKE_TIMEOUT,
    MAX_DELAY,
  )
  const server = process.getBuiltinModule('node:http').createServer({
    headersTimeout: handshakeTimeout,
    // A request may have a body of any length.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.ceil(handshakeTimeout / 4),
    keepAliveTimeout: KEPT_IDLE,
    maxHeaderSize: MAX_HEAD,
    // Looked at with the rest of the request, so that a log tells of it.
    requireHostHeader: false,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_DELAY,
  })
  // Headers are bounded in bytes; those above a count would be dropped silently.
  server.maxHeadersCount = 0
  // A program that ends its direction behind its request gets its answer. (As old as node:http, but not in its types.)
  Object.assign(server, { httpAllowHalfOpen: true })
  const context: SocksContext = {
    openTunnel,
    checkCredentials: auth && credentialsCheck(auth),
    associations: new UdpAssociations(options.udp),
    emit: (event, ...args) => void tell(server, event, ...args),
  }
  const httpInbound = new HttpInbound(server, context)

  // An HTTP server that is handed only those connections that turn out to be HTTP.
  const [parseHttp] = server.listeners('connection') as [(socket: Socket) => void]
  server.off('connection', parseHttp)
  const sockets = new ChurningSet<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    // An error is followed by close, which is what is acted upon.
    socket.on('error', () => {})
    tellApart(socket, context, handshakeTimeout, (bytes) => {
      socket.unshift(httpInbound.prepare(socket, bytes))
      parseHttp.call(server, socket)
    })
  })
  const closeAllConnections = () => {
    // What is cut off must not look complete to the program.
    for (const socket of sockets.list()) socket.resetAndDestroy()
  }
  return Object.assign(server, { closeAllConnections })
}

function tellApart(
  socket: Socket,
  context: SocksContext,
  handshakeTimeout: number,
  serveHttp: (bytes: Buffer) => void,
): void {
  const timer = setTimeout(() => {
    context.emit('invalid', {
      source: sourceOf(socket),
      reason: 'no request within the time limit',
    })
    socket.destroy()
  }, handshakeTimeout)
  const stopTimer = () => clearTimeout(timer)
  const onEnd = () => socket.destroy()
  let socks: ((bytes: Uint8Array) => void) | undefined
  const onRead = (bytes: Uint8Array) => {
    const [version] = bytes
    if (socks === undefined && (version === 4 || version === 5)) {
      socks = serveSocks(socket, version, context, (rest) => {
        stopTimer()
        socket.off('end', onEnd)
        holdReads(socket, onRead, rest)
      })
    }
    if (socks !== undefined) {
      socks(bytes)
      return
    }
    // From here on the HTTP server's own headersTimeout counts.
    stopTimer()
    socket.off('end', onEnd)
    keepReads(socket, onRead)
    // A body that comes with it is not read at once.
    serveHttp(Buffer.from(bytes))
  }
  socket.once('close', stopTimer)
  socket.on('end', onEnd)
  lendReads(socket, 'tcp')
  takeReads(socket, onRead)
}
