// Which path the first request of a connection asks for, by the bytes it begins with: HTTP/1.1 (RFC 9112, section 3)
// or h2 (RFC 9113, section 3.4 and 6.2; its headers by RFC 7541).
const TARGET_MAX = 1_024
const METHOD_MAX = 16

/** The request target of an HTTP/1 request line that is there as a whole; `undefined` for anything else. */
export function readHttp1Target(bytes: Uint8Array): string | undefined {
  const line = latin1Text(bytes.subarray(0, METHOD_MAX + TARGET_MAX + ' HTTP/1.1\r\n'.length + 1))
  return /^[A-Z]{1,16} ([^\s]{1,1024}) HTTP\/1\.[01]\r\n/.exec(line)?.[1]
}

const PREFACE = 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
const FRAME_HEADER = 9
const HEADERS_FRAME = 1
const [PADDED, PRIORITY] = [0x08, 0x20]

/**
 * `:path` of the first HEADERS frame, if that, or its beginning up to the path, is there; `undefined` for anything else.
 */
export function readH2Target(bytes: Uint8Array): string | undefined {
  if (latin1Text(bytes.subarray(0, PREFACE.length)) !== PREFACE) return undefined
  let offset = PREFACE.length
  while (offset + FRAME_HEADER <= bytes.length) {
    const [high = 0, middle = 0, low = 0, type, flags = 0] = bytes.subarray(offset)
    const length = high * 65_536 + middle * 256 + low
    const payload = bytes.subarray(offset + FRAME_HEADER, offset + FRAME_HEADER + length)
    if (type === HEADERS_FRAME) {
      const skipped = (flags & PADDED ? 1 : 0) + (flags & PRIORITY ? 5 : 0)
      return readPath(payload.subarray(skipped))
    }
    offset += FRAME_HEADER + length
  }
  return undefined
}

/** `:path` in the static table of HPACK, with two values; a literal one names the first or the second. */
const PATHS: Readonly<Record<number, string>> = { 4: '/', 5: '/index.html' }

/** In the first header block of a connection no name but those of the static table can be that of the path. */
function readPath(block: Uint8Array): string | undefined {
  const reader = new HpackReader(block)
  while (reader.hasMore) {
    const first = reader.peek()
    // A field of the tables; a new size of the dynamic one; a literal field, kept in it or not.
    if (first & 0x80) {
      const path = PATHS[reader.integer(7)]
      if (path !== undefined) return path
      continue
    }
    if ((first & 0xe0) === 0x20) {
      reader.integer(5)
      continue
    }
    const name = reader.integer(first & 0x40 ? 6 : 4)
    if (name === 0) reader.string()
    const { bytes, isPacked } = reader.string()
    if (name in PATHS) return isPacked ? unpack(bytes) : latin1Text(bytes.subarray(0, TARGET_MAX))
  }
  return undefined
}

class HpackReader {
  readonly #bytes: Uint8Array
  #offset = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get hasMore(): boolean {
    return this.#offset < this.#bytes.length
  }

  peek(): number {
    return this.#bytes[this.#offset] ?? 0
  }

  /** RFC 7541, section 5.1. One that is larger than any here leads behind the end. */
  integer(bits: number): number {
    const max = 2 ** bits - 1
    let value = this.#take() & max
    if (value < max) return value
    for (let scale = 1; scale <= 128 ** 3; scale *= 128) {
      const byte = this.#take()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) return value
    }
    return Infinity
  }

  /** Section 5.2. What is cut off is empty. */
  string(): { readonly bytes: Uint8Array; readonly isPacked: boolean } {
    const isPacked = (this.peek() & 0x80) !== 0
    const end = this.integer(7) + this.#offset
    const bytes = this.#bytes.subarray(this.#offset, end > this.#bytes.length ? this.#offset : end)
    this.#offset = end
    return { bytes, isPacked }
  }

  #take(): number {
    const byte = this.#bytes[this.#offset] ?? 0
    this.#offset += 1
    return byte
  }
}

/**
 * The Huffman code of HPACK as far as a path can need it (RFC 7541, appendix B): it is canonical, so each length needs
 * its first code and its characters in order.
 */
const CODES: readonly (readonly [bits: number, first: number, characters: string])[] = [
  [5, 0x0, '012aceiost'],
  [6, 0x14, ' %-./3456789=A_bdfghlmnpru'],
  [7, 0x5c, ':BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz'],
  [8, 0xf8, '&*,;XZ'],
  [10, 0x3f8, '!"()?'],
  [11, 0x7fa, "'+|"],
  [12, 0xffa, '#>'],
  [13, 0x1ff9, '$@[]~'],
]

function unpack(bytes: Uint8Array): string | undefined {
  let text = ''
  let [code, length] = [0, 0]
  for (let bit = 0; bit < bytes.length * 8 && text.length < TARGET_MAX; bit += 1) {
    code = code * 2 + (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1)
    length += 1
    const found = CODES.find(([bits]) => bits === length)
    const character = found?.[2][code - found[1]]
    if (character !== undefined) {
      text += character
      ;[code, length] = [0, 0]
    } else if (length > 13) return undefined
  }
  // What is left is padding: less than a byte, of ones.
  return length < 8 && code === 2 ** length - 1 ? text : undefined
}

function latin1Text(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes)
}
