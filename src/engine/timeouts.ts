// The time limits that all wires have in common, and their defaults (D26).

/** Time limits of a connection in milliseconds. */
export interface LivenessTimeouts {
  /** No frame either way: the connection ends. */
  readonly connection: number
  /** The peer is silent for that long at most (some wires draw how long): a ping is due. */
  readonly keepalive: number
  /** A ping is outstanding and the peer stays silent: the connection ends. */
  readonly ping: number
}

/** Time limits of a stream in milliseconds. */
export interface StreamTimeouts {
  /** No frame of the stream either way: it ends. */
  readonly stream: number
  /** No answer to the opening of a stream: it ends. */
  readonly streamOpen: number
  /** Without half-close: how long a stream whose writable side has ended still waits for an answer. */
  readonly linger: number
}

export const DEFAULT_COMMON_TIMEOUTS: LivenessTimeouts & StreamTimeouts = Object.freeze({
  connection: 60_000,
  keepalive: 15_000,
  ping: 30_000,
  stream: 3_600_000,
  streamOpen: 10_000,
  linger: 10_000,
})
