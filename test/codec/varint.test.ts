import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import {
  decodeVarint,
  encodeVarint,
  readVarint,
  VARINT_MAX,
  VARINT_MAX_LENGTH,
  varintLength,
  varintLengthFrom,
  writeVarint,
} from '../../src/codec/varint.ts'
import type { VarintLength } from '../../src/codec/varint.ts'
import { embedded, fixture, fromHex, thrownBy, toHex } from './vectors.ts'
import type { Vector } from './vectors.ts'

interface Valid extends Vector {
  readonly value: string
  readonly length: VarintLength
  readonly minimal: boolean
}
interface Unencodable {
  readonly name: string
  readonly value: string
  readonly length?: VarintLength
}
const { valid, truncated, unencodable } = fixture('varint') as {
  readonly valid: readonly Valid[]
  readonly truncated: readonly Vector[]
  readonly unencodable: readonly Unencodable[]
}

const isNumber = ({ value }: Valid) => BigInt(value) <= BigInt(Number.MAX_SAFE_INTEGER)

describe('varint', () => {
  it('Appendix C: every vector decodes to its value and length', () => {
    for (const { hex, value, length, name } of valid) {
      const decoded = decodeVarint(embedded(fromHex(hex)))
      expect(decoded, name).toEqual({ value: BigInt(value), length })
    }
  })

  it('Appendix C: the first byte tells the length', () => {
    for (const { hex, length, name } of valid) {
      expect(varintLengthFrom(fromHex(hex)[0]!), name).toBe(length)
    }
  })

  it('RFC 9000, A.1: the sample values are among the vectors', () => {
    const samples = valid.filter(({ section }) => section === 'RFC 9000, A.1')
    expect(samples.map(({ hex }) => hex)).toEqual([
      'c2197c5eff14e88c',
      '9d7f3e7d',
      '7bbd',
      '25',
      '4025',
    ])
  })

  it('D2: a value is encoded in the fewest bytes', () => {
    for (const { hex, value } of valid.filter(({ minimal }) => minimal)) {
      expect(toHex(encodeVarint(BigInt(value))), value).toBe(hex)
    }
    for (const vector of valid.filter(({ minimal }) => minimal).filter(isNumber)) {
      expect(toHex(encodeVarint(Number(vector.value))), vector.value).toBe(vector.hex)
      expect(varintLength(Number(vector.value)), vector.value).toBe(vector.length)
    }
  })

  it('D22: a value is encoded in more bytes than it needs when asked to', () => {
    for (const { hex, value, length } of valid) {
      expect(toHex(encodeVarint(BigInt(value), length)), value).toBe(hex)
    }
  })

  it('D2: readVarint reads up to 2^53 - 1 and gives Infinity above', () => {
    for (const vector of valid) {
      const expected = isNumber(vector) ? Number(vector.value) : Infinity
      expect(readVarint(embedded(fromHex(vector.hex)), 0), vector.name).toBe(expected)
    }
    expect(valid.filter((vector) => !isNumber(vector)).length).toBeGreaterThan(2)
  })

  it('Appendix C: an integer that is cut short decodes to undefined', () => {
    for (const { hex, name } of truncated) {
      expect(decodeVarint(embedded(fromHex(hex))), name).toBeUndefined()
    }
  })

  it('Appendix C: a value that does not fit is refused with ERR_VARINT_RANGE', () => {
    for (const { value, length, name } of unencodable) {
      const error = thrownBy(() => encodeVarint(BigInt(value), length), name)
      expect(error, name).toBeInstanceOf(AnyTlsError)
      expect(error, name).toHaveProperty('code', 'ERR_VARINT_RANGE')
    }
    for (const value of [-1, 0.5, NaN, Infinity, 2 ** 53]) {
      const error = thrownBy(() => encodeVarint(value), String(value))
      expect(error, String(value)).toHaveProperty('code', 'ERR_VARINT_RANGE')
    }
  })

  it('decodes at an offset and leaves what follows alone', () => {
    const bytes = fromHex('ff7bbd25')
    expect(decodeVarint(bytes, 1)).toEqual({ value: 15293n, length: 2 })
    expect(readVarint(bytes, 1)).toBe(15293)
    expect(decodeVarint(bytes, 3)).toEqual({ value: 37n, length: 1 })
    expect(decodeVarint(bytes, 4)).toBeUndefined()
  })

  it('writes no byte outside of the target, in any length', () => {
    for (const length of [1, 2, 4, 8] as const) {
      const around = new Uint8Array(24).fill(0xa5)
      const target = around.subarray(8, 8 + length - 1)
      expect(writeVarint(target, 0, 37, length)).toBe(length)
      expect(around.subarray(8 + length - 1).every((byte) => byte === 0xa5)).toBe(true)
    }
  })

  it('reads no byte outside of the view', () => {
    const missing = embedded(fromHex('c00000'))
    expect(readVarint(missing, 0)).toBe(0)
  })

  it('Appendix C: the limits are 2^62 - 1 and 8 bytes', () => {
    expect(VARINT_MAX).toBe(2n ** 62n - 1n)
    expect(encodeVarint(VARINT_MAX)).toHaveLength(VARINT_MAX_LENGTH)
  })

  it('an integer of 8 bytes is read where it stands, in a view of a larger buffer, too', () => {
    const whole = Uint8Array.from({ length: 40 }, (_, index) => index)
    const view = whole.subarray(16)
    view.set(encodeVarint(0x0123_4567_89ab_cdefn), 5)
    expect(decodeVarint(view, 5)).toEqual({ value: 0x0123_4567_89ab_cdefn, length: 8 })
    expect(decodeVarint(view, view.length)).toBeUndefined()
  })

  it.each([
    [-1, undefined, '-1 cannot be encoded as a variable-length integer'],
    [64, 1, '64 cannot be encoded as a variable-length integer of length 1'],
    [VARINT_MAX + 1n, undefined, `${2n ** 62n} cannot be encoded as a variable-length integer`],
    [VARINT_MAX, 4, `${2n ** 62n - 1n} cannot be encoded as a variable-length integer of length 4`],
  ] as const)('says what does not fit where: %s, %s', (value, length, message) => {
    expect(() => encodeVarint(value, length)).toThrow(expect.objectContaining({ message }) as Error)
  })
})
