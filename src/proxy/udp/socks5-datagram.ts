// The head that SOCKS5 puts before each datagram (RFC 1928 section 7), between program and local port.
// Must never take a fragment for a datagram, or throw for what a program sent.
import type { Address } from '../../codec/address.ts'
import { encodeAddress } from '../../codec/address.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { decodeProgramAddress } from '../host.ts'

/** A datagram and its other end: where it goes, or came from. */
export interface Socks5Datagram {
  readonly address: Address
  readonly data: Uint8Array
}

/**
 * Takes RSV, FRAG, ATYP, DST.ADDR, DST.PORT off a datagram. `undefined` for one that must be dropped: a
 * fragment (section 7 leaves them optional, and nobody sends them), or one without a valid address. RSV is
 * not looked at.
 */
export function decodeSocks5Datagram(bytes: Uint8Array): Socks5Datagram | undefined {
  if (bytes[2] !== NOT_FRAGMENTED) return undefined
  try {
    const decoded = decodeProgramAddress(bytes, HEAD_LENGTH)
    return (
      decoded && {
        address: decoded.address,
        data: bytes.subarray(HEAD_LENGTH + decoded.length),
      }
    )
  } catch {
    return undefined
  }
}

/** @throws AnyTlsError `ERR_ADDRESS_INVALID` */
export function encodeSocks5Datagram({ address, data }: Socks5Datagram): Uint8Array {
  return concatBytes([Uint8Array.of(0, 0, NOT_FRAGMENTED), encodeAddress(address), data])
}

const NOT_FRAGMENTED = 0
const HEAD_LENGTH = 3
