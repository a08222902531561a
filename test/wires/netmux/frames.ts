// net-mux frames, written and read without the package's own codec: an oracle for the decoder, and plain text
// for what a machine says.

const VERSION = 1
const HEAD = 12
const TYPES = ['DATA', 'WINDOW', 'PING', 'GOAWAY']
const FLAGS = ['SYN', 'ACK', 'FIN', 'RST']

/** Bits of the flags field. */
export const SYN = 1
export const ACK = 2
export const FIN = 4
export const RST = 8

/** Any head, legal or not, and what follows it. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  length: number,
  payload: string | Uint8Array = '',
  version = VERSION,
): Uint8Array {
  const head = Buffer.alloc(HEAD)
  head.writeUInt8(version, 0)
  head.writeUInt8(type, 1)
  head.writeUInt16BE(flags, 2)
  head.writeUInt32BE(stream, 4)
  head.writeUInt32BE(length, 8)
  return new Uint8Array(Buffer.concat([head, Buffer.from(payload)]))
}

/** Writes frames as the reference draws them. */
export const write = {
  data: (stream: number, payload: string | Uint8Array = '', flags = 0) =>
    frame(0, flags, stream, Buffer.from(payload).length, payload),
  syn: (stream: number, payload: string | Uint8Array = '') => write.data(stream, payload, SYN),
  ack: (stream: number) => write.data(stream, '', ACK),
  fin: (stream: number) => write.data(stream, '', FIN),
  rst: (stream: number) => write.data(stream, '', RST),
  window: (stream: number, increment: number) => frame(1, 0, stream, increment),
  ping: (value: number) => frame(2, 0, 0, value),
  pong: (value: number) => frame(2, ACK, 0, value),
  goaway: (code: number) => frame(3, 0, 0, code),
}

/** One frame, as it stands on the wire. */
export interface RawFrame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly length: number
  /** Of the last frame as much as there is. */
  readonly payload: Uint8Array
}

/** What some bytes hold: frames, and why reading stopped before their end, if it did. */
export interface RawFrames {
  readonly frames: readonly RawFrame[]
  /** `partial`: the last frame lacks payload; `head`: even of its head. */
  readonly stopped: 'end' | 'partial' | 'head' | 'violation' | 'version'
}

/** Reads frames from bytes that are all there. */
export function readFrames(bytes: Uint8Array, maxPayload = 65_536): RawFrames {
  const all = Buffer.from(bytes)
  const frames: RawFrame[] = []
  let offset = 0
  while (offset < all.length) {
    const head = all.subarray(offset, offset + HEAD)
    const has = (count: number): boolean => head.length >= count
    if (head[0] !== VERSION) return { frames, stopped: 'version' }
    const type = has(2) ? head.readUInt8(1) : 0
    const flags = has(4) ? head.readUInt16BE(2) : 0
    const stream = has(8) ? head.readUInt32BE(4) : undefined
    const length = has(12) ? head.readUInt32BE(8) : 0
    const wrongStream = stream !== undefined && (type < 2 ? stream === 0 : stream !== 0)
    const tooLong = type === 0 && length > maxPayload
    if (type > 3 || flags > 15 || wrongStream || tooLong) return { frames, stopped: 'violation' }
    if (stream === undefined || !has(12)) return { frames, stopped: 'head' }
    const end = offset + HEAD + (type === 0 ? length : 0)
    const payload = new Uint8Array(all.subarray(offset + HEAD, end))
    frames.push({ type, flags, stream, length, payload })
    if (end > all.length) return { frames, stopped: 'partial' }
    offset = end
  }
  return { frames, stopped: 'end' }
}

/** The frames of `bytes`, one short line each: `DATA 1 SYN`, `DATA 1 hello`, `WINDOW 1 131072`, `GOAWAY 3`. */
export function describeFrames(bytes: Uint8Array): string[] {
  const { frames, stopped } = readFrames(bytes)
  if (stopped !== 'end') throw new Error(`bytes that are no whole frames: ${stopped}`)
  return frames.map(({ type, flags, stream, length, payload }) => {
    const set = FLAGS.filter((_, bit) => (flags & (1 << bit)) !== 0).join('+')
    const words = type === 0 ? [set, new TextDecoder().decode(payload)] : [set, String(length)]
    const named = type < 2 ? [TYPES[type], stream] : [TYPES[type]]
    return [...named, ...words].filter((word) => word !== '').join(' ')
  })
}
