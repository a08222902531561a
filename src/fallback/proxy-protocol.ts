// The header of the PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt): it tells the endpoint
// behind a relay who the client is.
// Must never: name an address that is not a numeric one, or fail because one is not known.
import type { Address } from '../codec/address.ts'
import { concatBytes } from '../codec/bytes.ts'
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6 } from '../codec/ip.ts'

/** Which form the header has: text or binary. */
export type ProxyProtocolVersion = 'v1' | 'v2'

/** The two ends of the client's TCP connection; `undefined` for what is not known. */
export interface ProxyProtocolEnds {
  /** The client. */
  readonly source: Address | undefined
  /** The local end that the client connected to. */
  readonly destination: Address | undefined
}

const SIGNATURE = Uint8Array.of(13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10)
const VERSION_2_LOCAL = 0x20
const VERSION_2_PROXY = 0x21
const UNSPECIFIED = 0x00
const TCP_OVER_IPV4 = 0x11
const TCP_OVER_IPV6 = 0x21

interface TcpEnds {
  readonly source: TcpEnd
  readonly destination: TcpEnd
}

interface TcpEnd {
  /** 4 or 16 bytes. */
  readonly ip: Uint8Array
  readonly port: number
}

/**
 * The bytes that go before everything else. IPv4-mapped IPv6 addresses count as IPv4 and zone ids are left
 * out. When an end is not known, or the two are not of one family, the header says so: `PROXY UNKNOWN` (v1,
 * section 2.1) or LOCAL (v2, section 2.2).
 */
export function encodeProxyProtocol(
  version: ProxyProtocolVersion,
  ends: ProxyProtocolEnds,
): Uint8Array {
  const tcp = toTcpEnds(ends)
  return version === 'v1' ? encodeText(tcp) : encodeBinary(tcp)
}

function encodeText(tcp: TcpEnds | undefined): Uint8Array {
  return new TextEncoder().encode(`PROXY ${tcp === undefined ? 'UNKNOWN' : tcpText(tcp)}\r\n`)
}

function tcpText({ source, destination }: TcpEnds): string {
  const [protocol, format] = source.ip.length === 4 ? ['TCP4', formatIPv4] : ['TCP6', formatIPv6]
  const addresses = `${format(source.ip)} ${format(destination.ip)}`
  return `${protocol} ${addresses} ${source.port} ${destination.port}`
}

function encodeBinary(tcp: TcpEnds | undefined): Uint8Array {
  if (tcp === undefined) {
    return concatBytes([SIGNATURE, Uint8Array.of(VERSION_2_LOCAL, UNSPECIFIED, 0, 0)])
  }
  const { source, destination } = tcp
  const family = source.ip.length === 4 ? TCP_OVER_IPV4 : TCP_OVER_IPV6
  const ports = [source.port, destination.port].flatMap((port) => [port >>> 8, port & 0xff])
  const length = 2 * source.ip.length + ports.length
  return concatBytes([
    SIGNATURE,
    Uint8Array.of(VERSION_2_PROXY, family, length >>> 8, length & 0xff),
    source.ip,
    destination.ip,
    Uint8Array.from(ports),
  ])
}

function toTcpEnds(ends: ProxyProtocolEnds): TcpEnds | undefined {
  const [source, destination] = [toTcpEnd(ends.source), toTcpEnd(ends.destination)]
  if (source === undefined || source.ip.length !== destination?.ip.length) return undefined
  return { source, destination }
}

function toTcpEnd(end: Address | undefined): TcpEnd | undefined {
  if (end === undefined) return undefined
  const [host = ''] = end.host.split('%', 1)
  const ip = parseIPv4(host) ?? parseIPv6(host)
  if (ip === undefined) return undefined
  return { ip: isMapped(ip) ? ip.subarray(12) : ip, port: end.port }
}

/** `::ffff:a.b.c.d`, how a socket that listens on both families sees an IPv4 client. */
function isMapped(ip: Uint8Array): boolean {
  return (
    ip.length === 16 && ip.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff))
  )
}
