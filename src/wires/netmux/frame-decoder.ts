// Bytes to frames of net-mux version 1, incrementally.
// Must never gather stream data, or keep more of a chunk than a head that is still incomplete.
import { AnyTlsError } from '../../errors.ts'
import { ChunkDecoder, NO_BYTES } from '../../codec/chunk-decoder.ts'
import { ALL_FLAGS, Flag, FrameType, HEAD_LENGTH, NETMUX_VERSION } from './frame.ts'
import type { Frame } from './frame.ts'

const NO_VIEW = viewOf(NO_BYTES)

/**
 * Decodes one direction of a connection. Push a chunk, then call {@link next} until it returns
 * `undefined`; payloads are views of the chunk. After a violation the decoder is not to be used.
 */
export class FrameDecoder extends ChunkDecoder {
  readonly #maxPayload: number
  #view = NO_VIEW

  // A head that came in pieces, and how many bytes of it there are.
  readonly #partial = new Uint8Array(HEAD_LENGTH)
  readonly #partialView = viewOf(this.#partial)
  #kept = 0

  #stream = 0
  #flags = 0
  /** A Data frame's head has been handed out, and not yet all that follows it. */
  #inData = false

  /** @param maxPayload most bytes of payload that a Data frame may have */
  constructor(maxPayload: number) {
    super()
    this.#maxPayload = maxPayload
  }

  override push(chunk: Uint8Array): void {
    super.push(chunk)
    this.#view = viewOf(chunk)
  }

  /**
   * The next frame or piece of a frame; `undefined` when more bytes are needed.
   *
   * @throws AnyTlsError `ERR_VERSION_UNSUPPORTED` for a frame of another version,
   *   `ERR_PROTOCOL_VIOLATION` for bytes that are no legal frame
   */
  next(): Frame | undefined {
    const frame = this.#inData ? this.#nextOfData() : this.#nextFrame()
    if (frame === undefined) this.#letGo()
    return frame
  }

  /** The chunk is used up: what else is kept of it is no view. */
  #letGo(): void {
    this.dropChunk()
    this.#view = NO_VIEW
  }

  #nextOfData(): Frame | undefined {
    if (this.remaining > 0) {
      const data = this.takePiece()
      return data.length === 0 ? undefined : { type: 'payload', stream: this.#stream, data }
    }
    this.#inData = false
    if ((this.#flags & (Flag.Fin | Flag.Rst)) === 0) return this.#nextFrame()
    return { type: 'data-end', stream: this.#stream, flags: this.#flags }
  }

  #nextFrame(): Frame | undefined {
    const start = this.position
    if (this.#kept === 0 && this.chunk.length - start >= HEAD_LENGTH) {
      this.position = start + HEAD_LENGTH
      this.#check(this.#view, start, HEAD_LENGTH)
      return this.#begin(this.#view, start)
    }
    if (start >= this.chunk.length) return undefined
    const end = Math.min(start + HEAD_LENGTH - this.#kept, this.chunk.length)
    this.#partial.set(this.chunk.subarray(start, end), this.#kept)
    this.#kept += end - start
    this.position = end
    this.#check(this.#partialView, 0, this.#kept)
    if (this.#kept < HEAD_LENGTH) return undefined
    this.#kept = 0
    return this.#begin(this.#partialView, 0)
  }

  /** Judges the fields of which all bytes are there: what breaks the rules is not waited for. */
  #check(head: DataView, offset: number, available: number): void {
    const version = head.getUint8(offset)
    if (version !== NETMUX_VERSION) {
      throw new AnyTlsError('ERR_VERSION_UNSUPPORTED', `a frame of net-mux version ${version}`)
    }
    if (available < 2) return
    const type = head.getUint8(offset + 1)
    if (type > FrameType.GoAway) throw violation(`unknown frame type ${type}`)
    if (available < 4) return
    const flags = head.getUint16(offset + 2)
    if (flags > ALL_FLAGS) throw violation(`unknown flags 0x${flags.toString(16)}`)
    if (available < 8) return
    const stream = head.getUint32(offset + 4)
    const ofStream = type === FrameType.Data || type === FrameType.WindowUpdate
    if (ofStream !== stream > 0) throw violation(`frame type ${type} on stream ${stream}`)
    if (available < HEAD_LENGTH || type !== FrameType.Data) return
    const length = head.getUint32(offset + 8)
    if (length > this.#maxPayload) {
      throw violation(`a payload of ${length} bytes is above ${this.#maxPayload}`)
    }
  }

  /** Turns a complete head into a frame. */
  #begin(head: DataView, offset: number): Frame {
    const flags = head.getUint16(offset + 2)
    const stream = head.getUint32(offset + 4)
    const length = head.getUint32(offset + 8)
    switch (head.getUint8(offset + 1)) {
      case FrameType.WindowUpdate:
        return { type: 'window-update', stream, increment: length }
      case FrameType.Ping:
        return { type: 'ping', isAnswer: (flags & Flag.Ack) !== 0, value: length }
      case FrameType.GoAway:
        return { type: 'goaway', code: length }
      default:
        this.#inData = true
        this.#stream = stream
        this.#flags = flags
        this.remaining = length
        return { type: 'data', stream, flags }
    }
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function violation(message: string): AnyTlsError {
  return new AnyTlsError('ERR_PROTOCOL_VIOLATION', message)
}
