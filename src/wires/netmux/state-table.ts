// The connection state machine of net-mux as a table, one for both roles: either end may open streams,
// and nothing is negotiated. The machine moves by this table alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable } from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const FRAME_INPUTS = [
  /** Data with SYN. */
  'stream-open',
  'data',
  'window-update',
  'ping',
  /** GoAway with code 0. */
  'goaway',
  /** GoAway with any other code. */
  'goaway-error',
] as const

export const INPUTS = [...FRAME_INPUTS, ...COMMON_INPUTS] as const
export type Input = (typeof INPUTS)[number]

export const TABLE = makeTable(INPUTS, ['closed'], {
  own: {},
  frames: ['stream-open', 'data', 'window-update', 'ping'],
  running: {
    'goaway-error': 'closed',
    'ping-timeout': 'closed',
    violation: 'closed',
    // By either end's wish there are no new streams.
    goaway: 'draining',
  },
})
