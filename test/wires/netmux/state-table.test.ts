// The state table of net-mux: total, reachable, closed, and obeyed by the machine in every state.
import { describe, expect, it } from 'vitest'
import { ILLEGAL, statesOf } from '../../../src/engine/state-table.ts'
import { INPUTS, TABLE } from '../../../src/wires/netmux/state-table.ts'
import type { Input } from '../../../src/wires/netmux/state-table.ts'
import { checkFinal, checkTable } from '../../support/state-suite.ts'
import { write } from './frames.ts'
import { makeMachine } from './support.ts'
import type { NetMux } from './support.ts'

describe('net-mux state table', () => {
  it('every state has a defined answer to every input, and can be reached', () => {
    checkTable(INPUTS, TABLE)
  })

  it('what is over stays over, and nothing else does', () => {
    checkFinal(INPUTS, TABLE, ['closed'])
  })

  it('net-mux: the machine, in every state and for every input, ends where the table says', () => {
    for (const state of statesOf(TABLE)) {
      for (const input of INPUTS) {
        const machine = machineIn(state)
        DRIVE[input](machine)
        const named = TABLE[state][input]
        expect(machine.current, `${state}, ${input}`).toBe(named === ILLEGAL ? state : named)
      }
    }
  })

  it('net-mux: no state outlives what may happen in it without an event or a deadline', () => {
    expect(machineIn('open').deadline).toBeLessThan(Infinity)
    expect(machineIn('draining').deadline).toBeLessThan(Infinity)
    expect(machineIn('closed').deadline).toBe(Infinity)
  })
})

/** A server with the streams 1 and 3 of its client. */
function machineIn(state: keyof typeof TABLE): NetMux {
  const machine = makeMachine('server')
  for (const stream of [1, 3]) machine.receive(write.syn(stream), 0)
  if (state === 'draining') machine.close(0)
  if (state === 'closed') machine.abort(0, 0)
  machine.takeWrites()
  return machine
}

/** How each input is brought about. Nothing on net-mux has an idle timer: an hour of silence is one for pings. */
const DRIVE: Readonly<Record<Input, (machine: NetMux) => void>> = {
  'stream-open': (machine) => machine.receive(write.syn(5), 0),
  data: (machine) => machine.receive(write.data(1, 'data'), 0),
  'window-update': (machine) => machine.receive(write.window(1, 1), 0),
  ping: (machine) => machine.receive(write.ping(1), 0),
  goaway: (machine) => machine.receive(write.goaway(0), 0),
  'goaway-error': (machine) => machine.receive(write.goaway(2), 0),
  'local-close': (machine) => machine.close(0),
  'local-abort': (machine) => machine.abort(0, 0),
  drained: (machine) => {
    for (const stream of [1, 3]) machine.resetStream(stream, 0, '', 0)
  },
  'idle-timeout': (machine) => machine.timeout(3_600_000),
  'ping-timeout': (machine) => {
    machine.ping(0)
    machine.timeout(30_000)
  },
  'end-of-input': (machine) => machine.endOfInput(0),
  violation: (machine) => machine.receive(write.data(99), 0),
}
