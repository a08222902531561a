// The TEXT data block (draft, Appendix B): opaque text in 0x20-0x7E and LF, safe to show on a terminal.
// Must never let any other byte through, in either direction.
import { asciiText, characterError, LF, textBytes } from './block-bytes.ts'

/**
 * Decodes a TEXT block. An empty block is a legal, empty text.
 *
 * @throws BlockError (`ERR_BLOCK_INVALID`) with the offset of the first byte that is not permitted, rule
 * `text-control` (CR and TAB included), `text-bom` (EF BB BF anywhere), `text-multibyte` or
 * `text-invalid-utf8`
 */
export function decodeTextBlock(bytes: Uint8Array): string {
  checkText(bytes)
  return asciiText(bytes)
}

/**
 * Encodes a text as it is.
 *
 * @throws BlockError (`ERR_BLOCK_INVALID`) under the rules of {@link decodeTextBlock}; a lone surrogate
 * counts as `text-multibyte`. The offset is in bytes of the UTF-8 form.
 */
export function encodeTextBlock(text: string): Uint8Array {
  const bytes = textBytes(text)
  checkText(bytes)
  return bytes
}

/**
 * Makes a TEXT block of any text: each character that is not permitted becomes one `?`, and what is longer
 * than `maxBytes` is cut off.
 *
 * @param maxBytes whole number of bytes, 0 or more
 */
export function toTextBlock(text: string, maxBytes: number): Uint8Array {
  // A character takes two code units at most, so the rest of a long text need not be looked at.
  const head = text.slice(0, 2 * maxBytes)
  return textBytes(head.replace(/[^\n\x20-\x7e]/gu, '?').slice(0, maxBytes))
}

function checkText(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at] ?? 0
    const permitted = (byte >= 0x20 && byte <= 0x7e) || byte === LF
    if (!permitted) throw characterError('text', bytes, at)
  }
}
