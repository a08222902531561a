// Finds the TCP segment in a packet: Ethernet with VLAN tags, Linux cooked (v1, v2), loopback, raw IP; IPv4, and
// IPv6 with its extension headers.

/** A TCP segment. */
export interface TcpSegment {
  /** Address and port of either side, in one text that is only compared. */
  readonly source: string
  readonly target: string
  readonly sequence: number
  readonly acknowledged: number | undefined
  readonly syn: boolean
  readonly fin: boolean
  readonly reset: boolean
  /** A view of what was captured of the data. */
  readonly data: Uint8Array
  /** Bytes of data that it had on the network, at least as many. */
  readonly length: number
}

/** Where IP begins, and what else is known of it. */
type FindIp = (view: DataView) => number | undefined

const ETHERTYPE_IP: readonly number[] = [0x0800, 0x86dd]
const ETHERTYPE_VLAN: readonly number[] = [0x8100, 0x88a8, 0x9100]

/** By the numbers of the LINKTYPE registry. */
const LINK_TYPES: ReadonlyMap<number, FindIp> = new Map<number, FindIp>([
  [0, () => 4],
  [1, (view) => behindEtherType(view, 12, 14)],
  [12, () => 0],
  [14, () => 0],
  [101, () => 0],
  [108, () => 4],
  [113, (view) => behindEtherType(view, 14, 16)],
  [228, () => 0],
  [229, () => 0],
  [276, (view) => behindEtherType(view, 0, 20)],
])

export function isKnownLinkType(linkType: number): boolean {
  return LINK_TYPES.has(linkType)
}

/** @param length of the packet on the network, of which `bytes` may be only the beginning */
export function decodeTcpSegment(
  linkType: number,
  bytes: Uint8Array,
  length: number,
): TcpSegment | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const start = LINK_TYPES.get(linkType)?.(view)
  if (start === undefined || start >= bytes.length) return undefined
  const version = view.getUint8(start) >> 4
  const found = version === 4 ? findTcpInV4(view, start) : findTcpInV6(view, start, version)
  if (found === undefined) return undefined
  const { tcp, addresses, addressLength } = found
  // Segmentation in hardware leaves the length of IP at 0: then the packet's own says it.
  const end = found.end > start ? found.end : length
  if (bytes.length < tcp + 20) return undefined
  const head = (view.getUint8(tcp + 12) >> 4) * 4
  if (head < 20 || tcp + head > end) return undefined
  const flags = view.getUint8(tcp + 13)
  const side = (which: 0 | 1) => {
    const at = addresses + which * addressLength
    return `${bytes.subarray(at, at + addressLength).join()}:${view.getUint16(tcp + which * 2)}`
  }
  return {
    source: side(0),
    target: side(1),
    sequence: view.getUint32(tcp + 4),
    acknowledged: (flags & 0x10) === 0 ? undefined : view.getUint32(tcp + 8),
    fin: (flags & 0x01) !== 0,
    syn: (flags & 0x02) !== 0,
    reset: (flags & 0x04) !== 0,
    data: bytes.subarray(tcp + head, Math.max(end, tcp + head)),
    length: end - tcp - head,
  }
}

/** Behind an EtherType at `at`, and any VLAN tags, each of which moves the next one by four bytes. */
function behindEtherType(view: DataView, at: number, next: number): number | undefined {
  let [type, start] = [view.byteLength < at + 2 ? 0 : view.getUint16(at), next]
  while (ETHERTYPE_VLAN.includes(type) && start + 4 <= view.byteLength) {
    type = view.getUint16(start + 2)
    start += 4
  }
  return ETHERTYPE_IP.includes(type) ? start : undefined
}

interface TcpPlace {
  readonly tcp: number
  /** Where IP ends; `start` when it does not say. */
  readonly end: number
  readonly addresses: number
  readonly addressLength: number
}

const PROTOCOL_TCP = 6

function findTcpInV4(view: DataView, start: number): TcpPlace | undefined {
  if (view.byteLength < start + 20) return undefined
  const head = (view.getUint8(start) & 15) * 4
  // A fragment: none but the first has TCP's head, and no TCP of today makes them.
  const isFragment = (view.getUint16(start + 6) & 0x3fff) !== 0
  if (head < 20 || isFragment || view.getUint8(start + 9) !== PROTOCOL_TCP) return undefined
  const end = start + view.getUint16(start + 2)
  return { tcp: start + head, end, addresses: start + 12, addressLength: 4 }
}

/** Extension headers with a length of their own, in units of eight bytes beyond the first (RFC 8200, RFC 6564). */
const V6_EXTENSIONS: readonly number[] = [0, 43, 60, 135, 139, 140]
const V6_FRAGMENT = 44
const V6_AUTHENTICATION = 51
const V6_HEAD_LENGTH = 40

function findTcpInV6(view: DataView, start: number, version: number): TcpPlace | undefined {
  if (version !== 6 || view.byteLength < start + V6_HEAD_LENGTH) return undefined
  const payload = view.getUint16(start + 4)
  let next = view.getUint8(start + 6)
  let at = start + V6_HEAD_LENGTH
  while (next !== PROTOCOL_TCP) {
    if (view.byteLength < at + 8) return undefined
    const units = view.getUint8(at + 1)
    let length: number
    if (V6_EXTENSIONS.includes(next)) length = (units + 1) * 8
    else if (next === V6_AUTHENTICATION) length = (units + 2) * 4
    else if (next === V6_FRAGMENT && (view.getUint16(at + 2) & 0xfff9) === 0) length = 8
    else return undefined
    next = view.getUint8(at)
    at += length
  }
  const end = payload === 0 ? start : start + V6_HEAD_LENGTH + payload
  return { tcp: at, end, addresses: start + 8, addressLength: 16 }
}
