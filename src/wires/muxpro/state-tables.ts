// The two state machines of a Mux.Pro main connection as tables: every state against every input. The
// machines move by these tables alone.
// Must never hold anything but data.
import { COMMON_INPUTS, makeTable } from '../../engine/state-table.ts'

/** The decoded frames, as far as a state can tell them apart. */
export const FRAME_INPUTS = ['negotiate', 'new', 'keep', 'end', 'keep-alive', 'credit'] as const

/** Frames, and what happens beside them. */
export const INPUTS = [
  ...FRAME_INPUTS,
  'nego-timeout',
  'version-unsupported',
  ...COMMON_INPUTS,
] as const
export type Input = (typeof INPUTS)[number]

/** Frames that either end may send once the version is settled. */
const EITHER = ['keep', 'end', 'keep-alive', 'credit'] as const

const RUNNING = { violation: 'closed', 'idle-timeout': 'closed' } as const

export const SERVER_TABLE = makeTable(INPUTS, ['closed'], {
  own: {
    /** The client's NegotiateVersion must be the first frame. */
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

export const CLIENT_TABLE = makeTable(INPUTS, ['closed'], {
  own: {
    /** NegotiateVersion has left; nothing else may before the answer (section 5.1). */
    negotiating: {
      negotiate: 'open',
      'nego-timeout': 'closed',
      'local-close': 'draining-early',
      violation: 'closed',
    },
    /** Told to close before the answer has arrived. */
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
