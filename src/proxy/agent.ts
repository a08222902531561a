// Agents for node:http and node:https whose connections are tunnels.
// Must never keep a tunnel for a later request: opening one costs no handshake.
import http from 'node:http'
import https from 'node:https'
import tls from 'node:tls'
import type { Duplex } from 'node:stream'
import type { OpenTunnel } from './tunnel.ts'

/** One agent for each of `http.request` and `https.request`. */
export interface TunnelAgents {
  readonly http: http.Agent
  readonly https: https.Agent
}

/**
 * Makes agents over `openTunnel`.
 *
 * @example
 * const agents = createAgents(openTunnel)
 * https.get('https://example.com/', { agent: agents.https }, (response) => response.pipe(process.stdout))
 */
export function createAgents(openTunnel: OpenTunnel): TunnelAgents {
  return { http: new HttpTunnelAgent(openTunnel), https: new HttpsTunnelAgent(openTunnel) }
}

type Callback = (error: Error | null, stream: Duplex) => void

class HttpTunnelAgent extends http.Agent {
  readonly #openTunnel: OpenTunnel

  constructor(openTunnel: OpenTunnel) {
    super({ keepAlive: false })
    this.#openTunnel = openTunnel
  }

  override createConnection(options: http.ClientRequestArgs, callback: Callback): undefined {
    settle(openFor(this.#openTunnel, options), callback)
  }
}

class HttpsTunnelAgent extends https.Agent {
  readonly #openTunnel: OpenTunnel

  constructor(openTunnel: OpenTunnel) {
    super({ keepAlive: false })
    this.#openTunnel = openTunnel
  }

  override createConnection(options: https.RequestOptions, callback: Callback): undefined {
    const secured = openFor(this.#openTunnel, options).then((socket) =>
      tls.connect({ ...(options as tls.ConnectionOptions), socket }),
    )
    settle(secured, callback)
  }
}

function openFor(openTunnel: OpenTunnel, options: http.ClientRequestArgs): Promise<Duplex> {
  const target = { host: options.host ?? 'localhost', port: Number(options.port) }
  return openTunnel(target, options.signal ?? new AbortController().signal)
}

function settle(connection: Promise<Duplex>, callback: Callback): void {
  connection.then(
    (stream) => callback(null, stream),
    (error: unknown) => (callback as (error: unknown) => void)(error),
  )
}
