// What appendices A and B of the draft have in common: ASCII text in bytes, and what is wrong with a byte
// that neither permits. Internal to the two block codecs.
// Must never accept a byte above 0x7E.
import { BlockError } from '../errors.ts'

export const LF = 0x0a

const utf8 = new TextEncoder()
const ascii = new TextDecoder()
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

/** The bytes of a text. A lone surrogate becomes the three bytes of U+FFFD, which no block permits. */
export function textBytes(text: string): Uint8Array {
  return utf8.encode(text)
}

/** The text of bytes that are known to be ASCII. */
export function asciiText(bytes: Uint8Array): string {
  return ascii.decode(bytes)
}

/**
 * The error for the byte at `at`, which must be a control character or above 0x7E:
 * rule `bom`, `multibyte`, `invalid-utf8` or `control`, behind the name of the block.
 *
 * @param base where `bytes[0]` stands in the block
 */
export function characterError(
  block: 'kv' | 'text',
  bytes: Uint8Array,
  at: number,
  base = 0,
): BlockError {
  const offset = base + at
  const byte = bytes[at] ?? 0
  if (byte <= 0x7f) {
    const hex = `0x${byte.toString(16).padStart(2, '0')}`
    return new BlockError(`${block}-control`, offset, `control character ${hex} is not allowed`)
  }
  if (byte === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf) {
    return new BlockError(`${block}-bom`, offset, 'a UTF-8 BOM is not allowed')
  }
  if (startsUtf8Character(bytes, at)) {
    return new BlockError(`${block}-multibyte`, offset, 'only ASCII characters are allowed')
  }
  return new BlockError(`${block}-invalid-utf8`, offset, 'the bytes are not valid UTF-8')
}

function startsUtf8Character(bytes: Uint8Array, at: number): boolean {
  const first = bytes[at] ?? 0
  const length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
  try {
    strictUtf8.decode(bytes.subarray(at, at + length))
    return true
  } catch {
    return false
  }
}
