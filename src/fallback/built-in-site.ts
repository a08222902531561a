// The fallback without an endpoint: a small static site on the connection itself, HTTP/1.1 and h2, served by
// Node's own servers, so that errors, limits and timeouts are those of any web server made with Node.
// Who knows these pages can recognise them: a server that must not be recognised needs a fallback endpoint of its own.
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import { ChurningSet } from '../codec/churning.ts'
import type { FallbackConnection, FallbackTarget, HeldConnection } from './fallback-connection.ts'
import { hangUp, untilClosed } from './fallback-connection.ts'
import { answerSiteRequest } from './site-answer.ts'
import type { SiteAnswer, SiteRequest } from './site-answer.ts'

// What is used first when a site is made is loaded then, as is TLS in src/tls: together they were half of what it cost to
// import the library.
const loadHttp1 = () => process.getBuiltinModule('node:http')
const loadHttp2 = () => process.getBuiltinModule('node:http2')

/** The site's patience, in ms. */
export interface SiteTimeouts {
  /** From the start of a request, or of a connection without one, to the end of its headers. */
  readonly headers: number
  /** From there to the end of the request. */
  readonly request: number
  /** Between two requests on an HTTP/1.1 connection. */
  readonly keepAlive: number
  /** Without any traffic: a client that does not read, or an h2 connection without requests. */
  readonly idle: number
  /** How often the first two are looked at. */
  readonly checkInterval: number
}

const SITE_TIMEOUTS: SiteTimeouts = {
  headers: 20_000,
  request: 30_000,
  keepAlive: 15_000,
  idle: 60_000,
  checkInterval: 5000,
}

/** Bytes of a request's headers; more gets 431, or a reset of the h2 stream. */
const HEADERS_MAX_LENGTH = 16_384
const H2_STREAMS_MAX = 100

/** How a site answers, whatever speaks HTTP for it. */
export type Answer = (request: SiteRequest) => SiteAnswer

/** See {@link createTargets}. */
type Refuse = (code?: string) => string

/** The site itself. Its files count as changed when it was made. */
export function createSite(): Answer {
  const madeAt = Date.now()
  return (request) => answerSiteRequest(request, madeAt)
}

/**
 * Both protocols for any site.
 *
 * @param refuse the whole answer to what is no proper HTTP/1.1, by the code of Node's parser if that found it; default:
 *   what Node says
 */
export function createTargets(
  answer: Answer,
  timeouts: SiteTimeouts = SITE_TIMEOUTS,
  refuse?: Refuse,
): { http1: FallbackTarget; h2: FallbackTarget } {
  return {
    http1: createHttp1Target(timeouts, answer, refuse),
    h2: createH2Target(timeouts, answer),
  }
}

function createHttp1Target(
  timeouts: SiteTimeouts,
  answer: Answer,
  refuse: Refuse | undefined,
): FallbackTarget {
  const server = loadHttp1().createServer(
    {
      maxHeaderSize: HEADERS_MAX_LENGTH,
      headersTimeout: timeouts.headers,
      requestTimeout: timeouts.request,
      keepAliveTimeout: timeouts.keepAlive,
      connectionsCheckingInterval: timeouts.checkInterval,
      requireHostHeader: refuse === undefined,
    },
    (request, response) => {
      const { method = '', url = '', headers, socket } = request
      const problem = refuse && problemOf(request)
      if (refuse !== undefined && problem !== undefined) socket.end(refuse(problem))
      else send(response, answer({ method, target: url, headers }))
    },
  )
  if (refuse !== undefined) {
    server.on('clientError', ({ code }: NodeJS.ErrnoException, socket) => {
      if (socket.writable) socket.end(refuse(code))
      else socket.destroy()
    })
    server.on('connect', (_request, socket) => void socket.end(refuse()))
    // Who expects what nobody knows is answered all the same.
    server.on('checkExpectation', (request, response) => {
      server.emit('request', request, response)
    })
  }
  server.setTimeout(timeouts.idle)
  let started = false
  return {
    take(connection) {
      if (!started) {
        // The server never listens, and only on this event does it begin to check headersTimeout and
        // requestTimeout. Not before the first connection: the check is a timer, which `drain` ends.
        started = true
        server.emit('listening')
      }
      return takeOver(connection, () => {
        // The parser takes over the TLS handle's reads at once, yet what is buffered comes first: it flows in the
        // next tick, before the event loop reads again. The socket is paused by hand, so it is resumed by hand.
        server.emit('connection', connection.socket)
        connection.socket.resume()
      })
    },
    drain() {
      if (started) server.close()
    },
  }
}

/** Most bytes of a line that nginx reads, without its end. */
const LINE_MAX_LENGTH = 8_190

/** What nginx finds wrong and Node's parser does not, in the parser's words. */
function problemOf({ httpVersion, headersDistinct, rawHeaders }: IncomingMessage) {
  const { length } = headersDistinct['host'] ?? []
  if (length > 1 || (length === 0 && httpVersion === '1.1')) return 'HPE_INVALID_HEADER_TOKEN'
  const isLong = rawHeaders.some((text, index) => {
    const value = rawHeaders[index + 1] ?? ''
    return index % 2 === 0 && text.length + value.length + ': '.length > LINE_MAX_LENGTH
  })
  return isLong ? 'HPE_HEADER_OVERFLOW' : undefined
}

function createH2Target(timeouts: SiteTimeouts, answer: Answer): FallbackTarget {
  const sessions = new ChurningSet<ServerHttp2Session>()
  const server = loadHttp2().createServer(
    { settings: { maxConcurrentStreams: H2_STREAMS_MAX, maxHeaderListSize: HEADERS_MAX_LENGTH } },
    ({ method, url, headers }, response) => {
      send(response, answer({ method, target: url, headers }))
    },
  )
  server.setTimeout(timeouts.idle)
  server.on('session', (session) => {
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    // On a half-open socket the session itself does not see the end.
    session.socket.once('end', () => session.close())
  })
  return {
    take(connection) {
      return takeOver(connection, () => {
        // The session takes what is buffered in the paused socket itself. It must not be resumed: that would
        // take the bytes away from the session.
        server.emit('connection', connection.socket)
      })
    },
    drain() {
      for (const session of sessions.list()) session.close()
    },
  }
}

function send(response: ServerResponse | Http2ServerResponse, answer: SiteAnswer): void {
  if (answer.isLast === true) {
    if ('shouldKeepAlive' in response) response.shouldKeepAlive = false
    else response.stream.session?.close()
  }
  if (answer.reason !== undefined && 'shouldKeepAlive' in response) {
    const Connection = response.shouldKeepAlive ? 'keep-alive' : 'close'
    response.writeHead(answer.status, answer.reason, { ...answer.headers, Connection })
  } else {
    response.writeHead(answer.status, answer.headers)
  }
  // Even an empty body is an error on an h2 stream that HEAD or 304 has ended.
  if (answer.body === undefined) response.end()
  else response.end(answer.body)
}

/** Puts the unread bytes back into the socket and hands it to a server. */
function takeOver(connection: FallbackConnection, serve: () => void): HeldConnection {
  const { socket, unread } = connection
  const held = { closed: untilClosed(socket), destroy: () => void socket.destroy() }
  if (socket.readableEnded) {
    // Nothing can be put back behind the end. Web servers, too, close when the client ends without a request.
    hangUp(socket)
    return held
  }
  const bytes = Buffer.concat(unread)
  if (bytes.length > 0) socket.unshift(bytes)
  serve()
  return held
}
