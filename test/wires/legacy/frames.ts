// Frames of the original AnyTLS wire, written and read without the package's own codec: an oracle for the
// decoder, and plain text for what a machine says.
import { concatBytes } from '../../../src/codec/bytes.ts'
import { ascii } from '../../support/v1-frames.ts'
import { HASH } from '../anytls/support.ts'

type Body = string | Uint8Array

/** Any frame: command u8, stream id u32, length u16, data. */
export function frame(command: number, stream: number, data: Body = ''): Uint8Array {
  const body = typeof data === 'string' ? ascii(data) : data
  const head = Buffer.alloc(7)
  head.writeUInt8(command, 0)
  head.writeUInt32BE(stream, 1)
  head.writeUInt16BE(body.length, 5)
  return concatBytes([head, body])
}

/** Writes frames as a peer does; data is possible where it should not be. */
export const write = {
  auth(padding = 0, hash: Uint8Array = HASH): Uint8Array {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(padding)
    return concatBytes([hash, length, new Uint8Array(padding)])
  },
  waste: (length: number, stream = 0) => frame(0, stream, new Uint8Array(length)),
  syn: (stream: number, data: Body = '') => frame(1, stream, data),
  push: (stream: number, data: Body) => frame(2, stream, data),
  fin: (stream: number, data: Body = '') => frame(3, stream, data),
  settings: (text: Body) => frame(4, 0, text),
  alert: (text: Body) => frame(5, 0, text),
  scheme: (text: Body) => frame(6, 0, text),
  synack: (stream: number, reason: Body = '') => frame(7, stream, reason),
  ping: (stream = 0, data: Body = '') => frame(8, stream, data),
  pong: (stream = 0, data: Body = '') => frame(9, stream, data),
  serverSettings: (text: Body = 'v=2') => frame(10, 0, text),
}

/** One frame, as it stands on the wire. */
export interface RawFrame {
  readonly command: number
  readonly stream: number
  /** Of the last frame as much as there is. */
  readonly data: Uint8Array
  readonly start: number
  readonly end: number
}

/** Reads frames from bytes that are all there; `rest` is where one begins that lacks bytes. */
export function readFrames(bytes: Uint8Array, offset = 0): { frames: RawFrame[]; rest: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const frames: RawFrame[] = []
  let start = offset
  while (start + 7 <= bytes.length) {
    const end = start + 7 + view.getUint16(start + 5)
    if (end > bytes.length) break
    frames.push({
      command: view.getUint8(start),
      stream: view.getUint32(start + 1),
      data: bytes.subarray(start + 7, end),
      start,
      end,
    })
    start = end
  }
  return { frames, rest: start }
}

/** The length of the authentication block that stands first in what a client has written, or 0. */
export function authLength(bytes: Uint8Array): number {
  if (bytes.length < 34 || Buffer.compare(bytes.subarray(0, 32), HASH) !== 0) return 0
  return 34 + new DataView(bytes.buffer, bytes.byteOffset).getUint16(32)
}

/** What some bytes say, one short line a frame: `AUTH 30`, `SYN 1`, `PSH 1 hello`, `SYNACK 1`. */
export function describeFrames(bytes: Uint8Array): string[] {
  const auth = authLength(bytes)
  const { frames, rest } = readFrames(bytes, auth)
  if (rest !== bytes.length) throw new Error('bytes that are no whole frames')
  return [...(auth === 0 ? [] : [`AUTH ${auth - 34}`]), ...frames.map(describe)]
}

const NAMES = 'WASTE SYN PSH FIN SETTINGS ALERT SCHEME SYNACK PING PONG SERVER'.split(' ')

function describe({ command, stream, data }: RawFrame): string {
  const name = NAMES[command] ?? `CMD-${command}`
  if (command === 0) return `${name} ${data.length}`
  const text = data.length === 0 ? [] : [new TextDecoder().decode(data)]
  const ofStream = [1, 2, 3, 7, 8, 9].includes(command)
  return [name, ...(ofStream ? [stream] : []), ...text].join(' ')
}
