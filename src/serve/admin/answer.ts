// What the admin server answers, and how whatever went wrong becomes an answer: JSON with a code.
import type { ServerResponse } from 'node:http'
import { AnyTlsError } from '../../errors.ts'
import type { ErrorCode } from '../../errors.ts'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

/** For every answer: nothing is kept, framed, or guessed at. */
const COMMON_HEADERS = {
  'Cache-Control': 'no-store',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
  'X-Frame-Options': 'DENY',
}

/** Errors without an entry are faults of ours. */
const STATUS: Partial<Record<ErrorCode, number>> = {
  ERR_REQUEST_INVALID: 400,
  ERR_OPTION_INVALID: 400,
  ERR_REQUEST_TOKEN: 401,
  ERR_REQUEST_REFUSED: 403,
  ERR_REQUEST_PATH: 404,
  ERR_USER_UNKNOWN: 404,
  ERR_REQUEST_METHOD: 405,
  ERR_REQUEST_TIMEOUT: 408,
  ERR_USER_EXISTS: 409,
  ERR_REQUEST_TOO_LARGE: 413,
  ERR_REQUEST_TYPE: 415,
  ERR_FILE: 503,
}

export function json(value: unknown, status = 200): Answer {
  return { status, type: 'application/json', body: `${JSON.stringify(value)}\n` }
}

/** The answer to a request that failed. What is no error of ours becomes `ERR_REQUEST_FAILED`. */
export function failure(error: unknown, headers?: Answer['headers']): Answer {
  const told = error instanceof AnyTlsError ? error : new AnyTlsError('ERR_REQUEST_FAILED')
  const { code, message } = told
  const answer = json({ error: { code, message } }, STATUS[code] ?? 500)
  return headers === undefined ? answer : { ...answer, headers }
}

export function send(response: ServerResponse, { status, type, body, headers }: Answer): void {
  if (response.destroyed) return
  response.writeHead(status, {
    ...COMMON_HEADERS,
    ...headers,
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
  })
  response.end(body)
}
