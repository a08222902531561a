// What a server is made with, and what it can be told anew: the options, checked.
import { invalidOption } from '../errors.ts'
import type { Fallback } from '../fallback/fallback.ts'
import { DEFAULT_SCHEME } from '../shaping/scheme.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { ServerConfig } from '../wires/anytls/config.ts'
import type { LegacyServerConfig } from '../wires/legacy/config.ts'
import type { ServerUsers } from './first-record.ts'
import { parseSessionSettings } from './session-options.ts'
import type { SessionSettings } from './session-options.ts'

/** Key, certificate and secrets of a server, and what it offers to whoever has none. */
export interface ServerOptions extends Omit<SessionSettings, 'password'> {
  /** The shared secret. Needed unless there are `users`; with both, who has it is no user. */
  readonly password?: string | undefined
  /** Who may log in with a password of their own: `session.user` is who has. */
  readonly users?: ServerUsers | undefined
  /** Private key, PEM. */
  readonly key: string | Buffer
  /** Certificate chain, PEM, the own one first. */
  readonly cert: string | Buffer
  /** The padding scheme that clients are told to use. Default: the built-in one. */
  readonly scheme?: Scheme | undefined
  /**
   * Who answers connections that are not ANYTLS. Default: the built-in web site. The server never closes
   * one that it was given: it may serve others.
   */
  readonly fallback?: Fallback | undefined
  /**
   * A client that breaks the protocol after authentication (D17): `alert` says so and closes (default),
   * `redirect` hands the connection to the fallback, `downgrade` to the `downgrade` event.
   */
  readonly onViolation?: 'alert' | 'redirect' | 'downgrade' | undefined
  /**
   * Shapes the server's direction as well (D34): with `true` by the scheme that clients use, else by one of
   * its own. Default false.
   */
  readonly shapeDownlink?: boolean | Scheme | undefined
  /** Serves clients of the original wire on the same port (D18). Default true. */
  readonly legacy?: boolean | undefined
  /**
   * Lets clients of the original wire in that speak TLS 1.2 alone (D53). ANYTLS v1 is spoken over TLS 1.3 alone. Default
   * false.
   */
  readonly legacyTls12?: boolean | undefined
  /**
   * Networks (`192.0.2.0/24`, or an address) of balancers in front: their connections must begin with a PROXY
   * protocol header, version 1 or 2, which says who the client is. Those of others have none. Default: nobody.
   */
  readonly acceptProxyProtocol?: readonly string[] | undefined
  /**
   * 48 bytes that session tickets are sealed with: servers that have the same resume each other's TLS sessions.
   * Default: random ones, kept when the certificate changes.
   */
  readonly ticketKeys?: Buffer | undefined
  /** Whether a stream is accepted once the `stream` listeners have run. Default true. */
  readonly autoAccept?: boolean | undefined
}

/** What a server that runs can be told anew; what is left out stays. */
export interface ServerUpdate {
  /** Sessions of the one before end. */
  readonly password?: string
  /** What clients are told from now on. */
  readonly scheme?: Scheme
  /** For connections from now on. */
  readonly shapeDownlink?: boolean | Scheme
}

const VIOLATION_ANSWERS: ReadonlySet<string> = new Set(['alert', 'redirect', 'downgrade'])

/** What Node takes: a name, a key for the digest and one for the cipher, 16 bytes each. */
export const TICKET_KEYS_LENGTH = 48

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function parseConfig(options: ServerOptions): ServerConfig & LegacyServerConfig {
  const { scheme = DEFAULT_SCHEME, onViolation = 'alert', shapeDownlink = false } = options
  if (!VIOLATION_ANSWERS.has(onViolation)) {
    throw invalidOption('onViolation must be alert, redirect or downgrade')
  }
  return {
    ...parseSessionSettings({ ...options, password: passwordOf(options) }, scheme),
    onViolation: onViolation === 'alert' ? 'alert' : 'handover',
    downlinkScheme: shapeDownlink === true ? scheme : shapeDownlink || undefined,
  }
}

let nobodysPassword: string | undefined

/** Who has users needs no password: then nobody has it. */
function passwordOf({ password, users }: ServerOptions): string {
  if (users === undefined || password !== undefined) return password ?? ''
  const { randomBytes } = process.getBuiltinModule('node:crypto')
  return (nobodysPassword ??= randomBytes(32).toString('base64'))
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function checkTicketKeys(keys: Buffer): Buffer {
  if (keys.length === TICKET_KEYS_LENGTH) return keys
  throw invalidOption(`ticketKeys must be ${TICKET_KEYS_LENGTH} bytes`)
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` for what TLS cannot be spoken with */
export function requireCertificate(key: string | Buffer, cert: string | Buffer): void {
  try {
    process.getBuiltinModule('node:tls').createSecureContext({ key, cert })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw invalidOption(`the key and the certificate cannot be used: ${reason}`, { cause })
  }
}
