// What the built-in site answers to a request, for HTTP/1.1 and h2 alike: a static site with validators.
import type { IncomingHttpHeaders } from 'node:http'
import { NOT_FOUND_PAGE, SITE_FILES } from './site-content.ts'
import type { SiteFile } from './site-content.ts'

/** The part of a request that the answer depends on. */
export interface SiteRequest {
  /** As it came: `GET`, `HEAD` and so on. */
  readonly method: string
  /** The request target: a path, or a whole URL (RFC 9112, section 3.2.2). */
  readonly target: string
  /** By their names in lower case. */
  readonly headers: IncomingHttpHeaders
}

/** What is sent. */
export interface SiteAnswer {
  /** The status code of HTTP. */
  readonly status: number
  /** For HTTP/1.1, in the manner of nginx: this text beside the status, and no `Keep-Alive` beside `Connection`. */
  readonly reason?: string
  /** By the names that HTTP/1.1 sends; h2 sends them in lower case. */
  readonly headers: Readonly<Record<string, string | number>>
  /** What is sent: nothing for HEAD and 304, whatever `Content-Length` says. */
  readonly body: Uint8Array | undefined
  /** The connection ends with it. */
  readonly isLast?: boolean
}

const ALLOWED = 'GET, HEAD'

const SECURITY_HEADERS = {
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'Referrer-Policy': 'no-referrer',
  'X-Content-Type-Options': 'nosniff',
}

/**
 * The answer to a request.
 *
 * @param lastModified when the files changed, in ms since the epoch; whole seconds count
 */
export function answerSiteRequest(request: SiteRequest, lastModified: number): SiteAnswer {
  const path = parsePath(request.target)
  if (path === undefined) return plain(request, 400, 'Bad Request')
  const file = SITE_FILES.get(path)
  if (file === undefined) return answerWith(request, 404, NOT_FOUND_PAGE)
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return plain(request, 405, 'Method Not Allowed', { Allow: ALLOWED })
  }
  const validators = {
    'Cache-Control': file.type.startsWith('text/html') ? 'no-cache' : 'max-age=86400',
    ETag: etagOf(file.body),
    'Last-Modified': new Date(lastModified).toUTCString(),
  }
  if (isNotModified(request.headers, validators.ETag, lastModified)) {
    return { status: 304, headers: { ...validators, ...SECURITY_HEADERS }, body: undefined }
  }
  return answerWith(request, 200, file, validators)
}

function parsePath(target: string): string | undefined {
  const match = /^(?:https?:\/\/[^/?#]+)?(\/[^?#]*)?(?:[?#]|$)/i.exec(target)
  if (match === null || target === '') return undefined
  return match[1] ?? '/'
}

function plain(
  request: SiteRequest,
  status: number,
  text: string,
  headers: Record<string, string> = {},
): SiteAnswer {
  const file = { type: 'text/plain; charset=utf-8', body: Buffer.from(`${text}\n`) }
  return answerWith(request, status, file, headers)
}

function answerWith(
  { method }: SiteRequest,
  status: number,
  file: SiteFile,
  headers: Record<string, string> = {},
): SiteAnswer {
  return {
    status,
    headers: {
      'Content-Type': file.type,
      'Content-Length': file.body.length,
      ...headers,
      ...SECURITY_HEADERS,
    },
    body: method === 'HEAD' ? undefined : file.body,
  }
}

function etagOf(body: Uint8Array): string {
  const hash = process.getBuiltinModule('node:crypto').createHash('sha256')
  return `"${hash.update(body).digest('hex').slice(0, 16)}"`
}

/** RFC 9110, section 13.2.2: `If-Modified-Since` counts only without `If-None-Match`. */
function isNotModified(headers: IncomingHttpHeaders, etag: string, lastModified: number): boolean {
  const noneMatch = headers['if-none-match']
  if (noneMatch !== undefined) {
    const tags = noneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
    return tags.includes('*') || tags.includes(etag)
  }
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return Math.floor(lastModified / 1000) * 1000 <= since
}
