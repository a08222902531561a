// Who answers a connection that is not ANYTLS (draft, Authentication; D15-D17): another server, the built-in
// site, or nobody.
// Must never show by what it does that there was anything but a web server.
import { ChurningSet } from '../codec/churning.ts'
import { invalidOption } from '../errors.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { createSite, createTargets } from './built-in-site.ts'
import type { FallbackConnection, FallbackTarget, HeldConnection } from './fallback-connection.ts'
import { hangUp, untilClosed } from './fallback-connection.ts'
import type { FallbackEndpoint } from './fallback-endpoint.ts'
import { parseFallbackEndpoint } from './fallback-endpoint.ts'
import { createRelayTarget } from './fallback-relay.ts'
import { before, createPrivateTargets } from './private-pages.ts'
import type { PrivatePages } from './private-pages.ts'
import type { ProxyProtocolVersion } from '../codec/proxy-protocol.ts'

/** Where connections go. Without any endpoint the built-in site answers, HTTP/1.1 and h2. */
export interface FallbackOptions {
  /** Endpoint for every connection that did not agree on h2. */
  readonly http1?: FallbackEndpoint
  /** Endpoint for connections that agreed on h2 (prior knowledge). Needs `http1` beside it. */
  readonly h2?: FallbackEndpoint
  /** Tells the endpoints who the client is, before any other byte. */
  readonly proxyProtocol?: ProxyProtocolVersion
  /** Connections that are held at once; further ones are closed without a byte. Default 4,096. */
  readonly maxConnections?: number
  /**
   * Pages that only who knows their path is to see. With an endpoint that must show in the first TLS record of a
   * connection, which for h2 holds the headers with some clients alone.
   */
  readonly privatePages?: PrivatePages
}

/** Answers connections that are not ANYTLS. */
export interface Fallback {
  /**
   * What TLS may offer in ALPN, preferred first: what the fallback can speak. Empty when nobody answers; then
   * ALPN is best left alone, for an empty offer refuses every client that has one.
   */
  readonly alpnProtocols: readonly string[]
  /** Takes a connection over, for good. Never throws. */
  handle(connection: FallbackConnection): void
  /**
   * Asks every connection to end and destroys those that are left after `grace` ms (default 3000). New ones
   * are destroyed at once. Resolves when none is left; never rejects.
   */
  close(grace?: number): Promise<void>
}

/** Connections by what ALPN agreed on. */
interface Routes {
  readonly http1: FallbackTarget
  readonly h2?: FallbackTarget
  /** Takes connections before the others. */
  readonly first?: ReturnType<typeof createPrivateTargets>
}

const DEFAULT_GRACE = 3000
/** The longest delay that Node's timers take, in ms. */
const MAX_GRACE = 2_147_483_647
const DEFAULT_MAX_CONNECTIONS = 4_096

/**
 * Makes a fallback.
 *
 * @param options `'close'` for none at all: connections are closed without a byte (D15, "Without")
 * @throws AnyTlsError `ERR_OPTION_INVALID` for an `h2` without `http1`, a `proxyProtocol` without endpoint, or
 * an endpoint that cannot be one
 */
export function createFallback(options: FallbackOptions | 'close' = {}): Fallback {
  const routes: Routes = options === 'close' ? { http1: CLOSING_TARGET } : createRoutes(options)
  const { maxConnections = DEFAULT_MAX_CONNECTIONS } = options === 'close' ? {} : options
  if (!Number.isSafeInteger(maxConnections) || maxConnections < 1) {
    throw invalidOption('maxConnections must be a whole number of at least 1')
  }
  const held = new ChurningSet<HeldConnection>()
  let closing: Promise<void> | undefined

  async function closeAll(grace: number): Promise<void> {
    routes.http1.drain()
    routes.h2?.drain()
    routes.first?.drain()
    const closed = Promise.all(held.list().map((connection) => connection.closed))
    const limit = Math.min(grace, MAX_GRACE)
    const timer = setTimeout(() => {
      for (const connection of held.list()) connection.destroy()
    }, limit)
    await closed
    clearTimeout(timer)
  }

  return {
    alpnProtocols: alpnProtocols(options),
    handle(connection) {
      const { socket, rawSocket } = connection
      // The former owner's listener is gone; a reset between two owners must not crash. Nor one that we send.
      for (const each of [socket, rawSocket]) each.on('error', () => {})
      if (socket.destroyed) return
      if (closing !== undefined || held.size >= maxConnections) {
        socket.destroy()
        return
      }
      const byProtocol = socket.alpnProtocol === 'h2' ? (routes.h2 ?? routes.http1) : routes.http1
      const taken = (routes.first?.targetFor(connection) ?? byProtocol).take(connection)
      held.add(taken)
      void taken.closed.then(() => held.delete(taken))
    },
    close(grace = DEFAULT_GRACE) {
      closing ??= closeAll(grace)
      return closing
    },
  }
}

const CLOSING_TARGET: FallbackTarget = {
  take({ socket }) {
    hangUp(socket)
    return { closed: untilClosed(socket), destroy: () => socket.destroy() }
  },
  drain() {},
}

function createRoutes({ http1, h2, proxyProtocol, privatePages }: FallbackOptions): Routes {
  if (http1 === undefined) {
    if (h2 !== undefined) throw invalidOption('a fallback for h2 needs one for http/1.1 beside it')
    if (proxyProtocol !== undefined)
      throw invalidOption('the PROXY protocol needs a fallback endpoint')
    return createTargets(before(privatePages, createSite()))
  }
  const relayTo = (endpoint: FallbackEndpoint) => {
    // An endpoint that nobody parsed could make connecting throw, connection by connection.
    return createRelayTarget(parseFallbackEndpoint(formatHostPort(endpoint)), proxyProtocol)
  }
  return {
    http1: relayTo(http1),
    ...(h2 && { h2: relayTo(h2) }),
    ...(privatePages && { first: createPrivateTargets(privatePages) }),
  }
}

function alpnProtocols(options: FallbackOptions | 'close'): readonly string[] {
  if (options === 'close') return []
  const onlyHttp1 = options.http1 !== undefined && options.h2 === undefined
  return onlyHttp1 ? ['http/1.1'] : ['h2', 'http/1.1']
}
