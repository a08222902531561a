// Throw-away certificates for tests with real TLS on loopback.
import { makeSelfSigned } from '../../src/serve/self-signed.ts'

/** A private key and its self-signed certificate, both PEM. */
export interface TestCertificate {
  readonly key: string
  readonly cert: string
}

/** A new EC P-256 key and a certificate for `localhost`, `127.0.0.1` and `::1`, usable as its own `ca`. */
export function makeTestCertificate(): Promise<TestCertificate> {
  return makeSelfSigned(['127.0.0.1', '::1'])
}
