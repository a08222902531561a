// Bodies of HTTP/1 as bytes: where one ends in what an origin or a program sends, and chunks for one that is sent on.
import { Transform } from 'node:stream'
import { AnyTlsError } from '../../errors.ts'

/** What ends a body (RFC 9112 section 6.3); a length of 0 is none. */
export type BodyFraming = number | 'chunked' | 'until-end'

/** Bytes that the lines of chunks, and all trailers together, may have. */
const MAX_LINE = 4_096
const MAX_TRAILERS = 65_536

/** What comes next: data, a line of the framing, or nothing. */
type State = 'data' | LineState | 'over'
type LineState = 'size' | 'data-end' | 'trailers'

/**
 * Finds the body in the bytes that follow a head, in any segmentation. Lines may end in LF alone, chunk extensions and
 * trailers are dropped.
 */
export class BodyReader {
  readonly #framing: BodyFraming
  #state: State
  /** Bytes of data that are still to come in the body or its chunk. */
  #left: number
  #line = ''
  #trailers = 0

  constructor(framing: BodyFraming) {
    this.#framing = framing
    this.#state = framing === 0 ? 'over' : framing === 'chunked' ? 'size' : 'data'
    this.#left = typeof framing === 'number' ? framing : Infinity
  }

  /** Whether all of it has come. What ends with the connection is not over before {@link endsHere} is asked. */
  get isOver(): boolean {
    return this.#state === 'over'
  }

  /** Whether the end of the connection is the end of the body. */
  get endsHere(): boolean {
    return this.isOver || this.#framing === 'until-end'
  }

  /**
   * Takes bytes and hands the data in them on, as views.
   *
   * @returns how many belonged to the body and its framing
   * @throws AnyTlsError `ERR_HTTP_INVALID`
   */
  receive(bytes: Buffer, deliver: (data: Buffer) => void): number {
    let at = 0
    while (this.#state !== 'over' && at < bytes.length) {
      if (this.#state !== 'data') {
        at = this.#readLine(this.#state, bytes, at)
        continue
      }
      const data = bytes.subarray(at, at + this.#left)
      at += data.length
      this.#left -= data.length
      if (this.#left === 0) this.#state = this.#framing === 'chunked' ? 'data-end' : 'over'
      deliver(data)
    }
    return at
  }

  #readLine(state: LineState, bytes: Buffer, at: number): number {
    const end = bytes.indexOf('\n', at)
    this.#line += bytes.toString('latin1', at, end === -1 ? bytes.length : end)
    if (this.#line.length > (state === 'trailers' ? MAX_TRAILERS : MAX_LINE)) throw invalid()
    if (end === -1) return bytes.length
    const line = this.#line.replace(/\r$/, '')
    this.#line = ''
    this.#onLine(state, line)
    return end + 1
  }

  #onLine(state: LineState, line: string): void {
    switch (state) {
      case 'size': {
        // 13 digits are still a safe integer.
        const [, size] = /^\s*0*([\da-f]{1,13})\s*(?:;.*)?$/i.exec(line) ?? []
        if (size === undefined) throw invalid()
        this.#left = Number.parseInt(size, 16)
        this.#state = this.#left === 0 ? 'trailers' : 'data'
        break
      }
      case 'data-end':
        if (line !== '') throw invalid()
        this.#state = 'size'
        break
      case 'trailers':
        this.#trailers += line.length
        if (this.#trailers > MAX_TRAILERS) throw invalid()
        if (line === '') this.#state = 'over'
        break
    }
  }
}

function invalid(): AnyTlsError {
  return new AnyTlsError('ERR_HTTP_INVALID', 'a body in chunks is broken')
}

/** Puts what is written to it into chunks, and the last one behind it. */
export function chunkEncoder(): Transform {
  return new Transform({
    transform(data: Buffer, _encoding, callback) {
      if (data.length > 0) {
        this.push(`${data.length.toString(16)}\r\n`)
        this.push(data)
        this.push('\r\n')
      }
      callback()
    },
    flush(callback) {
      callback(null, '0\r\n\r\n')
    },
  })
}
