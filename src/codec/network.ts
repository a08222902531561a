// Networks of IP addresses, as people write them: `192.0.2.0/24`, `2001:db8::/32`, `192.0.2.1`.
// Must never take an address for one of another family, but for IPv4 mapped into IPv6, which is IPv4.
import { AnyTlsError } from '../errors.ts'
import { parseIPv4, parseIPv6, unmapped } from './ip.ts'

/** The addresses of one family that begin with the same bits. */
export interface Network {
  /** 4 or 16 bytes; those after the prefix are 0. */
  readonly ip: Uint8Array
  /** In bits. */
  readonly prefix: number
}

/**
 * Reads `ADDRESS/PREFIX`, or an address alone. IPv4 mapped into IPv6 counts as IPv4.
 *
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`, also when bits are set after the prefix: one of the two is a slip
 */
export function parseNetwork(text: string): Network {
  const [host = '', length, ...more] = text.split('/')
  const written = parseIPv4(host) ?? parseIPv6(host)
  if (written === undefined || more.length > 0) throw invalid(text, 'write ADDRESS or ADDRESS/BITS')
  const ip = unmapped(written)
  const bits = length === undefined || /^\d{1,3}$/.test(length) ? Number(length ?? NaN) : -1
  const prefix = Number.isNaN(bits) ? ip.length * 8 : bits - (written.length - ip.length) * 8
  if (prefix < 0 || prefix > ip.length * 8) throw invalid(text, 'it has no such prefix')
  const network = { ip: ip.map((byte, index) => byte & maskAt(prefix, index)), prefix }
  if (network.ip.some((byte, index) => byte !== ip[index])) {
    throw invalid(text, 'its address has bits after the prefix')
  }
  return network
}

/** Whether one of `networks` holds the address; no for what is no address. A zone id is left out. */
export function isInNetworks(networks: readonly Network[], address: string): boolean {
  if (networks.length === 0) return false
  const [host = ''] = address.split('%', 1)
  const parsed = parseIPv4(host) ?? parseIPv6(host)
  if (parsed === undefined) return false
  const ip = unmapped(parsed)
  return networks.some(
    (network) =>
      network.ip.length === ip.length &&
      network.ip.every(
        (byte, index) => ((ip[index] ?? 0) & maskAt(network.prefix, index)) === byte,
      ),
  )
}

const LOOPBACK = ['127.0.0.0/8', '::1'].map(parseNetwork)

/** Whether it is an address that leads to this machine and no other. */
export function isLoopback(address: string): boolean {
  return isInNetworks(LOOPBACK, address)
}

function maskAt(prefix: number, index: number): number {
  return (0xff00 >>> Math.min(8, Math.max(0, prefix - 8 * index))) & 0xff
}

function invalid(text: string, reason: string): AnyTlsError {
  const shown = text.replace(/[^\x20-\x7e]/g, '?').slice(0, 60)
  return new AnyTlsError('ERR_ADDRESS_INVALID', `"${shown}" is not a network: ${reason}`)
}
