// Bytes to frames of Mux.Pro 0.0, incrementally (section 6).
// Must never gather the data of a TCP sub-connection.
import { violation } from '../../errors.ts'
import type { AnyTlsError } from '../../errors.ts'
import { FrameReader } from '../../codec/frame-reader.ts'
import type { Follow, FrameSyntax } from '../../codec/frame-reader.ts'
import { FrameState, MAX_METADATA, METADATA_HEAD, OPT_DATA } from './frame.ts'
import type { CountPlace, Frame } from './frame.ts'
import { decodeTarget } from './target.ts'

/** A length, of metadata or of Extra Data, in bytes. */
const LENGTH_FIELD = 2

/**
 * Decodes one direction of a main connection. A violation is an AnyTlsError `ERR_PROTOCOL_VIOLATION`.
 *
 * @param carriesDatagrams whether data of a sub-connection must be handed out block by block (D42)
 */
export function makeFrameDecoder(
  carriesDatagrams: (stream: number) => boolean,
): FrameReader<Frame> {
  return new FrameReader(makeSyntax(carriesDatagrams))
}

function makeSyntax(carriesDatagrams: (stream: number) => boolean): FrameSyntax<Frame> {
  /** The next head is the length of the Extra Data of the frame before. */
  let awaitsExtra = false
  let stream = 0
  let state = 0
  /** NegotiateVersion: the count in the metadata; -1 when it is to stand before the list (D36). */
  let count = -1

  function onMetadata(metadata: Uint8Array): Frame | undefined {
    const [, , , opt = 0] = metadata
    const { length } = metadata
    const hasData = (opt & OPT_DATA) !== 0
    stream = twoBytes(metadata, 0)
    state = metadata[2] ?? 0
    // What follows unless it is said otherwise below: End announces its code with the bit (D38).
    awaitsExtra = hasData && state !== FrameState.End
    switch (state) {
      case FrameState.NegotiateVersion:
        if (stream !== 0) throw violation(`NegotiateVersion with the id ${stream}`)
        if (opt !== OPT_DATA) throw violation(`NegotiateVersion with the options ${opt}`)
        if (length > METADATA_HEAD + 1) throw wrongLength('NegotiateVersion', length)
        count = metadata[METADATA_HEAD] ?? -1
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

  function onExtraLength(follow: Follow, length: number): void {
    awaitsExtra = false
    switch (state) {
      case FrameState.NegotiateVersion: {
        const list = count < 0 ? length - 1 : length
        const fits = count < 0 ? list >= 0 && list % 4 === 0 : list === 4 * count
        if (!fits || list > 4 * 0xff) throw violation(`a version list of ${length} bytes`)
        follow.body(length)
        break
      }
      case FrameState.CreditUpdate:
        if (![1, 2, 4, 8].includes(length)) throw violation(`a credit increment of ${length} bytes`)
        follow.body(length)
        break
      default:
        // An empty datagram is none that anybody could read from a stream.
        if (length > 0 && carriesDatagrams(stream)) follow.body(length)
        else follow.pieces(length)
    }
  }

  return {
    maxHead: LENGTH_FIELD + MAX_METADATA,
    readHead(bytes: Uint8Array, offset: number, end: number): number {
      if (end - offset < LENGTH_FIELD) return 0
      if (awaitsExtra) return LENGTH_FIELD
      const length = twoBytes(bytes, offset)
      if (length < METADATA_HEAD || length > MAX_METADATA) {
        throw violation(`metadata of ${length} bytes`)
      }
      return end - offset < LENGTH_FIELD + length ? 0 : LENGTH_FIELD + length
    },
    begin(follow: Follow, bytes: Uint8Array, offset: number, length: number): Frame | undefined {
      if (!awaitsExtra) {
        return onMetadata(bytes.subarray(offset + LENGTH_FIELD, offset + length))
      }
      onExtraLength(follow, twoBytes(bytes, offset))
      return undefined
    },
    withBody(body: Uint8Array): Frame {
      switch (state) {
        case FrameState.NegotiateVersion:
          return negotiateFrame(count, body)
        case FrameState.CreditUpdate:
          return { type: 'credit', stream, increment: readIncrement(body) }
        default:
          return { type: 'data', stream, data: body }
      }
    },
    piece: (data: Uint8Array): Frame => ({ type: 'data', stream, data }),
    afterPieces: (): undefined => undefined,
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
