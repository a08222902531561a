// Heads of answers as origins send them, read as leniently as curl does; what comes out is as strict as programs want it.
import { AnyTlsError } from '../../errors.ts'
import type { BodyFraming } from './http-body.ts'
import type { RawHeaders } from './http-headers.ts'
import { endToEndHeaders, headerValues, trimSpace } from './http-headers.ts'

/** The longest head that is taken, in bytes, from programs and from origins. */
export const MAX_HEAD = 65_536

/** A head of an answer, its headers clean: names are tokens, values without control characters. */
export interface AnswerHead {
  readonly status: number
  readonly reason: string
  /** Minor version of HTTP/1. */
  readonly minor: number
  readonly headers: RawHeaders
}

/** Where the body of an answer ends, and what is told of it. */
export interface AnswerBody {
  readonly framing: BodyFraming
  /** End-to-end headers, with one Content-Length at most, and transfer codings that the program must undo. */
  readonly headers: RawHeaders
}

/**
 * Gathers one head after the other from the bytes of an origin, in any segmentation. Lines may end in LF alone, and
 * empty lines may stand before a head.
 */
export class HeadReader {
  #parts: Buffer[] = []
  #length = 0
  #atLineStart = true
  #looksRight = false

  /**
   * Takes bytes until a head is complete.
   *
   * @returns the head and the bytes behind it; `undefined` when all bytes were taken and more must come
   * @throws AnyTlsError `ERR_HTTP_INVALID`, as soon as it shows
   */
  receive(bytes: Buffer): { readonly head: AnswerHead; readonly rest: Buffer } | undefined {
    let start = 0
    for (const [at, byte] of bytes.entries()) {
      if (byte === CR) continue
      if (byte !== LF) {
        this.#atLineStart = false
        continue
      }
      if (!this.#atLineStart) {
        this.#atLineStart = true
      } else if (this.#isEmpty(bytes, start, at)) {
        start = at + 1
      } else {
        this.#keep(bytes.subarray(start, at))
        const head = parseAnswerHead(this.#text())
        this.#parts = []
        this.#length = 0
        this.#looksRight = false
        return { head, rest: bytes.subarray(at + 1) }
      }
    }
    this.#keep(bytes.subarray(start))
    if (!this.#looksRight && this.#length >= BEGINNING.length) {
      // What is no HTTP may never have an empty line: a greeting of another protocol, for one.
      if (!this.#text().startsWith(BEGINNING)) throw invalid(NOT_HTTP)
      this.#looksRight = true
    }
    return undefined
  }

  #isEmpty(bytes: Buffer, start: number, end: number): boolean {
    return this.#length === 0 && bytes.subarray(start, end).every((byte) => byte === CR)
  }

  #keep(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#length += bytes.length
    if (this.#length > MAX_HEAD) throw invalid(`the head of the answer has over ${MAX_HEAD} bytes`)
    this.#parts.push(bytes)
  }

  #text(): string {
    return Buffer.concat(this.#parts).toString('latin1')
  }
}

const CR = 13
const LF = 10
const BEGINNING = 'HTTP/1.'
const NOT_HTTP = 'the target does not answer in HTTP/1'

/** @throws AnyTlsError `ERR_HTTP_INVALID` when the status line is none */
function parseAnswerHead(text: string): AnswerHead {
  const [statusLine = '', ...lines] = text.split(/\r?\n/)
  const match = /^HTTP\/1\.(\d)[ \t]+([1-9]\d\d)(?:[ \t]+(.*))?$/s.exec(statusLine)
  if (match === null) throw invalid(NOT_HTTP)
  const [, minor, status, reason = ''] = match
  const headers: string[] = []
  let isKept = false
  for (const line of lines) {
    if (/^[ \t]/.test(line)) {
      // A folded line (RFC 9112 section 5.2): a proxy must join it.
      if (isKept) headers.push(trimSpace(`${headers.pop() ?? ''} ${clean(line)}`))
      continue
    }
    const colon = line.indexOf(':')
    const name = trimSpace(line.slice(0, Math.max(colon, 0)))
    isKept = TOKEN.test(name)
    if (isKept) headers.push(name, clean(line.slice(colon + 1)))
  }
  return { minor: Number(minor), status: Number(status), reason: clean(reason), headers }
}

const TOKEN = /^[!#$%&'*+.^`|~\w-]+$/

/** RFC 9110 section 5.5: what must not stand in a value becomes a space. */
function clean(value: string): string {
  // eslint-disable-next-line no-control-regex
  return trimSpace(value.replace(/[\0-\x08\n-\x1f\x7f]/g, ' '))
}

/**
 * Where the body of `head` ends.
 *
 * @param method of the request: an answer to HEAD has no body
 * @throws AnyTlsError `ERR_HTTP_INVALID` when it does not say, or not clearly
 */
export function bodyOf(head: AnswerHead, method: string): AnswerBody {
  const { status } = head
  const headers = endToEndHeaders(head.headers, 'transfer-encoding', 'content-length')
  const codings = headerValues(head.headers, 'transfer-encoding')
    .map((coding) => coding.toLowerCase())
    .filter((coding) => coding !== 'identity')
    // Two layers of software that each say it, and everybody takes it for one.
    .filter((coding, at, all) => coding !== 'chunked' || all[at - 1] !== 'chunked')
  const length = contentLength(head.headers)
  // RFC 9110 section 8.6: no length with these, and none beside codings (RFC 9112 section 6.3).
  const told = codings.length > 0 || status === 204 || length === undefined
  const lengthHeader = told ? [] : ['Content-Length', String(length)]
  if (method === 'HEAD' || status === 204 || status === 304) {
    return { framing: 0, headers: [...headers, ...lengthHeader] }
  }
  if (codings.length === 0) {
    return { framing: length ?? 'until-end', headers: [...headers, ...lengthHeader] }
  }
  const chunked = codings.at(-1) === 'chunked'
  const inner = chunked ? codings.slice(0, -1) : codings
  if (inner.includes('chunked')) throw invalid('the answer is in chunks more than once')
  const kept = inner.length > 0 ? ['Transfer-Encoding', [...inner, 'chunked'].join(', ')] : []
  return { framing: chunked ? 'chunked' : 'until-end', headers: [...headers, ...kept] }
}

function contentLength(headers: RawHeaders): number | undefined {
  const values = new Set(headerValues(headers, 'content-length'))
  if (values.size === 0) return undefined
  const [value = '', ...others] = values
  if (others.length > 0) throw invalid('the answer has more than one Content-Length')
  // 15 digits are still a safe integer.
  if (!/^\d{1,15}$/.test(value)) throw invalid('the Content-Length of the answer is no length')
  return Number(value)
}

/** Whether the origin leaves its connection open behind this answer (RFC 9112 section 9.3). */
export function staysOpen({ minor, headers }: AnswerHead, { framing }: AnswerBody): boolean {
  const options = headerValues(headers, 'connection').map((option) => option.toLowerCase())
  if (framing === 'until-end' || options.includes('close')) return false
  return minor > 0 || options.includes('keep-alive')
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_HTTP_INVALID', problem)
}
