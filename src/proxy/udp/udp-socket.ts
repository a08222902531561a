// A UDP socket as both ends of the proxy use it, and what is counted of its datagrams.
// Must never resolve a name: whoever sends has done so.
import { createSocket } from 'node:dgram'
import type { Socket } from 'node:dgram'
import type { Traffic } from '../traffic.ts'

/** What became of the datagrams of one association. */
export interface UdpCounts {
  /** Passed on, away from the program that asked for the association. */
  sent: number
  /** Passed on towards it. */
  received: number
  /** Not passed on: the target is not allowed, the source is not the right one, or it is no valid datagram. */
  refused: number
  /** Dropped at a bound: the stream or the network was slow, or too much waited for a stream or a name. */
  dropped: number
  /** The name was not found, or the system could not send it. */
  failed: number
}

/** Bytes of the datagrams that were passed on, as they are counted. */
export interface UdpTraffic extends Traffic {
  up: number
  down: number
}

/**
 * Bytes that may wait for a slow stream in each direction, and while a stream or names are not there yet.
 * What comes beyond it is dropped, the newest first: a network does the same.
 */
export const UDP_MAX_WAITING_BYTES = 131_072

/** Datagrams that may wait where their bytes are counted, for empty ones wait too. */
export const UDP_MAX_WAITING = 128

/**
 * How long an association may be without a datagram in either direction, in ms. RFC 4787 asks for two
 * minutes at least (REQ-5) and recommends five.
 */
export const UDP_IDLE_TIMEOUT = 300_000

/** An address that datagrams can be sent to. */
export interface UdpEndpoint {
  /** An IP literal. */
  readonly address: string
  readonly port: number
  readonly family: 4 | 6
}

export function noCounts(): UdpCounts {
  return { sent: 0, received: 0, refused: 0, dropped: 0, failed: 0 }
}

/** Makes a socket of one family, not bound yet. Addresses given to it must be IP literals. */
export function createUdpSocket(family: 4 | 6): Socket {
  const socket = createSocket({
    type: family === 4 ? 'udp4' : 'udp6',
    ipv6Only: family === 6,
    // Called at once, so that nothing is queued inside of the socket.
    lookup: (address, _options, callback) => callback(null, address, family),
  })
  // An error may come when whoever waited for one has gone.
  return socket.on('error', () => {})
}

/**
 * Makes what sends the datagrams of one association and counts them: those that the system takes as `passed`, their
 * bytes in `traffic`. A socket that is connected needs no `to`.
 */
export function createSender(
  counts: UdpCounts,
  passed: 'sent' | 'received',
  traffic?: UdpTraffic,
): (socket: Socket, data: Uint8Array, to?: Pick<UdpEndpoint, 'address' | 'port'>) => void {
  const onSent = (error: Error | null, bytes = 0): void => {
    counts[error === null ? passed : 'failed'] += 1
    if (error === null && traffic !== undefined) traffic.up += bytes
  }
  return (socket, data, to) => {
    if (socket.getSendQueueSize() + data.length > UDP_MAX_WAITING_BYTES) counts.dropped += 1
    else if (to === undefined) socket.send(data, onSent)
    else socket.send(data, to.port, to.address, onSent)
  }
}

/** The address of a socket as others may see it: the zone of a link-local one means nothing elsewhere. */
export function withoutZone(address: string): string {
  return address.split('%', 1)[0] ?? address
}
