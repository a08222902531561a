// The frame codec on random frames, random cuts and random bytes, with the naive reader of
// test/support/v1-frames.ts as its oracle.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { makeFrameDecoder } from '../../src/wires/anytls/frame-decoder.ts'
import * as encode from '../../src/wires/anytls/frame-encoder.ts'
import { FrameType, StreamFlag } from '../../src/wires/anytls/frame.ts'
import type { Frame } from '../../src/wires/anytls/frame.ts'
import { AnyTlsError } from '../../src/errors.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import type { VarintLength } from '../../src/codec/varint.ts'
import { anyFrame, cutAt, cuts, mutated, toBytes } from '../support/v1-arbitraries.ts'
import type { Cuts, FrameSpec } from '../support/v1-arbitraries.ts'
import { readFrames } from '../support/v1-frames.ts'
import type { RawFrame } from '../support/v1-frames.ts'
import { toHex } from '../codec/vectors.ts'

const RUNS = { numRuns: 600 }

const frames = fc.array(anyFrame, { maxLength: 8 })

describe('frame codec', () => {
  it('random frames are encoded by the package as by the naive writer, and decoded to the same', () => {
    fc.assert(
      fc.property(frames, (list) => {
        const bytes = concatBytes(list.map((spec) => toBytes(spec)))
        expect(toHex(concatBytes(list.map(encodeSpec)))).toBe(toHex(bytes))
        expect(decode([bytes])).toEqual(oracle(bytes))
        expect(oracle(bytes).stopped).toBe('')
      }),
      RUNS,
    )
  })

  it('D2: integers of any length but in the type decode to the same frames', () => {
    const lengths = fc.infiniteStream(
      fc.constantFrom(1 as const, 2 as const, 4 as const, 8 as const),
    )
    fc.assert(
      fc.property(frames, lengths, (list, stream) => {
        const nextLength = () => stream.next().value as VarintLength
        const longer = concatBytes(list.map((spec) => toBytes(spec, nextLength)))
        const shortest = concatBytes(list.map((spec) => toBytes(spec)))
        expect(decode([longer]).frames).toEqual(decode([shortest]).frames)
      }),
      RUNS,
    )
  })

  it('any segmentation of the bytes gives the same frames', () => {
    fc.assert(
      fc.property(frames, cuts, (list, places) => {
        const bytes = concatBytes(list.map((spec) => toBytes(spec)))
        expect(decode(cutAt(bytes, places))).toEqual(decode([bytes]))
      }),
      RUNS,
    )
  })

  it('random bytes give frames or one violation, the same as the naive reader finds, however cut', () => {
    const anyBytes = fc.uint8Array({ maxLength: 120 })
    // Mostly bytes that mean something: types, small ids and lengths.
    const likely = fc.array(fc.oneof(fc.nat({ max: 0x1a }), fc.constantFrom(0x40, 0x80, 0xc0)), {
      maxLength: 120,
    })
    const bytes = fc.oneof(
      anyBytes,
      likely.map((list) => Uint8Array.from(list)),
    )
    fc.assert(fc.property(bytes, cuts, checkAgainstOracle), { numRuns: 2_500 })
  })

  it('mutated frames give frames or one violation, the same as the naive reader finds, however cut', () => {
    const bytes = mutated(frames.map((list) => concatBytes(list.map((spec) => toBytes(spec)))))
    fc.assert(fc.property(bytes, cuts, checkAgainstOracle), { numRuns: 2_500 })
  })

  it('what the decoder keeps between chunks is at most a head or a body, never data or padding', () => {
    const big = fc.record({
      kind: fc.constantFrom('padding' as const, 'data' as const, 'auth' as const),
      length: fc.integer({ min: 50_000, max: 65_535 }),
    })
    fc.assert(
      fc.property(big, fc.array(fc.nat(), { maxLength: 20 }), ({ kind, length }, places) => {
        const spec: FrameSpec =
          kind === 'data'
            ? { kind: 'stream', flags: StreamFlag.Data, stream: 1, data: new Uint8Array(length) }
            : kind === 'auth'
              ? { kind, hash: new Uint8Array(32), padding: length }
              : { kind, length }
        const decoder = makeFrameDecoder()
        for (const chunk of cutAt(toBytes(spec), places)) {
          decoder.push(chunk)
          while (decoder.next() !== undefined);
          expect(concatBytes(decoder.unread()).length).toBeLessThanOrEqual(49)
        }
      }),
      { numRuns: 50 },
    )
  })
})

/** Decoder and naive reader agree, and nothing of the input is lost or made up. */
function checkAgainstOracle(bytes: Uint8Array, places: Cuts): void {
  expect(decode(cutAt(bytes, places))).toEqual(oracle(bytes))
}

interface Decoded {
  readonly frames: readonly unknown[]
  /** `violation` and the hex of what was unread then; empty when all bytes were taken. */
  readonly stopped: string
}

