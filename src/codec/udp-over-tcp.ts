// UDP over TCP, versions 1 and 2: the request that opens an association, and datagrams in a stream of bytes.
// Must never take a length that no UDP datagram has.
import { AnyTlsError } from '../errors.ts'
import { decodeAddress, encodeAddress } from './address.ts'
import type { Address, AddressTypes } from './address.ts'
import { concatBytes } from './bytes.ts'

/** The target names that ask for UDP. Version 1 has no request, and packets as with isConnect = 0. */
export const UdpOverTcpHost = {
  Version1: 'sp.udp-over-tcp.arpa',
  Version2: 'sp.v2.udp-over-tcp.arpa',
} as const

/**
 * The longest payload of a UDP datagram, in bytes: 65,535 less its header of 8. (IPv4 takes 20 more; a
 * datagram between the two fails when it is sent.)
 */
export const UDP_MAX_LENGTH = 65_527

/** The request of version 2, the first thing on its stream. */
export interface UdpRequest {
  /** 1: all datagrams go to `target` and come from it. 0: each has an address. */
  readonly isConnect: boolean
  /** With isConnect = 0 of no importance; peers may choose a route by it. */
  readonly target: Address
}

/** What comes out of a stream, in order. */
export type UdpOverTcpEvent =
  | { readonly type: 'request'; readonly request: UdpRequest }
  /**
   * One datagram: `address` is where it goes or came from, missing with isConnect = 1. `data` is a view of
   * the chunk it came in where it came in one.
   */
  | { readonly type: 'packet'; readonly address: Address | undefined; readonly data: Uint8Array }
  /** One datagram whose name is empty or has a byte outside 0x21-0x7E; it is passed over (N62). */
  | { readonly type: 'misnamed' }

/**
 * Encodes a request: isConnect, SOCKS address.
 *
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`
 */
export function encodeUdpRequest({ isConnect, target }: UdpRequest): Uint8Array {
  return concatBytes([Uint8Array.of(isConnect ? 1 : 0), encodeAddress(target)])
}

/**
 * Encodes a datagram: address (with types of its own: 0, 1, 2), length, data. Without an address, for
 * isConnect = 1: length, data.
 *
 * @param data at most {@link UDP_MAX_LENGTH} bytes
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`, `ERR_DATAGRAM_INVALID` for data that is too long
 */
export function encodeUdpPacket(address: Address | undefined, data: Uint8Array): Uint8Array {
  const { length } = data
  if (length > UDP_MAX_LENGTH) throw tooLong(length)
  const size = Uint8Array.of(length >>> 8, length & 0xff)
  if (address === undefined) return concatBytes([size, data])
  return concatBytes([encodeAddress(address, PACKET_ADDRESS_TYPES), size, data])
}

const PACKET_ADDRESS_TYPES: AddressTypes = { IPv4: 0, IPv6: 1, Name: 2 }
/** The longest head: address and length. A request is shorter. */
const HEAD_MAX_LENGTH = 261
const NO_BYTES = new Uint8Array(0)

/** What stands at the front of a stream or comes next: a request, or packets with or without addresses. */
export type UdpOverTcpForm = 'request' | 'addressed' | 'bare'

/** Takes the bytes of one direction of a stream, in any segmentation, and tells what they say. */
export class UdpOverTcpDecoder {
  #form: UdpOverTcpForm
  /** The front of a head that is not complete. */
  #head: Uint8Array = NO_BYTES
  /** The datagram that is not complete. */
  #packet: { readonly address: PacketAddress; readonly data: Uint8Array } | undefined
  #filled = 0

  /**
   * @param form at the server's end `request` for version 2, `addressed` for version 1; at the client's end
   * what the request said
   */
  constructor(form: UdpOverTcpForm) {
    this.#form = form
  }

  /**
   * Takes the next bytes and calls `deliver` for everything that is complete. An error is found as soon as
   * its byte is there; what stood before it has been delivered, and the decoder is of no more use.
   *
   * @throws AnyTlsError `ERR_DATAGRAM_INVALID`; what `deliver` throws
   */
  receive(chunk: Uint8Array, deliver: (event: UdpOverTcpEvent) => void): void {
    let at = 0
    while (at < chunk.length) {
      at =
        this.#packet === undefined
          ? this.#readHead(chunk, at, deliver)
          : this.#fill(chunk, at, deliver)
    }
  }

