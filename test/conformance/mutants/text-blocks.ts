// Faults for the rows of the chapter Appendix B.
import type { Mutant } from './mutant.ts'

const CHAPTER = 'Appendix B. AnyTLS Data Block — TEXT Serialization v0'
const CODEC = 'src/codec/text-block.ts'

export const TEXT_BLOCKS: readonly Mutant[] = [
  {
    section: `${CHAPTER} / Encoding`,
    quote: 'Data MUST be encoded in UTF-8',
    file: CODEC,
    find: 'if (!permitted) throw',
    put: 'if (!permitted && (byte < 0x80 || byte > 0xbf)) throw',
  },
  {
    section: `${CHAPTER} / Encoding`,
    quote: 'Multi-byte UTF-8 characters are NOT ALLOWED',
    file: CODEC,
    find: 'byte <= 0x7e) || byte === LF',
    put: 'byte <= 0xfe) || byte === LF',
  },
  {
    section: `${CHAPTER} / Encoding`,
    quote: 'UTF-8 BOM (0xEF 0xBB 0xBF) is NOT ALLOWED',
    file: CODEC,
    find: 'let at = 0;',
    put: 'let at = bytes[0] === 0xef && bytes[1] === 0xbb ? 3 : 0;',
  },
  {
    section: `${CHAPTER} / Character Set`,
    quote: 'Only characters in the ASCII range',
    file: CODEC,
    find: 'byte <= 0x7e) || byte === LF',
    put: 'byte <= 0x7f) || byte === LF',
  },
  {
    section: `${CHAPTER} / Character Set`,
    quote: 'is permitted as a line separator',
    file: CODEC,
    find: 'byte <= 0x7e) || byte === LF',
    put: 'byte <= 0x7e)',
  },
  {
    section: `${CHAPTER} / Character Set`,
    quote: 'All other control characters',
    file: CODEC,
    find: 'byte === LF',
    put: 'byte === LF || byte === 0x0d || byte === 0x09',
  },
  {
    section: `${CHAPTER} / Structure`,
    quote: 'single opaque text string',
    file: CODEC,
    find: 'return asciiText(bytes)',
    put: 'return asciiText(bytes).trimEnd()',
  },
  {
    section: `${CHAPTER} / Structure`,
    quote: 'no escaping',
    file: CODEC,
    find: 'return asciiText(bytes)',
    put: String.raw`return asciiText(bytes).replaceAll('\\n', '\n')`,
  },
  {
    section: `${CHAPTER} / Validation Rules`,
    quote: 'An implementation MUST reject the data block if',
    file: 'src/wires/anytls/either-role.ts',
    find: "return '(no valid text)'",
    put: 'return Buffer.from(block).toString()',
  },
  {
    section: `${CHAPTER} / Validation Rules`,
    quote: 'It contains any byte sequence that is not valid UTF-8',
    file: CODEC,
    find: 'if (!permitted) throw',
    put: "if (!permitted && !characterError('text', bytes, at).rule.endsWith('utf8')) throw",
  },
  {
    section: `${CHAPTER} / Validation Rules`,
    quote: 'It contains BOM',
    file: CODEC,
    find: 'if (!permitted) throw',
    put: 'if (byte === 0xef && bytes[at + 1] === 0xbb) at += 2\n    else if (!permitted) throw',
  },
  {
    section: `${CHAPTER} / Validation Rules`,
    quote: 'It contains any disallowed control character',
    file: CODEC,
    find: '(byte >= 0x20 &&',
    put: '(byte >= 0x1b &&',
  },
]
