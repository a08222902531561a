// Variable-length integers (draft, Appendix C; RFC 9000 section 16): 1, 2, 4 or 8 bytes, big endian,
// the two top bits of the first byte give the length.
// Must never read beyond the bytes it is given.
import { AnyTlsError } from '../errors.ts'

/** How many bytes an encoded integer may take. */
export type VarintLength = 1 | 2 | 4 | 8

/** The largest value that the encoding can carry, 2^62 - 1. */
export const VARINT_MAX = 0x3fff_ffff_ffff_ffffn

/** The longest encoding, in bytes. */
export const VARINT_MAX_LENGTH = 8

/**
 * The fewest bytes that encode `value`.
 *
 * @param value whole number from 0 to 2^53 - 1
 * @throws AnyTlsError `ERR_VARINT_RANGE` for anything else
 */
export function varintLength(value: number): VarintLength {
  if (!Number.isSafeInteger(value) || value < 0) throw rangeError(value)
  if (value < 0x40) return 1
  if (value < 0x4000) return 2
  if (value < 0x4000_0000) return 4
  return 8
}

/**
 * Writes `value` at `offset` and returns the offset behind it.
 *
 * @param target must have `length` bytes at `offset`; nothing outside of it is ever written
 * @param length bytes to use; more than the fewest is legal on the wire everywhere but in a frame type (D2, D22)
 * @throws AnyTlsError `ERR_VARINT_RANGE` when the value does not fit into `length` bytes
 */
export function writeVarint(
  target: Uint8Array,
  offset: number,
  value: number,
  length: VarintLength = varintLength(value),
): number {
  if (length < varintLength(value)) throw rangeError(value, length)
  switch (length) {
    case 1:
      target[offset] = value
      break
    case 2:
      target[offset] = 0x40 | (value >>> 8)
      target[offset + 1] = value
      break
    case 4:
      writeUint32(target, offset, 0x8000_0000 + value)
      break
    case 8:
      writeUint32(target, offset, 0xc000_0000 + Math.floor(value / 0x1_0000_0000))
      writeUint32(target, offset + 4, value)
      break
  }
  return offset + length
}

/** Encodes `value` in the fewest bytes, or in `length` bytes. The `bigint` path covers all 62 bits. */
export function encodeVarint(value: number | bigint, length?: VarintLength): Uint8Array {
  if (typeof value === 'bigint' && value > BigInt(Number.MAX_SAFE_INTEGER)) {
    if (value > VARINT_MAX || (length !== undefined && length !== 8))
      throw rangeError(value, length)
    const bytes = new Uint8Array(8)
    new DataView(bytes.buffer).setBigUint64(0, 0xc000_0000_0000_0000n | value)
    return bytes
  }
  const number = Number(value)
  const bytes = new Uint8Array(length ?? varintLength(number))
  writeVarint(bytes, 0, number, bytes.length as VarintLength)
  return bytes
}

/** The length of an encoded integer, in bytes, from its first byte. */
export function varintLengthFrom(firstByte: number): VarintLength {
  return (1 << (firstByte >>> 6)) as VarintLength
}

/**
 * Reads the integer at `offset`. All of its {@link varintLengthFrom} bytes must be there.
 *
 * @returns the value, or `Infinity` for one above 2^53 - 1 (D2: never a legal stream id or length)
 */
export function readVarint(bytes: Uint8Array, offset: number): number {
  const first = bytes[offset] ?? 0
  switch (first >>> 6) {
    case 0:
      return first
    case 1:
      return ((first & 0x3f) << 8) | (bytes[offset + 1] ?? 0)
    case 2:
      return readUint32(bytes, offset) & 0x3fff_ffff
    default: {
      const high = readUint32(bytes, offset) & 0x3fff_ffff
      const value = high * 0x1_0000_0000 + readUint32(bytes, offset + 4)
      return value <= Number.MAX_SAFE_INTEGER ? value : Infinity
    }
  }
}

/** An integer taken off the front of some bytes. `length` is how many bytes it took. */
export interface DecodedVarint {
  /** 0 to 2^62 - 1. */
  readonly value: bigint
  /** How many bytes it took. */
  readonly length: VarintLength
}

/** Decodes the integer at `offset`, whole 62-bit range; `undefined` when bytes are missing. */
export function decodeVarint(bytes: Uint8Array, offset = 0): DecodedVarint | undefined {
  const first = bytes[offset]
  if (first === undefined) return undefined
  const length = varintLengthFrom(first)
  if (bytes.length < offset + length) return undefined
  if (length < 8) return { value: BigInt(readVarint(bytes, offset)), length }
  const view = new DataView(bytes.buffer, bytes.byteOffset + offset, 8)
  return { value: view.getBigUint64(0) & VARINT_MAX, length }
}

// Not DataView: one made on `bytes.buffer` reaches past the end of a view, into its neighbour's memory.
function readUint32(bytes: Uint8Array, offset: number): number {
  return (
    (((bytes[offset] ?? 0) << 24) |
      ((bytes[offset + 1] ?? 0) << 16) |
      ((bytes[offset + 2] ?? 0) << 8) |
      (bytes[offset + 3] ?? 0)) >>>
    0
  )
}

function writeUint32(target: Uint8Array, offset: number, value: number): void {
  target[offset] = value >>> 24
  target[offset + 1] = value >>> 16
  target[offset + 2] = value >>> 8
  target[offset + 3] = value
}

function rangeError(value: number | bigint, length?: VarintLength): AnyTlsError {
  const room = length === undefined ? '' : ` of length ${length}`
  return new AnyTlsError(
    'ERR_VARINT_RANGE',
    `${value} cannot be encoded as a variable-length integer${room}`,
  )
}
