// Pages on the same port that only who knows their path is to see; for everybody else there are none.
// Must never show to who knows no path, by an answer or by its time, that there are any.
import { readH2Target, readHttp1Target } from '../codec/request-target.ts'
import { createTargets } from './built-in-site.ts'
import type { Answer } from './built-in-site.ts'
import type { FallbackConnection, FallbackTarget } from './fallback-connection.ts'
import type { SiteAnswer, SiteRequest } from './site-answer.ts'

/** Pages of the built-in site that only those find who know the whole path. */
export interface PrivatePages {
  /**
   * Whether a request target is that of a page. Whoever connects can have it called, with what it likes: to find one
   * must take no longer than to find none, and must not depend on how much of the path is right.
   */
  has(target: string): boolean
  /** The answer to a request that it has. */
  answer(request: SiteRequest): SiteAnswer
}

/** Puts the pages before another site. */
export function before(pages: PrivatePages | undefined, site: Answer): Answer {
  if (pages === undefined) return site
  return (request) => (pages.has(request.target) ? pages.answer(request) : site(request))
}

/**
 * Who takes a connection whose first record asks for a page; `undefined` for every other one. Each serves one request, so
 * that the next goes where it belongs.
 */
export function createPrivateTargets(pages: PrivatePages): {
  targetFor(connection: FallbackConnection): FallbackTarget | undefined
  drain(): void
} {
  const { http1, h2 } = createTargets((request) => ({
    ...before(pages, nothing)(request),
    isLast: true,
  }))
  return {
    targetFor({ socket, unread }) {
      const isH2 = socket.alpnProtocol === 'h2'
      const [first = new Uint8Array()] = unread
      const target = isH2 ? readH2Target(first) : readHttp1Target(first)
      return pages.has(target ?? '') ? (isH2 ? h2 : http1) : undefined
    },
    drain() {
      http1.drain()
      h2.drain()
    },
  }
}

/** For a second request that is sent at once behind the first: there is no site here. */
function nothing(): SiteAnswer {
  return { status: 404, headers: { 'Content-Length': 0 }, body: undefined }
}
