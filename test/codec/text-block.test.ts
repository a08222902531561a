import { describe, expect, it } from 'vitest'
import { BlockError } from '../../src/errors.ts'
import { decodeTextBlock, encodeTextBlock, toTextBlock } from '../../src/codec/text-block.ts'
import { embedded, fixture, fromHex, thrownBy, toHex } from './vectors.ts'
import type { Vector } from './vectors.ts'

interface Broken {
  readonly name: string
  readonly rule: string
  readonly offset: number
}
interface Converted {
  readonly name: string
  readonly text: string
  readonly maxBytes: number
  readonly result: string
}
const { valid, invalid, unencodable, converted } = fixture('text-block') as {
  readonly valid: readonly (Vector & { readonly text: string })[]
  readonly invalid: readonly (Vector & Broken)[]
  readonly unencodable: readonly (Broken & { readonly text: string })[]
  readonly converted: readonly Converted[]
}

/** Every vector of the rule is rejected, by that rule, at its offset; there is one at least. */
function expectRejected(rule: string): void {
  const decoding = invalid.filter((vector) => vector.rule === rule)
  expect(decoding, rule).not.toHaveLength(0)
  for (const vector of decoding) {
    const bytes = embedded(fromHex(vector.hex))
    expectError(
      vector,
      thrownBy(() => decodeTextBlock(bytes), vector.name),
    )
  }
  for (const vector of unencodable.filter((candidate) => candidate.rule === rule)) {
    expectError(
      vector,
      thrownBy(() => encodeTextBlock(vector.text), vector.name),
    )
  }
}

function expectError({ name, rule, offset }: Broken, error: unknown): void {
  expect(error, name).toBeInstanceOf(BlockError)
  expect(error, name).toMatchObject({ code: 'ERR_BLOCK_INVALID', rule, offset })
}

describe('TEXT block', () => {
  it('Appendix B: every valid vector decodes to its text', () => {
    for (const { hex, text, name } of valid) {
      expect(decodeTextBlock(embedded(fromHex(hex))), name).toBe(text)
    }
  })

  it('Appendix B, Structure: nothing is escaped: what looks like an escape is text', () => {
    const text = String.raw`a\nb \\ \x41 %41 &amp; "quoted" 'too' key=value`
    expect(decodeTextBlock(new TextEncoder().encode(text))).toBe(text)
    expect(toHex(encodeTextBlock(text))).toBe(toHex(new TextEncoder().encode(text)))
  })

  it('Appendix B: every valid vector is encoded byte for byte', () => {
    for (const { hex, text, name } of valid) {
      expect(toHex(encodeTextBlock(text)), name).toBe(hex)
    }
  })

  it('Appendix B, Validation Rule 1: bytes that are not UTF-8 are rejected', () =>
    expectRejected('text-invalid-utf8'))
  it('Appendix B, Validation Rule 2: a BOM is rejected', () => expectRejected('text-bom'))
  it('Appendix B, Validation Rule 3: every control character but LF is rejected', () =>
    expectRejected('text-control'))
  it('Appendix B, Encoding: multi-byte UTF-8 is rejected', () => expectRejected('text-multibyte'))

  it('Appendix B: the rules are these, and each has a vector', () => {
    const rules = [...invalid, ...unencodable].map(({ rule }) => rule)
    expect([...new Set(rules)].sort()).toEqual([
      'text-bom',
      'text-control',
      'text-invalid-utf8',
      'text-multibyte',
    ])
  })

  it('Appendix B, Character Set: exactly 0x20-0x7E and LF are permitted', () => {
    for (let byte = 0; byte <= 0xff; byte += 1) {
      const permitted = (byte >= 0x20 && byte <= 0x7e) || byte === 0x0a
      const text = String.fromCharCode(byte)
      const decode = () => decodeTextBlock(Uint8Array.of(byte))
      const encode = () => encodeTextBlock(text)
      // What we send for any text, whatever stands in it.
      expect(toTextBlock(text, 1), text).toEqual(Uint8Array.of(permitted ? byte : 0x3f))
      if (!permitted) {
        expect(decode, text).toThrow(BlockError)
        expect(encode, text).toThrow(BlockError)
        continue
      }
      expect(decode, text).not.toThrow()
      expect(decode(), text).toBe(text)
      expect(encode, text).not.toThrow()
      expect(encode(), text).toEqual(Uint8Array.of(byte))
    }
  })

  it('Appendix B: toTextBlock makes any text a block of bounded size', () => {
    for (const { text, maxBytes, result, name } of converted) {
      expect(decodeTextBlock(toTextBlock(text, maxBytes)), name).toBe(result)
    }
  })
})
