// The state tables of the original wire as data, and both machines in every state against every input and
// every call.
import { describe, expect, it } from 'vitest'
import {
  CLIENT_TABLE,
  FRAME_INPUTS,
  INPUTS,
  SERVER_TABLE,
} from '../../../src/wires/legacy/state-tables.ts'
import type { Input } from '../../../src/wires/legacy/state-tables.ts'
import { ILLEGAL } from '../../../src/engine/state-table.ts'
import type { Table } from '../../../src/engine/state-table.ts'
import {
  CALLS,
  checkCalls,
  checkFinal,
  checkOpening,
  checkTable,
  DRIVES,
} from '../../support/state-suite.ts'
import type { Drive } from '../../support/state-suite.ts'
import { checkEvents } from '../anytls/checks.ts'
import { write } from './frames.ts'
import { EVERYWHERE, FRAME_FOR } from './states.ts'
import type { Place } from './states.ts'

describe('the tables of the original wire', () => {
  it('have a defined answer in every state to every input, and lead to every state', () => {
    checkTable(INPUTS, SERVER_TABLE)
    checkTable(INPUTS, CLIENT_TABLE)
  })

  it('what is over stays over, and nothing else does', () => {
    checkFinal(INPUTS, SERVER_TABLE, ['closed', 'handed-over'])
    checkFinal(INPUTS, CLIENT_TABLE, ['closed'])
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
    checkCalls(EVERYWHERE, checkEvents)
  })

  it('openStream succeeds where mayOpen says so, and throws an AnyTlsError elsewhere', () => {
    checkOpening(EVERYWHERE, ['initializing', 'unconfirmed', 'open'])
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

function rowOf(name: Place['name'], state: string): Table<string, Input>[string] {
  const table: Table<string, Input> = name.endsWith('client') ? CLIENT_TABLE : SERVER_TABLE
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

/** How each input that is no frame is brought about; violations are frames. */
const OTHERS: Readonly<Record<OtherInput, Drive>> = DRIVES

type OtherInput = Exclude<Input, (typeof FRAME_INPUTS)[number] | 'violation' | 'violation-handover'>
