// Frames of ANYTLS v1 and mux1 as bytes (draft, Frames Types and Formats).
// Must never copy stream data: a DATA frame is encoded as its head, the payload goes beside it.
import type { PaddingFormat } from '../../shaping/shaper.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { varintLength, writeVarint } from '../../codec/varint.ts'
import type { VarintLength } from '../../codec/varint.ts'
import { PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'
import { FrameType, StreamFlag } from './frame.ts'

const CONTROL_STREAM = 0

/** AUTH with `padding` zero bytes, 0 to 65,535 (D13, D28). */
export function encodeAuth(passwordHash: Uint8Array, padding: number): Uint8Array {
  const head = 2 + PASSWORD_HASH_LENGTH
  const frame = new Uint8Array(head + varintLength(padding) + padding)
  frame.set(passwordHash, 2)
  writeVarint(frame, head, padding)
  return frame
}

/** ALERT with a TEXT block. */
export function encodeAlert(text: Uint8Array): Uint8Array {
  return withBody(FrameType.Alert, text)
}

/** CLOSE with a close code (D21). */
export function encodeClose(code: number): Uint8Array {
  return ofNumbers(FrameType.Close, CONTROL_STREAM, code)
}

/** The client's NEGO with its KV block. */
export function encodeClientNego(block: Uint8Array): Uint8Array {
  return withBody(FrameType.ClientNego, block)
}

/** The server's NEGO with its KV block; on stream 0, as the prose says (D3). */
export function encodeServerNego(block: Uint8Array): Uint8Array {
  return withBody(FrameType.ServerNego, block)
}

/** PADDING_UPDATE_SCHEME with the scheme in KV form. */
export function encodeSchemeUpdate(scheme: Uint8Array): Uint8Array {
  return withBody(FrameType.SchemeUpdate, scheme)
}

/** The shortest PADDING frame, in bytes: type, stream, a length of 0 (D22). */
export const MIN_PADDING_FRAME = 3

/**
 * A PADDING frame of exactly `bytes` bytes in all, its content zeros (D22, D35). Where the shortest
 * length prefix cannot hit the number, a longer one is used.
 *
 * @returns `undefined` for fewer than {@link MIN_PADDING_FRAME}: no such frame exists
 */
export function encodePadding(bytes: number): Uint8Array | undefined {
  if (bytes < MIN_PADDING_FRAME) return undefined
  const prefix = paddingPrefix(bytes)
  const frame = new Uint8Array(bytes)
  frame[0] = FrameType.Padding
  writeVarint(frame, 2, bytes - 2 - prefix, prefix)
  return frame
}

/** PADDING frames as the shaper asks for them (D22, D32). */
export const PADDING_FORMAT: PaddingFormat = { fill: encodePadding, alone: encodePadding }

// 3..66 bytes take a prefix of 1, 67..16387 one of 2, beyond that 4: each range ends where the
// longest content that its prefix can express ends.
function paddingPrefix(bytes: number): VarintLength {
  if (bytes <= 2 + 1 + 0x3f) return 1
  if (bytes <= 2 + 2 + 0x3fff) return 2
  return bytes <= 2 + 4 + 0x3fff_ffff ? 4 : 8
}

/** PINGPONG. */
export function encodePingPong(): Uint8Array {
  return ofNumbers(FrameType.PingPong, CONTROL_STREAM)
}

/** A STREAM frame without data; `flags` of {@link StreamFlag}, DATA not among them. */
export function encodeStream(stream: number, flags: number): Uint8Array {
  return ofNumbers(FrameType.Stream | flags, stream)
}

/** The head of a STREAM frame with DATA, for a payload of `length` bytes. */
export function encodeDataHead(stream: number, length: number, flags = 0): Uint8Array {
  return ofNumbers(FrameType.Stream | StreamFlag.Data | flags, stream, length)
}

/** STREAM_ACK. */
export function encodeStreamAck(stream: number): Uint8Array {
  return ofNumbers(FrameType.StreamAck, stream)
}

/** STREAM_CREDIT (mux1): `increment` further bytes may be sent on the stream. */
export function encodeStreamCredit(stream: number, increment: number): Uint8Array {
  return ofNumbers(FrameType.StreamCredit, stream, increment)
}

/** STREAM_HOLD (mux1): nothing beyond `limit` bytes, from the first one, may be sent before there is more credit. */
export function encodeStreamHold(stream: number, limit: number): Uint8Array {
  return ofNumbers(FrameType.StreamHold, stream, limit)
}

/** STREAM_FIN (mux1). */
export function encodeStreamFin(stream: number): Uint8Array {
  return ofNumbers(FrameType.StreamFin, stream)
}

/** STREAM_RESET (mux1) with a TEXT block of at most 1,024 bytes. */
export function encodeStreamReset(stream: number, code: number, reason: Uint8Array): Uint8Array {
  return concatBytes([ofNumbers(FrameType.StreamReset, stream, code, reason.length), reason])
}

/** GOAWAY (mux1). */
export function encodeGoAway(lastStream: number, code: number): Uint8Array {
  return ofNumbers(FrameType.GoAway, CONTROL_STREAM, lastStream, code)
}

function withBody(type: number, body: Uint8Array): Uint8Array {
  return concatBytes([ofNumbers(type, CONTROL_STREAM, body.length), body])
}

function ofNumbers(type: number, ...fields: number[]): Uint8Array {
  let length = 1
  for (const field of fields) length += varintLength(field)
  const frame = new Uint8Array(length)
  frame[0] = type
  let offset = 1
  for (const field of fields) offset = writeVarint(frame, offset, field)
  return frame
}
