// `host:port` as people write it: `name:80`, `192.0.2.1:80`, `[2001:db8::1]:80`.
// Must never put text into an error message without escaping it.
import { AnyTlsError } from '../errors.ts'
import { NAME_MAX_LENGTH } from './address.ts'
import type { Address } from './address.ts'
import { formatIPv6, parseIPv4, parseIPv6 } from './ip.ts'

// Text longer than this cannot be valid; it is not looked at, and not shown in full.
const TEXT_MAX_LENGTH = NAME_MAX_LENGTH + ':65535'.length
const SHOWN_MAX_LENGTH = 60

/**
 * Parses `host:port`. IPv6 addresses stand in brackets and come out in canonical form (RFC 5952); names may
 * have letters, digits, `-`, `_` and `.` and come out as written. A name that ends in a number (`127.1`,
 * `10.0.0.256`, `0x7f000001`) is refused: resolvers read it as an IPv4 address, and not all as the same.
 *
 * @param defaultPort taken when the text has no `:port`; without it, a port is required
 * @throws AnyTlsError `ERR_ADDRESS_INVALID`, one line that names the text and what is wrong with it
 */
export function parseHostPort(text: string, defaultPort?: number): Address {
  if (text.length > TEXT_MAX_LENGTH) throw invalid(text, 'it is too long')
  const match = /^(?:\[(?<ipv6>[^\]]*)\]|(?<host>[^:[\]]*))(?::(?<port>[^:]*))?$/.exec(text)
  if (match?.groups === undefined) {
    throw invalid(text, 'write NAME:PORT, IPV4:PORT or [IPV6]:PORT')
  }
  const { ipv6, host = '', port } = match.groups
  return {
    host: ipv6 === undefined ? parseHost(text, host) : parseBracketed(text, ipv6),
    port: parsePort(text, port, defaultPort),
  }
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatHostPort(address: Address): string {
  const { host, port } = address
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`
}

function parseBracketed(text: string, host: string): string {
  const bytes = parseIPv6(host)
  if (bytes === undefined) throw invalid(text, 'what stands in brackets is not an IPv6 address')
  return formatIPv6(bytes)
}

function parseHost(text: string, host: string): string {
  if (parseIPv4(host) !== undefined) return host
  if (host === '') throw invalid(text, 'the host is missing')
  if (host.length > NAME_MAX_LENGTH) throw invalid(text, 'the name is too long')
  if (!/^[\w.-]+$/.test(host)) {
    throw invalid(text, 'a name has only letters, digits, "-", "_" and "." (others in punycode)')
  }
  if (/(?:^|\.)(?:\d+|0x[\da-f]*)\.?$/i.test(host)) {
    throw invalid(text, 'the host ends in a number but is not an IPv4 address')
  }
  return host
}

function parsePort(text: string, port: string | undefined, defaultPort?: number): number {
  if (port === undefined) {
    if (defaultPort === undefined) throw invalid(text, 'the port is missing')
    return defaultPort
  }
  const number = /^(?:0|[1-9]\d{0,4})$/.test(port) ? Number(port) : Infinity
  if (number > 0xffff) throw invalid(text, 'the port is not a number from 0 to 65535')
  return number
}

function invalid(text: string, reason: string): AnyTlsError {
  const cut = text.length > SHOWN_MAX_LENGTH
  const shown = JSON.stringify(cut ? `${text.slice(0, SHOWN_MAX_LENGTH)}...` : text)
  return new AnyTlsError('ERR_ADDRESS_INVALID', `${escape(shown)} is not an address: ${reason}`)
}

/** JSON leaves DEL, C1 controls and line separators as they are. */
function escape(json: string): string {
  return json.replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}
