// The header of the PROXY protocol, versions 1 and 2 (haproxy, doc/proxy-protocol.txt): it tells the endpoint
// behind a relay who the client is.
// Must never ask for more bytes than a header may have.
import { AnyTlsError } from '../errors.ts'
import type { Address } from './address.ts'
import { concatBytes } from './bytes.ts'
import { formatIPv4, formatIPv6, parseIPv4, parseIPv6, unmapped, unmappedHost } from './ip.ts'

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
/** With the version, 2, in the upper half of the byte. */
const Command = { Local: 0x20, Proxy: 0x21 } as const
/** The address family in the upper half of the byte, the transport in the lower one. */
const Family = { Unspecified: 0x00, TcpOverIPv4: 0x11, TcpOverIPv6: 0x21 } as const

/** Most bytes of a text header, with the end of its line (section 2.1). */
const TEXT_MAX = 107
/** Bytes of a binary header before its addresses. */
const FIXED_LENGTH = 16
/** Most bytes of a binary header that are read, addresses and TLVs included; nginx reads as many. */
export const PROXY_HEADER_MAX = 4096

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
    return concatBytes([SIGNATURE, Uint8Array.of(Command.Local, Family.Unspecified, 0, 0)])
  }
  const { source, destination } = tcp
  const family = source.ip.length === 4 ? Family.TcpOverIPv4 : Family.TcpOverIPv6
  const ports = [source.port, destination.port].flatMap((port) => [port >>> 8, port & 0xff])
  const length = 2 * source.ip.length + ports.length
  return concatBytes([
    SIGNATURE,
    Uint8Array.of(Command.Proxy, family, length >>> 8, length & 0xff),
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
  return { ip: unmapped(ip), port: end.port }
}

/** A header that somebody sent, and how many bytes it took. */
export interface DecodedProxyProtocol {
  /** IPv4 as IPv4 in either family. Not known, both, when the header says so (UNKNOWN, LOCAL), or names what is no TCP connection. */
  readonly ends: ProxyProtocolEnds
  readonly length: number
}

const UNKNOWN: ProxyProtocolEnds = Object.freeze({ source: undefined, destination: undefined })

/**
 * Takes the header off the front of `bytes`, in either version; `undefined` when bytes are missing, of which
 * no more than {@link PROXY_HEADER_MAX} are ever waited for. What cannot be a header is seen at its first byte
 * that is wrong, but for the addresses and ports of version 1: they are read when their line has ended. TLVs are
 * skipped.
 *
 * @throws AnyTlsError `ERR_PROXY_PROTOCOL`
 */
export function decodeProxyProtocol(bytes: Uint8Array): DecodedProxyProtocol | undefined {
  const isText = bytes[0] === TEXT_START[0]
  const start = isText ? TEXT_START : SIGNATURE
  const seen = bytes.subarray(0, start.length)
  if (seen.some((byte, index) => byte !== start[index])) throw invalid('there is none')
  if (seen.length < start.length) return undefined
  return isText ? decodeText(bytes) : decodeBinary(bytes)
}

const TEXT_START = new TextEncoder().encode('PROXY ')
/** What may stand behind it, with what ends the word. */
const PROTOCOLS = ['TCP4 ', 'TCP6 ', 'UNKNOWN ', 'UNKNOWN\r']

function decodeText(bytes: Uint8Array): DecodedProxyProtocol | undefined {
  const protocol = String.fromCharCode(...bytes.subarray(TEXT_START.length, TEXT_START.length + 8))
  if (!PROTOCOLS.some((known) => known.startsWith(protocol) || protocol.startsWith(known))) {
    throw invalid('its line names no two ends')
  }
  const end = bytes.subarray(0, TEXT_MAX).indexOf(13)
  if (end === -1) {
    if (bytes.length < TEXT_MAX) return undefined
    throw invalid('its line is too long')
  }
  if (bytes.length === end + 1 && end + 1 < TEXT_MAX) return undefined
  if (bytes[end + 1] !== 10 || end + 2 > TEXT_MAX) throw invalid('its line does not end in CR LF')
  return { ends: endsOfLine(String.fromCharCode(...bytes.subarray(0, end))), length: end + 2 }
}

function endsOfLine(line: string): ProxyProtocolEnds {
  // What follows UNKNOWN is to be ignored.
  if (/^PROXY UNKNOWN(?: |$)/.test(line)) return UNKNOWN
  const [, family, from, to, fromPort, toPort] =
    /^PROXY TCP([46]) ([^ ]+) ([^ ]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})$/.exec(line) ?? []
  const [parse, format] = family === '4' ? [parseIPv4, formatIPv4] : [parseIPv6, formatIPv6]
  const toEnd = (host = '', text = ''): Address => {
    const ip = parse(host)
    const port = Number(text)
    if (ip === undefined || port > 0xffff) throw invalid('its line names no two ends')
    return { host: unmappedHost(format(ip)), port }
  }
  return { source: toEnd(from, fromPort), destination: toEnd(to, toPort) }
}

/** Bytes of an address by its family: unspecified, IPv4, IPv6, Unix. */
const ADDRESS_LENGTHS = [0, 4, 16, 108]

function decodeBinary(bytes: Uint8Array): DecodedProxyProtocol | undefined {
  const [command, family] = [bytes[12], bytes[13]]
  if (command !== undefined && command !== Command.Proxy && command !== Command.Local) {
    throw invalid('its version or command is not known')
  }
  const addressLength = ADDRESS_LENGTHS[(family ?? 0) >>> 4]
  if (addressLength === undefined || ((family ?? 0) & 0xf) > 2) {
    throw invalid('its family or protocol is not known')
  }
  if (bytes.length < FIXED_LENGTH) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const length = FIXED_LENGTH + view.getUint16(14)
  if (length > PROXY_HEADER_MAX) throw invalid('it is too long')
  const isTcp = family === Family.TcpOverIPv4 || family === Family.TcpOverIPv6
  const named = command === Command.Proxy
  const portsAt = FIXED_LENGTH + 2 * addressLength
  if (named && length < portsAt + (isTcp ? 4 : 0)) throw invalid('its addresses are cut off')
  if (bytes.length < length) return undefined
  if (!named || !isTcp) return { ends: UNKNOWN, length }
  const format = family === Family.TcpOverIPv4 ? formatIPv4 : formatIPv6
  const toEnd = (index: number): Address => {
    const start = FIXED_LENGTH + index * addressLength
    const host = format(bytes.subarray(start, start + addressLength))
    return { host: unmappedHost(host), port: view.getUint16(portsAt + 2 * index) }
  }
  return { ends: { source: toEnd(0), destination: toEnd(1) }, length }
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_PROXY_PROTOCOL', `no valid PROXY protocol header: ${problem}`)
}
