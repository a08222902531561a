// What both connection machines are told when they are made, and the defaults.
// Must never read the environment: everything comes in as an argument.
import { OPEN_WINDOW } from '../../engine/receive-window.ts'
import { DEFAULT_COMMON_TIMEOUTS } from '../../engine/timeouts.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import type { RandomInt } from '../../shaping/shaper.ts'

/** Time limits in milliseconds (D16, D25, D26). */
export interface Timeouts {
  /** Server: from the end of the TLS handshake to AUTH. */
  readonly auth: number
  /** Client: how long AUTH and NEGO wait for the first stream. */
  readonly hold: number
  /** Client: how long the server's NEGO may take once Deliver 0 has left. */
  readonly nego: number
  /** No frame either way: the connection ends. */
  readonly connection: number
  /** Streams are open and the peer is silent for a time drawn anew from half of this to all of it: a PINGPONG is sent. */
  readonly keepalive: number
  /** A PINGPONG is outstanding and the peer stays silent: the connection ends. */
  readonly ping: number
  /** No STREAM frame either way: the stream ends. */
  readonly stream: number
  /** Client: no answer to OPEN: that stream ends. */
  readonly streamOpen: number
  /** Client, peer without mux1: how long a stream whose writable side has ended still waits for an answer. */
  readonly linger: number
}

export const DEFAULT_TIMEOUTS: Timeouts = Object.freeze({
  ...DEFAULT_COMMON_TIMEOUTS,
  auth: 10_000,
  hold: 20,
  nego: 10_000,
  keepalive: 20_000,
})

/** Window of a stream under mux1 unless told otherwise, in bytes. */
export const DEFAULT_WINDOW = OPEN_WINDOW

/** Streams that one connection carries at once unless told otherwise. */
export const DEFAULT_MAX_STREAMS = 1_024

/** What a connection machine of either role needs. */
export interface ConnectionConfig {
  /** SHA-256 of the password, 32 bytes (D13). */
  readonly passwordHash: Uint8Array
  /** The padding scheme of this end. The client shapes with it; the server tells clients to use it. */
  readonly scheme: Scheme
  /** This implementation, `name/version`. */
  readonly name: string
  readonly randomInt: RandomInt
  readonly timeouts: Timeouts
  /** Window to offer for mux1, in bytes; narrowed at need if it is the default. `undefined`: the draft alone. */
  readonly mux1Window: number | undefined
  /** Most streams at once. */
  readonly maxStreams: number
}

/** What only a server is told. */
export interface ServerConfig extends ConnectionConfig {
  /** After a violation: say ALERT and close, or hand the connection to another owner (D17). */
  readonly onViolation: 'alert' | 'handover'
  /** The scheme to shape the server's direction with; `undefined` to leave it alone (D34). */
  readonly downlinkScheme: Scheme | undefined
}
