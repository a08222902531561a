// Faults for the rows of the chapter Appendix C.
import type { Mutant } from './mutant.ts'

const CHAPTER = 'Appendix C. Variable-Length Integer Encoding'
const CODEC = 'src/codec/varint.ts'

export const VARINTS: readonly Mutant[] = [
  {
    section: CHAPTER,
    quote: 'reserves the two most significant bits of the first byte',
    file: CODEC,
    find: '1 << (firstByte >>> 6)',
    put: '1 + (firstByte >>> 6)',
  },
  {
    section: CHAPTER,
    quote: 'in network byte order',
    file: CODEC,
    find: 'view.getBigUint64(0)',
    put: 'view.getBigUint64(0, true)',
  },
  {
    section: CHAPTER,
    quote: 'integers are encoded on 1, 2, 4, or 8 bytes',
    file: CODEC,
    find: 'if (value < 0x40) return 1',
    put: 'if (value < 0x3f) return 1',
  },
]
