// The time limits that all wires have in common, and their defaults (D26).
// Must never hold one that only some wire knows.
import type { LivenessTimeouts } from './liveness.ts'
import type { StreamTimeouts } from './streams.ts'

/** In milliseconds. */
export const DEFAULT_COMMON_TIMEOUTS: LivenessTimeouts & StreamTimeouts = Object.freeze({
  connection: 60_000,
  keepalive: 15_000,
  ping: 30_000,
  stream: 3_600_000,
  streamOpen: 10_000,
  linger: 30_000,
})
