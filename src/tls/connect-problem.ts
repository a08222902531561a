// Why no connection to a server came about, in words: what the system and OpenSSL call it says little to people.

/** What a cause is called, by its code. */
const WORDS: readonly (readonly [code: RegExp, words: string])[] = [
  [/^ECONNREFUSED$/, 'connection refused'],
  [/^(?:ENOTFOUND|ENODATA)$/, 'there is no such host'],
  [/^EAI_AGAIN$/, 'the host cannot be looked up now'],
  [/^(?:EHOSTUNREACH|EHOSTDOWN)$/, 'host unreachable'],
  [/^(?:ENETUNREACH|ENETDOWN|EADDRNOTAVAIL)$/, 'network unreachable'],
  [/^ETIMEDOUT$/, 'no answer'],
  [/^(?:ECONNRESET|EPIPE)$/, 'the connection was closed during the TLS handshake'],
  [
    /^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|BAD_RECORD_TYPE|UNEXPECTED_MESSAGE|HTTP_REQUEST)$/,
    'what answers there does not speak TLS',
  ],
  [
    /^ERR_SSL_(?:TLSV1_ALERT_PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL)$/,
    'the server does not speak TLS 1.3',
  ],
  [
    /^ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL$/,
    'the server speaks none of the application protocols that were offered (ALPN)',
  ],
  [/^ERR_SSL_TLSV1_(?:ALERT_)?UNRECOGNIZED_NAME$/, 'the server does not know the name (SNI)'],
  [/^CERT_HAS_EXPIRED$/, 'the certificate has expired'],
  [/^CERT_NOT_YET_VALID$/, 'the certificate is not valid yet (or the clock here is behind)'],
]

/** Codes of certificates that nobody who is trusted has signed. */
export const UNTRUSTED = /^(?:DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_\w+)$/

interface Cause {
  readonly code?: unknown
  readonly reason?: unknown
  readonly host?: unknown
  readonly cert?: { readonly subjectaltname?: unknown }
  readonly message?: unknown
}

/** One line for an error of a connection that was being made, without its end. */
export function connectProblem(error: Error): string {
  // Of several addresses the first speaks for all.
  const first = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  const { code, reason, cert, host, message } = (first ?? {}) as Cause
  if (typeof code === 'string') {
    if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
      return `the certificate is ${namesOf(cert)}, not for ${String(host)}`
    if (code.includes('SELF_SIGNED'))
      return 'the certificate is self-signed, and not one of those trusted here'
    if (UNTRUSTED.test(code)) return 'nobody who is trusted here has signed the certificate'
    const words = WORDS.find(([pattern]) => pattern.test(code))?.[1]
    if (words !== undefined) return words
    if (code.startsWith('ERR_SSL_') && typeof reason === 'string') return `TLS: ${reason}`
  }
  const [line = ''] = typeof message === 'string' ? message.split('\n', 1) : []
  return line === '' ? 'no address answered' : line
}

/** Most characters of a certificate's names that are shown. */
const SHOWN_NAMES = 120

function namesOf(cert: Cause['cert']): string {
  const names = cert?.subjectaltname
  if (typeof names !== 'string' || names === '') return 'for no name'
  const list = names.replaceAll(/\b(?:DNS|IP Address):/g, '')
  return `for ${list.length > SHOWN_NAMES ? `${list.slice(0, SHOWN_NAMES)}...` : list}`
}