  /** Reads what stands at `at` if its head is complete, and returns where the rest of the chunk begins. */
  #readHead(chunk: Uint8Array, at: number, deliver: (event: UdpOverTcpEvent) => void): number {
    const held = this.#head.length
    const [bytes, offset] =
      held === 0
        ? [chunk, at]
        : [concatBytes([this.#head, chunk.subarray(at, at + HEAD_MAX_LENGTH - held)]), 0]
    const head =
      this.#form === 'request' ? decodeRequest(bytes, offset) : this.#packetHead(bytes, offset)
    if (head === undefined) {
      // A copy, which the slice of a Buffer is not: the chunk must not be kept for the sake of a few bytes.
      this.#head = new Uint8Array(bytes.subarray(offset))
      return chunk.length
    }
    this.#head = NO_BYTES
    const start = at + head.length - held
    if ('request' in head) {
      this.#form = head.request.isConnect ? 'bare' : 'addressed'
      deliver({ type: 'request', request: head.request })
      return start
    }
    const { address, size } = head
    const end = start + size
    if (end <= chunk.length) {
      deliver(packetEvent(address, chunk.subarray(start, end)))
      return end
    }
    this.#packet = { address, data: new Uint8Array(size) }
    return this.#fill(chunk, start, deliver)
  }

  #packetHead(bytes: Uint8Array, offset: number): PacketHead | undefined {
    if (this.#form === 'bare') return decodeSize(bytes, offset, 0, undefined)
    const decoded = decodePacketAddress(bytes, offset)
    return decoded && decodeSize(bytes, offset, decoded.length, decoded.address)
  }

  /** Adds to the datagram that is not complete. */
  #fill(chunk: Uint8Array, at: number, deliver: (event: UdpOverTcpEvent) => void): number {
    const packet = this.#packet
    if (packet === undefined) return at
    const part = chunk.subarray(at, at + packet.data.length - this.#filled)
    packet.data.set(part, this.#filled)
    this.#filled += part.length
    if (this.#filled === packet.data.length) {
      this.#packet = undefined
      this.#filled = 0
      deliver(packetEvent(packet.address, packet.data))
    }
    return at + part.length
  }
}

/** The address of a datagram: none with isConnect = 1, or with a name that is not valid. */
type PacketAddress = Address | 'misnamed' | undefined

interface PacketHead {
  readonly length: number
  readonly address: PacketAddress
  readonly size: number
}

interface RequestHead {
  readonly length: number
  readonly request: UdpRequest
}

function decodeRequest(bytes: Uint8Array, offset: number): RequestHead | undefined {
  const isConnect = bytes[offset]
  if (isConnect === undefined) return undefined
  if (isConnect > 1) throw invalid(`isConnect is ${isConnect}, neither 0 nor 1`)
  try {
    const decoded = decodeAddress(bytes, offset + 1)
    return (
      decoded && {
        length: 1 + decoded.length,
        request: { isConnect: isConnect === 1, target: decoded.address },
      }
    )
  } catch (cause) {
    throw badAddress(cause)
  }
}

/** A name that is not valid is as long as it says: the datagram behind it can be passed over. */
function decodePacketAddress(
  bytes: Uint8Array,
  offset: number,
): { readonly address: PacketAddress; readonly length: number } | undefined {
  try {
    return decodeAddress(bytes, offset, PACKET_ADDRESS_TYPES)
  } catch (cause) {
    const [type, nameLength = 0] = bytes.subarray(offset, offset + 2)
    if (type !== PACKET_ADDRESS_TYPES.Name) throw badAddress(cause)
    return { address: 'misnamed', length: 2 + nameLength + 2 }
  }
}

function packetEvent(address: PacketAddress, data: Uint8Array): UdpOverTcpEvent {
  return address === 'misnamed' ? { type: 'misnamed' } : { type: 'packet', address, data }
}

function decodeSize(
  bytes: Uint8Array,
  offset: number,
  before: number,
  address: PacketAddress,
): PacketHead | undefined {
  const [high, low] = [bytes[offset + before], bytes[offset + before + 1]]
  if (high === undefined || low === undefined) return undefined
  const size = (high << 8) | low
  if (size > UDP_MAX_LENGTH) throw tooLong(size)
  return { length: before + 2, address, size }
}

function badAddress(cause: unknown): AnyTlsError {
  return new AnyTlsError('ERR_DATAGRAM_INVALID', 'a datagram has no valid address', { cause })
}

function tooLong(length: number): AnyTlsError {
  return invalid(`a datagram of ${length} bytes, at most ${UDP_MAX_LENGTH} are possible`)
}

function invalid(message: string): AnyTlsError {
  return new AnyTlsError('ERR_DATAGRAM_INVALID', message)
}
