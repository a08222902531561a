// The two state machines of a Mux.Pro main connection as tables: every state against every input. The
// machines move by these tables alone.
// Must never hold anything but data.
import { COMMON_INPUTS, ILLEGAL, makeRow, stay } from '../../engine/state-table.ts'
import type * as mux from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const FRAME_INPUTS = ['negotiate', 'new', 'keep', 'end', 'keep-alive', 'credit'] as const

/** What happens on this wire beside its frames. */
export const OTHER_INPUTS = ['nego-timeout', 'version-unsupported', ...COMMON_INPUTS] as const

export const INPUTS = [...FRAME_INPUTS, ...OTHER_INPUTS] as const
export type Input = (typeof INPUTS)[number]
export type FrameInput = (typeof FRAME_INPUTS)[number]

export type Row<State extends string> = mux.Row<State, Input>
export type Table<State extends string> = mux.Table<State, Input>

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

function row<State extends string>(
  otherwise: State | typeof ILLEGAL,
  moves: Partial<Record<Input, State | typeof ILLEGAL>>,
): Row<State> {
  return makeRow(INPUTS, otherwise, moves)
}

/** What ends a connection from any state. */
const ENDINGS = {
  'local-abort': 'closed',
  'end-of-input': 'closed',
  violation: 'closed',
} as const

/** Frames that either end may send once the version is settled. */
const EITHER = ['keep', 'end', 'keep-alive', 'credit'] as const

export const SERVER_TABLE: Table<ServerState> = {
  'await-version': row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    negotiate: 'open',
    'nego-timeout': 'closed',
    'local-close': 'closed',
  }),
  open: row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('open', [...EITHER, 'new']),
    'version-unsupported': 'closed',
    'local-close': 'draining',
    'idle-timeout': 'closed',
  }),
  draining: row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('draining', [...EITHER, 'new', 'local-close']),
    drained: 'closed',
    'idle-timeout': 'closed',
  }),
  closed: row<ServerState>('closed', {}),
}

export const CLIENT_TABLE: Table<ClientState> = {
  negotiating: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    negotiate: 'open',
    'nego-timeout': 'closed',
    'local-close': 'draining-early',
  }),
  'draining-early': row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    negotiate: 'draining',
    'nego-timeout': 'closed',
    'local-close': 'draining-early',
    drained: 'closed',
  }),
  open: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('open', EITHER),
    'version-unsupported': 'closed',
    'local-close': 'draining',
    'idle-timeout': 'closed',
  }),
  draining: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('draining', [...EITHER, 'local-close']),
    'version-unsupported': 'closed',
    drained: 'closed',
    'idle-timeout': 'closed',
  }),
  closed: row<ClientState>('closed', {}),
}
