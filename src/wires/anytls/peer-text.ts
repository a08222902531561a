// A peer's TEXT block as words for an error message (Appendix B).
// Must never throw: what the peer says there has no say in what happens.
import { decodeTextBlock } from '../../codec/text-block.ts'

/** The text; a block that breaks Appendix B says nothing. */
export function readText(block: Uint8Array): string {
  try {
    return decodeTextBlock(block)
  } catch {
    return '(no valid text)'
  }
}
