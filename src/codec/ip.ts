// IP addresses between text and bytes. IPv6 text is written as RFC 5952 asks.
// Must never accept a form that some other parser reads as another address (octal, short IPv4, zone ids).

const IPV4_TEXT_MAX = '255.255.255.255'.length
const DOT = 0x2e
const ZERO = 0x30
const IPV6_TEXT_MAX = 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255'.length

/** The 4 bytes of `a.b.c.d`, each part decimal without leading zeros; `undefined` for any other text. */
export function parseIPv4(text: string): Uint8Array | undefined {
  if (text.length > IPV4_TEXT_MAX) return undefined
  let packed = 0
  let parts = 0
  let part = -1
  // Each tunnel asks this several times: no texts are made for it.
  for (let index = 0; index <= text.length; index += 1) {
    const code = index === text.length ? DOT : text.charCodeAt(index)
    if (code === DOT) {
      if (part < 0) return undefined
      packed = (packed << 8) | part
      parts += 1
      part = -1
      continue
    }
    const digit = code - ZERO
    // Nothing may follow a zero in front.
    if (digit < 0 || digit > 9 || part === 0) return undefined
    part = part < 0 ? digit : 10 * part + digit
    if (part > 255) return undefined
  }
  return parts === 4 ? Uint8Array.of(packed >> 24, packed >> 16, packed >> 8, packed) : undefined
}

/** Decimal text of 4 bytes. */
export function formatIPv4(bytes: Uint8Array): string {
  return bytes.join('.')
}

/**
 * The 16 bytes of an IPv6 literal without brackets: full, compressed (`::`), or with its last 4 bytes as
 * IPv4 (RFC 4291, section 2.2); `undefined` for any other text, zone ids (`%eth0`) included.
 */
export function parseIPv6(text: string): Uint8Array | undefined {
  if (text.length > IPV6_TEXT_MAX) return undefined
  const [head = '', tail, ...more] = text.split('::')
  if (more.length > 0) return undefined
  const front = parseGroups(head, tail === undefined)
  const back = parseGroups(tail ?? '', true)
  if (front === undefined || back === undefined) return undefined
  const missing = 16 - front.length - back.length
  // "::" stands for at least one group of two bytes.
  if (tail === undefined ? missing !== 0 : missing < 2) return undefined
  const bytes = new Uint8Array(16)
  bytes.set(front, 0)
  bytes.set(back, 16 - back.length)
  return bytes
}

/**
 * Canonical text of 16 bytes (RFC 5952, section 4). An IPv4-mapped address has its IPv4 part in decimal
 * (section 5).
 */
export function formatIPv6(bytes: Uint8Array): string {
  const groups = Array.from(
    { length: 8 },
    (_, index) => ((bytes[2 * index] ?? 0) << 8) | (bytes[2 * index + 1] ?? 0),
  )
  if (groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0)) {
    return `::ffff:${formatIPv4(bytes.subarray(12, 16))}`
  }
  const { start, length } = longestZeroRun(groups)
  if (length < 2) return hexGroups(groups)
  return `${hexGroups(groups.slice(0, start))}::${hexGroups(groups.slice(start + length))}`
}

/**
 * The 4 bytes of an IPv4-mapped IPv6 address (`::ffff:a.b.c.d`, how a socket that listens on both families sees
 * an IPv4 client); any other address as it is.
 */
export function unmapped(ip: Uint8Array): Uint8Array {
  const isMapped =
    ip.length === 16 && ip.every((byte, index) => index >= 12 || byte === (index < 10 ? 0 : 0xff))
  return isMapped ? ip.subarray(12) : ip
}

/** The same of a host as text, as sockets name their peers; whatever is no such address stays as it is. */
export function unmappedHost(host: string): string {
  const ipv4 = host.slice('::ffff:'.length)
  return host.startsWith('::ffff:') && parseIPv4(ipv4) !== undefined ? ipv4 : host
}

/** The bytes of groups between colons, no "::" in them. The last one may be IPv4. */
function parseGroups(text: string, endsAddress: boolean): number[] | undefined {
  if (text === '') return []
  const bytes: number[] = []
  const parts = text.split(':')
  for (const [index, part] of parts.entries()) {
    if (/^[\da-f]{1,4}$/i.test(part)) {
      const group = Number.parseInt(part, 16)
      bytes.push(group >>> 8, group & 0xff)
      continue
    }
    const ipv4 = endsAddress && index === parts.length - 1 ? parseIPv4(part) : undefined
    if (ipv4 === undefined) return undefined
    bytes.push(...ipv4)
  }
  return bytes
}

/** The first of the longest runs (RFC 5952, section 4.2.3). */
function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let longest = { start: 0, length: 0 }
  for (let start = 0; start < groups.length; start += 1) {
    let end = start
    while (groups[end] === 0) end += 1
    if (end - start > longest.length) longest = { start, length: end - start }
  }
  return longest
}

function hexGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':')
}
