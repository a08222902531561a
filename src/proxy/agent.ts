// Agents for node:http and node:https whose connections are tunnels.
import type http from 'node:http'
import type https from 'node:https'
import tls from 'node:tls'
import type { Duplex } from 'node:stream'
import { AnyTlsError } from '../errors.ts'
import type { OpenTunnel } from './tunnel.ts'

/** One agent for each of `http.request` and `https.request`. */
export interface TunnelAgents {
  /** For `http.request` and `http.get`. */
  readonly http: http.Agent
  /** For `https.request` and `https.get`: TLS with the target, inside of the tunnel. */
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
  const plain = new (process.getBuiltinModule('node:http').Agent)({ keepAlive: false })
  const secure = new (process.getBuiltinModule('node:https').Agent)({ keepAlive: false })
  const createPlain: Connect = (options, callback) => {
    settle(openFor(openTunnel, options), callback)
  }
  const createSecure: Connect = (options, callback) => {
    settle(
      openFor(openTunnel, options).then((socket) => secured(socket, options)),
      callback,
    )
  }
  return {
    http: Object.assign(plain, { createConnection: createPlain }),
    https: Object.assign(secure, { createConnection: createSecure }),
  }
}

type Callback = (error: Error | null, stream: Duplex) => void
type Connect = (options: http.ClientRequestArgs, callback: Callback) => void

function secured(socket: Duplex, options: http.ClientRequestArgs): Duplex {
  // A tunnel may break before node:http listens, and after it has let go.
  return tls.connect({ ...(options as tls.ConnectionOptions), socket }).on('error', () => {})
}

async function openFor(openTunnel: OpenTunnel, options: http.ClientRequestArgs): Promise<Duplex> {
  const target = { host: options.host ?? 'localhost', port: Number(options.port) }
  const stream = await openTunnel(target, options.signal ?? new AbortController().signal)
  // node:http would wait for ever for the events of one that is gone already.
  if (stream.destroyed) throw stream.errored ?? new AnyTlsError('ERR_STREAM_RESET')
  return stream
}

function settle(connection: Promise<Duplex>, callback: Callback): void {
  connection.then(
    (stream) => callback(null, stream),
    (error: unknown) => (callback as (error: unknown) => void)(error),
  )
}
