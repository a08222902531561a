// The decoder against its vectors, whole and byte by byte, and what it may keep.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../../src/wires/anytls/frame-decoder.ts'
import type { FrameReader } from '../../../src/codec/frame-reader.ts'
import type { Frame } from '../../../src/wires/anytls/frame.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { write } from '../../support/v1-frames.ts'
import { embedded, thrownBy, toHex } from '../../codec/vectors.ts'
import { checkViolations, checkViolationsWhole, decodeAll, shown } from '../decoding.ts'
import { fromRuns, HASH, pieces } from './support.ts'
import { frameOf, frameVectors } from './vectors.ts'

const { valid, invalid, partial } = frameVectors

describe('FrameDecoder', () => {
  it('every frame of the draft and of mux1 is decoded to the form in its vector', () => {
    for (const { section, name, hex, frames } of valid) {
      const decoder = makeFrameDecoder()
      expect(decodeAll(decoder, [embedded(fromRuns(hex))]), `${section}: ${name}`).toEqual(
        frames.map(frameOf).map(shown),
      )
      expect(decoder.next(), name).toBeUndefined()
    }
  })

  it('byte by byte each vector gives the same frames', () => {
    for (const { section, name, hex, frames } of valid) {
      const bytes = pieces(fromRuns(hex), 1)
      expect(decodeAll(makeFrameDecoder(), bytes), `${section}: ${name}`).toEqual(
        frames.map(frameOf).map(shown),
      )
    }
  })

  it('D2, D4, D10, D12: a violation shows with the very byte that makes it one', () => {
    checkViolations(invalid, () => makeFrameDecoder(), frameOf)
  })

  it('a violation in one piece says the same', () => {
    checkViolationsWhole(invalid, () => makeFrameDecoder(), frameOf)
  })

  it('a frame that lacks bytes is no frame and no violation', () => {
    for (const { section, name, hex } of partial) {
      const bytes = fromRuns(hex)
      for (const size of [1, bytes.length]) {
        const decoder = makeFrameDecoder()
        expect(decodeAll(decoder, pieces(bytes, size)), `${section}: ${name}`).toEqual([])
        expect(decoder.next()).toBeUndefined()
        expect(toHex(concatBytes(decoder.unread()))).toBe(toHex(bytes))
      }
    }
  })

  it('D5: OPEN, DATA and RST of one frame come in that order, the data as it arrives', () => {
    const decoder = makeFrameDecoder()
    const [first = new Uint8Array(), second = new Uint8Array()] = pieces(
      write.stream(7, 3, 'abcdef'),
      5,
    )
    decoder.push(first)
    expect(decoder.next()).toEqual({ type: 'stream', stream: 3, flags: 7 })
    expect(decoder.next()).toEqual({ type: 'stream-data', stream: 3, data: fromRuns('6162') })
    expect(decoder.next()).toBeUndefined()
    decoder.push(second)
    expect(decoder.next()).toEqual({ type: 'stream-data', stream: 3, data: fromRuns('63646566') })
    expect(decoder.next()).toEqual({ type: 'stream-rst', stream: 3 })
    expect(decoder.next()).toBeUndefined()
  })

  it('D10: stream data are views of what was pushed, never copies', () => {
    const chunk = write.data(1, new Uint8Array(1000))
    const decoder = makeFrameDecoder()
    decoder.push(chunk)
    const data = [decoder.next(), decoder.next()].find((frame) => frame?.type === 'stream-data')
    expect(data?.data.buffer).toBe(chunk.buffer)
  })

  it('D10: a gigabyte of PADDING passes through and nothing of it is kept', () => {
    const decoder = makeFrameDecoder()
    const gigabyte = 1_073_741_824
    expect(decodeAll(decoder, [fromRuns('0500 c000000040000000')])).toEqual([
      { type: 'padding', length: gigabyte },
    ])
    const chunk = new Uint8Array(1_048_576)
    for (let sent = 0; sent < gigabyte; sent += chunk.length) {
      decoder.push(chunk)
      expect(decoder.next()).toBeUndefined()
      expect(decoder.unread()).toEqual([])
    }
    expect(decodeAll(decoder, [write.ping()])).toEqual([{ type: 'pingpong' }])
  })

  it('D10: AUTH padding is counted, never gathered', () => {
    const decoder = makeFrameDecoder()
    const auth = write.auth(HASH, 65_535)
    const frames = decodeAll(decoder, pieces(auth, 1000).slice(0, -1))
    expect(frames).toEqual([{ type: 'auth', passwordHash: toHex(HASH), padding: 65_535 }])
    expect(decoder.unread()).toEqual([])
  })

  it('a chunk that is used up is let go, in the middle of any frame', async () => {
    const cases: Record<string, [string, number]> = {
      'between frames': ['0700 0700', 0],
      'in a head': ['0700 0a', 1],
      'in a body': ['0100 7fff 6161', 6],
      'in stream data': ['0a01 7fff 6161', 0],
      'in padding': ['0500 7fff 0000', 0],
    }
    const collect = exposedGc()
    for (const [name, [hex, kept]] of Object.entries(cases)) {
      const decoder = makeFrameDecoder()
      const chunk = pushAndForget(decoder, hex)
      await new Promise((resolve) => setImmediate(resolve))
      collect()
      expect(chunk.deref(), name).toBeUndefined()
      expect(concatBytes(decoder.unread()).length, name).toBe(kept)
    }
  })

  it('asking again without a new chunk changes nothing', () => {
    for (const hex of ['0a', '0a01 05 61', '0100 05 61', '0500 05 00', '']) {
      const decoder = makeFrameDecoder()
      decodeAll(decoder, [fromRuns(hex)])
      const before = toHex(concatBytes(decoder.unread()))
      expect(decoder.next()).toBeUndefined()
      expect(decoder.next()).toBeUndefined()
      expect(toHex(concatBytes(decoder.unread())), hex).toBe(before)
    }
  })

  it('D17: what is unread begins with the first byte of the frame that broke the rules', () => {
    const good = write.data(1, 'good')
    const tail = fromRuns('de ad be ef')
    for (const { name, hex, frames = [] } of invalid) {
      if (frames.length > 0) continue
      const bad = fromRuns(hex)
      for (const size of [1, 3, 1000]) {
        const decoder = makeFrameDecoder()
        const list = pieces(concatBytes([good, bad, tail]), size)
        const rest: Uint8Array[] = []
        thrownBy(() => {
          while (list.length > 0) decodeAll(decoder, list.splice(0, 1))
        }, name)
        rest.push(...decoder.unread(), ...list)
        expect(toHex(concatBytes(rest)), name).toBe(toHex(concatBytes([bad, tail])))
      }
    }
  })

  it('D17: a whole body is still unread while its frame is being judged', () => {
    const frame = write.clientNego('x'.repeat(3000))
    for (const size of [1, 700, 10_000]) {
      const decoder = makeFrameDecoder()
      const list = pieces(concatBytes([frame, write.ping()]), size)
      let decoded: Frame | undefined
      while (decoded === undefined) {
        decoder.push(list.shift() ?? new Uint8Array())
        decoded = decoder.next()
      }
      expect(decoded.type).toBe('client-nego')
      expect(concatBytes([...decoder.unread(), ...list])).toEqual(
        concatBytes([frame, write.ping()]),
      )
    }
  })
})

/** Decodes a chunk that nobody else holds on to. */
function pushAndForget(decoder: FrameReader<Frame>, hex: string): WeakRef<ArrayBufferLike> {
  const chunk = fromRuns(hex)
  decodeAll(decoder, [chunk])
  return new WeakRef(chunk.buffer)
}

function exposedGc(): () => void {
  setFlagsFromString('--expose-gc')
  return runInNewContext('gc') as () => void
}
