// What a peer of the original wire says in words: alerts, refusals, its name.
// Must never let a control character through to a log or a terminal, or throw.
import { decodeTextBlock, toTextBlock } from '../../codec/text-block.ts'

/** Most characters of a peer's text that are shown to anybody. */
const MAX_TEXT = 1_024

/** Bytes as one line of at most 1,024 printable ASCII characters; every other one becomes `?`. */
export function readText(bytes: Uint8Array): string {
  // A character takes four bytes of UTF-8 at most.
  return cleanText(new TextDecoder().decode(bytes.subarray(0, 4 * MAX_TEXT)))
}

/** The same of text. */
export function cleanText(text: string): string {
  return decodeTextBlock(toTextBlock(text, MAX_TEXT)).replaceAll('\n', ' ')
}
