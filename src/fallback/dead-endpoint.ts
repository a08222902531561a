// What visitors get while the fallback's endpoint is not there: what nginx says for a dead upstream (D54).
// Must never: say more than that.
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
  const answer = (request: SiteRequest): SiteAnswer => answerDead(STATUS[death], death, request)
  return createTargets(answer, undefined, badRequest)
}

function answerDead(status: number, death: Death, { method, headers }: SiteRequest): SiteAnswer {
  const isPadded = /MSIE |Chrome\//.test(headers['user-agent'] ?? '')
  const body = Buffer.from(page(`${status} ${death}`) + (isPadded ? PADDING : ''))
  return {
    status,
    reason: death,
    headers: {
      Server: 'nginx',
      Date: new Date().toUTCString(),
      'Content-Type': 'text/html',
      'Content-Length': body.length,
    },
    body: method === 'HEAD' ? undefined : body,
  }
}

function badRequest(): string {
  const body = page('400 Bad Request')
  const head = [
    'HTTP/1.1 400 Bad Request',
    'Server: nginx',
    `Date: ${new Date().toUTCString()}`,
    'Content-Type: text/html',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]
  return `${head.join('\r\n')}\r\n\r\n${body}`
}

function page(title: string): string {
  return [
    '<html>',
    `<head><title>${title}</title></head>`,
    '<body>',
    `<center><h1>${title}</h1></center>`,
    '<hr><center>nginx</center>',
    '</body>',
    '</html>',
    '',
  ].join('\r\n')
}
