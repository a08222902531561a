// The encoders against the vectors: every frame in its one canonical form.
import { describe, expect, it } from 'vitest'
import * as encode from '../../../src/wires/anytls/frame-encoder.ts'
import { FrameType, StreamFlag } from '../../../src/wires/anytls/frame.ts'
import type { Frame } from '../../../src/wires/anytls/frame.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { toHex } from '../../codec/vectors.ts'
import { fromRuns } from './support.ts'
import { frameOf, frameVectors } from './vectors.ts'

const canonical = frameVectors.valid.filter((vector) => vector.canonical === true)

describe('frame encoders', () => {
  it('D2: each frame is encoded as its canonical vector, every integer in its fewest bytes', () => {
    for (const { section, name, hex, frames } of canonical) {
      const encoded = encodeFrame(frames.map(frameOf))
      expect(toHex(encoded), `${section}: ${name}`).toBe(toHex(fromRuns(hex)))
    }
  })

  it('every frame that an endpoint may send has a canonical vector', () => {
    const types = canonical.map(({ hex }) => fromRuns(hex)[0])
    expect(new Set(types)).toEqual(new Set(Array.from({ length: 0x15 }, (_, type) => type)))
  })

  it('D1: DATA is 0x0A; 0x10 is STREAM_ACK', () => {
    expect(encode.encodeDataHead(1, 5)[0]).toBe(0x0a)
    expect(encode.encodeStreamAck(1)[0]).toBe(0x10)
    expect(FrameType.Stream | StreamFlag.Data).toBe(0x0a)
  })

  it('D3: the server NEGO is sent on stream 0', () => {
    expect(toHex(encode.encodeServerNego(new Uint8Array(0)))).toBe('040000')
  })

  it('D10: a DATA frame is encoded as its head alone, so its payload is never copied', () => {
    expect(toHex(encode.encodeDataHead(1, 65_535))).toBe('0a018000ffff')
  })

  it('D13: AUTH padding is zeros', () => {
    const padding = encode.encodeAuth(new Uint8Array(32).fill(0xff), 300).subarray(36)
    expect(padding).toEqual(new Uint8Array(300))
  })
})

/** The bytes of one frame, from the list of events that the decoder makes of it. */
function encodeFrame([frame, ...rest]: Frame[]): Uint8Array {
  switch (frame?.type) {
    case 'auth':
      return encode.encodeAuth(frame.passwordHash, frame.padding)
    case 'alert':
      return encode.encodeAlert(frame.body)
    case 'close':
      return encode.encodeClose(frame.code)
    case 'client-nego':
      return encode.encodeClientNego(frame.body)
    case 'server-nego':
      return encode.encodeServerNego(frame.body)
    case 'padding': {
      const lengths = [1, 2, 4, 8].map((prefix) => 2 + prefix + frame.length)
      const total = frame.length < 64 ? lengths[0] : frame.length < 16_384 ? lengths[1] : lengths[2]
      return encode.encodePadding(total ?? 0) ?? new Uint8Array(0)
    }
    case 'scheme-update':
      return encode.encodeSchemeUpdate(frame.body)
    case 'pingpong':
      return encode.encodePingPong()
    case 'stream': {
      const { stream, flags } = frame
      if ((flags & StreamFlag.Data) === 0) return encode.encodeStream(stream, flags)
      const data = rest.flatMap((piece) => (piece.type === 'stream-data' ? [piece.data] : []))
      const payload = concatBytes(data)
      return concatBytes([encode.encodeDataHead(stream, payload.length, flags), payload])
    }
    case 'stream-ack':
      return encode.encodeStreamAck(frame.stream)
    case 'stream-credit':
      return encode.encodeStreamCredit(frame.stream, frame.increment)
    case 'stream-hold':
      return encode.encodeStreamHold(frame.stream, frame.limit)
    case 'stream-fin':
      return encode.encodeStreamFin(frame.stream)
    case 'stream-reset':
      return encode.encodeStreamReset(frame.stream, frame.code, frame.reason)
    case 'goaway':
      return encode.encodeGoAway(frame.lastStream, frame.code)
    default:
      throw new Error('no frame')
  }
}
