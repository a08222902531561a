// The two connection state machines of the original wire as tables: every state against every input. The
// machines move by these tables alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable, stay } from '../../engine/state-table.ts'
import type * as engine from '../../engine/state-table.ts'

/** The decoded frames. */
export const FRAME_INPUTS = [
  'auth',
  'waste',
  'syn',
  'push',
  'fin',
  'settings',
  'alert',
  'update-scheme',
  'synack',
  'heartbeat-request',
  'heartbeat-response',
  'server-settings',
  'unknown',
] as const

/** What happens beside frames: decisions, calls of the application, the clock, the end of input. */
export const OTHER_INPUTS = [
  'auth-mismatch',
  'auth-timeout',
  'flush',
  ...COMMON_INPUTS,
  'violation-handover',
] as const

export const INPUTS = [...FRAME_INPUTS, ...OTHER_INPUTS] as const
export type Input = (typeof INPUTS)[number]
export type FrameInput = (typeof FRAME_INPUTS)[number]

export type Row<State extends string> = engine.Row<State, Input>
export type Table<State extends string> = engine.Table<State, Input>

export const SERVER_STATES = [
  /** TLS is up; the first record decides (D14). */
  'await-auth',
  /** Authenticated; no stream may be opened before the client's settings. */
  'await-settings',
  'open',
  /** No new streams; those that stand run to their end. */
  'draining',
  'closed',
  /** The fallback or the application owns the socket now (D15 to D17). */
  'handed-over',
] as const
export type ServerState = (typeof SERVER_STATES)[number]

export const CLIENT_STATES = [
  /** The authentication block is held for the first stream (D25). */
  'initializing',
  /** It has left; nothing has come yet that only a server of this wire would say. */
  'unconfirmed',
  /** Told to close before that. */
  'draining-early',
  'open',
  'draining',
  'closed',
] as const
export type ClientState = (typeof CLIENT_STATES)[number]

/** What ends a connection from any state in which it is ours, beside what does on every wire. */
const ENDINGS = { alert: 'closed', 'idle-timeout': 'closed' } as const

/** What the reference passes over: frames that only the other end has a use for, and unknown ones. */
const SKIPPED_BY_SERVER = [
  'waste',
  'update-scheme',
  'synack',
  'server-settings',
  'unknown',
] as const
const SKIPPED_BY_CLIENT = ['waste', 'syn', 'settings', 'unknown'] as const

const FROM_CLIENT = [
  ...SKIPPED_BY_SERVER,
  'push',
  'fin',
  'settings',
  'heartbeat-request',
  'heartbeat-response',
] as const

export const SERVER_TABLE: Table<ServerState> = makeTable<ServerState, Input>(SERVER_STATES, {
  inputs: INPUTS,
  before: {
    'await-auth': {
      auth: 'await-settings',
      'auth-mismatch': 'handed-over',
      'auth-timeout': 'handed-over',
      'local-close': 'closed',
    },
    // All but SYN: the reference is as patient.
    'await-settings': {
      ...ENDINGS,
      ...stay('await-settings', FROM_CLIENT),
      settings: 'open',
      'local-close': 'closed',
      violation: 'closed',
      'violation-handover': 'handed-over',
    },
  },
  frames: [...FROM_CLIENT, 'syn'],
  running: {
    ...ENDINGS,
    'ping-timeout': 'closed',
    violation: 'closed',
    'violation-handover': 'handed-over',
  },
})

/** What shows that the other end is a server of this wire. */
const CONFIRMING = [
  'push',
  'fin',
  'synack',
  'heartbeat-request',
  'heartbeat-response',
  'server-settings',
] as const

const FROM_SERVER = [...CONFIRMING, ...SKIPPED_BY_CLIENT, 'update-scheme'] as const

export const CLIENT_TABLE: Table<ClientState> = makeTable<ClientState, Input>(CLIENT_STATES, {
  inputs: INPUTS,
  before: {
    // The server has nothing to say before the authentication block: any frame is out of place.
    initializing: { flush: 'unconfirmed', 'local-close': 'closed', violation: 'closed' },
    // An answer of something else is most likely an unknown command: here that is no frame of the future.
    unconfirmed: {
      ...ENDINGS,
      ...stay('open', CONFIRMING),
      ...stay('unconfirmed', ['waste', 'update-scheme']),
      violation: 'closed',
      'local-close': 'draining-early',
    },
    'draining-early': {
      ...ENDINGS,
      ...stay('draining', CONFIRMING),
      ...stay('draining-early', ['waste', 'update-scheme', 'local-close']),
      violation: 'closed',
      drained: 'closed',
    },
  },
  frames: FROM_SERVER,
  running: { ...ENDINGS, 'ping-timeout': 'closed' },
})
