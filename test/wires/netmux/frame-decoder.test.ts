// The net-mux decoder against its vectors, whole and byte by byte, and what it may keep.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../../src/wires/netmux/frame-decoder.ts'
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import type { FrameReader } from '../../../src/codec/frame-reader.ts'
import { fromRuns, pieces } from '../anytls/support.ts'
import { embedded } from '../../codec/vectors.ts'
import { decode, shown } from './decoding.ts'
import { frame, write } from './frames.ts'
import { frameOf, frameVectors } from './vectors.ts'

const { valid, invalid, partial } = frameVectors

describe('net-mux FrameDecoder', () => {
  it('net-mux: every frame is decoded to the form in its vector', () => {
    for (const { section, name, hex, frames } of valid) {
      const decoded = decode([embedded(fromRuns(hex))])
      const expected = { frames: shown(frames.map(frameOf)), violation: undefined }
      expect(decoded, `${section}: ${name}`).toEqual(expected)
    }
  })

  it('net-mux: cut into pieces of any size each vector gives the same frames', () => {
    for (const { section, name, hex, frames } of valid) {
      const bytes = fromRuns(hex)
      for (const size of bytes.length > 1_000 ? [7, 11, 13] : [1, 2, 5, 11, 12, 13]) {
        const { frames: decoded } = decode(pieces(bytes, size))
        expect(decoded, `${section}: ${name}, ${size}`).toEqual(shown(frames.map(frameOf)))
      }
    }
  })

  it('net-mux: a violation shows with the last byte of the field that makes it one', () => {
    for (const { section, name, hex, at, code, message, frames = [] } of invalid) {
      const title = `${section}: ${name}`
      const bytes = fromRuns(hex)
      const decoder = makeFrameDecoder(65_536)
      const before = decode(pieces(bytes.subarray(0, at - 1), 1), decoder)
      expect(before, title).toEqual({ frames: shown(frames.map(frameOf)), violation: undefined })
      const { violation } = decode([bytes.subarray(at - 1, at)], decoder)
      expect(violation?.code, title).toBe(code)
      expect(violation?.message, title).toContain(message)
    }
  })

  it('net-mux: a violation in one piece says the same', () => {
    for (const { section, name, hex, code, message, frames = [] } of invalid) {
      const title = `${section}: ${name}`
      const decoded = decode([embedded(fromRuns(hex))])
      expect(decoded.frames, title).toEqual(shown(frames.map(frameOf)))
      expect(decoded.violation?.code, title).toBe(code)
      expect(decoded.violation?.message, title).toContain(message)
    }
  })

  it('net-mux: a frame that lacks bytes is no frame and no violation', () => {
    for (const { section, name, hex } of partial) {
      for (const size of [1, 100]) {
        const decoded = decode(pieces(fromRuns(hex), size))
        expect(decoded, `${section}: ${name}`).toEqual({ frames: [], violation: undefined })
      }
    }
  })

  it('net-mux: the largest frame is what the configuration says', () => {
    const exact = frame(0, 0, 1, 1_000)
    expect(decode([exact], makeFrameDecoder(1_000)).violation).toBeUndefined()
    expect(decode([exact], makeFrameDecoder(999)).violation?.message).toContain('above 999')
  })

  it('net-mux: payload is a view of what was pushed, never a copy', () => {
    const chunk = write.data(1, new Uint8Array(1_000))
    const decoder = makeFrameDecoder(65_536)
    decoder.push(chunk)
    decoder.next()
    const payload = decoder.next()
    expect(payload?.type === 'payload' ? payload.data.buffer : undefined).toBe(chunk.buffer)
  })

  it('net-mux: a chunk that is used up is let go, in the middle of any frame', async () => {
    const cases: Record<string, Uint8Array> = {
      'between frames': write.ping(1),
      'in a head': write.data(1, 'hello').subarray(0, 7),
      'in a payload': write.data(1, 'hello').subarray(0, 14),
      'in front of a payload': write.data(1, 'hello').subarray(0, 12),
    }
    const collect = exposedGc()
    for (const [name, bytes] of Object.entries(cases)) {
      const decoder = makeFrameDecoder(65_536)
      const chunk = pushAndForget(decoder, bytes)
      await new Promise((resolve) => setImmediate(resolve))
      collect()
      expect(chunk.deref(), name).toBeUndefined()
      expect(decoder.next(), name).toBeUndefined()
    }
  })

  it('net-mux: asking again without a new chunk changes nothing', () => {
    for (const { whole, at, count } of [
      { whole: write.ping(7), at: 5, count: 0 },
      { whole: write.data(1, 'ab'), at: 13, count: 2 },
    ]) {
      const decoder = makeFrameDecoder(65_536)
      expect(decode([whole.subarray(0, at)], decoder).frames).toHaveLength(count)
      expect(decoder.next()).toBeUndefined()
      expect(decoder.next()).toBeUndefined()
      expect(decode([whole.subarray(at)], decoder).frames).toHaveLength(1)
    }
  })
})

/** Decodes a chunk that nobody else holds on to. */
function pushAndForget(decoder: FrameReader<Frame>, bytes: Uint8Array): WeakRef<ArrayBufferLike> {
  const chunk = bytes.slice()
  decode([chunk], decoder)
  return new WeakRef(chunk.buffer)
}

function exposedGc(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
