// How many records of application data belong to TLS itself.
// Must never be more than a default: other implementations have other numbers.

/**
 * Records of application data that belong to TLS itself, by direction. TLS 1.3 encrypts most of its
 * handshake as application data, so only their place tells them.
 */
export interface HandshakeRecords {
  /** At the beginning of what the client sends. */
  readonly up: number
  /** From the server, once those of the client have passed. */
  readonly down: number
}

/** Of Node and OpenSSL: Finished, without a certificate of the client; two session tickets. */
export const DEFAULT_HANDSHAKE_RECORDS: HandshakeRecords = { up: 1, down: 2 }
