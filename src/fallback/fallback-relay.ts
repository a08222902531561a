// A fallback that is another server: plaintext is relayed both ways, byte for byte, as a balancer that ends
// TLS does. Half-close and reset are passed on (D15).
// Must never: look at the bytes, or do anything at a time that depends on them.
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { FallbackConnection, FallbackTarget, HeldConnection } from './fallback-connection.ts'
import { endsOf, hangUp, LINGER_TIMEOUT, untilClosed } from './fallback-connection.ts'
import type { FallbackEndpoint } from './fallback-endpoint.ts'
import type { ProxyProtocolVersion } from '../codec/proxy-protocol.ts'
import { encodeProxyProtocol } from '../codec/proxy-protocol.ts'

/** How long connecting to the endpoint may take, in ms. */
export const CONNECT_TIMEOUT = 10_000

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
 * connection within {@link CONNECT_TIMEOUT}), the client's connection is closed without a byte: the relay
 * does not know what is spoken, so it has no error page to show.
 *
 * @param proxyProtocol sends the PROXY protocol header first, in this version
 */
export function createRelayTarget(
  endpoint: FallbackEndpoint,
  proxyProtocol: ProxyProtocolVersion | undefined,
): FallbackTarget {
  const relays = new Set<Relay>()
  return {
    take(connection) {
      const relay = startRelay(connection, endpoint, proxyProtocol)
      relays.add(relay)
      void relay.closed.then(() => relays.delete(relay))
      return relay
    },
    drain() {
      for (const relay of relays) relay.drain()
    },
  }
}

function startRelay(
  { socket: client, rawSocket, unread, ends = endsOf(client) }: FallbackConnection,
  { host, port }: FallbackEndpoint,
  proxyProtocol: ProxyProtocolVersion | undefined,
): Relay {
  const keepAlive = { keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_DELAY }
  const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true, ...keepAlive })
  rawSocket.setKeepAlive(true, KEEP_ALIVE_DELAY)

  const connectTimer = setTimeout(() => upstream.destroy(), CONNECT_TIMEOUT)
  upstream.once('connect', () => clearTimeout(connectTimer))
  upstream.once('close', () => clearTimeout(connectTimer))

  client.on('error', () => reset(upstream))
  upstream.on('error', (error: NodeJS.ErrnoException) => {
    // An endpoint that is not there has reset nothing: `close` hangs up.
    if (RESET_CODES.has(error.code)) reset(rawSocket)
  })
  bindLifetimes(client, upstream)
  bindLifetimes(upstream, client)

  // What is written before the connection stands is sent in order once it does.
  if (proxyProtocol !== undefined) {
    upstream.write(encodeProxyProtocol(proxyProtocol, ends))
  }
  for (const bytes of unread) upstream.write(bytes)
  client.pipe(upstream)
  upstream.pipe(client)

  return {
    closed: Promise.all([untilClosed(client), untilClosed(upstream)]).then(ignore),
    drain() {
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
