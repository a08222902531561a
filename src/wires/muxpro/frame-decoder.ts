// Bytes to frames of Mux.Pro 0.0, incrementally (section 6).
// Must never gather the data of a TCP sub-connection, wait for metadata above its cap, or keep more of a
// chunk than the block that is still incomplete.
import { AnyTlsError } from '../../errors.ts'
import { ChunkDecoder, NO_BYTES } from '../../codec/chunk-decoder.ts'
import { FrameState, MAX_METADATA, METADATA_HEAD, OPT_DATA } from './frame.ts'
import type { CountPlace, Frame } from './frame.ts'
import { decodeTarget } from './target.ts'

/** A length, of metadata or of Extra Data, in bytes. */
const LENGTH_FIELD = 2

/** What the decoder is in the middle of. */
const Phase = { Length: 0, Metadata: 1, ExtraLength: 2, ExtraBlock: 3, ExtraPieces: 4 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * Decodes one direction of a main connection. Push a chunk, then call {@link next} until it returns
 * `undefined`; views in frames point into the chunk. After a violation the decoder is not to be used.
 */
export class FrameDecoder extends ChunkDecoder {
  readonly #carriesDatagrams: (stream: number) => boolean
  #phase: Phase = Phase.Length

  /** What is there of the block that is awaited; its length is `remaining`. */
  #gathered: Uint8Array = NO_BYTES
  #filled = 0

  #stream = 0
  #state = 0
  /** NegotiateVersion: the count in the metadata; -1 when it is to stand before the list (D36). */
  #count = -1

  /** @param carriesDatagrams whether data of a sub-connection must be handed out block by block (D42) */
  constructor(carriesDatagrams: (stream: number) => boolean) {
    super()
    this.remaining = LENGTH_FIELD
    this.#carriesDatagrams = carriesDatagrams
  }

  /**
   * The next frame or piece of data; `undefined` when more bytes are needed.
   *
   * @throws AnyTlsError `ERR_PROTOCOL_VIOLATION` for bytes that are no legal frame
   */
  next(): Frame | undefined {
    const frame = this.#decode()
    if (frame === undefined) this.dropChunk()
    return frame
  }

  #decode(): Frame | undefined {
    for (;;) {
      if (this.#phase === Phase.ExtraPieces) {
        const data = this.takePiece()
        if (data.length > 0) return { type: 'data', stream: this.#stream, data }
        if (this.remaining > 0) return undefined
        this.#expect(Phase.Length, LENGTH_FIELD)
      } else {
        const block = this.#takeBlock()
        if (block === undefined) return undefined
        const frame = this.#onBlock(block)
        if (frame !== undefined) return frame
      }
    }
  }

  #onBlock(block: Uint8Array): Frame | undefined {
    switch (this.#phase) {
      case Phase.Metadata:
        return this.#onMetadata(block)
      case Phase.ExtraLength:
        this.#onExtraLength(twoBytes(block, 0))
        return undefined
      case Phase.ExtraBlock:
        this.#expect(Phase.Length, LENGTH_FIELD)
        return this.#onExtraBlock(block)
      default: {
        const length = twoBytes(block, 0)
        if (length < METADATA_HEAD || length > MAX_METADATA) {
          throw violation(`metadata of ${length} bytes`)
        }
        this.#expect(Phase.Metadata, length)
        return undefined
      }
    }
  }

  #onMetadata(metadata: Uint8Array): Frame | undefined {
    const stream = twoBytes(metadata, 0)
    const [, , state = 0, opt = 0] = metadata
    const { length } = metadata
    const hasData = (opt & OPT_DATA) !== 0
    this.#stream = stream
    this.#state = state
    // What follows unless it is said otherwise below: End announces its code with the bit (D38).
    if (hasData && state !== FrameState.End) this.#expect(Phase.ExtraLength, LENGTH_FIELD)
    else this.#expect(Phase.Length, LENGTH_FIELD)
    switch (state) {
      case FrameState.NegotiateVersion:
        if (stream !== 0) throw violation(`NegotiateVersion with the id ${stream}`)
        if (opt !== OPT_DATA) throw violation(`NegotiateVersion with the options ${opt}`)
        if (length > METADATA_HEAD + 1) throw wrongLength('NegotiateVersion', length)
        this.#count = metadata[METADATA_HEAD] ?? -1
        return undefined
      case FrameState.New:
        checkId('New', stream)
        return newFrame(stream, metadata)
      case FrameState.Keep:
        checkId('Keep', stream)
        if (length !== METADATA_HEAD) throw wrongLength('Keep', length)
        return { type: 'keep', stream }
      case FrameState.End:
        checkId('End', stream)
        if (length !== METADATA_HEAD + (hasData ? 2 : 0)) throw wrongLength('End', length)
        return { type: 'end', stream, code: hasData ? twoBytes(metadata, METADATA_HEAD) : 0 }
      case FrameState.KeepAlive:
        if (opt !== 0) throw violation(`KeepAlive with the options ${opt}`)
        if (length !== METADATA_HEAD) throw wrongLength('KeepAlive', length)
        return { type: 'keep-alive' }
      case FrameState.CreditUpdate:
        checkId('CreditUpdate', stream)
        if (opt !== OPT_DATA) throw violation(`CreditUpdate with the options ${opt}`)
        if (length !== METADATA_HEAD) throw wrongLength('CreditUpdate', length)
        return undefined
      default:
        throw violation(`unknown state ${state}`)
    }
  }

  #onExtraLength(length: number): void {
    switch (this.#state) {
      case FrameState.NegotiateVersion: {
        const list = this.#count < 0 ? length - 1 : length
        const fits = this.#count < 0 ? list >= 0 && list % 4 === 0 : list === 4 * this.#count
        if (!fits || list > 4 * 0xff) throw violation(`a version list of ${length} bytes`)
        this.#expect(Phase.ExtraBlock, length)
        break
      }
      case FrameState.CreditUpdate:
        if (![1, 2, 4, 8].includes(length)) throw violation(`a credit increment of ${length} bytes`)
        this.#expect(Phase.ExtraBlock, length)
        break
      default:
        // An empty datagram is none that anybody could read from a stream.
        if (length === 0) this.#expect(Phase.Length, LENGTH_FIELD)
        else if (this.#carriesDatagrams(this.#stream)) this.#expect(Phase.ExtraBlock, length)
        else this.#expect(Phase.ExtraPieces, length)
    }
  }

  #onExtraBlock(block: Uint8Array): Frame {
    switch (this.#state) {
      case FrameState.NegotiateVersion:
        return negotiateFrame(this.#count, block)
      case FrameState.CreditUpdate:
        return { type: 'credit', stream: this.#stream, increment: readIncrement(block) }
      default:
        return { type: 'data', stream: this.#stream, data: block }
    }
  }

  #expect(phase: Phase, bytes: number): void {
    this.#phase = phase
    this.remaining = bytes
  }

  /**
   * The whole of the block that is expected; `undefined` when bytes are missing, which are then gathered.
   * A block that is there in one piece is handed out as a view.
   */
  #takeBlock(): Uint8Array | undefined {
    const length = this.remaining
    const available = this.chunk.length - this.position
    if (this.#filled === 0 && available >= length) return this.#view(length)
    if (available === 0) return undefined
    if (this.#filled === 0) this.#gathered = new Uint8Array(length)
    const piece = this.#view(Math.min(length - this.#filled, available))
    this.#gathered.set(piece, this.#filled)
    this.#filled += piece.length
    if (this.#filled < length) return undefined
    const block = this.#gathered
    this.#gathered = NO_BYTES
    this.#filled = 0
    return block
  }

  #view(length: number): Uint8Array {
    const start = this.position
    this.position += length
    return this.chunk.subarray(start, this.position)
  }
}

function newFrame(stream: number, metadata: Uint8Array): Frame {
  const request = decodeTarget(metadata.subarray(METADATA_HEAD))
  if (request === undefined) throw wrongLength('New', metadata.length)
  return 'problem' in request
    ? { type: 'new-unusable', stream, problem: request.problem }
    : { type: 'new', stream, request }
}

function negotiateFrame(count: number, block: Uint8Array): Frame {
  const countPlace: CountPlace = count < 0 ? 'extra-data' : 'metadata'
  const list = count < 0 ? block.subarray(1) : block
  const told = count < 0 ? (block[0] ?? 0) : count
  if (list.length !== 4 * told) throw violation(`${list.length} bytes of ${told} versions`)
  const versions = Array.from({ length: told }, (_, index) => readUint(list, 4 * index, 4))
  return { type: 'negotiate', versions, countPlace }
}

/** 1, 2, 4 or 8 bytes; what is beyond the safe integers saturates (D39). */
function readIncrement(block: Uint8Array): number {
  return Math.min(Number.MAX_SAFE_INTEGER, readUint(block, 0, block.length))
}

function readUint(bytes: Uint8Array, offset: number, length: number): number {
  let value = 0
  for (let index = offset; index < offset + length; index += 1) {
    value = value * 256 + (bytes[index] ?? 0)
  }
  return value
}

function twoBytes(bytes: Uint8Array, offset: number): number {
  return readUint(bytes, offset, 2)
}

function checkId(name: string, stream: number): void {
  if (stream === 0) throw violation(`${name} with the id 0`)
}

function wrongLength(name: string, length: number): AnyTlsError {
  return violation(`${name} with metadata of ${length} bytes`)
}

function violation(message: string): AnyTlsError {
  return new AnyTlsError('ERR_PROTOCOL_VIOLATION', message)
}
