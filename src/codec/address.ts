// The SOCKS address (RFC 1928, section 5) as the AnyTLS wires carry it: type, address, port.
// Must never put a byte outside 0x21-0x7E into a host.
import { AnyTlsError } from '../errors.ts'
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from './ip.ts'

/** Where a stream or a datagram goes. */
export interface Address {
  /** An IPv4 or IPv6 literal (no brackets, no zone id) or a domain name in its ASCII form. */
  readonly host: string
  /** 0 to 65535. */
  readonly port: number
}

/** An address taken off the front of some bytes. `length` is how many bytes it took. */
export interface DecodedAddress {
  /** What the bytes say. */
  readonly address: Address
  /** How many bytes it took. */
  readonly length: number
}

/** The first byte of an encoded address. */
export const AddressType = {
  /** Four bytes follow. */
  IPv4: 1,
  /** A length in one byte, and the name, follow. */
  Name: 3,
  /** Sixteen bytes follow. */
  IPv6: 4,
} as const

export type AddressType = (typeof AddressType)[keyof typeof AddressType]

/** The three types as numbers of another table than {@link AddressType}: UDP over TCP has its own. */
export type AddressTypes = Readonly<Record<keyof typeof AddressType, number>>

/** The longest encoded address, in bytes: type, length, a name of 255, port. */
export const ADDRESS_MAX_LENGTH = 259

/** The longest name, in bytes: its length is one byte. */
export const NAME_MAX_LENGTH = 255

/**
 * Encodes an address. A host that is an IP literal goes out as its bytes, anything else as a name.
 *
 * A name is 1 to 255 characters in 0x21-0x7E and is not changed: an international name must come in
 * punycode (`xn--...`), the only form of it that is ASCII.
 *
 * @param types default: those of SOCKS
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`
 */
export function encodeAddress(address: Address, types: AddressTypes = AddressType): Uint8Array {
  const { host, port } = address
  if (!Number.isInteger(port) || port < 0 || port > 0xffff) {
    throw invalid(`port ${port} is not a whole number from 0 to 65535`)
  }
  const ip = parseIPv4(host) ?? parseIPv6(host)
  const body = ip ?? encodeName(host)
  const start = ip === undefined ? 2 : 1
  const end = start + body.length
  const bytes = new Uint8Array(end + 2)
  bytes[0] = ip === undefined ? types.Name : ip.length === 4 ? types.IPv4 : types.IPv6
  if (ip === undefined) bytes[1] = body.length
  bytes.set(body, start)
  bytes[end] = port >>> 8
  bytes[end + 1] = port
  return bytes
}

/**
 * Decodes the address at `offset`; `undefined` when bytes are missing. An unknown type or an empty name is
 * seen as soon as its byte is there, so no more than {@link ADDRESS_MAX_LENGTH} bytes are ever waited for.
 *
 * A name that is itself an IP literal is taken, and its text is the host.
 *
 * @param types default: those of SOCKS
 * @throws AnyTlsError `ERR_ADDRESS_INVALID` for an unknown type, a name without characters, or a name with
 * a byte outside 0x21-0x7E (see {@link encodeAddress} for international names)
 */
export function decodeAddress(
  bytes: Uint8Array,
  offset = 0,
  types: AddressTypes = AddressType,
): DecodedAddress | undefined {
  const type = bytes[offset]
  switch (type) {
    case undefined:
      return undefined
    case types.IPv4:
      return decodeBody(bytes, offset, 1, 4, formatIPv4)
    case types.IPv6:
      return decodeBody(bytes, offset, 1, 16, formatIPv6)
    case types.Name: {
      const length = bytes[offset + 1]
      if (length === undefined) return undefined
      if (length === 0) throw invalid('the name is empty')
      return decodeBody(bytes, offset, 2, length, decodeName)
    }
    default:
      throw invalid(`address type ${type} is not known`)
  }
}

function encodeName(host: string): Uint8Array {
  const { length } = host
  if (length === 0 || length > NAME_MAX_LENGTH) {
    throw invalid(`a name of ${length} characters, 1 to ${NAME_MAX_LENGTH} are possible`)
  }
  const name = new Uint8Array(length)
  for (let at = 0; at < length; at += 1) {
    const unit = host.charCodeAt(at)
    checkNameCharacter(unit, at)
    name[at] = unit
  }
  return name
}

/** Host of `length` bytes behind a head of `head` bytes, and the port behind it. */
function decodeBody(
  bytes: Uint8Array,
  offset: number,
  head: number,
  length: number,
  decodeHost: (body: Uint8Array) => string,
): DecodedAddress | undefined {
  const start = offset + head
  const end = start + length
  const [high, low] = [bytes[end], bytes[end + 1]]
  if (high === undefined || low === undefined) return undefined
  const host = decodeHost(bytes.subarray(start, end))
  return { address: { host, port: (high << 8) | low }, length: head + length + 2 }
}

function decodeName(body: Uint8Array): string {
  body.forEach(checkNameCharacter)
  return String.fromCharCode(...body)
}

function checkNameCharacter(code: number, at: number): void {
  if (code >= 0x21 && code <= 0x7e) return
  throw invalid(`a name contains the character 0x${code.toString(16)} at position ${at}`)
}

function invalid(message: string): AnyTlsError {
  return new AnyTlsError('ERR_ADDRESS_INVALID', message)
}
