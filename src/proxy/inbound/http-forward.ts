// Plain-http forwarding: one request of a program goes to its origin over a tunnel of its own.
// Must never read or write HTTP itself: node:http parses and frames on both sides.
import type { IncomingMessage, ServerResponse } from 'node:http'
import { request as httpRequest } from 'node:http'
import { pipeline } from 'node:stream'
import type { Address } from '../../codec/address.ts'
import { parseHostPort } from '../../codec/host-port.ts'
import { FAILURES } from '../failure.ts'
import { endToEndHeaders } from './http-headers.ts'
import type { TunnelStream } from '../tunnel.ts'

/** Where a request in absolute form (RFC 9112 section 3.2.2) goes. */
export interface Origin {
  readonly target: Address
  /** Value of the Host header. */
  readonly host: string
  /** Path and query, never empty. */
  readonly path: string
}

/** Takes `http://host:port/path` apart, the path as it was written; `undefined` for anything else. */
export function parseOrigin(url: string): Origin | undefined {
  const match = /^http:\/\/([^/?#]*)([^#]*)/i.exec(url)
  if (match === null) return undefined
  const [, authority = '', rest = ''] = match
  // Userinfo is not for the origin (RFC 9110 section 4.2.4).
  const host = authority.slice(authority.lastIndexOf('@') + 1)
  try {
    return {
      target: parseHostPort(host, 80),
      host,
      path: rest.startsWith('/') ? rest : `/${rest}`,
    }
  } catch {
    return undefined
  }
}

/**
 * Sends `request` over `stream` and its answer to `response`, bodies streamed with back-pressure. The
 * origin is asked to close: a tunnel serves one request. `gone` ends it all.
 */
export function forward(
  request: IncomingMessage,
  response: ServerResponse,
  origin: Origin,
  stream: TunnelStream,
  gone: AbortSignal,
): void {
  const outgoing = httpRequest({
    createConnection: () => stream,
    method: request.method,
    path: origin.path,
    headers: requestHeaders(request, origin),
  })
  outgoing.maxHeadersCount = 0
  const abandon = () => outgoing.destroy()
  gone.addEventListener('abort', abandon)
  // An error is followed by close, which is what is acted upon.
  outgoing.on('error', () => {})
  outgoing.on('close', () => {
    gone.removeEventListener('abort', abandon)
    stream.destroy()
    answer(response, FAILURES.general.httpStatus, 'no answer from the target')
  })
  outgoing.on('continue', () => {
    if (expectsContinue(request)) response.writeContinue()
  })
  outgoing.on('response', (incoming) => {
    if (!writeHead(incoming, response)) {
      outgoing.destroy()
      return
    }
    pipeline(incoming, response, () => stream.destroy())
  })
  request.pipe(outgoing)
}

/** Answers in our own name, unless an answer is on its way already. */
export function answer(
  response: ServerResponse,
  status: number,
  text: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return
  const body = `${text}\n`
  response.writeHead(status, {
    'Content-Type': 'text/plain',
    'Content-Length': body.length,
    ...headers,
  })
  response.end(body)
}

function requestHeaders(request: IncomingMessage, origin: Origin): string[] {
  const { headers, rawHeaders } = request
  const passed = endToEndHeaders(rawHeaders, 'host')
  const framed = 'content-length' in headers || 'transfer-encoding' in headers
  // Without this, the library would put the body that is not there into chunks.
  const settled = framed || BODILESS_METHODS.includes(request.method ?? '')
  return ['Host', origin.host, ...passed, ...(settled ? [] : ['Content-Length', '0'])]
}

const BODILESS_METHODS: readonly string[] = ['GET', 'HEAD', 'DELETE', 'OPTIONS', 'TRACE']

function writeHead(incoming: IncomingMessage, response: ServerResponse): boolean {
  const headers = endToEndHeaders(incoming.rawHeaders, 'transfer-encoding')
  response.sendDate = false
  const { statusCode = 0, statusMessage } = incoming
  // 101, for an upgrade that was not asked for.
  if (statusCode < 200) return false
  try {
    response.writeHead(statusCode, statusMessage, headers)
    return true
  } catch {
    // The library does not write a status line or header like this.
    return false
  }
}

function expectsContinue({ headers }: IncomingMessage): boolean {
  return headers.expect?.toLowerCase() === '100-continue'
}
