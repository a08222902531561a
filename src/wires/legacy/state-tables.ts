// The two connection state machines of the original wire as tables: every state against every input. The
// machines move by these tables alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable, stay } from '../../engine/state-table.ts'

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

/** Frames, and what happens beside them. */
export const INPUTS = [
  ...FRAME_INPUTS,
  'auth-mismatch',
  'auth-timeout',
  'flush',
  ...COMMON_INPUTS,
  'violation-handover',
] as const
export type Input = (typeof INPUTS)[number]

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

export const SERVER_TABLE = makeTable(INPUTS, ['closed', 'handed-over'], {
  own: {
    /** TLS is up; the first record decides (D14). */
    'await-auth': {
      auth: 'await-settings',
      'auth-mismatch': 'handed-over',
      'auth-timeout': 'handed-over',
      'local-close': 'closed',
    },
    /** Authenticated; all but SYN may come before the client's settings: the reference is as patient. */
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

export const CLIENT_TABLE = makeTable(INPUTS, ['closed'], {
  own: {
    /**
     * The authentication block is held for the first stream (D25). The server has nothing to say before: any frame is out
     * of place.
     */
    initializing: { flush: 'unconfirmed', 'local-close': 'closed', violation: 'closed' },
    /**
     * The block has left; nothing has come yet that only a server of this wire would say. An answer of something else is
     * most likely an unknown command: here that is no frame of the future.
     */
    unconfirmed: {
      ...ENDINGS,
      ...stay('open', CONFIRMING),
      ...stay('unconfirmed', ['waste', 'update-scheme']),
      violation: 'closed',
      'local-close': 'draining-early',
    },
    /** Told to close before that. */
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
