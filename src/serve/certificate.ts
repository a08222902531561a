// The certificate of the server: the user's own, or a self-signed one that is made once and kept.
// Must never replace a certificate that is there: clients have pinned it.

import { createPrivateKey, X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import { AnyTlsError } from '../errors.ts'
import {
  createPrivateFile,
  fileError,
  readTextFile,
  readTextFileIfThere,
  systemCode,
  writePrivateFile,
} from './files.ts'
import { makeSelfSigned } from './self-signed.ts'
import type { KeyAndCertificate } from './self-signed.ts'

/** The certificate alone, in the state folder: for clients and other programs, which must not get the key. */
const CERTIFICATE_FILE = 'certificate.pem'

/** What a server needs for TLS and for its share link. */
export interface ServerCertificate extends KeyAndCertificate {
  /** SHA-256 of the DER certificate, 64 lower-case hexadecimal digits. */
  readonly fingerprint: string
  /** Nobody but itself vouches for it, so a client has to pin it. */
  readonly selfSigned: boolean
}

/**
 * The certificate that the user names with `--cert` and `--key`.
 *
 * @throws AnyTlsError `ERR_FILE` when a file cannot be read, or the two do not fit together
 */
export function readCertificate(certFile: string, keyFile: string): ServerCertificate {
  const cert = readTextFile(certFile, 'certificate file')
  const key = readTextFile(keyFile, 'key file')
  return checkCertificate({ cert, key }, `certificate file '${certFile}'`, `key file '${keyFile}'`)
}

/**
 * The self-signed certificate of the state folder, made when there is none, for `localhost` and
 * `hosts`. Certificate and key stand in one file (mode 0600), so that they cannot come apart; the certificate alone
 * stands beside it, to be handed on.
 *
 * @throws AnyTlsError `ERR_FILE` when the file is damaged or cannot be read or written
 */
export async function keptCertificate(
  folder: string,
  hosts: readonly string[],
): Promise<ServerCertificate> {
  const file = join(folder, 'server.pem')
  const certificate = readKept(file) ?? (await makeKept(file, hosts))
  putAlone(join(folder, CERTIFICATE_FILE), certificate)
  return certificate
}

/** What {@link keptCertificate} has put there to be handed on, PEM; `undefined` when there is none. */
export function readHandedOn(folder: string): string | undefined {
  return readTextFileIfThere(join(folder, CERTIFICATE_FILE), 'certificate file')
}

async function makeKept(file: string, hosts: readonly string[]): Promise<ServerCertificate> {
  const made = await makeSelfSigned(hosts)
  try {
    createPrivateFile(file, made.cert + made.key)
  } catch (error) {
    // Another server that starts now was quicker: its certificate is the one.
    const others = isThere(error) ? readKept(file) : undefined
    if (others === undefined) throw withAdvice(error)
    return others
  }
  return checkCertificate(made, file, file)
}

function withAdvice(error: unknown): unknown {
  if (!(error instanceof AnyTlsError)) return error
  const { code, message, cause } = error
  return new AnyTlsError(code, `${message}; --state-dir names another folder`, { cause })
}

/** A folder that cannot be written to any more still serves. */
function putAlone(file: string, { cert }: ServerCertificate): void {
  try {
    if (readTextFileIfThere(file, 'certificate file') !== cert) writePrivateFile(file, cert)
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
  }
}

function isThere(error: unknown): boolean {
  return error instanceof AnyTlsError && systemCode(error.cause) === 'EEXIST'
}

/**
 * A certificate with its key in one file; `undefined` when there is none.
 *
 * @throws AnyTlsError `ERR_FILE` when the file cannot be read or is damaged
 */
export function readJoined(file: string): ServerCertificate | undefined {
  const kept = readTextFileIfThere(file, 'certificate file')
  const what = `certificate file '${file}'`
  return kept === undefined ? undefined : checkCertificate(splitPem(kept), what, what)
}

function readKept(file: string): ServerCertificate | undefined {
  try {
    return readJoined(file)
  } catch (cause) {
    const problem = cause instanceof Error ? cause.message : file
    throw fileError(
      `${problem}; delete it to get a new one (share links that pin the old one end with it)`,
      cause,
    )
  }
}

function splitPem(text: string): KeyAndCertificate {
  const blocks = text.match(/-----BEGIN ([A-Z ]+)-----[^-]*-----END \1-----\n?/g) ?? []
  return {
    cert: blocks.filter((block) => block.startsWith('-----BEGIN CERTIFICATE')).join(''),
    key: blocks.find((block) => block.includes('PRIVATE KEY')) ?? '',
  }
}

function checkCertificate(
  { cert, key }: KeyAndCertificate,
  certName: string,
  keyName: string,
): ServerCertificate {
  // The reason stays away: OpenSSL's texts say nothing to the user (`error:0480006C:PEM routines`).
  const certificate = orUnusable(`${certName} holds no usable certificate`, () => {
    return new X509Certificate(cert)
  })
  const privateKey = orUnusable(`${keyName} holds no usable private key`, () => {
    return createPrivateKey(key)
  })
  if (!certificate.checkPrivateKey(privateKey)) {
    throw fileError(`the key of ${keyName} is not that of ${certName}`)
  }
  if (Date.parse(certificate.validTo) < Date.now()) {
    throw fileError(`${certName} has expired (${certificate.validTo})`)
  }
  return {
    cert,
    key,
    fingerprint: certificate.fingerprint256.replaceAll(':', '').toLowerCase(),
    selfSigned: certificate.checkIssued(certificate),
  }
}

function orUnusable<T>(message: string, make: () => T): T {
  try {
    return make()
  } catch (cause) {
    throw fileError(message, cause)
  }
}
