// Bytes to frames of net-mux version 1, incrementally.
// Must never gather stream data, or wait for the rest of a head that breaks the rules.
import { AnyTlsError, violation } from '../../errors.ts'
import { FrameReader } from '../../codec/frame-reader.ts'
import type { Follow, FrameSyntax } from '../../codec/frame-reader.ts'
import { ALL_FLAGS, Flag, FrameType, HEAD_LENGTH, NETMUX_VERSION } from './frame.ts'
import type { Frame } from './frame.ts'

/**
 * Decodes one direction of a connection. A violation is an AnyTlsError: `ERR_VERSION_UNSUPPORTED` for a frame of
 * another version, else `ERR_PROTOCOL_VIOLATION`.
 *
 * @param maxPayload most bytes of payload that a Data frame may have
 */
export function makeFrameDecoder(maxPayload: number): FrameReader<Frame> {
  return new FrameReader(makeSyntax(maxPayload))
}

function makeSyntax(maxPayload: number): FrameSyntax<Frame> {
  let stream = 0
  let flags = 0

  /** Judges the fields of which all bytes are there: what breaks the rules is not waited for. */
  function check(bytes: Uint8Array, offset: number, available: number): void {
    const version = bytes[offset] ?? 0
    const type = bytes[offset + 1] ?? 0
    if (version !== NETMUX_VERSION) {
      throw new AnyTlsError('ERR_VERSION_UNSUPPORTED', `a frame of net-mux version ${version}`)
    }
    if (available < 2) return
    if (type > FrameType.GoAway) throw violation(`unknown frame type ${type}`)
    if (available < 4) return
    const bits = uint16(bytes, offset + 2)
    if (bits > ALL_FLAGS) throw violation(`unknown flags 0x${bits.toString(16)}`)
    if (available < 8) return
    const id = uint32(bytes, offset + 4)
    const ofStream = type === FrameType.Data || type === FrameType.WindowUpdate
    if (ofStream !== id > 0) throw violation(`frame type ${type} on stream ${id}`)
    if (available < HEAD_LENGTH || type !== FrameType.Data) return
    const length = uint32(bytes, offset + 8)
    if (length > maxPayload) throw violation(`a payload of ${length} bytes is above ${maxPayload}`)
  }

  return {
    maxHead: HEAD_LENGTH,
    readHead(bytes: Uint8Array, offset: number, end: number): number {
      check(bytes, offset, end - offset)
      return end - offset < HEAD_LENGTH ? 0 : HEAD_LENGTH
    },
    begin(follow: Follow, bytes: Uint8Array, offset: number): Frame {
      const length = uint32(bytes, offset + 8)
      flags = uint16(bytes, offset + 2)
      stream = uint32(bytes, offset + 4)
      switch (bytes[offset + 1]) {
        case FrameType.WindowUpdate:
          return { type: 'window-update', stream, increment: length }
        case FrameType.Ping:
          return { type: 'ping', isAnswer: (flags & Flag.Ack) !== 0, value: length }
        case FrameType.GoAway:
          return { type: 'goaway', code: length }
        default:
          follow.pieces(length)
          return { type: 'data', stream, flags }
      }
    },
    // No frame of this wire has a body that is gathered.
    withBody(): Frame {
      throw violation('a body')
    },
    piece: (data: Uint8Array): Frame => ({ type: 'payload', stream, data }),
    afterPieces: (): Frame | undefined =>
      (flags & (Flag.Fin | Flag.Rst)) === 0 ? undefined : { type: 'data-end', stream, flags },
  }
}

function uint16(bytes: Uint8Array, offset: number): number {
  return (bytes[offset] ?? 0) * 0x100 + (bytes[offset + 1] ?? 0)
}

function uint32(bytes: Uint8Array, offset: number): number {
  return uint16(bytes, offset) * 0x1_0000 + uint16(bytes, offset + 2)
}
