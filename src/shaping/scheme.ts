// The padding scheme: its language, its built-in instance, its KV form and its digest (draft, Traffic
// Shaping Scheme v0; D23, D24, D30).
// Must never draw a size: what the numbers do is the shaper's business.
import { md5 } from '@noble/hashes/legacy.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { SchemeError } from '../errors.ts'
import { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS, type SchemeLimits } from './limits.ts'
import { largestSize, numberFault, readItem, type SchemeItem } from './scheme-items.ts'
import { readSchemeLines, type Report, type SchemeLine } from './scheme-lines.ts'

/** A padding scheme. Nothing in it ever changes. */
export interface Scheme {
  /** Delivers with this index and above pass unshaped. */
  readonly stop: number
  /** The items by Deliver index, in the order of the text. An index may be missing, or at `stop` and above. */
  readonly entries: ReadonlyMap<number, readonly SchemeItem[]>
  /** The lines as they were given, joined by LF, no LF at the end. */
  readonly text: string
  /** MD5 over `text`, in lower-case hex: the `padding-md5` of a NEGO (D24). */
  readonly digest: string
}

/** The built-in scheme, the same as in the original, so that a fresh client fits most servers. */
export const DEFAULT_SCHEME_TEXT = `stop=8
0=30-30
1=100-400
2=400-500,c,500-1000,c,500-1000,c,500-1000,c,500-1000
3=9-9,500-1000
4=500-1000
5=500-1000
6=500-1000
7=500-1000`

/** {@link DEFAULT_SCHEME_TEXT}, parsed. */
export const DEFAULT_SCHEME: Scheme = parseScheme(DEFAULT_SCHEME_TEXT)

/**
 * Parses a scheme that somebody wrote for us, strictly: one `stop=N`, and `index=item,item` with items
 * `min-max` or `c`. An LF at the end is allowed. Numbers are decimal, without sign or leading zeros.
 * Entries that are merely odd (at or above stop, several ranges at index 0) are accepted.
 *
 * @throws SchemeError `ERR_SCHEME_SYNTAX` for the first problem; a missing stop is told of line 1, column 1
 */
export function parseScheme(text: string): Scheme {
  return read(text, { limits: LANGUAGE_LIMITS, malformed: refuse, excess: refuse })
}

/**
 * Reads a scheme that a server sent (D23, D30). Keys that are neither `stop` nor an index, and items that
 * are neither a proper range nor `c`, are skipped. A block that breaks a rule of draft, Appendix A is
 * refused as a whole, as is one without a usable `stop`; the LF of the last line alone may be missing.
 * The digest is that of the text as it was sent, so that the next NEGO agrees with the server's.
 *
 * @param source the body of the update
 * @throws SchemeError `ERR_SCHEME_SYNTAX`, or `ERR_SCHEME_LIMIT` when it asks for more than `limits`
 */
export function parsePeerScheme(
  source: Uint8Array | string,
  limits: SchemeLimits = DEFAULT_SCHEME_LIMITS,
): Scheme {
  // One byte above the limit is enough to refuse the text; the rest is not even looked at.
  const text = typeof source === 'string' ? source : decode(source, limits.maxTextBytes + 1)
  return read(text, { limits, malformed: skip, excess: refuseAmount })
}

/** The scheme in KV form, as PADDING_UPDATE_SCHEME carries it: every line ends in LF (D23, D24). */
export function encodeScheme(scheme: Scheme): Uint8Array {
  return utf8ToBytes(`${scheme.text}\n`)
}

interface Rules {
  readonly limits: SchemeLimits
  /** What to do about a key or an item that is not of the language. It is skipped if this returns. */
  readonly malformed: Report
  /** What to do about an amount above the limits. */
  readonly excess: Report
}

function refuse(line: number, column: number, message: string): never {
  throw new SchemeError('ERR_SCHEME_SYNTAX', line, column, message)
}

function refuseAmount(line: number, column: number, message: string): never {
  throw new SchemeError('ERR_SCHEME_LIMIT', line, column, message)
}

