// The padding scheme: its language, its built-in instance, its KV form and its digest (draft, Traffic
// Shaping Scheme v0; D23, D24, D30).
import { md5 } from '@noble/hashes/legacy.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import { SchemeError } from '../errors.ts'
import { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS, type SchemeLimits } from './limits.ts'
import { LENIENT_WORDS, type SchemeItem, STRICT_WORDS } from './scheme-items.ts'
import { readRawLines, readSchemeLines, type SchemeLine } from './scheme-lines.ts'
import { checkLength, readContent, type SchemeContent } from './scheme-reader.ts'

/** A padding scheme. Nothing in it ever changes. */
export interface Scheme {
  /** Delivers with this index and above pass unshaped. */
  readonly stop: number
  /**
   * Where Delivers are counted from again when a stream is opened, at least 1 and below `stop`; the line
   * `restart=N`. Undefined in most schemes: only the beginning of the connection is shaped then.
   */
  readonly restart: number | undefined
  /** The items by Deliver index, in the order of the text. An index may be missing, or at `stop` and above. */
  readonly entries: ReadonlyMap<number, readonly SchemeItem[]>
  /**
   * The text that the digest is of: the lines as they were given, joined by LF, no LF at the end. On the
   * original wire the text is whatever the server sent ({@link parseRawScheme}).
   */
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
 * Parses a scheme that somebody wrote for us, strictly: one `stop=N`, at most one `restart=N` with N at
 * least 1 and below stop, and `index=item,item` with items `min-max` or `c`. An LF at the end is allowed.
 * Numbers are decimal, without sign or leading zeros. Entries that are merely odd (at or above stop,
 * several ranges at index 0) are accepted; `checkScheme` tells of them.
 *
 * @throws SchemeError `ERR_SCHEME_SYNTAX` for the first problem; a missing stop is told of line 1, column 1
 */
export function parseScheme(text: string): Scheme {
  const body = withoutLastLf(text)
  checkLength(body, LANGUAGE_LIMITS.maxTextBytes - 1, refuse)
  return schemeOf(
    body,
    utf8ToBytes(body),
    readContent(readSchemeLines(body, refuse), {
      limits: LANGUAGE_LIMITS,
      words: STRICT_WORDS,
      unusable: refuse,
      malformed: refuse,
      excess: refuse,
    }),
  )
}

/**
 * Reads a scheme that a server sent in KV form (ANYTLS v1; D23, D30). Keys that are neither `stop`,
 * `restart` nor an index, a `restart` that cannot be used, and items that are neither a range nor `c` are
 * skipped; numbers and ranges are read as the original reads them. A block that breaks a rule of draft,
 * Appendix A is refused as a whole, as is one without a usable `stop`; the LF of the last line alone may
 * be missing. The digest is that of the text without that LF, so that the next NEGO agrees with the
 * server's (D24).
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
  const body = withoutLastLf(text)
  checkLength(body, limits.maxTextBytes - 1, refuseAmount)
  return schemeOf(body, utf8ToBytes(body), peerContent(readSchemeLines(body, refuse), limits))
}

/**
 * Reads a scheme that a server of the original wire sent: text that was never held to draft, Appendix A.
 * Everything is read as the original reads it: lines without `=` (blank ones, comments) count for nothing,
 * of two lines with one key the last counts, a CR belongs to the word before it, which is then no item.
 * The digest is that of the very bytes, a last LF included, since that is what the server compares; the
 * same goes for `text`, so that a store that keeps it reads it back with this function.
 *
 * @param source the body of the update
 * @throws SchemeError `ERR_SCHEME_SYNTAX` when there is no usable stop or it is not UTF-8;
 * `ERR_SCHEME_LIMIT` when it asks for more than `limits`
 */
export function parseRawScheme(
  source: Uint8Array | string,
  limits: SchemeLimits = DEFAULT_SCHEME_LIMITS,
): Scheme {
  if (source.length > limits.maxTextBytes) {
    refuseAmount(1, 1, `the scheme is longer than ${limits.maxTextBytes} bytes`)
  }
  const bytes = typeof source === 'string' ? utf8ToBytes(source) : source
  const text = typeof source === 'string' ? source : decodeUtf8(source)
  return schemeOf(text, bytes, peerContent(readRawLines(text), limits))
}

/** The scheme in KV form, as PADDING_UPDATE_SCHEME carries it: every line ends in LF (D23, D24). */
export function encodeScheme(scheme: Scheme): Uint8Array {
  return utf8ToBytes(`${scheme.text}\n`)
}

/** The text of a scheme in canonical order: stop, restart, then the entries by index. No LF at the end. */
export function formatScheme({ stop, restart, entries }: SchemeContent): string {
  const lines = [`stop=${stop}`]
  if (restart !== undefined) lines.push(`restart=${restart}`)
  for (const [index, items] of [...entries].sort(([a], [b]) => a - b)) {
    lines.push(`${index}=${items.map(formatItem).join(',')}`)
  }
  return lines.join('\n')
}

function formatItem(item: SchemeItem): string {
  return item.kind === 'check' ? 'c' : `${item.min}-${item.max}`
}

function schemeOf(text: string, bytes: Uint8Array, content: SchemeContent): Scheme {
  return { ...content, text, digest: bytesToHex(md5(bytes)) }
}

function peerContent(lines: readonly SchemeLine[], limits: SchemeLimits): SchemeContent {
  return readContent(lines, {
    limits,
    words: LENIENT_WORDS,
    unusable: refuse,
    malformed: () => {},
    excess: refuseAmount,
  })
}

function refuse(line: number, column: number, message: string): never {
  throw new SchemeError('ERR_SCHEME_SYNTAX', line, column, message)
}

function refuseAmount(line: number, column: number, message: string): never {
  throw new SchemeError('ERR_SCHEME_LIMIT', line, column, message)
}

function withoutLastLf(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text
}

function decode(bytes: Uint8Array, most: number): string {
  let text = ''
  for (const byte of bytes.subarray(0, most)) text += String.fromCharCode(byte)
  return text
}

function decodeUtf8(bytes: Uint8Array): string {
  try {
    // A byte order mark stays: it is part of the digest.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return refuse(1, 1, 'the scheme is not UTF-8 text')
  }
}
