// ANYTLS v1 and mux1 frames, written and read without the package's own codec: an oracle for the decoder,
// and plain text for what a machine says.
import { concatBytes } from '../../src/codec/bytes.ts'
import { decodeVarint, encodeVarint } from '../../src/codec/varint.ts'

/** Encodes an integer; the tests of properties pass one that picks a longer form. */
export type EncodeInteger = (value: number) => Uint8Array

const shortest: EncodeInteger = (value) => encodeVarint(value)

/** Text as bytes. */
export function ascii(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

/** Writes frames, field by field as the draft draws them. */
export function frameWriter(integer: EncodeInteger = shortest) {
  const frame = (type: number, ...fields: (number | Uint8Array)[]): Uint8Array =>
    concatBytes([
      Uint8Array.of(type),
      ...fields.map((field) => (typeof field === 'number' ? integer(field) : field)),
    ])
  const block = (type: number, stream: number, body: string | Uint8Array): Uint8Array => {
    const bytes = typeof body === 'string' ? ascii(body) : body
    return frame(type, stream, bytes.length, bytes)
  }
  return {
    auth: (hash: Uint8Array, padding = 0) => frame(0x00, 0, hash, padding, new Uint8Array(padding)),
    alert: (text: string | Uint8Array) => block(0x01, 0, text),
    close: (code: number) => frame(0x02, 0, code),
    clientNego: (body: string | Uint8Array) => block(0x03, 0, body),
    serverNego: (body: string | Uint8Array, stream = 0) => block(0x04, stream, body),
    padding: (length: number) => frame(0x05, 0, length, new Uint8Array(length)),
    schemeUpdate: (scheme: string | Uint8Array) => block(0x06, 0, scheme),
    ping: () => frame(0x07, 0),
    /** `flags`: 4 OPEN, 2 DATA, 1 RST. */
    stream: (flags: number, stream: number, data: string | Uint8Array = '') =>
      (flags & 2) === 0 ? frame(0x08 | flags, stream) : block(0x08 | flags, stream, data),
    open: (stream: number) => frame(0x0c, stream),
    data: (stream: number, data: string | Uint8Array) => block(0x0a, stream, data),
    rst: (stream: number) => frame(0x09, stream),
    ack: (stream: number) => frame(0x10, stream),
    credit: (stream: number, increment: number) => frame(0x11, stream, increment),
    fin: (stream: number) => frame(0x12, stream),
    reset: (stream: number, code: number, reason: string | Uint8Array = '') => {
      const bytes = typeof reason === 'string' ? ascii(reason) : reason
      return frame(0x13, stream, code, bytes.length, bytes)
    },
    hold: (stream: number, limit: number) => frame(0x19, stream, limit),
    goaway: (lastStream: number, code: number) => frame(0x14, 0, lastStream, code),
  }
}

/** Frames with every integer in its fewest bytes. */
export const write = frameWriter()

/** One frame, as it stands on the wire. */
export interface RawFrame {
  readonly type: number
  readonly stream: number
  /** The integers behind the stream id. */
  readonly numbers: readonly number[]
  readonly hash: Uint8Array
  /** What follows the integers; of the last frame as much as there is. */
  readonly body: Uint8Array
  readonly start: number
  readonly end: number
}

/** What some bytes hold: whole frames, and why reading stopped before their end, if it did. */
export interface RawFrames {
  readonly frames: readonly RawFrame[]
  /** `partial`: the last frame lacks bytes; `head`: even of its fields; `violation`: it is no frame. */
  readonly stopped: 'end' | 'partial' | 'head' | 'violation'
  /** Where the frame that could not be read begins. */
  readonly rest: number
}

/** How many integers follow the stream id, the cap on the last one, and whether it is the length of a body. */
const LAYOUT: Readonly<Record<number, { integers: number; cap?: number; body?: boolean }>> = {
  0x00: { integers: 1, cap: 65_535, body: true },
  0x01: { integers: 1, cap: 65_535, body: true },
  0x02: { integers: 1 },
  0x03: { integers: 1, cap: 65_535, body: true },
  0x04: { integers: 1, cap: 65_535, body: true },
  0x05: { integers: 1, body: true },
  0x06: { integers: 1, cap: 65_535, body: true },
  0x07: { integers: 0 },
  0x08: { integers: 0 },
  0x09: { integers: 0 },
  0x0a: { integers: 1, body: true },
  0x0b: { integers: 1, body: true },
  0x0c: { integers: 0 },
  0x0d: { integers: 0 },
  0x0e: { integers: 1, body: true },
  0x0f: { integers: 1, body: true },
  0x10: { integers: 0 },
  0x11: { integers: 1 },
  0x12: { integers: 0 },
  0x13: { integers: 2, cap: 1_024, body: true },
  0x14: { integers: 2 },
  0x19: { integers: 1 },
}

const MAX_INTEGER = BigInt(Number.MAX_SAFE_INTEGER)

/** Reads frames from bytes that are all there. */
export function readFrames(bytes: Uint8Array): RawFrames {
  const frames: RawFrame[] = []
  let offset = 0
  while (offset < bytes.length) {
    const start = offset
    const type = bytes[offset] ?? 0
    const layout = LAYOUT[type]
    if (layout === undefined) return { frames, stopped: 'violation', rest: start }
    offset += 1
    let hash = new Uint8Array(0)
    const numbers: number[] = []
    for (let index = 0; index <= layout.integers; index += 1) {
      if (type === 0x00 && index === 1) {
        hash = bytes.slice(offset, offset + 32)
        offset += 32
      }
      const integer = decodeVarint(bytes, offset)
      if (integer === undefined) return { frames, stopped: 'head', rest: start }
      if (integer.value > MAX_INTEGER) return { frames, stopped: 'violation', rest: start }
      offset += integer.length
      numbers.push(Number(integer.value))
      const [id = 0] = numbers
      if (!streamIsLegal(type, id)) return { frames, stopped: 'violation', rest: start }
    }
    const [stream = 0, ...rest] = numbers
    const length = layout.body === true ? (rest.at(-1) ?? 0) : 0
    if (length > (layout.cap ?? Infinity)) return { frames, stopped: 'violation', rest: start }
    const body = bytes.subarray(offset, offset + length)
    frames.push({ type, stream, numbers: rest, hash, body, start, end: offset + length })
    if (body.length < length) return { frames, stopped: 'partial', rest: start }
    offset += length
  }
  return { frames, stopped: 'end', rest: offset }
}

function streamIsLegal(type: number, stream: number): boolean {
  if ((type >= 0x08 && type <= 0x13) || type === 0x19) return stream > 0
  return stream === 0 || (type === 0x04 && stream === 6)
}

/** The frames of `bytes`, one short line each: `OPEN 1`, `DATA 1 hello`, `CLOSE 2`. */
export function describeFrames(bytes: Uint8Array): string[] {
  const { frames, stopped } = readFrames(bytes)
  if (stopped !== 'end') throw new Error(`bytes that are no whole frames: ${stopped}`)
  return frames.map(describe)
}

function describe({ type, stream, numbers, body }: RawFrame): string {
  const text = new TextDecoder().decode(body)
  const [first = 0, second = 0] = numbers
  switch (type) {
    case 0x00:
      return `AUTH ${body.length}`
    case 0x01:
      return `ALERT ${text}`
    case 0x02:
      return `CLOSE ${first}`
    case 0x03:
    case 0x04:
      return `NEGO ${text}`
    case 0x05:
      return `PADDING ${body.length}`
    case 0x06:
      return `SCHEME ${text}`
    case 0x07:
      return 'PING'
    case 0x10:
      return `ACK ${stream}`
    case 0x11:
      return `CREDIT ${stream} ${first}`
    case 0x12:
      return `FIN ${stream}`
    case 0x13:
      return `RESET ${stream} ${first} ${text}`
    case 0x14:
      return `GOAWAY ${first} ${second}`
    case 0x19:
      return `HOLD ${stream} ${first}`
    default:
      return `${streamFlags(type)} ${stream}${(type & 2) === 0 ? '' : ` ${text}`}`
  }
}

function streamFlags(type: number): string {
  const names = [(type & 4) !== 0 && 'OPEN', (type & 2) !== 0 && 'DATA', (type & 1) !== 0 && 'RST']
  return names.filter((name) => name !== false).join('+') || 'STREAM'
}
