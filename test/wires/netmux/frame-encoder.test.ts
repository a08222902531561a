// The net-mux encoders against the vectors: every frame in its one canonical form.
import { describe, expect, it } from 'vitest'
import * as encode from '../../../src/wires/netmux/frame-encoder.ts'
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { fromRuns } from '../anytls/support.ts'
import { toHex } from '../../codec/vectors.ts'
import { frameOf, frameVectors } from './vectors.ts'

const canonical = frameVectors.valid.filter((vector) => vector.canonical === true)

describe('net-mux frame encoders', () => {
  it('net-mux: each frame is encoded as its canonical vector', () => {
    for (const { section, name, hex, frames } of canonical) {
      const encoded = encodeFrames(frames.map(frameOf))
      expect(toHex(encoded), `${section}: ${name}`).toBe(toHex(fromRuns(hex)))
    }
  })

  it('net-mux: every type and every flag has a canonical vector', () => {
    const heads = canonical.map(({ hex }) => fromRuns(hex))
    expect(new Set(heads.map((head) => head[1]))).toEqual(new Set([0, 1, 2, 3]))
    const flags = new Set(heads.map((head) => head[3] ?? 0))
    for (const flag of [1, 2, 4, 8]) expect(flags).toContain(flag)
  })

  it('net-mux: a Data frame is encoded as its head alone, so its payload is never copied', () => {
    expect(toHex(encode.encodeDataHead(1, 65_536))).toBe('010000000000000100010000')
  })
})

/** The bytes of frames, from the list of events that the decoder makes of them. */
function encodeFrames(frames: readonly Frame[]): Uint8Array {
  const parts = frames.map((frame, index) => {
    switch (frame.type) {
      case 'data': {
        const next = frames[index + 1]
        const length = next?.type === 'payload' ? next.data.length : 0
        return encode.encodeDataHead(frame.stream, length, frame.flags)
      }
      case 'payload':
        return frame.data
      case 'data-end':
        return new Uint8Array(0)
      case 'window-update':
        return encode.encodeWindowUpdate(frame.stream, frame.increment)
      case 'ping':
        return frame.isAnswer
          ? encode.encodePingAnswer(frame.value)
          : encode.encodePing(frame.value)
      case 'goaway':
        return encode.encodeGoAway(frame.code)
    }
  })
  return concatBytes(parts)
}
