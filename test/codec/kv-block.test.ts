import { describe, expect, it } from 'vitest'
import { BlockError } from '../../src/errors.ts'
import { decodeKvBlock, encodeKvBlock } from '../../src/codec/kv-block.ts'
import { embedded, fixture, fromHex, thrownBy, toHex } from './vectors.ts'
import type { Vector } from './vectors.ts'

type Entries = readonly (readonly [string, readonly string[]])[]
interface Broken {
  readonly name: string
  readonly rule: string
  readonly offset: number
}
const { valid, invalid, unencodable } = fixture('kv-block') as {
  readonly valid: readonly (Vector & { readonly entries: Entries })[]
  readonly invalid: readonly (Vector & Broken)[]
  readonly unencodable: readonly (Broken & { readonly entries: Entries })[]
}

/** Every vector of these rules is rejected, by that rule, at its offset; there is one for each rule. */
function expectRejected(...rules: string[]): void {
  for (const rule of rules) {
    const decoding = invalid.filter((vector) => vector.rule === rule)
    const encoding = unencodable.filter((vector) => vector.rule === rule)
    expect(decoding.length + encoding.length, rule).toBeGreaterThan(0)
    for (const vector of decoding) {
      const bytes = embedded(fromHex(vector.hex))
      expectError(
        vector,
        thrownBy(() => decodeKvBlock(bytes), vector.name),
      )
    }
    for (const vector of encoding) {
      expectError(
        vector,
        thrownBy(() => encodeKvBlock(vector.entries), vector.name),
      )
    }
  }
}

function expectError({ name, rule, offset }: Broken, error: unknown): void {
  expect(error, name).toBeInstanceOf(BlockError)
  expect(error, name).toMatchObject({ code: 'ERR_BLOCK_INVALID', rule, offset })
}

describe('KV block', () => {
  it('Appendix A: every valid vector decodes to its entries, in order', () => {
    for (const { hex, entries, name } of valid) {
      expect([...decodeKvBlock(embedded(fromHex(hex)))], name).toEqual(entries)
    }
  })

  it('Appendix A: every valid vector is encoded byte for byte', () => {
    for (const { hex, entries, name } of valid) {
      expect(toHex(encodeKvBlock(entries)), name).toBe(hex)
      expect(toHex(encodeKvBlock(new Map(entries))), name).toBe(hex)
    }
  })

  it('Appendix A, KV Line Grammar: the first equals sign delimits, further ones belong to the value', () => {
    for (const [text, values] of [
      ['a=b=c\n', ['b=c']],
      ['a=b=c,=d\n', ['b=c', '=d']],
      ['a==\n', ['=']],
    ] as const) {
      expect([...decodeKvBlock(Buffer.from(text))], text).toEqual([['a', values]])
    }
  })

  it('Appendix A, Key: names of Object.prototype are keys like any other', () => {
    const block = decodeKvBlock(Buffer.from('__proto__=x\n'))
    expect(block.get('__proto__')).toEqual(['x'])
    expect(block.has('constructor')).toBe(false)
    expect({}).not.toHaveProperty('x')
  })

  it('Appendix A, Line Structure: a block without a line is rejected', () =>
    expectRejected('kv-empty-block'))
  it('Appendix A, Line Structure: an empty line is rejected', () => expectRejected('kv-empty-line'))
  it('Appendix A, Line Structure: a last line without LF is rejected', () =>
    expectRejected('kv-missing-lf'))
  it('Appendix A, Line Structure: CR is rejected', () => expectRejected('kv-cr'))
  it('Appendix A, Validation Rule 1: a line without an equals sign is rejected', () =>
    expectRejected('kv-missing-equals'))
  it('Appendix A, Validation Rule 2: a key that appears twice is rejected', () =>
    expectRejected('kv-duplicate-key'))
  it('Appendix A, Validation Rule 3: an empty key is rejected', () =>
    expectRejected('kv-empty-key'))
  it('Appendix A, Validation Rule 3: an empty value is rejected, trailing and doubled commas too', () =>
    expectRejected('kv-empty-value'))
  it('Appendix A, Validation Rule 4: a comma in a key is rejected', () =>
    expectRejected('kv-comma-in-key'))
  it('Appendix A, Validation Rule 4: text that would change the meaning of a block is not encoded', () =>
    expectRejected('kv-equals-in-key', 'kv-lf-in-key', 'kv-lf-in-value', 'kv-comma-in-value'))
  it('Appendix A, Validation Rule 5: a control character is rejected', () =>
    expectRejected('kv-control'))
  it('Appendix A, Validation Rule 6: a space is rejected anywhere', () =>
    expectRejected('kv-space'))
  it('Appendix A, Character Set: multi-byte UTF-8 is rejected', () =>
    expectRejected('kv-multibyte'))
  it('Appendix A, Character Set: bytes that are not UTF-8 are rejected', () =>
    expectRejected('kv-invalid-utf8'))
  it('Appendix A, Character Set: a BOM is rejected', () => expectRejected('kv-bom'))

  it('Appendix A: the rules are these, and each has a vector', () => {
    const rules = [...invalid, ...unencodable].map(({ rule }) => rule)
    expect([...new Set(rules)].sort()).toEqual([
      'kv-bom',
      'kv-comma-in-key',
      'kv-comma-in-value',
      'kv-control',
      'kv-cr',
      'kv-duplicate-key',
      'kv-empty-block',
      'kv-empty-key',
      'kv-empty-line',
      'kv-empty-value',
      'kv-equals-in-key',
      'kv-invalid-utf8',
      'kv-lf-in-key',
      'kv-lf-in-value',
      'kv-missing-equals',
      'kv-missing-lf',
      'kv-multibyte',
      'kv-space',
    ])
  })

  it('an error names the rule and the byte, in one line', () => {
    const error = thrownBy(() => decodeKvBlock(Buffer.from('a=b\na=c\n')), 'duplicate')
    expect(error).toHaveProperty('message', 'a key appears twice (rule kv-duplicate-key, byte 4)')
  })

  it.each([
    ['', 'a block has one line or more'],
    ['\n', 'a line is empty'],
    ['a\n', 'a line has no "="'],
    ['a=b', 'the last line does not end in a line feed'],
    ['=b\n', 'a key is empty'],
    ['a=b\na=b\n', 'a key appears twice'],
    ['a=\n', 'a value is empty'],
    ['a,b=c\n', 'a key contains a comma'],
    ['a=b c\n', 'a space is not allowed'],
    ['a=b\r\n', 'a carriage return is not allowed'],
  ])('says what is wrong with the block %j', (text, message) => {
    expect(thrownBy(() => decodeKvBlock(Buffer.from(text)), text)).toHaveProperty(
      'message',
      expect.stringContaining(`${message} (rule kv-`),
    )
  })

  it.each([
    [[], 'a block has one line or more'],
    [[['a=', ['b']]], 'a key contains "="'],
    [[['a\n', ['b']]], 'a key contains a line feed'],
    [[['a,', ['b']]], 'a key contains a comma'],
    [[['a', ['b\n']]], 'a value contains a line feed'],
    [[['a', ['b,']]], 'a value contains a comma'],
    [[['a', []]], 'a value is empty'],
    [[['', ['b']]], 'a key is empty'],
  ] as readonly (readonly [Entries, string])[])(
    'says what cannot be encoded of %j',
    (entries, message) => {
      expect(thrownBy(() => encodeKvBlock(entries), message)).toHaveProperty(
        'message',
        expect.stringContaining(`${message} (rule kv-`),
      )
    },
  )
})