function skip(): void {}

function read(source: string, rules: Rules): Scheme {
  const text = source.endsWith('\n') ? source.slice(0, -1) : source
  checkLength(text, rules)
  const lines = readSchemeLines(text, refuse)
  const stop = findStop(lines, rules)
  return {
    stop,
    entries: readEntries(lines, stop, rules),
    text,
    digest: bytesToHex(md5(utf8ToBytes(text))),
  }
}

function checkLength(text: string, { limits: { maxTextBytes }, excess }: Rules): void {
  if (text.length < maxTextBytes) return
  const fitting = text.slice(0, maxTextBytes - 1).split('\n')
  const column = (fitting.at(-1)?.length ?? 0) + 1
  excess(fitting.length, column, `the scheme is longer than ${maxTextBytes} bytes`)
}

function findStop(lines: readonly SchemeLine[], { limits, excess }: Rules): number {
  const found = lines.find(({ key }) => key === 'stop')
  if (found === undefined) return refuse(1, 1, 'there is no line "stop=N"')
  const { line, key, values } = found
  const column = key.length + 2
  const text = values.map((value) => value.text).join(',')
  const fault = numberFault(text)
  if (fault !== undefined) refuse(line, column + fault.offset, fault.message)
  const stop = Number(text)
  if (stop > limits.maxStop) excess(line, column, `stop is at most ${limits.maxStop}`)
  return stop
}

function readEntries(
  lines: readonly SchemeLine[],
  stop: number,
  rules: Rules,
): Map<number, readonly SchemeItem[]> {
  const { limits, excess } = rules
  const entries = new Map<number, readonly SchemeItem[]>()
  let total = 0
  for (const line of lines) {
    if (line.key === 'stop') continue
    const index = readIndex(line, rules)
    if (index === undefined) continue
    const items = readItems(line, rules)
    entries.set(index, items)
    total += worstCase(index, items, stop)
    if (total > limits.maxTotalBytes) {
      excess(
        line.line,
        1,
        `with this entry, the sizes add up to more than ${limits.maxTotalBytes} bytes`,
      )
    }
  }
  return entries
}

function readIndex({ line, key }: SchemeLine, { malformed }: Rules): number | undefined {
  const fault = numberFault(key)
  if (fault !== undefined) {
    malformed(line, 1 + fault.offset, `a key is "stop" or an index: ${fault.message}`)
    return undefined
  }
  const index = Number(key)
  if (index <= LANGUAGE_LIMITS.maxStop) return index
  malformed(line, 1, `an index is at most ${LANGUAGE_LIMITS.maxStop}`)
  return undefined
}

function readItems({ line, values }: SchemeLine, rules: Rules): SchemeItem[] {
  const { limits, malformed, excess } = rules
  const items: SchemeItem[] = []
  for (const [position, value] of values.entries()) {
    if (position === limits.maxItems) {
      excess(line, value.column, `an entry has at most ${limits.maxItems} items`)
    }
    const item = readItem(value)
    if ('message' in item) {
      malformed(line, value.column + item.offset, item.message)
      continue
    }
    if (item.kind === 'size' && largestSize(item) > limits.maxSize) {
      const second = value.text.indexOf('-') + 1
      excess(line, value.column + second, `a size is at most ${limits.maxSize} bytes`)
    }
    items.push(item)
  }
  return items
}

/** The most bytes that an entry can ask for. Of index 0 the first range counts, whatever stop is (D28). */
function worstCase(index: number, items: readonly SchemeItem[], stop: number): number {
  const sizes = items.filter((item) => item.kind === 'size').map(largestSize)
  if (index === 0) return sizes[0] ?? 0
  return index < stop ? sizes.reduce((sum, size) => sum + size, 0) : 0
}

function decode(bytes: Uint8Array, most: number): string {
  let text = ''
  for (const byte of bytes.subarray(0, most)) text += String.fromCharCode(byte)
  return text
}
