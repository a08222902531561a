// Faults for the rows of the chapter Appendix B.
import type { Mutant } from './mutant.ts'

export const TEXT_BLOCKS: readonly Mutant[] = [
  {
    section: 'Appendix B. AnyTLS Data Block — TEXT Serialization v0 / Encoding',
    quote: 'Multi-byte UTF-8 characters are NOT ALLOWED',
    file: 'src/codec/text-block.ts',
    find: 'byte <= 0x7e) || byte === LF',
    put: 'byte <= 0xfe) || byte === LF',
  },
]
