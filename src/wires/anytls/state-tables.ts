// The two connection state machines, whose chapters the draft leaves empty, as tables: every state
// against every input. The machines move by these tables alone; spec-notes/state-machines.md is drawn
// from them.
// Must never hold anything but data.

import { COMMON_INPUTS, makeTable, stay } from '../../engine/state-table.ts'

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
  'stream-hold',
  'stream-fin',
  'stream-reset',
  'goaway',
] as const

/** Frames, and what happens beside them. */
export const INPUTS = [
  ...FRAME_INPUTS,
  'auth-mismatch',
  'auth-timeout',
  'nego-timeout',
  'version-unsupported',
  'goaway-done',
  'flush',
  ...COMMON_INPUTS,
  'violation-handover',
] as const
export type Input = (typeof INPUTS)[number]

/** What ends a connection from any state in which it is ours, beside what does on every wire. */
const ENDINGS = {
  alert: 'closed',
  close: 'closed',
  'idle-timeout': 'closed',
  violation: 'closed',
} as const

/** Frames that either end may send on an open connection (D9). */
const STREAM_FRAMES = [
  'stream',
  'stream-credit',
  'stream-hold',
  'stream-fin',
  'stream-reset',
] as const

const SERVER_FRAMES = [...STREAM_FRAMES, 'stream-open', 'padding', 'pingpong'] as const
const SERVER_RUNNING = {
  ...ENDINGS,
  'ping-timeout': 'closed',
  'violation-handover': 'handed-over',
} as const

export const SERVER_TABLE = makeTable(INPUTS, ['closed', 'handed-over'], {
  own: {
    /** TLS is up; the first record decides (D14). */
    'await-auth': {
      auth: 'await-nego',
      'auth-mismatch': 'handed-over',
      'auth-timeout': 'handed-over',
      // The hash is right and the rest of AUTH is not: still no authentication.
      violation: 'handed-over',
      'local-close': 'closed',
    },
    /** Authenticated; the client's NEGO must be the next frame. */
    'await-nego': {
      ...ENDINGS,
      'client-nego': 'open',
      'local-close': 'closed',
      'violation-handover': 'handed-over',
    },
    /** GOAWAY is said; what the client opened before it heard of it is still served. */
    'going-away': {
      ...SERVER_RUNNING,
      ...stay('going-away', [...SERVER_FRAMES, 'local-close']),
      goaway: 'draining',
      'goaway-done': 'draining',
    },
  },
  frames: SERVER_FRAMES,
  running: SERVER_RUNNING,
  open: { 'version-unsupported': 'closed', 'local-close': 'going-away' },
  // The answer may come when it is no longer waited for.
  draining: { goaway: 'draining' },
})

export const CLIENT_TABLE = makeTable(INPUTS, ['closed'], {
  own: {
    /**
     * AUTH and NEGO are held for the first stream (D25). The server has nothing to say before: any frame of its is out of
     * place.
     */
    initializing: { flush: 'negotiating', 'local-close': 'closed', violation: 'closed' },
    /** Deliver 0 has left; streams may be used, the server's NEGO is awaited. */
    negotiating: {
      ...ENDINGS,
      'server-nego': 'open',
      padding: 'negotiating',
      'nego-timeout': 'closed',
      'local-close': 'draining-early',
    },
    /** Told to close before the server's NEGO has arrived. */
    'draining-early': {
      ...ENDINGS,
      ...stay('draining-early', ['padding', 'local-close']),
      'server-nego': 'draining',
      'nego-timeout': 'closed',
      drained: 'closed',
    },
  },
  frames: [...STREAM_FRAMES, 'stream-ack', 'padding', 'scheme-update', 'pingpong'],
  running: {
    ...ENDINGS,
    'version-unsupported': 'closed',
    'ping-timeout': 'closed',
    goaway: 'draining',
  },
})
