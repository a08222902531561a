// Which headers a proxy passes on and which end with it (RFC 9110 section 7.6.1).
// Must never drop a header that frames a body unless it is named: whoever frames it does that.

/** Raw headers as node:http has them: name, value, name, value. */
export type RawHeaders = readonly string[]

const HOP_BY_HOP: readonly string[] = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'upgrade',
]

/** Naming these in Connection does not take them away: without them a body would be read as a request. */
const FRAMING: readonly string[] = ['content-length', 'transfer-encoding']

/** The headers that go on to the other side, in order, without those of this hop and without `except`. */
export function endToEndHeaders(headers: RawHeaders, ...except: readonly string[]): string[] {
  const named = new Set(headerValues(headers, 'connection').map((option) => option.toLowerCase()))
  for (const name of FRAMING) named.delete(name)
  const dropped = new Set([...named, ...HOP_BY_HOP, ...except])
  return pairs(headers)
    .filter(([name]) => !dropped.has(name.toLowerCase()))
    .flat()
}

/** The members of a list header, whether in one line or in several (RFC 9110 section 5.3); none are empty. */
export function headerValues(headers: RawHeaders, wanted: string): string[] {
  return pairs(headers)
    .filter(([name]) => name.toLowerCase() === wanted)
    .flatMap(([, value]) => value.split(','))
    .map(trimSpace)
    .filter((member) => member !== '')
}

/** Without the spaces and tabs around it, which are all that is no part of a value (RFC 9110 section 5.6.3). */
export function trimSpace(value: string): string {
  let [start, end] = [0, value.length]
  while (start < end && isSpace(value.charCodeAt(start))) start += 1
  while (end > start && isSpace(value.charCodeAt(end - 1))) end -= 1
  return value.slice(start, end)
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9
}

function pairs(headers: RawHeaders): [string, string][] {
  const count = Math.floor(headers.length / 2)
  return Array.from({ length: count }, (_, index) => [
    headers[2 * index] ?? '',
    headers[2 * index + 1] ?? '',
  ])
}
