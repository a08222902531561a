// Hosts as programs and people write them, in the one form that goes over a wire.
import { domainToASCII } from 'node:url'
import type { Address, DecodedAddress } from '../codec/address.ts'
import { AddressType, decodeAddress } from '../codec/address.ts'
import { unmappedHost } from '../codec/ip.ts'
import { AnyTlsError } from '../errors.ts'

/**
 * The ASCII form of a host by the platform's rules (UTS 46, as browsers have it): `bücher.example` is
 * `xn--bcher-kva.example`. A host that is ASCII stays as it was written; `undefined` for one that has no such form.
 */
export function toAsciiName(host: string): string | undefined {
  if (/^[\x21-\x7e]*$/.test(host)) return host
  // The platform would leave control characters out, and another name would be asked for.
  const ascii = /[\p{Cc}\s]/u.test(host) ? '' : domainToASCII(host)
  return /^[\w.-]+$/.test(ascii) ? ascii : undefined
}

/**
 * Decodes the address at `offset` that a program sent; `undefined` when bytes are missing. Names may be UTF-8, for
 * there are programs that leave it to the proxy.
 *
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`
 */
export function decodeProgramAddress(
  bytes: Uint8Array,
  offset: number,
): DecodedAddress | undefined {
  const [type, length] = bytes.subarray(offset, offset + 2)
  const name = bytes.subarray(offset + 2, offset + 2 + (length ?? 0))
  if (type !== AddressType.Name || name.every((byte) => byte < 0x80)) {
    const decoded = decodeAddress(bytes, offset)
    return decoded && { ...decoded, address: withoutMapping(decoded.address) }
  }
  const port = bytes.subarray(offset + 2 + name.length, offset + 4 + name.length)
  const [high, low] = port
  if (high === undefined || low === undefined) return undefined
  const host = toAsciiName(Buffer.from(name).toString('utf8'))
  if (host === undefined) throw new AnyTlsError('ERR_ADDRESS_INVALID')
  return { address: { host, port: (high << 8) | low }, length: 4 + name.length }
}

function withoutMapping({ host, port }: Address): Address {
  return { host: unmappedHost(host), port }
}
