// Both machines in every state against every input of their tables, and every call in every state.
import { describe, expect, it } from 'vitest'
import { CLIENT_TABLE, FRAME_INPUTS, SERVER_TABLE } from '../../src/wires/anytls/state-tables.ts'
import type { Input } from '../../src/wires/anytls/state-tables.ts'
import { ILLEGAL } from '../../src/engine/state-table.ts'
import type { Table } from '../../src/engine/state-table.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents } from '../wires/anytls/checks.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/anytls/states.ts'
import type { Place } from '../wires/anytls/states.ts'
import { clientNego, HASH } from '../wires/anytls/support.ts'
import { after, checkCalls, checkOpening, DRIVES } from '../support/state-suite.ts'
import type { Shown } from '../support/machine-steps.ts'
import type { Drive } from '../support/state-suite.ts'
import { write } from '../support/v1-frames.ts'

describe('every state and every input', () => {
  it('every state of both tables is reached by a machine', () => {
    for (const { name, state, make } of EVERYWHERE) expect(make().current, name).toBe(state)
  })

  it('each frame, in each state, leads to the state that the table names', () => {
    for (const { name, state, make } of EVERYWHERE) {
      for (const input of FRAME_INPUTS) {
        const machine = make()
        const events = machine.receive(FRAME_FOR[input], 0)
        const title = `${name}, ${state}, ${input}`
        expect(machine.current, title).toBe(expectedState(name, state, input))
        checkEvents(events, machine, title)
      }
    }
  })

  it('everything else that happens, in each state, leads to the state that the table names', () => {
    for (const { name, state, make } of EVERYWHERE) {
      for (const [input, drive] of Object.entries(OTHERS) as [OtherInput, Drive][]) {
        if (rowOf(name, state)[input] === ILLEGAL) continue
        const machine = drive(make)
        const onlyWithHandover = input === 'violation-handover' && name === 'server'
        const always = input === 'violation' && name === 'handover server'
        const seen = onlyWithHandover || always ? expectedViolation(name, state) : undefined
        expect(machine.current, `${name}, ${state}, ${input}`).toBe(
          seen ?? rowOf(name, state)[input],
        )
      }
    }
  })

  it('a NEGO without a version in common moves twice: by the NEGO, then by what it says', () => {
    const nego = {
      client: write.serverNego('version=9\nserver=x\n'),
      server: write.clientNego(clientNego().replace('version=1', 'version=9')),
    }
    for (const { name, state, make } of EVERYWHERE) {
      const [input, frame] =
        name === 'client'
          ? (['server-nego', nego.client] as const)
          : (['client-nego', nego.server] as const)
      const between = rowOf(name, state)[input]
      if (between === ILLEGAL || between === state) continue
      const machine = make()
      machine.receive(frame, 0)
      expect(machine.current, state).toBe(rowOf(name, between)['version-unsupported'])
    }
  })

  it('no call in any state throws, and none changes what is over', () => {
    checkCalls(EVERYWHERE, checkEvents)
  })

  it('openStream succeeds where mayOpen says so, and throws an AnyTlsError elsewhere', () => {
    checkOpening(EVERYWHERE, ['initializing', 'negotiating', 'open'])
  })
})

function rowOf(name: Place['name'], state: string): Table<string, Input>[string] {
  const table: Table<string, Input> = name === 'client' ? CLIENT_TABLE : SERVER_TABLE
  const row = table[state]
  if (row === undefined) throw new Error(`no state ${state}`)
  return row
}

/** The state that the table names for an input; for an illegal one, that of the violation it is. */
function expectedState(name: Place['name'], state: string, input: Input): string {
  const row = rowOf(name, state)
  if (row[input] !== ILLEGAL) return row[input]
  const handover = name === 'handover server' && row['violation-handover'] !== ILLEGAL
  return row[handover ? 'violation-handover' : 'violation']
}

type OtherInput = Exclude<Input, (typeof FRAME_INPUTS)[number] | 'version-unsupported'>
/** How each input that is no frame is brought about. */
const OTHERS: Readonly<Record<OtherInput, Drive>> = {
  ...DRIVES,
  'nego-timeout': after((machine) => machine.timeout(10), { nego: 10 }),
  'goaway-done': after((machine) => machine.timeout(1_000)),
  violation: after(breakProtocol),
  'violation-handover': after(breakProtocol),
}

function breakProtocol(machine: Shown): void {
  // An AUTH that matches and whose padding is above its cap: a violation even before authentication.
  const auth = concatBytes([
    write.auth(HASH).subarray(0, 34),
    Uint8Array.of(0xbf, 0xff, 0xff, 0xff),
  ])
  machine.receive(machine.current === 'await-auth' ? auth : Uint8Array.of(0x3f), 0)
}

function expectedViolation(name: Place['name'], state: string): string {
  const row = rowOf(name, state)
  const handover = name === 'handover server' && row['violation-handover'] !== ILLEGAL
  return row[handover ? 'violation-handover' : 'violation']
}
