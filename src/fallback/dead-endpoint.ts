// What visitors get while the fallback's endpoint is not there: what nginx says for a dead upstream (D54).
import type { SiteAnswer, SiteRequest } from './site-answer.ts'
import { createTargets } from './built-in-site.ts'
import type { FallbackTarget } from './fallback-connection.ts'

/** Why there is no answer of the endpoint's own. */
export type Death = 'Bad Gateway' | 'Gateway Time-out'

const STATUS = { 'Bad Gateway': 502, 'Gateway Time-out': 504 } as const satisfies Record<
  Death,
  number
>

/** nginx has it for browsers that would show a page of their own instead of a short one. */
const PADDING = '<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n'.repeat(6)

/** The answers for one kind of death, HTTP/1.1 and h2. */
export function createDeadTargets(death: Death): { http1: FallbackTarget; h2: FallbackTarget } {
  const answer = (request: SiteRequest): SiteAnswer => answerDead(death, request)
  return createTargets(answer, undefined, refuse)
}

function answerDead(death: Death, { method, headers }: SiteRequest): SiteAnswer {
  const isTrace = method === 'TRACE'
  const status = isTrace ? 405 : STATUS[death]
  const reason = isTrace ? 'Not Allowed' : death
  const isPadded = /MSIE |Chrome\//.test(headers['user-agent'] ?? '')
  const body = Buffer.from(page(`${status} ${reason}`) + (isPadded ? PADDING : ''))
  return {
    status,
    reason,
    headers: {
      Server: 'nginx',
      Date: new Date().toUTCString(),
      'Content-Type': 'text/html',
      'Content-Length': body.length,
    },
    body: method === 'HEAD' ? undefined : body,
    ...(isTrace && { isLast: true }),
  }
}

/** What nginx says to what it does not take for a request, by what Node's parser finds wrong. */
function refuse(code?: string): string {
  switch (code) {
    case 'HPE_INVALID_VERSION':
      return refusal('505 HTTP Version Not Supported')
    case 'HPE_HEADER_OVERFLOW':
      return refusal('400 Bad Request', 'Request Header Or Cookie Too Large')
    default:
      return refusal('400 Bad Request')
  }
}

function refusal(status: string, detail?: string): string {
  const body = page(status, detail)
  const head = [
    `HTTP/1.1 ${status}`,
    'Server: nginx',
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: text/html',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

function page(status: string, detail?: string): string {
  return [
    '<html>',
    `<head><title>${detail === undefined ? status : `${status.slice(0, 3)} ${detail}`}</title></head>`,
    '<body>',
    `<center><h1>${status}</h1></center>`,
    ...(detail === undefined ? [] : [`<center>${detail}</center>`]),
    '<hr><center>nginx</center>',
    '</body>',
    '</html>',
    '',
  ].join('\r\n')
}
