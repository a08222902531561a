// A fallback that is another server: plaintext is relayed both ways, byte for byte, as a balancer that ends
// TLS does. Half-close and reset are passed on (D15).
// Must never look at the bytes.
import type { Socket } from 'node:net'
import { ChurningSet } from '../codec/churning.ts'
import type { FallbackConnection, FallbackTarget, HeldConnection } from './fallback-connection.ts'
import type { Death } from './dead-endpoint.ts'
import { createDeadTargets } from './dead-endpoint.ts'
import { endsOf, hangUp, LINGER_TIMEOUT, untilClosed } from './fallback-connection.ts'
import type { FallbackEndpoint } from './fallback-endpoint.ts'
import type { ProxyProtocolVersion } from '../codec/proxy-protocol.ts'
import { encodeProxyProtocol } from '../codec/proxy-protocol.ts'

/** How long connecting to the endpoint may take, in ms, as nginx has it. */
export const CONNECT_TIMEOUT = 60_000

/**
 * How long a connection may still be silent that was silent until it came here, in ms: with the time of D16 it makes
 * the 60 s that nginx waits for a request (D54).
 */
const SILENT_TIMEOUT = 50_000

// A peer that vanished without a word is found out by TCP. For all else that takes too long the endpoint
// has its own timeouts (D16).
const KEEP_ALIVE_DELAY = 60_000

/** How a reset by the peer shows in reading and in writing. */
const RESET_CODES: ReadonlySet<string | undefined> = new Set(['ECONNRESET', 'EPIPE'])

interface Relay extends HeldConnection {
  drain(): void
}

/**
 * Relays every connection to `endpoint`. When the endpoint cannot be reached (refused, no such name, or no
 * connection within {@link CONNECT_TIMEOUT}), the client gets what nginx says then, 502 or 504.
 *
 * @param proxyProtocol sends the PROXY protocol header first, in this version
 */
export function createRelayTarget(
  endpoint: FallbackEndpoint,
  proxyProtocol: ProxyProtocolVersion | undefined,
): FallbackTarget {
  const relays = new ChurningSet<Relay>()
  const dead = {
    'Bad Gateway': createDeadTargets('Bad Gateway'),
    'Gateway Time-out': createDeadTargets('Gateway Time-out'),
  }
  const bury = (connection: FallbackConnection, death: Death): void => {
    const { http1, h2 } = dead[death]
    const target = connection.socket.alpnProtocol === 'h2' ? h2 : http1
    target.take(connection)
  }
  return {
    take(connection) {
      const relay = startRelay(connection, endpoint, proxyProtocol, bury)
      relays.add(relay)
      void relay.closed.then(() => relays.delete(relay))
      return relay
    },
    drain() {
      for (const relay of relays.list()) relay.drain()
      for (const { http1, h2 } of Object.values(dead)) {
        http1.drain()
        h2.drain()
      }
    },
  }
}

function startRelay(
  connection: FallbackConnection,
  { host, port }: FallbackEndpoint,
  proxyProtocol: ProxyProtocolVersion | undefined,
  bury: (connection: FallbackConnection, death: Death) => void,
): Relay {
  const { socket: client, rawSocket, unread, ends = endsOf(client) } = connection
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY }
  const options = { host, port, allowHalfOpen: true, noDelay: true, ...keepAlive }
  const upstream = process.getBuiltinModule('node:net').connect(options)
  rawSocket.setKeepAlive(true, KEEP_ALIVE_DELAY)
  limitFirstSilence(connection)

  let draining = false
  let late = false
  const connectTimer = setTimeout(() => {
    late = true
    upstream.destroy()
  }, CONNECT_TIMEOUT)
  const onUnreached = (): void => {
    clearTimeout(connectTimer)
    if (client.destroyed || rawSocket.destroyed) return
    if (draining) hangUp(client)
    else bury(connection, late ? 'Gateway Time-out' : 'Bad Gateway')
  }
  const onGone = (): void => void upstream.destroy()
  client.once('close', onGone)
  client.on('error', () => reset(upstream))
  upstream.once('close', onUnreached)
  upstream.on('error', (error: NodeJS.ErrnoException) => {
    // An endpoint that is not there has reset nothing.
    if (RESET_CODES.has(error.code)) reset(rawSocket)
  })
  upstream.once('connect', () => {
    clearTimeout(connectTimer)
    client.off('close', onGone)
    upstream.off('close', onUnreached)
    bindLifetimes(client, upstream)
    bindLifetimes(upstream, client)
    if (proxyProtocol !== undefined) {
      upstream.write(encodeProxyProtocol(proxyProtocol, ends))
    }
    for (const bytes of unread) upstream.write(bytes)
    upstream.pipe(client)
    if (draining) upstream.end()
    else client.pipe(upstream)
  })

  return {
    closed: Promise.all([untilClosed(client), untilClosed(upstream)]).then(ignore),
    drain() {
      draining = true
      if (upstream.connecting) return
      // The endpoint sees the end of the client's data, may finish its answer, and ends.
      client.unpipe(upstream)
      client.resume()
      upstream.end()
    },
    destroy() {
      client.destroy()
      upstream.destroy()
    },
  }
}

/** A client that has said nothing yet is not waited for without end. */
function limitFirstSilence({ socket, unread }: FallbackConnection): void {
  if (unread.length > 0) return
  const before = socket.bytesRead
  const timer = setTimeout(() => {
    if (socket.bytesRead === before) hangUp(socket)
  }, SILENT_TIMEOUT)
  socket.once('close', () => clearTimeout(timer))
}

/**
 * When one direction has ended the other may go on, but a peer that is gone by now would not be noticed:
 * from here on silence is limited.
 */
function bindLifetimes(socket: Socket, other: Socket): void {
  const limitSilence = () => {
    socket.setTimeout(LINGER_TIMEOUT, () => socket.destroy())
    other.setTimeout(LINGER_TIMEOUT, () => other.destroy())
  }
  if (socket.readableEnded) limitSilence()
  else socket.once('end', limitSilence)
  socket.once('close', () => hangUp(other))
}

/** Passes a reset on. Before the connection stands there is nothing to reset. */
function reset(socket: Socket): void {
  if (socket.connecting) socket.destroy()
  else socket.resetAndDestroy()
}

function ignore(): void {}
