// Random ANYTLS v1 and mux1 frames, cuts and mutations for the property tests.
import fc from 'fast-check'
import { encodeVarint } from '../../src/codec/varint.ts'
import type { VarintLength } from '../../src/codec/varint.ts'
import { frameWriter } from './v1-frames.ts'

/** What a frame says, apart from how it is written. */
export type FrameSpec =
  | { readonly kind: 'auth'; readonly hash: Uint8Array; readonly padding: number }
  | {
      readonly kind: 'alert' | 'client-nego' | 'server-nego' | 'scheme-update'
      readonly body: Uint8Array
    }
  | { readonly kind: 'close'; readonly code: number }
  | { readonly kind: 'padding'; readonly length: number }
  | { readonly kind: 'pingpong' }
  | {
      readonly kind: 'stream'
      readonly flags: number
      readonly stream: number
      readonly data: Uint8Array
    }
  | { readonly kind: 'stream-ack' | 'stream-fin'; readonly stream: number }
  | { readonly kind: 'stream-credit'; readonly stream: number; readonly increment: number }
  | { readonly kind: 'stream-hold'; readonly stream: number; readonly limit: number }
  | {
      readonly kind: 'stream-reset'
      readonly stream: number
      readonly code: number
      readonly reason: Uint8Array
    }
  | { readonly kind: 'goaway'; readonly lastStream: number; readonly code: number }

/** Integers around the edges of every encoded length. */
const integer = fc.oneof(
  fc.nat({ max: 70 }),
  fc.nat({ max: 20_000 }),
  fc.maxSafeNat(),
  fc.constantFrom(0x3f, 0x40, 0x3fff, 0x4000, 0x3fff_ffff, 0x4000_0000, Number.MAX_SAFE_INTEGER),
)
const streamId = integer.map((id) => Math.max(1, id))
const body = fc.uint8Array({ maxLength: 80 })
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 })

/** Any legal frame. */
export const anyFrame: fc.Arbitrary<FrameSpec> = fc.oneof(
  fc.record({ kind: fc.constant('auth' as const), hash, padding: fc.nat({ max: 80 }) }),
  fc.record({
    kind: fc.constantFrom(
      'alert' as const,
      'client-nego' as const,
      'server-nego' as const,
      'scheme-update' as const,
    ),
    body,
  }),
  fc.record({ kind: fc.constant('close' as const), code: integer }),
  fc.record({ kind: fc.constant('padding' as const), length: fc.nat({ max: 80 }) }),
  fc.constant<FrameSpec>({ kind: 'pingpong' }),
  fc.record({
    kind: fc.constant('stream' as const),
    flags: fc.nat({ max: 7 }),
    stream: streamId,
    data: body,
  }),
  fc.record({
    kind: fc.constantFrom('stream-ack' as const, 'stream-fin' as const),
    stream: streamId,
  }),
  fc.record({
    kind: fc.constant('stream-credit' as const),
    stream: streamId,
    increment: integer,
  }),
  fc.record({ kind: fc.constant('stream-hold' as const), stream: streamId, limit: integer }),
  fc.record({
    kind: fc.constant('stream-reset' as const),
    stream: streamId,
    code: integer,
    reason: body,
  }),
  fc.record({ kind: fc.constant('goaway' as const), lastStream: integer, code: integer }),
)

/**
 * The bytes of a frame. `nextLength` is asked for the length of each integer that may have any; one that
 * is too short for it is ignored.
 */
export function toBytes(spec: FrameSpec, nextLength: () => VarintLength = () => 1): Uint8Array {
  const writer = frameWriter((value) => {
    const length = nextLength()
    const shortest = encodeVarint(value)
    return shortest.length < length ? encodeVarint(value, length) : shortest
  })
  switch (spec.kind) {
    case 'auth':
      return writer.auth(spec.hash, spec.padding)
    case 'alert':
      return writer.alert(spec.body)
    case 'close':
      return writer.close(spec.code)
    case 'client-nego':
      return writer.clientNego(spec.body)
    case 'server-nego':
      return writer.serverNego(spec.body)
    case 'padding':
      return writer.padding(spec.length)
    case 'scheme-update':
      return writer.schemeUpdate(spec.body)
    case 'pingpong':
      return writer.ping()
    case 'stream':
      return writer.stream(spec.flags, spec.stream, spec.data)
    case 'stream-ack':
      return writer.ack(spec.stream)
    case 'stream-credit':
      return writer.credit(spec.stream, spec.increment)
    case 'stream-hold':
      return writer.hold(spec.stream, spec.limit)
    case 'stream-fin':
      return writer.fin(spec.stream)
    case 'stream-reset':
      return writer.reset(spec.stream, spec.code, spec.reason)
    case 'goaway':
      return writer.goaway(spec.lastStream, spec.code)
  }
}

/** Places to cut some bytes at, as numbers of any size, or between any two bytes. */
export type Cuts = readonly number[] | 'everywhere'

export const cuts: fc.Arbitrary<Cuts> = fc.oneof(
  { weight: 1, arbitrary: fc.constant('everywhere' as const) },
  { weight: 4, arbitrary: fc.array(fc.nat(), { maxLength: 12 }) },
)

/** `bytes` cut at those places; each piece is memory of its own. */
export function cutAt(bytes: Uint8Array, places: Cuts): Uint8Array[] {
  if (places === 'everywhere') return Array.from(bytes, (byte) => Uint8Array.of(byte))
  const offsets = places.map((place) => place % (bytes.length + 1)).sort((a, b) => a - b)
  const list: Uint8Array[] = []
  let start = 0
  for (const end of [...offsets, bytes.length]) {
    if (end > start) list.push(bytes.slice(start, end))
    start = Math.max(start, end)
  }
  return list
}

/** Bytes of which half mean something in a frame. */
const FRAME_BYTES = fc.oneof(
  fc.nat({ max: 255 }),
  fc.nat({ max: 0x1a }),
  fc.constantFrom(0x40, 0xc0),
)

/** Some bytes of `source` replaced, removed or inserted, or the end cut off; `byte` is what is put in. */
export function mutated(
  source: fc.Arbitrary<Uint8Array>,
  byte: fc.Arbitrary<number> = FRAME_BYTES,
): fc.Arbitrary<Uint8Array> {
  const kind = fc.constantFrom('replace', 'remove', 'insert', 'cut')
  const mutations = fc.array(fc.tuple(kind, fc.nat(), byte), { minLength: 1, maxLength: 3 })
  return fc.tuple(source, mutations).map(([bytes, list]) => {
    const result = [...bytes]
    for (const [how, where, value] of list) {
      const at = where % (result.length + 1)
      if (how === 'replace') result[at] = value
      else if (how === 'remove') result.splice(at, 1)
      else if (how === 'insert') result.splice(at, 0, value)
      else result.length = at
    }
    return Uint8Array.from(result)
  })
}
