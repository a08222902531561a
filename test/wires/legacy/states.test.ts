// The state tables of the original wire as data, and both machines in every state against every input and
// every call.
import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../../src/errors.ts'
import {
  CLIENT_STATES,
  CLIENT_TABLE,
  FRAME_INPUTS,
  INPUTS,
  SERVER_STATES,
  SERVER_TABLE,
} from '../../../src/wires/legacy/state-tables.ts'
import type { Input, OTHER_INPUTS, Row, Table } from '../../../src/wires/legacy/state-tables.ts'
import type { MachineEvent } from '../../../src/engine/machine.ts'
import { ILLEGAL } from '../../../src/engine/state-table.ts'
import { checkEvents } from '../anytls/checks.ts'
import { write } from './frames.ts'
import { EVERYWHERE, FRAME_FOR } from './states.ts'
import type { Place, Tested } from './states.ts'
import type { Setup } from './support.ts'

describe('the tables of the original wire', () => {
  it('have a defined answer in every state to every input', () => {
    checkTotal(SERVER_STATES, SERVER_TABLE)
    checkTotal(CLIENT_STATES, CLIENT_TABLE)
  })

  it('lead to every state from the first one', () => {
    expect(reachable('await-auth', SERVER_TABLE)).toEqual([...SERVER_STATES].sort())
    expect(reachable('initializing', CLIENT_TABLE)).toEqual([...CLIENT_STATES].sort())
  })

  it('what is over stays over, and nothing else does', () => {
    const final = ['closed', 'handed-over']
    for (const [table, states] of [
      [CLIENT_TABLE, CLIENT_STATES],
      [SERVER_TABLE, SERVER_STATES],
    ] as const) {
      for (const state of states) {
        const row: Row<string> = table[state as keyof typeof table]
        expect(
          INPUTS.every((input) => row[input] === state),
          state,
        ).toBe(final.includes(state))
      }
    }
  })

  it('from every state that is not over, the application and the end of the input can end it', () => {
    for (const { name, state } of EVERYWHERE) {
      for (const input of ['local-abort', 'end-of-input'] as const) {
        expect(['closed', 'handed-over'], `${name}, ${state}`).toContain(rowOf(name, state)[input])
      }
    }
  })

  it('legacy-wire: behind authentication a SYN before the settings is the only violation of a client', () => {
    for (const state of ['await-settings', 'open', 'draining'] as const) {
      const illegal = FRAME_INPUTS.filter((input) => SERVER_TABLE[state][input] === ILLEGAL)
      expect(illegal, state).toEqual(state === 'await-settings' ? ['auth', 'syn'] : ['auth'])
    }
  })
})

describe('every state and every input of the original wire', () => {
  it('every state of both tables is reached by a machine', () => {
    for (const { name, state, make } of EVERYWHERE) expect(make().current, name).toBe(state)
  })

  it('each frame, in each state, leads to the state that the table names', () => {
    for (const { name, state, make } of EVERYWHERE) {
      for (const input of FRAME_INPUTS) {
        // An authentication block stands first or is none: elsewhere its bytes are other frames.
        if (input === 'auth' && state !== 'await-auth') continue
        // And in front of it there are no frames: their bytes are no hash.
        const expected =
          state === 'await-auth' && input !== 'auth'
            ? 'handed-over'
            : expectedState(name, state, input)
        const machine = make()
        const events = machine.receive(FRAME_FOR[input], 0)
        const title = `${name}, ${state}, ${input}`
        expect(machine.current, title).toBe(expected)
        checkEvents(events, machine, title)
      }
    }
  })

  it('frames without the data that they are made of change no state', () => {
    const empty = [write.settings(''), write.alert(''), write.scheme(''), write.serverSettings('')]
    for (const { name, state, make } of EVERYWHERE) {
      if (state === 'await-auth') continue
      for (const bytes of empty) {
        const machine = make()
        expect(machine.receive(bytes, 0), `${name}, ${state}`).toEqual([])
        expect(machine.current, `${name}, ${state}`).toBe(state)
      }
    }
  })

  it('everything else that happens, in each state, leads to the state that the table names', () => {
    for (const { name, state, make } of EVERYWHERE) {
      for (const [input, drive] of Object.entries(OTHERS) as [OtherInput, Drive][]) {
        // Only a frame can be a violation, and those have been tried.
        if (rowOf(name, state)[input] === ILLEGAL) continue
        // What version 1 has no ping for cannot time out.
        if (input === 'ping-timeout' && name.startsWith('version 1')) continue
        // Two streams of version 1 are no idle connection.
        if (input === 'idle-timeout' && name.startsWith('version 1')) continue
        const machine = drive(make)
        expect(machine.current, `${name}, ${state}, ${input}`).toBe(rowOf(name, state)[input])
      }
    }
  })

  it('no call in any state throws, and none changes what is over', () => {
    for (const { name, state, make } of EVERYWHERE) {
      for (const [call, run] of Object.entries(CALLS)) {
        const machine = make()
        const title = `${name}, ${state}, ${call}`
        checkEvents(eventsOf(run(machine)), machine, title)
        if (state === 'closed' || state === 'handed-over') {
          expect(machine.current, title).toBe(state)
          expect(machine.takeWrites(), title).toEqual([])
          expect(machine.deadline, title).toBe(Infinity)
        }
      }
    }
  })

  it('openStream succeeds where mayOpen says so, and throws an AnyTlsError elsewhere', () => {
    for (const { name, state, make } of EVERYWHERE) {
      const machine = make()
      const open = () => machine.openStream(0)
      const allowed =
        name.endsWith('client') && ['initializing', 'unconfirmed', 'open'].includes(state)
      expect(machine.mayOpen, `${name}, ${state}`).toBe(allowed)
      if (allowed) expect(open()).toBeGreaterThan(0)
      else expect(open).toThrow(AnyTlsError)
    }
  })

  it('a server writes nothing before authentication, whatever is called', () => {
    for (const { name, state, make } of EVERYWHERE) {
      if (state !== 'await-auth') continue
      for (const [call, run] of Object.entries(CALLS)) {
        const machine = make()
        run(machine)
        expect(machine.takeWrites(), `${name}, ${call}`).toEqual([])
      }
    }
  })
})

