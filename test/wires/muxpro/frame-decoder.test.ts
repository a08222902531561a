// The decoder of Mux.Pro against its vectors, whole and byte by byte, and what it may keep.
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../../src/wires/muxpro/frame-decoder.ts'
import type { FrameReader } from '../../../src/codec/frame-reader.ts'
import { encodeDataHead } from '../../../src/wires/muxpro/frame-encoder.ts'
import type { Frame } from '../../../src/wires/muxpro/frame.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { fromRuns, pieces } from '../anytls/support.ts'
import { embedded } from '../../codec/vectors.ts'
import { checkViolations, checkViolationsWhole, decodeAll, shown } from '../decoding.ts'
import { frameOf, muxproVectors } from './vectors.ts'

const { valid, invalid, partial } = muxproVectors

describe('FrameDecoder', () => {
  it('every frame of the draft is decoded to the form in its vector', () => {
    for (const { section, name, hex, frames, datagrams } of valid) {
      const decoder = decoderFor(datagrams)
      expect(decodeAll(decoder, [embedded(fromRuns(hex))]), `${section}: ${name}`).toEqual(
        frames.map(frameOf).map(shown),
      )
      expect(decoder.next(), name).toBeUndefined()
    }
  })

  it('byte by byte, and in pieces of 7, each vector gives the same frames', () => {
    for (const { section, name, hex, frames, datagrams } of valid) {
      for (const size of [1, 7]) {
        const bytes = pieces(fromRuns(hex), size)
        expect(decodeAll(decoderFor(datagrams), bytes), `${section}: ${name}`).toEqual(
          frames.map(frameOf).map(shown),
        )
      }
    }
  })

  it('D38, D39, D40: a violation shows with the very byte that makes it one', () => {
    checkViolations(invalid, decoderFor, frameOf)
  })

  it('a violation in one piece says the same', () => {
    checkViolationsWhole(invalid, decoderFor, frameOf)
  })

  it('a frame that lacks bytes is no frame and no violation', () => {
    for (const { section, name, hex, frames, datagrams } of partial) {
      const bytes = fromRuns(hex)
      for (const size of [1, bytes.length]) {
        const decoder = decoderFor(datagrams)
        expect(decodeAll(decoder, pieces(bytes, size)), `${section}: ${name}`).toEqual(
          frames.map(frameOf).map(shown),
        )
        expect(decoder.next()).toBeUndefined()
      }
    }
  })

  it('section 6.2: data of a TCP sub-connection are views of what was pushed, never copies', () => {
    const frame = concatBytes([encodeDataHead(1, 1_000), new Uint8Array(1_000)])
    const decoder = decoderFor()
    for (const chunk of pieces(frame, 300)) {
      decoder.push(chunk)
      for (let piece = decoder.next(); piece !== undefined; piece = decoder.next()) {
        if (piece.type === 'data') expect(piece.data.buffer).toBe(chunk.buffer)
      }
    }
  })

  it('D42: a datagram is handed out whole, as a view where it came in one piece', () => {
    const frame = concatBytes([encodeDataHead(1, 1_000), new Uint8Array(1_000).fill(7)])
    const whole = decoderFor([1])
    whole.push(frame)
    expect(whole.next()).toEqual({ type: 'keep', stream: 1 })
    const datagram = whole.next()
    expect(datagram?.type === 'data' && datagram.data.buffer).toBe(frame.buffer)
    const cut = decoderFor([1])
    const list: Frame[] = []
    for (const chunk of pieces(frame, 300)) {
      cut.push(chunk)
      for (let piece = cut.next(); piece !== undefined; piece = cut.next()) list.push(piece)
    }
    expect(list.map(({ type }) => type)).toEqual(['keep', 'data'])
    expect(list[1]).toEqual({ type: 'data', stream: 1, data: frame.subarray(8) })
  })

  it('D42: what a datagram is gathered into is not touched once it is handed out', () => {
    const decoder = decoderFor([1])
    const send = (text: string): Frame | undefined => {
      const data = new TextEncoder().encode(text)
      const [head = new Uint8Array(), tail = new Uint8Array()] = pieces(
        concatBytes([encodeDataHead(1, data.length), data]),
        9,
      )
      decoder.push(head)
      decoder.next()
      decoder.next()
      decoder.push(tail)
      return decoder.next()
    }
    const first = send('first')
    send('other')
    expect(first?.type === 'data' && new TextDecoder().decode(first.data)).toBe('first')
  })
})

function decoderFor(datagrams: readonly number[] = []): FrameReader<Frame> {
  return makeFrameDecoder((stream) => datagrams.includes(stream))
}
