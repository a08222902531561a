// Frames of Mux.Pro 0.0 as bytes (section 6).
import type { StreamRequest } from '../../engine/machine.ts'
import { concatBytes } from '../../codec/bytes.ts'
import { FrameState, METADATA_HEAD, OPT_DATA } from './frame.ts'
import type { CountPlace } from './frame.ts'
import { encodeTarget } from './target.ts'

// Behind the two bytes of the metadata's length: id, state, options.
const OPT_OFFSET = 5

/** NegotiateVersion with `versions`, at most 255, its count in the place that is asked for (D36). */
export function encodeNegotiate(
  versions: readonly number[],
  countPlace: CountPlace = 'metadata',
): Uint8Array {
  const { NegotiateVersion } = FrameState
  const count = Uint8Array.of(versions.length)
  const list = concatBytes(versions.map(fourBytes))
  return countPlace === 'metadata'
    ? concatBytes([metadata(0, NegotiateVersion, OPT_DATA, count), extraData(list)])
    : concatBytes([metadata(0, NegotiateVersion, OPT_DATA), extraData(concatBytes([count, list]))])
}

/**
 * New without data; see {@link withInitialData}.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for the priority, `ERR_ADDRESS_INVALID` for the target
 */
export function encodeNew(stream: number, request: StreamRequest): Uint8Array {
  return metadata(stream, FrameState.New, 0, encodeTarget(request))
}

/** The head of that New when `bytes` bytes of initial data, at most 65,535, follow it. */
export function withInitialData(newFrame: Uint8Array, bytes: number): Uint8Array {
  const head = concatBytes([newFrame, twoBytes(bytes)])
  head[OPT_OFFSET] = OPT_DATA
  return head
}

/** Keep without data. */
export function encodeKeep(stream: number): Uint8Array {
  return metadata(stream, FrameState.Keep, 0)
}

/** The head of a Keep for a payload of `bytes` bytes, at most 65,535. */
export function encodeDataHead(stream: number, bytes: number): Uint8Array {
  const head = new Uint8Array(2 + METADATA_HEAD + 2)
  head[1] = METADATA_HEAD
  head[2] = stream >>> 8
  head[3] = stream
  head[4] = FrameState.Keep
  head[5] = OPT_DATA
  head[6] = bytes >>> 8
  head[7] = bytes
  return head
}

/** End with its code; 0, graceful, goes without saying (D38). */
export function encodeEnd(stream: number, code: number): Uint8Array {
  return code === 0
    ? metadata(stream, FrameState.End, 0)
    : metadata(stream, FrameState.End, OPT_DATA, twoBytes(code))
}

/** KeepAlive. Its id may be anything. */
export function encodeKeepAlive(): Uint8Array {
  return metadata(0, FrameState.KeepAlive, 0)
}

/** CreditUpdate: `increment` further bytes, at most 2^32 - 1, may be sent (D39). */
export function encodeCreditUpdate(stream: number, increment: number): Uint8Array {
  const head = metadata(stream, FrameState.CreditUpdate, OPT_DATA)
  return concatBytes([head, extraData(fourBytes(increment))])
}

function metadata(stream: number, state: number, opt: number, fields?: Uint8Array): Uint8Array {
  const length = METADATA_HEAD + (fields?.length ?? 0)
  const block = new Uint8Array(2 + length)
  block.set([length >>> 8, length, stream >>> 8, stream, state, opt])
  if (fields !== undefined) block.set(fields, 2 + METADATA_HEAD)
  return block
}

function extraData(data: Uint8Array): Uint8Array {
  return concatBytes([twoBytes(data.length), data])
}

// Arrays of bytes keep the low 8 bits of what is put into them.
function twoBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 8, value)
}

function fourBytes(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
