// A share link as other programs want to be told: an outbound of sing-box, a proxy of mihomo.
// Must never leave a pin out silently: without it those programs would accept no, or any, certificate.
import { createHash, X509Certificate } from 'node:crypto'
import { invalidOption } from '../errors.ts'
import { formatShareLink } from './share-link.ts'
import type { ShareLink } from './share-link.ts'

/** What `--format` takes. */
export const LINK_FORMATS = ['uri', 'sing-box', 'mihomo'] as const
export type LinkFormat = (typeof LINK_FORMATS)[number]

const DEFAULT_NAME = 'anytls'

/**
 * The link in the form of a program.
 *
 * @param certificate of the server, PEM, where it is at hand
 * @throws AnyTlsError `ERR_OPTION_INVALID` where the form needs a certificate that is not at hand
 */
export function formatLink(link: ShareLink, format: LinkFormat, certificate?: string): string {
  switch (format) {
    case 'uri':
      return formatShareLink(link)
    case 'sing-box':
      return JSON.stringify(singBoxOutbound(link, certificate), null, 2)
    case 'mihomo':
      return mihomoProxy(link)
  }
}

/** SHA-256 of a certificate, 64 lower-case hexadecimal digits. */
export function certificatePin(certificate: string): string {
  return new X509Certificate(certificate).fingerprint256.replaceAll(':', '').toLowerCase()
}

/**
 * sing-box knows the key, not the certificate, by its SHA-256 (`certificate_public_key_sha256`, since 1.13).
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` for a pin without the certificate
 */
export function singBoxOutbound(link: ShareLink, certificate: string | undefined): object {
  const { name = DEFAULT_NAME, host, port, password, sni, insecure, pin, alpn } = link
  if (pin !== undefined && certificate === undefined) {
    const problem =
      'sing-box pins the public key: give the certificate of the server with --cert FILE'
    throw invalidOption(problem)
  }
  const tls = {
    enabled: true,
    ...(sni !== undefined && { server_name: sni }),
    ...(insecure && { insecure }),
    ...(pin !== undefined && { certificate_public_key_sha256: [publicKeyPin(certificate ?? '')] }),
    ...(alpn !== undefined && { alpn }),
  }
  return { type: 'anytls', tag: name, server: host, server_port: port, password, tls }
}

function publicKeyPin(certificate: string): string {
  const key = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  return createHash('sha256').update(key).digest('base64')
}

/** `proxies` with one element. Strings of JSON are strings of YAML. */
export function mihomoProxy(link: ShareLink): string {
  const { name = DEFAULT_NAME, host, port, password, sni, insecure, pin, alpn } = link
  const fields: readonly (readonly [string, unknown])[] = [
    ['name', name],
    ['type', 'anytls'],
    ['server', host],
    ['port', port],
    ['password', password],
    ['udp', true],
    ['sni', sni],
    ['fingerprint', pin],
    ['skip-cert-verify', insecure || undefined],
    ['alpn', alpn],
  ]
  const lines = fields
    .filter(([, value]) => value !== undefined)
    .map(([key, value]) => `${key}: ${JSON.stringify(value)}`)
  return `proxies:\n  - ${lines.join('\n    ')}`
}
