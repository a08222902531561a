// Frames of net-mux version 1 as bytes.
// Must never copy stream data: a Data frame is encoded as its head, the payload goes beside it.
import { Flag, FrameType, HEAD_LENGTH, NETMUX_VERSION } from './frame.ts'

/** The head of a Data frame for a payload of `length` bytes; `flags` of {@link Flag}. */
export function encodeDataHead(stream: number, length: number, flags = 0): Uint8Array {
  return encodeHead(FrameType.Data, flags, stream, length)
}

/** WindowUpdate: `increment` further bytes may be sent on the stream. */
export function encodeWindowUpdate(stream: number, increment: number): Uint8Array {
  return encodeHead(FrameType.WindowUpdate, 0, stream, increment)
}

/** Ping with a value that the answer repeats. */
export function encodePing(value: number): Uint8Array {
  return encodeHead(FrameType.Ping, 0, 0, value)
}

/** The answer to a Ping that carried `value`. */
export function encodePingAnswer(value: number): Uint8Array {
  return encodeHead(FrameType.Ping, Flag.Ack, 0, value)
}

/** GoAway with a code of `GoAwayCode`. */
export function encodeGoAway(code: number): Uint8Array {
  return encodeHead(FrameType.GoAway, 0, 0, code)
}

function encodeHead(type: number, flags: number, stream: number, length: number): Uint8Array {
  const head = new DataView(new ArrayBuffer(HEAD_LENGTH))
  head.setUint8(0, NETMUX_VERSION)
  head.setUint8(1, type)
  head.setUint16(2, flags)
  head.setUint32(4, stream)
  head.setUint32(8, length)
  return new Uint8Array(head.buffer)
}
