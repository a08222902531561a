// Where a running server is, for its share links.
// Must never claim that a certificate is trusted which nobody vouches for: that one is pinned.

import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Address } from '../codec/address.ts'
import type { ServerCertificate } from '../serve/certificate.ts'
import type { ServerEndpoint } from '../serve/users/store.ts'

/**
 * What links to a server that listens on `address` say.
 *
 * @param known where clients reach it, if that was said; port 0 for the one that it listens on
 */
export function endpointOfServer(
  address: Address,
  certificate: ServerCertificate,
  known?: Address,
): ServerEndpoint {
  const host = known?.host ?? reachableHost(address.host)
  const { selfSigned, fingerprint } = certificate
  return {
    host,
    port: known?.port || address.port,
    sni: selfSigned ? undefined : nameOf(certificate, host),
    pin: selfSigned ? fingerprint : undefined,
  }
}

/** For all addresses of this machine the first one that others can use, IPv4 before IPv6. */
function reachableHost(host: string): string {
  if (host !== '0.0.0.0' && host !== '::') return host
  const addresses = Object.values(networkInterfaces())
    .flatMap((ones) => ones ?? [])
    .filter(({ internal, address }) => !internal && !address.startsWith('fe80:'))
  const found =
    addresses.find(({ family }) => family === 'IPv4') ?? (host === '::' ? addresses[0] : undefined)
  return found?.address ?? 'localhost'
}

/** A name to ask for, when the certificate does not cover `host` itself. */
function nameOf({ cert }: ServerCertificate, host: string): string | undefined {
  const certificate = new X509Certificate(cert)
  const covered = isIP(host) === 0 ? certificate.checkHost(host) : certificate.checkIP(host)
  if (covered !== undefined) return undefined
  return /(?:^|, )DNS:([\w.-]+)/.exec(certificate.subjectAltName ?? '')?.[1]
}
