// PADDING of an exact length, on the vectors and over every length that a record can have.
import { describe, expect, it } from 'vitest'
import { encodePadding, MIN_PADDING_FRAME } from '../../../src/wires/anytls/frame-encoder.ts'
import { PADDING_FORMAT } from '../../../src/wires/anytls/frame-encoder.ts'
import { readFrames } from '../../support/v1-frames.ts'
import { v1PaddingFrame } from '../../support/v1-padding.ts'
import { toHex } from '../../codec/vectors.ts'
import { fromRuns } from './support.ts'
import { paddingVectors } from './vectors.ts'

describe('PADDING of exactly N bytes', () => {
  it('D22: each vector is hit to the byte, 1 and 2 bytes cannot be made', () => {
    for (const { name, total, head, content } of paddingVectors.frames) {
      const expected = head === null ? undefined : fromRuns(`${head} 00*${content ?? 0}`)
      for (const frame of [PADDING_FORMAT.fill(total), PADDING_FORMAT.alone(total)]) {
        expect(frame && toHex(frame), name).toBe(expected && toHex(expected))
      }
    }
  })

  it('D22: 67 and 16,388 bytes take a longer length prefix than their content needs', () => {
    expect(toHex(encodePadding(67)?.subarray(0, 4) ?? new Uint8Array())).toBe('0500403f')
    expect(toHex(encodePadding(16_388)?.subarray(0, 6) ?? new Uint8Array())).toBe('050080003ffe')
  })

  it('D22: every N from 3 to 16,500 gives one frame of N bytes that another reader takes as PADDING', () => {
    for (let total = MIN_PADDING_FRAME; total <= 16_500; total += 1) {
      const frame = encodePadding(total) ?? new Uint8Array()
      if (Buffer.compare(frame, v1PaddingFrame(total) ?? new Uint8Array()) !== 0) {
        expect.fail(`a frame of ${total} bytes is made otherwise`)
      }
      const { frames, stopped } = readFrames(frame)
      if (stopped !== 'end' || frames.length !== 1 || frames[0]?.type !== 0x05) {
        expect.fail(`${total} bytes are no PADDING frame`)
      }
    }
  })

  it('D35: the content is zeros', () => {
    const frame = encodePadding(1_000) ?? new Uint8Array()
    expect(frame.subarray(4)).toEqual(new Uint8Array(996))
  })
})
