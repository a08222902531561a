// The two Mux.Pro tables as data, and both machines in every state against every input.
import { describe, expect, it } from 'vitest'
import { ILLEGAL, statesOf } from '../../../src/engine/state-table.ts'
import type { Table } from '../../../src/engine/state-table.ts'
import {
  CLIENT_TABLE,
  FRAME_INPUTS,
  INPUTS,
  SERVER_TABLE,
} from '../../../src/wires/muxpro/state-tables.ts'
import type { Input } from '../../../src/wires/muxpro/state-tables.ts'
import { CALLS, checkCalls, checkOpening, checkTable } from '../../support/state-suite.ts'
import { write } from './frames.ts'
import { CLIENT_IN, FRAME_FOR, SERVER_IN } from './support.ts'
import type { Setup, Tested } from './support.ts'

interface Place {
  readonly name: string
  readonly state: string
  readonly row: Table<string, Input>[string]
  readonly make: (setup?: Setup) => Tested
}

const EVERYWHERE: readonly Place[] = [
  ...statesOf(CLIENT_TABLE).map((state): Place => ({
    name: `client, ${state}`,
    state,
    row: CLIENT_TABLE[state],
    make: CLIENT_IN[state],
  })),
  ...statesOf(SERVER_TABLE).map((state): Place => ({
    name: `server, ${state}`,
    state,
    row: SERVER_TABLE[state],
    make: SERVER_IN[state],
  })),
]

/** How everything but frames is brought about. */
const OTHERS: Partial<Record<Input, (machine: Tested) => unknown>> = {
  'nego-timeout': (machine) => machine.timeout(10_000),
  'local-close': (machine) => machine.close(0),
  'local-abort': (machine) => machine.abort(0, 0),
  'end-of-input': (machine) => machine.endOfInput(0),
  violation: (machine) => machine.receive(write.frame(0, 9, 0), 0),
  'idle-timeout': (machine) => {
    machine.receive(write.keepAlive(), 0)
    machine.timeout(60_000)
  },
  drained: (machine) => {
    for (const id of [1, 2]) machine.resetStream(id, 0, '', 0)
  },
}

describe('the tables', () => {
  it('every state has a defined answer to every input, and can be reached', () => {
    checkTable(INPUTS, CLIENT_TABLE)
    checkTable(INPUTS, SERVER_TABLE)
  })

  it('section 5.2, D40: New is illegal for a client in every state', () => {
    for (const state of statesOf(CLIENT_TABLE)) {
      expect(CLIENT_TABLE[state].new).toBe(state === 'closed' ? 'closed' : ILLEGAL)
    }
  })

  it('section 6.3.1: before the negotiation nothing else is legal', () => {
    for (const row of [
      CLIENT_TABLE.negotiating,
      CLIENT_TABLE['draining-early'],
      SERVER_TABLE['await-version'],
    ]) {
      expect(FRAME_INPUTS.filter((input) => row[input] !== ILLEGAL)).toEqual(['negotiate'])
    }
  })
})

describe('every state and every input', () => {
  it('every state is reached by a machine', () => {
    for (const { name, state, make } of EVERYWHERE) expect(make().current, name).toBe(state)
  })

  it('each frame, in each state, leads to the state that the table names', () => {
    for (const { name, row, make } of EVERYWHERE) {
      for (const input of FRAME_INPUTS) {
        const machine = make()
        machine.receive(FRAME_FOR[input], 0)
        const next = row[input] === ILLEGAL ? 'closed' : row[input]
        expect(machine.current, `${name}, ${input}`).toBe(next)
      }
    }
  })

  it('everything else that happens, in each state, leads to the state that the table names', () => {
    for (const { name, state, row, make } of EVERYWHERE) {
      for (const [input, drive] of Object.entries(OTHERS)) {
        const machine = make({ timeouts: { keepalive: Infinity } })
        drive(machine)
        const moved = row[input as Input]
        // A connection with something to lose is not idle or drained by that alone.
        const expected = moved === ILLEGAL ? [state, 'closed'] : [moved]
        expect(expected, `${name}, ${input}`).toContain(machine.current)
      }
    }
  })

  it('no call in any state throws, and none changes what is over', () => {
    checkCalls(EVERYWHERE, () => {}, { ...OTHERS, ...CALLS })
  })

  it('openStream succeeds where mayOpen says so, and throws an AnyTlsError elsewhere', () => {
    const target = { host: 'a', port: 1 }
    checkOpening(EVERYWHERE, ['negotiating', 'open'], { network: 'tcp', target, priority: 1 })
  })
})
