// Bytes to frames of the original AnyTLS wire, incrementally.
// Must never gather stream data, lose its place on a frame that has data where it should have none, or
// keep more of a chunk than the head or the body that is still incomplete.
import { ChunkDecoder, NO_BYTES } from '../../codec/chunk-decoder.ts'
import { AUTH_HEAD_LENGTH, Command, HEAD_LENGTH, PASSWORD_HASH_LENGTH } from './frame.ts'
import type { Frame } from './frame.ts'

/** What the decoder is in the middle of. */
const Phase = { Head: 0, Body: 1, Data: 2, Skipped: 3 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * Decodes one direction of a connection. Push a chunk, then call {@link next} until it returns
 * `undefined`; data in frames are views of the chunk. Every sequence of bytes is one of frames.
 */
export class FrameDecoder extends ChunkDecoder {
  #phase: Phase = Phase.Head

  // The head of the current frame: kept until the frame is done so that `unread` can give it back.
  readonly #head = new Uint8Array(AUTH_HEAD_LENGTH)
  #headLength: number
  #headFilled = 0
  #isAuth: boolean

  #command = 0
  #stream = 0

  /** @param opensWithAuth whether an authentication block stands in front of the frames, as for a server */
  constructor(opensWithAuth: boolean) {
    super()
    this.#isAuth = opensWithAuth
    this.#headLength = opensWithAuth ? AUTH_HEAD_LENGTH : HEAD_LENGTH
  }

  /** The next frame or piece of a frame; `undefined` when more bytes are needed. */
  next(): Frame | undefined {
    const frame = this.#decode()
    if (frame === undefined) this.#letGo()
    return frame
  }

  /**
   * Everything from the first byte of the current frame on that has not been handed out: what a new
   * owner of the connection must see after a violation (D17).
   */
  unread(): Uint8Array[] {
    const head = this.#head.slice(0, this.#headFilled)
    const parts = [head, ...this.unreadBytes(this.#phase === Phase.Body)]
    return parts.filter((part) => part.length > 0)
  }

  #decode(): Frame | undefined {
    for (;;) {
      switch (this.#phase) {
        case Phase.Head: {
          if (!this.#readHead()) return undefined
          const frame = this.#begin()
          if (frame !== undefined) return frame
          break
        }
        case Phase.Body: {
          if (!this.fillBody()) return undefined
          this.#phase = Phase.Head
          return this.#withBody()
        }
        case Phase.Data: {
          if (this.remaining === 0) {
            this.#phase = Phase.Head
            break
          }
          const data = this.takePiece()
          if (data.length === 0) return undefined
          return { type: 'push-data', stream: this.#stream, data }
        }
        case Phase.Skipped:
          this.takePiece()
          if (this.remaining > 0) return undefined
          this.#phase = Phase.Head
          break
      }
    }
  }

  /** Reads a head; false when bytes are missing. */
  #readHead(): boolean {
    if (this.#headFilled === this.#headLength) this.#dropFrame()
    const start = this.position
    const end = Math.min(start + this.#headLength - this.#headFilled, this.chunk.length)
    this.#head.set(this.chunk.subarray(start, end), this.#headFilled)
    this.#headFilled += end - start
    this.position = end
    return this.#headFilled === this.#headLength
  }

  /** Turns a complete head into a frame, or sets the phase that reads what follows it. */
  #begin(): Frame | undefined {
    const view = new DataView(this.#head.buffer)
    if (this.#isAuth) {
      // Gathered, not counted: should the rest never come, the next owner must see all of it.
      this.#gather(view.getUint16(PASSWORD_HASH_LENGTH))
      return undefined
    }
    const command = view.getUint8(0)
    const stream = view.getUint32(1)
    const length = view.getUint16(5)
    this.#command = command
    this.#stream = stream
    switch (command) {
      case Command.Settings:
      case Command.Alert:
      case Command.UpdateScheme:
      case Command.SynAck:
      case Command.ServerSettings:
        this.#gather(length)
        return undefined
      case Command.Push:
        this.#expect(Phase.Data, length)
        return { type: 'push', stream, length }
    }
    this.#expect(Phase.Skipped, length)
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
  }

  #withBody(): Frame {
    const body = this.body
    if (this.#isAuth) {
      this.#isAuth = false
      const passwordHash = this.#head.slice(0, PASSWORD_HASH_LENGTH)
      return { type: 'auth', passwordHash, padding: body.length }
    }
    switch (this.#command) {
      case Command.Settings:
        return { type: 'settings', body }
      case Command.Alert:
        return { type: 'alert', body }
      case Command.UpdateScheme:
        return { type: 'update-scheme', body }
      case Command.ServerSettings:
        return { type: 'server-settings', body }
      default:
        return { type: 'synack', stream: this.#stream, reason: body }
    }
  }

  /** The chunk is used up: keeps nothing of it but what belongs to a frame not yet handed out. */
  #letGo(): void {
    this.dropChunk()
    if (this.#phase !== Phase.Body && this.#headFilled === this.#headLength) this.#dropFrame()
  }

  /** What comes next is the head of a frame, whatever stood in front of it. */
  #dropFrame(): void {
    this.#headLength = HEAD_LENGTH
    this.#headFilled = 0
    this.body = NO_BYTES
  }

  #gather(bytes: number): void {
    this.#phase = Phase.Body
    this.expectBody(bytes)
  }

  #expect(phase: Phase, bytes: number): void {
    this.#phase = phase
    this.remaining = bytes
  }
}
