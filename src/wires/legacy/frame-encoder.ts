// Frames of the original AnyTLS wire as bytes.
// Must never put data on SYN, FIN or a heartbeat: anytls-go does not skip it and loses its place.
import type { PaddingFormat } from '../../shaping/shaper.ts'
import { AUTH_HEAD_LENGTH, Command, HEAD_LENGTH } from './frame.ts'

const CONTROL_STREAM = 0
const NO_DATA = new Uint8Array(0)

/** The authentication block: the hash (32 bytes), then `padding` zero bytes, 0 to 65,535. */
export function encodeAuthBlock(passwordHash: Uint8Array, padding: number): Uint8Array {
  const block = new Uint8Array(AUTH_HEAD_LENGTH + padding)
  block.set(passwordHash)
  new DataView(block.buffer).setUint16(passwordHash.length, padding)
  return block
}

/** A waste frame with `length` zero bytes of data, 0 to 65,535: `length` + 7 bytes in all. */
export function encodeWaste(length: number): Uint8Array {
  return withData(Command.Waste, CONTROL_STREAM, new Uint8Array(length))
}

/**
 * Waste frames as the shaper asks for them, with the quirks of the original: nothing is added where a head and one
 * byte do not fit, and a Write of padding alone is a head longer than its target. Not to be "repaired": these sizes
 * are what other clients of this wire look like.
 */
export const PADDING_FORMAT: PaddingFormat = {
  fill: (bytes) => (bytes > HEAD_LENGTH ? encodeWaste(bytes - HEAD_LENGTH) : undefined),
  alone: encodeWaste,
}

/** SYN. */
export function encodeSyn(stream: number): Uint8Array {
  return encodeHead(Command.Syn, stream, 0)
}

/** The head of a PSH frame for a payload of `length` bytes, which goes beside it. */
export function encodePushHead(stream: number, length: number): Uint8Array {
  return encodeHead(Command.Push, stream, length)
}

/** FIN. */
export function encodeFin(stream: number): Uint8Array {
  return encodeHead(Command.Fin, stream, 0)
}

/** The client's settings. */
export function encodeSettings(text: Uint8Array): Uint8Array {
  return withData(Command.Settings, CONTROL_STREAM, text)
}

/** An alert. `text` must not be empty: anytls-go ignores an empty one. */
export function encodeAlert(text: Uint8Array): Uint8Array {
  return withData(Command.Alert, CONTROL_STREAM, text)
}

/** Update padding scheme, with the raw text of the scheme: its MD5 is what settings are compared with. */
export function encodeUpdateScheme(text: Uint8Array): Uint8Array {
  return withData(Command.UpdateScheme, CONTROL_STREAM, text)
}

/** SYNACK: the stream is opened, or, with a reason, it is not. */
export function encodeSynAck(stream: number, reason: Uint8Array = NO_DATA): Uint8Array {
  return withData(Command.SynAck, stream, reason)
}

/** A heartbeat request. */
export function encodeHeartbeatRequest(): Uint8Array {
  return encodeHead(Command.HeartbeatRequest, CONTROL_STREAM, 0)
}

/** The response to a heartbeat request that came with the id `stream`. */
export function encodeHeartbeatResponse(stream: number): Uint8Array {
  return encodeHead(Command.HeartbeatResponse, stream, 0)
}

/** The server's settings. */
export function encodeServerSettings(text: Uint8Array): Uint8Array {
  return withData(Command.ServerSettings, CONTROL_STREAM, text)
}

function encodeHead(command: number, stream: number, length: number): Uint8Array {
  const head = new Uint8Array(HEAD_LENGTH)
  writeHead(head, command, stream, length)
  return head
}

function withData(command: number, stream: number, data: Uint8Array): Uint8Array {
  const frame = new Uint8Array(HEAD_LENGTH + data.length)
  writeHead(frame, command, stream, data.length)
  frame.set(data, HEAD_LENGTH)
  return frame
}

function writeHead(frame: Uint8Array, command: number, stream: number, length: number): void {
  const view = new DataView(frame.buffer)
  view.setUint8(0, command)
  view.setUint32(1, stream)
  view.setUint16(5, length)
}
