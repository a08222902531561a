// What undici connects through, so that its clients and `fetch` run over tunnels.
// Must never import undici: what it wants of a connector is a function.
import net from 'node:net'
import tls from 'node:tls'
import type { Duplex } from 'node:stream'
import { AnyTlsError } from '../errors.ts'
import { orAborted } from '../session/callbacks.ts'
import { MAX_DELAY } from '../session/clock.ts'
import type { OpenTunnel } from './tunnel.ts'

/** How long a tunnel and TLS through it may take, in ms: as undici has it. */
const DEFAULT_TIMEOUT = 10_000

/** Where undici wants to go. */
export interface ConnectorTarget {
  /** A name or an address, IPv6 in brackets. */
  readonly hostname: string
  /** Empty for the usual one of the protocol. */
  readonly port: string
  /** `https:` has TLS inside the tunnel, every other none. */
  readonly protocol: string
  /** The name that the certificate must have, where it is not `hostname`. */
  readonly servername?: string | undefined
}

/** What is called when the connection stands or has failed. */
export type ConnectorCallback = (...result: [null, net.Socket] | [Error, null]) => void

/** Options of {@link createConnector}. */
export interface ConnectorOptions {
  /** How to speak TLS with targets: `ca`, `checkServerIdentity` and so on. */
  readonly tls?: tls.ConnectionOptions | undefined
  /** How long a tunnel, and TLS through it, may take, in milliseconds. Default 10,000. */
  readonly timeout?: number | undefined
}

/**
 * Makes the `connect` of an undici `Agent`, `Pool` or `Client` of tunnels, each of which carries as many requests as a
 * connection of undici does. Names are resolved by the server, certificates of targets verified here.
 *
 * What fails is the `cause` of what `fetch` throws: as `openTunnel` says, the error of TLS, or `ERR_DIAL_TIMEOUT`.
 *
 * @example
 * const dispatcher = new Agent({ connect: createConnector(createTunnelOpener(session)) })
 * const response = await fetch('https://example.com/', { dispatcher })
 */
export function createConnector(
  openTunnel: OpenTunnel,
  { tls: settings, timeout = DEFAULT_TIMEOUT }: ConnectorOptions = {},
): (target: ConnectorTarget, callback: ConnectorCallback) => void {
  return (target, callback) => {
    const late = new AbortController()
    const limit = Math.min(timeout, MAX_DELAY)
    const timer = setTimeout(() => late.abort(new AnyTlsError('ERR_DIAL_TIMEOUT')), limit)
    connect(openTunnel, target, settings, late.signal)
      .finally(() => clearTimeout(timer))
      .then(
        // It uses of a socket what a Duplex has, and asks whether there is more.
        (stream) => callback(null, stream as unknown as net.Socket),
        (error: unknown) => callback(error as Error, null),
      )
  }
}

async function connect(
  openTunnel: OpenTunnel,
  { hostname, port, protocol, servername }: ConnectorTarget,
  settings: tls.ConnectionOptions | undefined,
  signal: AbortSignal,
): Promise<Duplex> {
  const isSecure = protocol === 'https:'
  const host = hostname.replace(/^\[(.+)\]$/, '$1')
  const target = { host, port: port === '' ? (isSecure ? 443 : 80) : Number(port) }
  const opening = openTunnel(target, signal)
  // Who does not heed the signal is not waited for.
  opening.then(
    (late) => signal.aborted && late.destroy(),
    () => {},
  )
  const tunnel = await orAborted(opening, signal)
  if (tunnel.destroyed) throw tunnel.errored ?? new AnyTlsError('ERR_STREAM_RESET')
  if (!isSecure) return tunnel
  const name = servername ?? (net.isIP(host) === 0 ? host : '')
  const socket = tls.connect({
    ...{ servername: name, host, ALPNProtocols: ['http/1.1'] },
    ...settings,
    socket: tunnel,
  })
  return await new Promise((resolve, reject) => {
    const onAbort = (): void => void socket.destroy(signal.reason as Error)
    signal.addEventListener('abort', onAbort)
    // Whoever listens next does so within the same turn; until then, and once it has let go, an error must find somebody.
    socket.on('error', reject).once('close', () => reject(new AnyTlsError('ERR_STREAM_RESET')))
    socket.once('secureConnect', () => {
      signal.removeEventListener('abort', onAbort)
      resolve(socket)
    })
  })
}
