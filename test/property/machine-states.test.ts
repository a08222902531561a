// Both machines in every state against every input of their tables, and every call in every state.
import { describe, expect, it } from 'vitest'
import { CLIENT_TABLE, FRAME_INPUTS, SERVER_TABLE } from '../../src/wires/anytls/state-tables.ts'
import type { Input, OTHER_INPUTS, Row } from '../../src/wires/anytls/state-tables.ts'
import { ILLEGAL } from '../../src/engine/state-table.ts'
import { AnyTlsError } from '../../src/errors.ts'
import type { MachineEvent } from '../../src/engine/machine.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { checkEvents } from '../wires/anytls/checks.ts'
import { EVERYWHERE, FRAME_FOR } from '../wires/anytls/states.ts'
import type { Place, Tested } from '../wires/anytls/states.ts'
import { clientNego, HASH } from '../wires/anytls/support.ts'
import type { Setup } from '../wires/anytls/support.ts'
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
      const allowed = name === 'client' && ['initializing', 'negotiating', 'open'].includes(state)
      expect(machine.mayOpen, `${name}, ${state}`).toBe(allowed)
      if (allowed) expect(open()).toBeGreaterThan(0)
      else expect(open).toThrow(AnyTlsError)
    }
  })
})
function rowOf(name: Place['name'], state: string): Row<string> {
  const table: Record<string, Row<string>> = name === 'client' ? CLIENT_TABLE : SERVER_TABLE
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

type OtherInput = Exclude<(typeof OTHER_INPUTS)[number], 'version-unsupported'>
type Drive = (make: (setup?: Setup) => Tested) => Tested
/** How each input that is no frame is brought about. */
const OTHERS: Readonly<Record<OtherInput, Drive>> = {
  'auth-mismatch': after((machine) => machine.receive(new Uint8Array(34).fill(0xff), 0)),
  'auth-timeout': after((machine) => machine.timeout(10), { auth: 10 }),
  'nego-timeout': after((machine) => machine.timeout(10), { nego: 10 }),
  flush: after((machine) => machine.timeout(20)),
  'goaway-done': after((machine) => machine.timeout(1_000)),
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
  violation: after(breakProtocol),
  'violation-handover': after(breakProtocol),
}

function after(drive: (machine: Tested) => unknown, timeouts: Setup['timeouts'] = {}): Drive {
  return (make) => {
    const machine = make({ timeouts })
    drive(machine)
    return machine
  }
}

function breakProtocol(machine: Tested): void {
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
  'empty chunk': (machine) => machine.receive(new Uint8Array(0), 1),
}
