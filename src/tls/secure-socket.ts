// The client's way to a server: TCP, TLS 1.3, the server's certificate.
import type { ConnectionOptions, TLSSocket } from 'node:tls'
import { AnyTlsError, invalidOption } from '../errors.ts'
import type { Clock } from '../session/clock.ts'
import { LentReads } from '../session/lent-reads.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { connectProblem } from './connect-problem.ts'

/** Which server, and how it is known to be the right one. */
export interface ServerIdentity {
  /** Name or IP address of the server. */
  readonly host: string
  /** 1 to 65,535. */
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
}

/** How long to try. */
export interface Patience {
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
  /** How long TCP and TLS may take together, in milliseconds. */
  readonly connectTimeout: number
}

/**
 * Connects to a server. What is read goes to whoever calls `takeReads`, and is in no `data` event.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID`, `ERR_CONNECT_FAILED`, `ERR_CONNECT_TIMEOUT` or
 *   `ERR_CERTIFICATE_PIN`, or with the signal's reason
 */
export async function connectSecurely(
  server: ServerIdentity,
  patience: Patience,
): Promise<TLSSocket> {
  const pin = server.pin === undefined ? undefined : parsePin(server.pin)
  if (!(Number.isInteger(server.port) && server.port > 0 && server.port < 65_536)) {
    throw invalidOption('the port is not a number from 1 to 65535')
  }
  if (!(patience.connectTimeout > 0)) {
    throw invalidOption('connectTimeout must be above 0 milliseconds')
  }
  patience.signal?.throwIfAborted()

  const reads = new LentReads('tls')
  const options = { ...tlsOptions(server, pin !== undefined), onread: reads.onread }
  const socket = reads.of(process.getBuiltinModule('node:tls').connect(options))
  // An error may come when one listener of ours has gone and the next is not there yet.
  socket.on('error', () => {})
  try {
    await secured(socket, formatHostPort(server), patience)
    if (pin !== undefined && fingerprint(socket) !== pin)
      throw new AnyTlsError('ERR_CERTIFICATE_PIN')
  } catch (error) {
    socket.destroy()
    throw error
  }
  socket.setNoDelay(true)
  return socket
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
    throw invalidOption('a certificate pin is a SHA-256 in 64 hex digits')
  }
  return digits
}

function tlsOptions(server: ServerIdentity, pinned: boolean): ConnectionOptions {
  const { host, port, ca, insecure = false, ALPNProtocols = ['h2', 'http/1.1'] } = server
  const servername =
    server.servername ?? (process.getBuiltinModule('node:net').isIP(host) === 0 ? host : undefined)
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
      const message = `could not connect to ${server}: ${connectProblem(cause)}`
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
