// What the proxy needs of a stream and of whoever opens one, as shapes, so that any Duplex will do.
// Must never know a session, a wire or TLS.
import type { Duplex } from 'node:stream'
import type { CloseCode } from '../engine/close-code.ts'
import type { Address } from '../codec/address.ts'

/**
 * A stream that leads to a target. It must allow half-open, for half-close is carried through it. It may emit
 * `silent` on the client's side before it is accepted: nothing has come over its connection for so long that
 * another connection will serve better.
 */
export interface TunnelStream extends Duplex {
  /**
   * Client side: resolves when the server has accepted the stream (D7), which means that its outbound
   * connection stands. Rejects with an AnyTlsError, a PeerCloseError where the server gave a reason.
   */
  accepted(): Promise<void>
  /** Server side: tells the client that the outbound connection stands. */
  accept(): void
  /** Ends the stream in both directions at once and tells the peer why, as far as its wire can. */
  reset(code: CloseCode, reason?: string): void
}

/** Something that opens streams to one server: a session or a pool of sessions. */
export interface StreamSource {
  /** Opens a stream, on a session that stands or a new one. Rejects when the signal is aborted, which ends the stream later on. */
  openStream(signal?: AbortSignal): Promise<TunnelStream>
}

/**
 * Opens a stream to `target`; resolves once the server has accepted it, or once it is of no use to wait for that any
 * longer: {@link TunnelStream.accepted} tells what becomes of it then. Aborted by `signal`, which ends the tunnel later on,
 * too, as that of `net.connect` ends a socket: a limit for the opening alone must be taken away. `early` leaves
 * right behind the address, before the stream is accepted, and may leave twice: for datagrams, and for
 * servers of the original wire that read the request for them first and accept then.
 */
export type OpenTunnel = (
  target: Address,
  signal: AbortSignal,
  early?: Uint8Array,
) => Promise<TunnelStream>
