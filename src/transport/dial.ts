// The client's way to a session: TCP, TLS 1.3, the server's certificate, then the client machine.
// Must never send a byte of ANYTLS before the certificate has been accepted.
import { isIP } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { ClientMachine } from '../anytls/client-machine.ts'
import { AnyTlsError } from '../errors.ts'
import { systemClock } from '../session/clock.ts'
import type { Clock } from '../session/clock.ts'
import { Session } from '../session/session.ts'
import { DEFAULT_SCHEME } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { MemorySchemeStore } from '../shaping/scheme-store.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import { formatHostPort } from '../wire/host-port.ts'
import { parseSessionSettings } from './session-options.ts'
import type { SessionSettings } from './session-options.ts'

export interface ConnectOptions extends SessionSettings {
  /** Name or IP address of the server. */
  readonly host: string
  readonly port: number
  /** Name to ask for and to check in the certificate. Default: `host`, unless that is an IP address. */
  readonly servername?: string | undefined
  /** Certificates to trust instead of the system's, PEM. */
  readonly ca?: string | Buffer | readonly (string | Buffer)[] | undefined
  /** SHA-256 of the one certificate to trust, hex (of the DER form; colons allowed). */
  readonly pin?: string | undefined
  /** Trusts any certificate: whoever is in between can read the password hash. */
  readonly insecure?: boolean | undefined
  /** Default: what a browser offers, h2 and http/1.1. */
  readonly ALPNProtocols?: readonly string[] | undefined
  /** Padding scheme for as long as the server has not sent another. Default: the built-in one. */
  readonly scheme?: Scheme | undefined
  /** Where the schemes that servers sent are kept (D23). Default: in memory, for the process. */
  readonly schemeStore?: SchemeStore | undefined
  /** How long TCP and TLS may take together, in milliseconds. Default 10,000. */
  readonly connectTimeout?: number | undefined
  /** Gives up connecting; a session that stands is not affected. */
  readonly signal?: AbortSignal | undefined
}

const processWideStore = new MemorySchemeStore()

/**
 * Connects to an ANYTLS server. The session may be used at once; whether the server accepts the
 * password shows in its `established` or `close` event, as the wire has no earlier answer.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID`, `ERR_CONNECT_FAILED`, `ERR_CONNECT_TIMEOUT` or
 *   `ERR_CERTIFICATE_PIN`, or with the signal's reason
 * @example
 * const session = await connect({ host: 'example.net', port: 443, password })
 * const stream = session.openStream()
 */
export async function connect(options: ConnectOptions): Promise<Session> {
  const { signal, clock = systemClock, schemeStore = processWideStore } = options
  const { connectTimeout = 10_000 } = options
  const server = formatHostPort(options)
  const scheme = schemeStore.get(server) ?? options.scheme ?? DEFAULT_SCHEME
  const config = parseSessionSettings(options, scheme)
  const pin = options.pin === undefined ? undefined : parsePin(options.pin)
  if (!(Number.isInteger(options.port) && options.port > 0 && options.port < 65_536)) {
    throw new AnyTlsError('ERR_OPTION_INVALID', 'the port is not a number from 1 to 65535')
  }
  if (!(connectTimeout > 0)) {
    throw new AnyTlsError('ERR_OPTION_INVALID', 'connectTimeout must be above 0 milliseconds')
  }
  signal?.throwIfAborted()

  const socket = tlsConnect(tlsOptions(options, pin !== undefined))
  // An error may come when one listener of ours has gone and the next is not there yet.
  socket.on('error', () => {})
  try {
    await secured(socket, server, { signal, clock, connectTimeout })
    if (pin !== undefined && fingerprint(socket) !== pin)
      throw new AnyTlsError('ERR_CERTIFICATE_PIN')
  } catch (error) {
    socket.destroy()
    throw error
  }
  socket.setNoDelay(true)
  const machine = new ClientMachine(config, clock.now())
  const { stallTimeout } = options
  const session = new Session({ duplex: socket, machine, clock, stallTimeout })
  session.on('scheme', (update) => schemeStore.set(server, update))
  return session
}

/**
 * Reads a certificate pin.
 *
 * @returns 64 hex digits, upper case
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parsePin(text: string): string {
  const digits = text.replaceAll(':', '').toUpperCase()
  if (!/^[0-9A-F]{64}$/.test(digits)) {
    throw new AnyTlsError('ERR_OPTION_INVALID', 'a certificate pin is a SHA-256 in 64 hex digits')
  }
  return digits
}

function tlsOptions(options: ConnectOptions, pinned: boolean): ConnectionOptions {
  const { host, port, ca, insecure = false, ALPNProtocols = ['h2', 'http/1.1'] } = options
  const servername = options.servername ?? (isIP(host) === 0 ? host : undefined)
  return {
    host,
    port,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [...ALPNProtocols],
    // A pin names the one certificate that is trusted; no authority has a say.
    rejectUnauthorized: !insecure && !pinned,
    ...(servername === undefined ? {} : { servername }),
    ...(ca === undefined ? {} : { ca: Array.isArray(ca) ? [...(ca as Buffer[])] : (ca as Buffer) }),
  }
}

interface Patience {
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
  readonly connectTimeout: number
}

function secured(
  socket: TLSSocket,
  server: string,
  { signal, clock, connectTimeout }: Patience,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = clock.schedule(connectTimeout, () => {
      settle(new AnyTlsError('ERR_CONNECT_TIMEOUT', `${server} did not answer in time`))
    })
    const onAbort = (): void => settle(signal?.reason as Error)
    const onSecure = (): void => settle(undefined)
    const onError = (cause: Error): void => {
      const message = `could not connect to ${server}: ${cause.message || 'no address answered'}`
      settle(new AnyTlsError('ERR_CONNECT_FAILED', message, { cause }))
    }
    const onClose = (): void => onError(new Error('the connection was closed'))
    const settle = (error: Error | undefined): void => {
      timer.cancel()
      signal?.removeEventListener('abort', onAbort)
      socket.off('secureConnect', onSecure).off('error', onError).off('close', onClose)
      if (error === undefined) resolve()
      else reject(error)
    }
    signal?.addEventListener('abort', onAbort)
    socket.once('secureConnect', onSecure).once('error', onError).once('close', onClose)
  })
}

function fingerprint(socket: TLSSocket): string | undefined {
  return socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '')
}
