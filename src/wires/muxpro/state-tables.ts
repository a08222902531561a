// The two state machines of a Mux.Pro main connection as tables: every state against every input. The
// machines move by these tables alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable } from '../../engine/state-table.ts'
import type * as engine from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const FRAME_INPUTS = ['negotiate', 'new', 'keep', 'end', 'keep-alive', 'credit'] as const

/** What happens on this wire beside its frames. */
const OTHER_INPUTS = ['nego-timeout', 'version-unsupported', ...COMMON_INPUTS] as const

export const INPUTS = [...FRAME_INPUTS, ...OTHER_INPUTS] as const
export type Input = (typeof INPUTS)[number]
export type FrameInput = (typeof FRAME_INPUTS)[number]

export type Row<State extends string> = engine.Row<State, Input>
export type Table<State extends string> = engine.Table<State, Input>

export const SERVER_STATES = [
  /** The client's NegotiateVersion must be the first frame. */
  'await-version',
  'open',
  /** No new sub-connections; those that stand run to their end. */
  'draining',
  'closed',
] as const
export type ServerState = (typeof SERVER_STATES)[number]

export const CLIENT_STATES = [
  /** NegotiateVersion has left; nothing else may before the answer (section 5.1). */
  'negotiating',
  /** Told to close before the answer has arrived. */
  'draining-early',
  'open',
  'draining',
  'closed',
] as const
export type ClientState = (typeof CLIENT_STATES)[number]

/** Frames that either end may send once the version is settled. */
const EITHER = ['keep', 'end', 'keep-alive', 'credit'] as const

const RUNNING = { violation: 'closed', 'idle-timeout': 'closed' } as const

export const SERVER_TABLE: Table<ServerState> = makeTable<ServerState, Input>(SERVER_STATES, {
  inputs: INPUTS,
  before: {
    'await-version': {
      negotiate: 'open',
      'nego-timeout': 'closed',
      'local-close': 'closed',
      violation: 'closed',
    },
  },
  frames: [...EITHER, 'new'],
  running: RUNNING,
  open: { 'version-unsupported': 'closed' },
})

export const CLIENT_TABLE: Table<ClientState> = makeTable<ClientState, Input>(CLIENT_STATES, {
  inputs: INPUTS,
  before: {
    negotiating: {
      negotiate: 'open',
      'nego-timeout': 'closed',
      'local-close': 'draining-early',
      violation: 'closed',
    },
    'draining-early': {
      negotiate: 'draining',
      'nego-timeout': 'closed',
      'local-close': 'draining-early',
      drained: 'closed',
      violation: 'closed',
    },
  },
  frames: EITHER,
  running: { ...RUNNING, 'version-unsupported': 'closed' },
})
