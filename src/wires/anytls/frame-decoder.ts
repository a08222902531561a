// Bytes to frames of ANYTLS v1 and mux1, incrementally (draft, Frames).
// Must never gather stream data or padding, or wait for a body longer than its cap.
import { violation } from '../../errors.ts'
import { FrameReader } from '../../codec/frame-reader.ts'
import type { Follow, FrameSyntax } from '../../codec/frame-reader.ts'
import { PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'
import { readVarint, varintLengthFrom } from '../../codec/varint.ts'
import { FrameType, MAX_BODY, MAX_RESET_REASON, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'

// The longest head: type, stream id, hash, padding length of AUTH with every varint at its longest.
const MAX_HEAD = 1 + 8 + PASSWORD_HASH_LENGTH + 8

/** Decodes one direction of a connection. A violation is an AnyTlsError `ERR_PROTOCOL_VIOLATION`. */
export function makeFrameDecoder(): FrameReader<Frame> {
  return new FrameReader(makeSyntax())
}

function makeSyntax(): FrameSyntax<Frame> {
  let type = 0
  let stream = 0
  let first = 0
  let second = 0

  const checkStream = (value: number, control: boolean): void => {
    // D3: the draft draws the server's NEGO on stream 6.
    const legal = control
      ? value === 0 || (type === FrameType.ServerNego && value === 6)
      : value > 0
    if (!legal) throw violation(`frame type 0x${type.toString(16)} on stream ${value}`)
    stream = value
  }

  return {
    maxHead: MAX_HEAD,
    readHead(bytes: Uint8Array, offset: number, end: number): number {
      // A frame type must be encoded in its fewest bytes (D2), and every type known fits into one.
      type = bytes[offset] ?? 0
      const fields = type < FIELDS.length ? FIELDS[type] : undefined
      if (fields === undefined) throw violation(`unknown frame type 0x${type.toString(16)}`)
      let position = offset + 1
      let value = 0
      for (let index = 0; index < fields.count; index += 1) {
        if (index === 1 && fields.hash) position += PASSWORD_HASH_LENGTH
        const length = varintLengthFrom(bytes[position] ?? 0)
        if (position + length > end) return 0
        value = readVarint(bytes, position)
        position += length
        if (value === Infinity) throw violation('integer above 2^53 - 1')
        if (index === 0) checkStream(value, fields.control)
        else if (index === 1) first = value
        else second = value
      }
      if (fields.cap >= 0 && value > fields.cap) {
        throw violation(
          `length ${value} in frame type 0x${type.toString(16)} is above ${fields.cap}`,
        )
      }
      return position - offset
    },
    begin(follow: Follow, bytes: Uint8Array, offset: number): Frame | undefined {
      switch (type) {
        case FrameType.Auth: {
          const start = offset + 1 + varintLengthFrom(bytes[offset + 1] ?? 0)
          follow.skip(first)
          const passwordHash = bytes.slice(start, start + PASSWORD_HASH_LENGTH)
          return { type: 'auth', passwordHash, padding: first }
        }
        case FrameType.Padding:
          follow.skip(first)
          return { type: 'padding', length: first }
        case FrameType.Close:
          return { type: 'close', code: first }
        case FrameType.PingPong:
          return { type: 'pingpong' }
        case FrameType.StreamAck:
          return { type: 'stream-ack', stream }
        case FrameType.StreamCredit:
          return { type: 'stream-credit', stream, increment: first }
        case FrameType.StreamHold:
          return { type: 'stream-hold', stream, limit: first }
        case FrameType.StreamFin:
          return { type: 'stream-fin', stream }
        case FrameType.GoAway:
          return { type: 'goaway', lastStream: first, code: second }
        case FrameType.Alert:
        case FrameType.ClientNego:
        case FrameType.ServerNego:
        case FrameType.SchemeUpdate:
          follow.body(first)
          return undefined
        case FrameType.StreamReset:
          follow.body(second)
          return undefined
        default:
          // The STREAM class: without DATA no pieces lead straight on to RST.
          follow.pieces((type & StreamFlag.Data) !== 0 ? first : 0)
          return { type: 'stream', stream, flags: type & 0b111 }
      }
    },
    withBody(body: Uint8Array): Frame {
      const named = BODIES.get(type)
      if (named !== undefined) return { type: named, body }
      return { type: 'stream-reset', stream, code: first, reason: body }
    },
    piece: (data: Uint8Array): Frame => ({ type: 'stream-data', stream, data }),
    afterPieces: (): Frame | undefined =>
      (type & StreamFlag.Rst) === 0 ? undefined : { type: 'stream-rst', stream },
  }
}

/** Frames that are a body, and what they come out as. */
const BODIES = new Map<number, 'alert' | 'client-nego' | 'server-nego' | 'scheme-update'>([
  [FrameType.Alert, 'alert'],
  [FrameType.ClientNego, 'client-nego'],
  [FrameType.ServerNego, 'server-nego'],
  [FrameType.SchemeUpdate, 'scheme-update'],
])

/** The fields behind a frame's type: `count` varints, the first of them the stream id. */
interface Fields {
  readonly count: number
  readonly control: boolean
  /** The password hash stands between the stream id and the next field. */
  readonly hash: boolean
  /** Largest legal value of the last field, a length that is checked as it is read; -1 for none. */
  readonly cap: number
}

const FIELDS: readonly (Fields | undefined)[] = fieldTable()

function fieldTable(): (Fields | undefined)[] {
  const table: (Fields | undefined)[] = []
  const add = (type: number, count: number, control: boolean, cap = -1): void => {
    table[type] = { count, control, hash: type === FrameType.Auth, cap }
  }
  add(FrameType.Auth, 2, true, MAX_BODY)
  add(FrameType.Alert, 2, true, MAX_BODY)
  add(FrameType.Close, 2, true)
  add(FrameType.ClientNego, 2, true, MAX_BODY)
  add(FrameType.ServerNego, 2, true, MAX_BODY)
  add(FrameType.Padding, 2, true)
  add(FrameType.SchemeUpdate, 2, true, MAX_BODY)
  add(FrameType.PingPong, 1, true)
  for (let flags = 0; flags <= 0b111; flags += 1) {
    add(FrameType.Stream | flags, (flags & StreamFlag.Data) !== 0 ? 2 : 1, false)
  }
  add(FrameType.StreamAck, 1, false)
  add(FrameType.StreamCredit, 2, false)
  add(FrameType.StreamFin, 1, false)
  add(FrameType.StreamReset, 3, false, MAX_RESET_REASON)
  add(FrameType.GoAway, 3, true)
  add(FrameType.StreamHold, 2, false)
  return table
}
