// PADDING frames of ANYTLS v1, made and read without the package's own frame codec, so that the tests of
// shaping have something to compare with: 05 00, a length prefix, zeros (D22, D35).
import type { PaddingFormat } from '../../src/shaping/shaper.ts'
import { decodeVarint, encodeVarint, varintLength } from '../../src/codec/varint.ts'

const PREFIX_LENGTHS = [1, 2, 4, 8] as const

/** The PADDING frame of exactly `total` bytes; `undefined` for 1 and 2 (D22). */
export function v1PaddingFrame(total: number): Uint8Array | undefined {
  for (const prefix of PREFIX_LENGTHS) {
    const length = total - 2 - prefix
    if (length < 0 || varintLength(length) > prefix) continue
    const frame = new Uint8Array(total)
    frame[0] = 0x05
    frame.set(encodeVarint(length, prefix), 2)
    return frame
  }
  return undefined
}

export const v1Padding: PaddingFormat = { fill: v1PaddingFrame, alone: v1PaddingFrame }

/** Whether `bytes` are one whole PADDING frame of zeros. */
export function isV1PaddingFrame(bytes: Uint8Array): boolean {
  const length = decodeVarint(bytes, 2)
  if (bytes[0] !== 0x05 || bytes[1] !== 0x00 || length === undefined) return false
  const content = bytes.subarray(2 + length.length)
  return (
    BigInt(content.length) === length.value &&
    Buffer.compare(content, new Uint8Array(content.length)) === 0
  )
}
