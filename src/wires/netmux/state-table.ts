// The connection state machine of net-mux as a table, one for both roles: either end may open streams,
// and nothing is negotiated. The machine moves by this table alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable } from '../../engine/state-table.ts'
import type { CommonInput, Table } from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const NETMUX_FRAME_INPUTS = [
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
type NetMuxFrameInput = (typeof NETMUX_FRAME_INPUTS)[number]

export const NETMUX_INPUTS = [...NETMUX_FRAME_INPUTS, ...COMMON_INPUTS] as const
export type NetMuxInput = NetMuxFrameInput | CommonInput

export const NETMUX_STATES = [
  'open',
  /** No new streams, by either end's wish; those that stand run to their end. */
  'draining',
  'closed',
] as const
export type NetMuxState = (typeof NETMUX_STATES)[number]

export const NETMUX_TABLE: Table<NetMuxState, NetMuxInput> = makeTable<NetMuxState, NetMuxInput>(
  NETMUX_STATES,
  {
    inputs: NETMUX_INPUTS,
    before: {},
    frames: ['stream-open', 'data', 'window-update', 'ping'],
    running: {
      'goaway-error': 'closed',
      'ping-timeout': 'closed',
      violation: 'closed',
      goaway: 'draining',
    },
  },
)
