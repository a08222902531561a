// Bytes to frames of ANYTLS v1 and mux1, incrementally (draft, Frames).
// Must never gather stream data or padding, wait for a body longer than its cap, or keep more of a
// chunk than the head or the body that is still incomplete.
import { AnyTlsError } from '../../errors.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { ChunkDecoder, NO_BYTES } from '../../codec/chunk-decoder.ts'
import { readVarint, varintLengthFrom } from '../../codec/varint.ts'
import { FrameType, MAX_BODY, MAX_RESET_REASON, PASSWORD_HASH_LENGTH, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'

// The longest head: type, stream id, hash, padding length of AUTH with every varint at its longest.
const MAX_HEAD = 1 + 8 + PASSWORD_HASH_LENGTH + 8

/** What the decoder is in the middle of. */
const Phase = { Head: 0, Body: 1, Padding: 2, Data: 3 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * Decodes one direction of a connection. Push a chunk, then call {@link next} until it returns
 * `undefined`; views in frames point into the chunk. After a violation the decoder is not to be used
 * but for {@link unread}.
 */
export class FrameDecoder extends ChunkDecoder {
  #phase: Phase = Phase.Head

  // The head of the current frame: kept while it is incomplete, and until the frame is done so that
  // `unread` can give it back.
  #head: Uint8Array = NO_BYTES
  #type = 0
  #stream = 0
  #first = 0
  #second = 0

  #headIsPartial = false

  /**
   * The next frame or piece of a frame; `undefined` when more bytes are needed.
   *
   * @throws AnyTlsError `ERR_PROTOCOL_VIOLATION` for bytes that are no legal frame
   */
  next(): Frame | undefined {
    const frame = this.#decode()
    if (frame === undefined) this.#letGo()
    return frame
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
        case Phase.Data: {
          if (this.remaining === 0) {
            this.#phase = Phase.Head
            if ((this.#type & StreamFlag.Rst) === 0) break
            return { type: 'stream-rst', stream: this.#stream }
          }
          const data = this.takePiece()
          if (data.length === 0) return undefined
          return { type: 'stream-data', stream: this.#stream, data }
        }
        case Phase.Padding:
          this.takePiece()
          if (this.remaining > 0) return undefined
          this.#phase = Phase.Head
          break
        case Phase.Body: {
          if (!this.fillBody()) return undefined
          this.#phase = Phase.Head
          return this.#withBody()
        }
      }
    }
  }

  /**
   * Everything from the first byte of the current frame on that has not been handed out: what a new
   * owner of the connection must see after a violation (D17).
   */
  unread(): Uint8Array[] {
    const parts = [this.#head, ...this.unreadBytes(this.#phase === Phase.Body)]
    return parts.filter((part) => part.length > 0)
  }

  /** The chunk is used up: keeps nothing of it but what belongs to a frame not yet handed out. */
  #letGo(): void {
    this.dropChunk()
    if (this.#phase === Phase.Body) this.#head = this.#head.slice()
    else if (!this.#headIsPartial) this.#head = NO_BYTES
  }

  /** Reads type and fields of a frame; false when bytes are missing, which are then kept. */
  #readHead(): boolean {
    this.body = NO_BYTES
    if (this.#headIsPartial) {
      const kept = this.#head.length
      const joined = concatBytes([this.#head, this.chunk.subarray(0, MAX_HEAD - kept)])
      const length = this.#parseHead(joined, 0)
      this.#headIsPartial = length === 0
      this.#head = length === 0 ? joined : joined.subarray(0, length)
      this.position = this.#head.length - kept
      return length > 0
    }
    this.#head = NO_BYTES
    if (this.position >= this.chunk.length) return false
    const length = this.#parseHead(this.chunk, this.position)
    const end = length === 0 ? this.chunk.length : this.position + length
    this.#headIsPartial = length === 0
    this.#head = this.chunk.subarray(this.position, end)
    if (length === 0) this.#head = this.#head.slice()
    this.position = end
    return length > 0
  }

  /** Parses the head at `offset` and returns its length in bytes, 0 when bytes are missing. */
  #parseHead(bytes: Uint8Array, offset: number): number {
    // A frame type must be encoded in its fewest bytes (D2), and every type known fits into one.
    const type = bytes[offset] ?? 0
    const fields = type < FIELDS.length ? FIELDS[type] : undefined
    if (fields === undefined) throw violation(`unknown frame type 0x${type.toString(16)}`)
    this.#type = type
    let position = offset + 1
    let value = 0
    for (let index = 0; index < fields.count; index += 1) {
      if (index === 1 && fields.hash) position += PASSWORD_HASH_LENGTH
      if (position >= bytes.length) return 0
      const length = varintLengthFrom(bytes[position] ?? 0)
      if (position + length > bytes.length) return 0
      value = readVarint(bytes, position)
      position += length
      if (value === Infinity) throw violation('integer above 2^53 - 1')
      if (index === 0) this.#checkStream(value, fields.control)
      else if (index === 1) this.#first = value
      else this.#second = value
    }
    if (fields.cap >= 0 && value > fields.cap) {
      throw violation(`length ${value} in frame type 0x${type.toString(16)} is above ${fields.cap}`)
    }
    return position - offset
  }

  #checkStream(stream: number, control: boolean): void {
    // D3: the draft draws the server's NEGO on stream 6.
    const legal = control
      ? stream === 0 || (this.#type === FrameType.ServerNego && stream === 6)
      : stream > 0
    if (!legal) {
      throw violation(`frame type 0x${this.#type.toString(16)} on stream ${stream}`)
    }
    this.#stream = stream
  }

  /** Turns a complete head into a frame, or sets the phase that reads what follows it. */
  #begin(): Frame | undefined {
    const stream = this.#stream
    switch (this.#type) {
      case FrameType.Auth: {
        const start = 1 + varintLengthFrom(this.#head[1] ?? 0)
        this.#expect(Phase.Padding, this.#first)
        const passwordHash = this.#head.slice(start, start + PASSWORD_HASH_LENGTH)
        return { type: 'auth', passwordHash, padding: this.#first }
      }
      case FrameType.Padding:
        this.#expect(Phase.Padding, this.#first)
        return { type: 'padding', length: this.#first }
      case FrameType.Close:
        return { type: 'close', code: this.#first }
      case FrameType.PingPong:
        return { type: 'pingpong' }
      case FrameType.StreamAck:
        return { type: 'stream-ack', stream }
      case FrameType.StreamCredit:
        return { type: 'stream-credit', stream, increment: this.#first }
      case FrameType.StreamFin:
        return { type: 'stream-fin', stream }
      case FrameType.GoAway:
        return { type: 'goaway', lastStream: this.#first, code: this.#second }
      case FrameType.Alert:
      case FrameType.ClientNego:
      case FrameType.ServerNego:
      case FrameType.SchemeUpdate:
        this.#gather(this.#first)
        return undefined
      case FrameType.StreamReset:
        this.#gather(this.#second)
        return undefined
      default:
        // The STREAM class: without DATA a remainder of zero leads straight on to RST.
        this.#expect(Phase.Data, (this.#type & StreamFlag.Data) !== 0 ? this.#first : 0)
        return { type: 'stream', stream, flags: this.#type & 0b111 }
    }
  }

  #withBody(): Frame {
    const body = this.body
    switch (this.#type) {
      case FrameType.Alert:
        return { type: 'alert', body }
      case FrameType.ClientNego:
        return { type: 'client-nego', body }
      case FrameType.ServerNego:
        return { type: 'server-nego', body }
      case FrameType.SchemeUpdate:
        return { type: 'scheme-update', body }
      default:
        return { type: 'stream-reset', stream: this.#stream, code: this.#first, reason: body }
    }
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
  return table
}

function violation(message: string): AnyTlsError {
  return new AnyTlsError('ERR_PROTOCOL_VIOLATION', message)
}
