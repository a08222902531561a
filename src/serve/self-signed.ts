// Makes a self-signed certificate that looks like the ones web servers are installed with.
// Must never put anything into it that says what the server is.

import { KeyObject, webcrypto } from 'node:crypto'
import { isIP } from 'node:net'
import type * as X509 from '@peculiar/x509'

/** A private key and its certificate, both PEM. */
export interface KeyAndCertificate {
  readonly key: string
  readonly cert: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const DAY = 24 * 60 * 60 * 1000
/** Ten years, as the certificates have that Debian and others make at installation. In ms. */
const LIFETIME = 3650 * DAY

/**
 * A new P-256 key and a certificate for `localhost` and `hosts` (names or IP addresses), valid for
 * ten years from a day before `now` (ms since the epoch), for clocks that are behind.
 */
export async function makeSelfSigned(
  hosts: readonly string[],
  now: number = Date.now(),
): Promise<KeyAndCertificate> {
  const x509 = await importX509()
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const names = [...new Set(['localhost', ...hosts])]
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=localhost',
    notBefore: new Date(now - DAY),
    notAfter: new Date(now - DAY + LIFETIME),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [
      new x509.BasicConstraintsExtension(false),
      new x509.SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' })
  return { key: key.toString(), cert: `${certificate.toString('pem')}\n` }
}

/** Loaded only here, for it is slow to load and seldom needed; it will not load without its polyfill. */
async function importX509(): Promise<typeof X509> {
  await import('reflect-metadata')
  return import('@peculiar/x509')
}
