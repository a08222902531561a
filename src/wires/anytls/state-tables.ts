// The two connection state machines, whose chapters the draft leaves empty, as tables: every state
// against every input. The machines move by these tables alone; spec-notes/state-machines.md is drawn
// from them.
// Must never hold anything but data.

import { COMMON_INPUTS, ILLEGAL, makeRow, stay } from '../../engine/state-table.ts'
import type * as mux from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const FRAME_INPUTS = [
  'auth',
  'alert',
  'close',
  'client-nego',
  'server-nego',
  'padding',
  'scheme-update',
  'pingpong',
  'stream-open',
  'stream',
  'stream-ack',
  'stream-credit',
  'stream-fin',
  'stream-reset',
  'goaway',
] as const

/** What happens on this wire beside its frames. */
export const OTHER_INPUTS = [
  'auth-mismatch',
  'auth-timeout',
  'nego-timeout',
  'version-unsupported',
  'flush',
  ...COMMON_INPUTS,
  'violation-handover',
] as const

export const INPUTS = [...FRAME_INPUTS, ...OTHER_INPUTS] as const
export type Input = (typeof INPUTS)[number]
export type FrameInput = (typeof FRAME_INPUTS)[number]

export type Row<State extends string> = mux.Row<State, Input>
export type Table<State extends string> = mux.Table<State, Input>

export const SERVER_STATES = [
  /** TLS is up; the first record decides (D14). */
  'await-auth',
  /** Authenticated; the client's NEGO must be the next frame. */
  'await-nego',
  'open',
  /** No new streams; those that stand run to their end. */
  'draining',
  'closed',
  /** The fallback or the application owns the socket now (D15 to D17). */
  'handed-over',
] as const
export type ServerState = (typeof SERVER_STATES)[number]

export const CLIENT_STATES = [
  /** AUTH and NEGO are held for the first stream (D25). */
  'initializing',
  /** Deliver 0 has left; streams may be used, the server's NEGO is awaited. */
  'negotiating',
  /** Told to close before the server's NEGO has arrived. */
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

/** What ends a connection from any state in which it is ours. */
const ENDINGS = {
  alert: 'closed',
  close: 'closed',
  'local-abort': 'closed',
  'idle-timeout': 'closed',
  'end-of-input': 'closed',
  violation: 'closed',
} as const

/** Frames that either end may send on an open connection (D9). */
const STREAM_FRAMES = ['stream', 'stream-credit', 'stream-fin', 'stream-reset'] as const

export const SERVER_TABLE: Table<ServerState> = {
  'await-auth': row<ServerState>(ILLEGAL, {
    auth: 'await-nego',
    'auth-mismatch': 'handed-over',
    'auth-timeout': 'handed-over',
    // The hash is right and the rest of AUTH is not: still no authentication.
    violation: 'handed-over',
    'local-close': 'closed',
    'local-abort': 'closed',
    'end-of-input': 'closed',
  }),
  'await-nego': row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    'client-nego': 'open',
    'local-close': 'closed',
    'violation-handover': 'handed-over',
  }),
  open: row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('open', [...STREAM_FRAMES, 'stream-open', 'padding', 'pingpong']),
    'local-close': 'draining',
    'version-unsupported': 'closed',
    'ping-timeout': 'closed',
    'violation-handover': 'handed-over',
  }),
  draining: row<ServerState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('draining', [...STREAM_FRAMES, 'stream-open', 'padding', 'pingpong', 'local-close']),
    drained: 'closed',
    'ping-timeout': 'closed',
    'violation-handover': 'handed-over',
  }),
  closed: row<ServerState>('closed', {}),
  'handed-over': row<ServerState>('handed-over', {}),
}

const FROM_SERVER = [
  ...STREAM_FRAMES,
  'stream-ack',
  'padding',
  'scheme-update',
  'pingpong',
] as const

export const CLIENT_TABLE: Table<ClientState> = {
  initializing: row<ClientState>(ILLEGAL, {
    // The server has nothing to say before AUTH: any frame of its is out of place.
    flush: 'negotiating',
    'local-close': 'closed',
    'local-abort': 'closed',
    'end-of-input': 'closed',
    violation: 'closed',
  }),
  negotiating: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    'server-nego': 'open',
    padding: 'negotiating',
    'nego-timeout': 'closed',
    'local-close': 'draining-early',
  }),
  'draining-early': row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('draining-early', ['padding', 'local-close']),
    'server-nego': 'draining',
    'nego-timeout': 'closed',
    drained: 'closed',
  }),
  open: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('open', FROM_SERVER),
    'local-close': 'draining',
    'version-unsupported': 'closed',
    goaway: 'draining',
    'ping-timeout': 'closed',
  }),
  draining: row<ClientState>(ILLEGAL, {
    ...ENDINGS,
    ...stay('draining', [...FROM_SERVER, 'goaway', 'local-close']),
    'version-unsupported': 'closed',
    drained: 'closed',
    'ping-timeout': 'closed',
  }),
  closed: row<ClientState>('closed', {}),
}