function decode(chunks: readonly Uint8Array[]): Decoded {
  const decoder = makeFrameDecoder()
  const decoded: Frame[] = []
  const list = [...chunks]
  try {
    for (let chunk = list.shift(); chunk !== undefined; chunk = list.shift()) {
      decoder.push(chunk)
      for (let frame = decoder.next(); frame !== undefined; frame = decoder.next()) {
        decoded.push(frame)
      }
    }
    return { frames: merged(decoded), stopped: '' }
  } catch (error) {
    if (!(error instanceof AnyTlsError) || error.code !== 'ERR_PROTOCOL_VIOLATION') throw error
    const unread = concatBytes([...decoder.unread(), ...list])
    return { frames: merged(decoded), stopped: `violation ${toHex(unread)}` }
  }
}

/** What {@link decode} must give, by the naive reader. */
function oracle(bytes: Uint8Array): Decoded {
  const { frames: raw, stopped, rest } = readFrames(bytes)
  return {
    frames: raw.flatMap((frame, index) => {
      const whole = stopped !== 'partial' || index < raw.length - 1
      return decodedForm(frame, whole)
    }),
    stopped: stopped === 'violation' ? `violation ${toHex(bytes.subarray(rest))}` : '',
  }
}

function decodedForm(frame: RawFrame, whole: boolean): unknown[] {
  const { type, stream, numbers, hash, body } = frame
  const [first = 0, second = 0] = numbers
  const block = (name: string) => (whole ? [{ type: name, body: toHex(body) }] : [])
  switch (type) {
    case FrameType.Auth:
      return [{ type: 'auth', passwordHash: toHex(hash), padding: first }]
    case FrameType.Alert:
      return block('alert')
    case FrameType.Close:
      return [{ type: 'close', code: first }]
    case FrameType.ClientNego:
      return block('client-nego')
    case FrameType.ServerNego:
      return block('server-nego')
    case FrameType.Padding:
      return [{ type: 'padding', length: first }]
    case FrameType.SchemeUpdate:
      return block('scheme-update')
    case FrameType.PingPong:
      return [{ type: 'pingpong' }]
    case FrameType.StreamAck:
      return [{ type: 'stream-ack', stream }]
    case FrameType.StreamCredit:
      return [{ type: 'stream-credit', stream, increment: first }]
    case FrameType.StreamHold:
      return [{ type: 'stream-hold', stream, limit: first }]
    case FrameType.StreamFin:
      return [{ type: 'stream-fin', stream }]
    case FrameType.StreamReset:
      return whole ? [{ type: 'stream-reset', stream, code: first, reason: toHex(body) }] : []
    case FrameType.GoAway:
      return [{ type: 'goaway', lastStream: first, code: second }]
    default: {
      const form: unknown[] = [{ type: 'stream', stream, flags: type & 7 }]
      if (body.length > 0) form.push({ type: 'stream-data', stream, data: toHex(body) })
      if (whole && (type & StreamFlag.Rst) !== 0) form.push({ type: 'stream-rst', stream })
      return form
    }
  }
}

/** Frames with bytes as hex, adjacent pieces of stream data joined. */
function merged(list: readonly Frame[]): unknown[] {
  const result: Record<string, unknown>[] = []
  for (const frame of list) {
    const shown: Record<string, unknown> = { ...frame }
    for (const [key, value] of Object.entries(shown)) {
      if (value instanceof Uint8Array) shown[key] = toHex(value)
    }
    const last = result.at(-1)
    if (frame.type === 'stream-data' && last?.['type'] === 'stream-data') {
      last['data'] = String(last['data']) + String(shown['data'])
    } else {
      result.push(shown)
    }
  }
  return result
}

function encodeSpec(spec: FrameSpec): Uint8Array {
  switch (spec.kind) {
    case 'auth':
      return encode.encodeAuth(spec.hash, spec.padding)
    case 'alert':
      return encode.encodeAlert(spec.body)
    case 'close':
      return encode.encodeClose(spec.code)
    case 'client-nego':
      return encode.encodeClientNego(spec.body)
    case 'server-nego':
      return encode.encodeServerNego(spec.body)
    case 'padding':
      // The encoder is asked for the length of the whole frame, content of `length` is what it makes of it.
      return encode.encodePadding(toBytes(spec).length) ?? new Uint8Array(0)
    case 'scheme-update':
      return encode.encodeSchemeUpdate(spec.body)
    case 'pingpong':
      return encode.encodePingPong()
    case 'stream': {
      if ((spec.flags & StreamFlag.Data) === 0) return encode.encodeStream(spec.stream, spec.flags)
      const head = encode.encodeDataHead(spec.stream, spec.data.length, spec.flags)
      return concatBytes([head, spec.data])
    }
    case 'stream-ack':
      return encode.encodeStreamAck(spec.stream)
    case 'stream-credit':
      return encode.encodeStreamCredit(spec.stream, spec.increment)
    case 'stream-hold':
      return encode.encodeStreamHold(spec.stream, spec.limit)
    case 'stream-fin':
      return encode.encodeStreamFin(spec.stream)
    case 'stream-reset':
      return encode.encodeStreamReset(spec.stream, spec.code, spec.reason)
    case 'goaway':
      return encode.encodeGoAway(spec.lastStream, spec.code)
  }
}