function checkTotal<State extends string>(states: readonly State[], table: Table<State>): void {
  expect(Object.keys(table).sort()).toEqual([...states].sort())
  for (const state of states) {
    expect(Object.keys(table[state]).sort(), state).toEqual([...INPUTS].sort())
    for (const input of INPUTS) expect([...states, ILLEGAL]).toContain(table[state][input])
  }
}

function reachable<State extends string>(first: State, table: Table<State>): State[] {
  const reached = new Set<State>([first])
  for (const state of reached) {
    for (const input of INPUTS) {
      const next = table[state][input]
      if (next !== ILLEGAL) reached.add(next)
    }
  }
  return [...reached].sort()
}

function rowOf(name: Place['name'], state: string): Row<string> {
  const table: Record<string, Row<string>> = name.endsWith('client') ? CLIENT_TABLE : SERVER_TABLE
  const row = table[state]
  if (row === undefined) throw new Error(`no state ${state}`)
  return row
}

/** The state that the table names for an input; for an illegal one, that of the violation it is. */
function expectedState(name: Place['name'], state: string, input: Input): string {
  const row = rowOf(name, state)
  if (row[input] !== ILLEGAL) return row[input]
  return row[name === 'handover server' ? 'violation-handover' : 'violation']
}

type OtherInput = Exclude<(typeof OTHER_INPUTS)[number], 'violation' | 'violation-handover'>
type Drive = (make: (setup?: Setup) => Tested) => Tested

/** How each input that is no frame is brought about; violations are frames. */
const OTHERS: Readonly<Record<OtherInput, Drive>> = {
  'auth-mismatch': after((machine) => machine.receive(new Uint8Array(34).fill(0xff), 0)),
  'auth-timeout': after((machine) => machine.timeout(10), { auth: 10 }),
  flush: after((machine) => machine.timeout(20)),
  'local-close': after((machine) => machine.close(0)),
  'local-abort': after((machine) => machine.abort(4, 0)),
  drained: after((machine) => {
    for (const stream of [1, 2]) machine.resetStream(stream, 0, '', 0)
  }),
  'idle-timeout': after((machine) => machine.timeout(10), { connection: 10 }),
  'ping-timeout': after(
    (machine) => {
      machine.ping(0)
      machine.timeout(10)
    },
    { ping: 10 },
  ),
  'end-of-input': after((machine) => machine.endOfInput(0)),
}

function after(drive: (machine: Tested) => unknown, timeouts: Setup['timeouts'] = {}): Drive {
  return (make) => {
    const machine = make({ timeouts })
    drive(machine)
    return machine
  }
}

/** The events that a call has returned, if it returns any. */
function eventsOf(returned: unknown): readonly MachineEvent[] {
  return Array.isArray(returned) ? (returned as MachineEvent[]) : []
}

const CALLS: Readonly<Record<string, (machine: Tested) => unknown>> = {
  endOfInput: (machine) => machine.endOfInput(1),
  'timeout, early': (machine) => machine.timeout(1),
  'timeout, late': (machine) => machine.timeout(1e9),
  acceptStream: (machine) => machine.acceptStream(1, 1),
  sendData: (machine) => machine.sendData(1, [new Uint8Array(3)], 3, 1),
  finishStream: (machine) => machine.finishStream(1, 1),
  resetStream: (machine) => machine.resetStream(1, 6, 'no', 1),
  consumed: (machine) => machine.consumed(1, 60_000, 1),
  ping: (machine) => machine.ping(1),
  close: (machine) => machine.close(1),
  abort: (machine) => machine.abort(4, 1),
  'reading stopped': (machine) => machine.setReading(false, 1),
  progress: (machine) => machine.progress(1),
}
