// Bytes to frames of the original AnyTLS wire, incrementally.
// Must never gather stream data, or lose its place on a frame that has data where it should have none.
import { FrameReader } from '../../codec/frame-reader.ts'
import type { Follow, FrameSyntax } from '../../codec/frame-reader.ts'
import { PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'
import { AUTH_HEAD_LENGTH, Command, HEAD_LENGTH } from './frame.ts'
import type { Frame } from './frame.ts'

/**
 * Decodes one direction of a connection. Every sequence of bytes is one of frames.
 *
 * @param opensWithAuth whether an authentication block stands in front of the frames, as for a server
 */
export function makeFrameDecoder(opensWithAuth: boolean): FrameReader<Frame> {
  return new FrameReader(makeSyntax(opensWithAuth))
}

function makeSyntax(opensWithAuth: boolean): FrameSyntax<Frame> {
  let isAuth = opensWithAuth
  let command = 0
  let stream = 0
  let passwordHash: Uint8Array = new Uint8Array(0)

  return {
    maxHead: opensWithAuth ? AUTH_HEAD_LENGTH : HEAD_LENGTH,
    readHead(_bytes: Uint8Array, offset: number, end: number): number {
      const length = isAuth ? AUTH_HEAD_LENGTH : HEAD_LENGTH
      return end - offset < length ? 0 : length
    },
    begin(follow: Follow, bytes: Uint8Array, offset: number): Frame | undefined {
      if (isAuth) {
        passwordHash = bytes.slice(offset, offset + PASSWORD_HASH_LENGTH)
        // Gathered, not counted: should the rest never come, the next owner must see all of it.
        follow.body(uint16(bytes, offset + PASSWORD_HASH_LENGTH))
        return undefined
      }
      command = bytes[offset] ?? 0
      stream = uint16(bytes, offset + 1) * 0x1_0000 + uint16(bytes, offset + 3)
      const length = uint16(bytes, offset + 5)
      switch (command) {
        case Command.Settings:
        case Command.Alert:
        case Command.UpdateScheme:
        case Command.SynAck:
        case Command.ServerSettings:
          follow.body(length)
          return undefined
        case Command.Push:
          follow.pieces(length)
          return { type: 'push', stream, length }
      }
      follow.skip(length)
      switch (command) {
        case Command.Waste:
          return { type: 'waste', length }
        case Command.Syn:
          return { type: 'syn', stream }
        case Command.Fin:
          return { type: 'fin', stream }
        case Command.HeartbeatRequest:
          return { type: 'heartbeat-request', stream }
        case Command.HeartbeatResponse:
          return { type: 'heartbeat-response', stream }
        default:
          return { type: 'unknown', command, length }
      }
    },
    withBody(body: Uint8Array): Frame {
      if (isAuth) {
        isAuth = false
        return { type: 'auth', passwordHash, padding: body.length }
      }
      const named = BODIES.get(command)
      return named === undefined ? { type: 'synack', stream, reason: body } : { type: named, body }
    },
    piece: (data: Uint8Array): Frame => ({ type: 'push-data', stream, data }),
    afterPieces: (): undefined => undefined,
  }
}

/** Frames that are a text, and what they come out as. */
const BODIES = new Map<number, 'settings' | 'alert' | 'update-scheme' | 'server-settings'>([
  [Command.Settings, 'settings'],
  [Command.Alert, 'alert'],
  [Command.UpdateScheme, 'update-scheme'],
  [Command.ServerSettings, 'server-settings'],
])

function uint16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) * 0x100 + (bytes[offset + 1] ?? 0)
}
