// What both connection machines of the original wire are told when they are made, and the defaults.
// Must never read the environment: everything comes in as an argument.
import { DEFAULT_COMMON_TIMEOUTS } from '../../engine/timeouts.ts'
import type { LivenessTimeouts, StreamTimeouts } from '../../engine/timeouts.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import type { RandomInt } from '../../shaping/shaper.ts'

/** Time limits in milliseconds (D16, D25, D26). */
export interface LegacyTimeouts extends LivenessTimeouts, StreamTimeouts {
  /** Server: from the end of the TLS handshake to the end of the authentication block. */
  readonly auth: number
  /** Client: how long what can wait for the first stream, or for a stream's first data, does. */
  readonly hold: number
  /** Client: how long the server's settings may take; later it is treated as one of version 1. */
  readonly answer: number
  /**
   * Server: how long the application may take to accept a stream before the machine does: clients built
   * on the reference end the whole connection when SYNACK takes 3 s.
   */
  readonly synack: number
  /**
   * Server: no frame either way on an authenticated connection without streams: it ends. Clients of this wire keep
   * connections for later and never ping (D52).
   */
  readonly legacyIdle: number
}

export const DEFAULT_LEGACY_TIMEOUTS: LegacyTimeouts = Object.freeze({
  ...DEFAULT_COMMON_TIMEOUTS,
  keepalive: 20_000,
  auth: 10_000,
  hold: 20,
  answer: 1_000,
  synack: 2_000,
  legacyIdle: 600_000,
})

/** What a connection machine of either role needs. */
export interface LegacyConfig {
  /** SHA-256 of the password, 32 bytes (D13). */
  readonly passwordHash: Uint8Array
  /** The padding scheme of this end. The client shapes with it; the server tells clients to use it. */
  readonly scheme: Scheme
  /** This implementation, `name/version`. */
  readonly name: string
  readonly randomInt: RandomInt
  readonly timeouts: LegacyTimeouts
  /** Most streams at once. */
  readonly maxStreams: number
}

/** What only a client is told. */
export interface LegacyClientConfig extends LegacyConfig {
  /** The version that the server is known to speak (D48): with 1 nobody waits for settings that will not come. */
  readonly knownVersion?: 1 | 2 | undefined
}

/** What only a server is told. */
export interface LegacyServerConfig extends LegacyConfig {
  /** After a violation: say alert and close, or hand the connection to another owner (D17). */
  readonly onViolation: 'alert' | 'handover'
  /** The scheme to shape the server's direction with; `undefined` to leave it alone (D34). */
  readonly downlinkScheme: Scheme | undefined
}
