// Which rule a byte breaks that no block may hold: told by the bytes behind it, and by those alone.
import { describe, expect, it } from 'vitest'
import { characterError } from '../../src/codec/block-bytes.ts'

/** The rule, without the name of the block, for the first of some bytes. */
function ruleOf(...bytes: number[]): string {
  const error = characterError('text', Uint8Array.from([0x41, ...bytes]), 1, 10)
  expect(error.offset).toBe(11)
  return error.rule.replace(/^text-/, '')
}

describe('characterError', () => {
  it('a BOM is one with all of its three bytes only', () => {
    expect(ruleOf(0xef, 0xbb, 0xbf)).toBe('bom')
    // One byte another, and it is a character like any.
    expect(ruleOf(0xef, 0xbb, 0xb0)).toBe('multibyte')
    expect(ruleOf(0xef, 0xba, 0xbf)).toBe('multibyte')
    expect(ruleOf(0xee, 0xbb, 0xbf)).toBe('multibyte')
    expect(ruleOf(0xef, 0xbb)).toBe('invalid-utf8')
  })

  it('a character of two, three or four bytes is one with all of its bytes, whatever follows', () => {
    for (const character of ['é', '\u0800', '€', '\ufffd', '😀', '\u{10000}']) {
      const bytes = [...new TextEncoder().encode(character)]
      expect(ruleOf(...bytes), character).toBe('multibyte')
      expect(ruleOf(...bytes, 0xff), character).toBe('multibyte')
      expect(ruleOf(...bytes.slice(0, -1)), character).toBe('invalid-utf8')
      expect(ruleOf(...bytes.slice(0, -1), 0x41), character).toBe('invalid-utf8')
    }
    for (const byte of [0x80, 0xbf, 0xc0, 0xf8, 0xff]) expect(ruleOf(byte)).toBe('invalid-utf8')
  })

  it('a control character is named by its two digits', () => {
    expect(characterError('kv', Uint8Array.of(0x07), 0).message).toContain('0x07')
    expect(characterError('kv', Uint8Array.of(0x7f), 0).message).toContain('0x7f')
  })
})
