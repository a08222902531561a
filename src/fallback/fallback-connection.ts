// What a fallback is handed, and what every kind of fallback does with it.
import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Address } from '../codec/address.ts'
import { unmappedHost } from '../codec/ip.ts'
import type { ProxyProtocolEnds } from '../codec/proxy-protocol.ts'

/** A TLS connection that is not, or is no longer, an ANYTLS connection (D15, D16, D17). */
export interface FallbackConnection {
  /**
   * Paused, without listeners of its former owner and without a timeout. It must be half-open
   * (`allowHalfOpen`), or the end of the client's data ends the answer too.
   */
  readonly socket: TLSSocket
  /** The TCP socket beneath: a TLSSocket cannot be reset, for its handle is not a TCP handle. */
  readonly rawSocket: Socket
  /** Every byte taken from `socket` that the fallback must see, in order; empty when nothing arrived. */
  readonly unread: readonly Uint8Array[]
  /** Who connects to whom, as a balancer in front told it. Default: the ends of the socket. */
  readonly ends?: ProxyProtocolEnds | undefined
}

/** A connection in the hands of a fallback. */
export interface HeldConnection {
  /** Resolves when nothing of it is left. Never rejects. */
  readonly closed: Promise<void>
  /** Ends it at once. */
  destroy(): void
}

/** One kind of fallback: a relay to an endpoint, or the built-in site. */
export interface FallbackTarget {
  /** Takes over a connection whose socket is not destroyed. */
  take(connection: FallbackConnection): HeldConnection
  /** Asks every connection to end; those that need not wait for anything end at once. */
  drain(): void
}

/** How long a connection that is ending may be silent, in ms. Then it is destroyed. */
export const LINGER_TIMEOUT = 60_000

/** Closes a socket after what it has still to write, within {@link LINGER_TIMEOUT}. */
export function hangUp(socket: Socket): void {
  socket.setTimeout(LINGER_TIMEOUT, () => socket.destroy())
  socket.destroySoon()
}

/** Resolves on `close`, which comes once for every socket that is not closed yet. */
export function untilClosed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('close', () => resolve())
  })
}

/** The two ends of a TCP connection, IPv4 as IPv4 whatever listens; a socket whose peer is already gone has none. */
export function endsOf(socket: Socket): ProxyProtocolEnds {
  return {
    source: toAddress(socket.remoteAddress, socket.remotePort),
    destination: toAddress(socket.localAddress, socket.localPort),
  }
}

function toAddress(host: string | undefined, port: number | undefined): Address | undefined {
  return host === undefined || port === undefined ? undefined : { host: unmappedHost(host), port }
}
