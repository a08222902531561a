// Why the client cannot use a server, in one line that names the option that would help.

import { AnyTlsError } from '../errors.ts'
import { UNTRUSTED } from '../tls/connect-problem.ts'
import { describeError, innermost } from './failure.ts'

/** What can be done about it, by the system's or OpenSSL's code of the cause. */
const ADVICE: readonly (readonly [code: RegExp, advice: string])[] = [
  [
    UNTRUSTED,
    'the share link that the server prints pins it, as --pin does; --ca names a file with who signed it',
  ],
  [
    /^ERR_TLS_CERT_ALTNAME_INVALID$/,
    '--sni asks for another name; --pin trusts it whatever its names',
  ],
  [/^CERT_(?:HAS_EXPIRED|NOT_YET_VALID)$/, '--pin trusts it all the same'],
  [/^ERR_SSL_(?:WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG)$/, 'look at the port of -s'],
  [/^ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL$/, 'the share link says which to offer (alpn=)'],
]

/** One line for what a server failed with. */
export function serverTrouble(error: unknown): string {
  const advice = adviceFor(error)
  const problem = describeError(error)
  return advice === undefined ? problem : `${problem}; ${advice}`
}

function adviceFor(error: unknown): string | undefined {
  if (!(error instanceof AnyTlsError)) return undefined
  switch (error.code) {
    case 'ERR_AUTH_REJECTED':
      return 'compare the password with that of the server, or its share link'
    case 'ERR_CERTIFICATE_PIN':
      return 'the server has another one than --pin, or hpkp in the share link, names: ask for its link again'
    case 'ERR_CONNECT_FAILED': {
      const { code } = (innermost(error.cause) ?? {}) as { readonly code?: unknown }
      return typeof code === 'string'
        ? ADVICE.find(([pattern]) => pattern.test(code))?.[1]
        : undefined
    }
    default:
      return undefined
  }
}
