// What must hold of the state tables of every wire, and of its machines in every state.
import { expect } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import type { Machine, MachineEvent, StreamRequest } from '../../src/engine/machine.ts'
import { ILLEGAL, statesOf } from '../../src/engine/state-table.ts'
import type { Table } from '../../src/engine/state-table.ts'
import { eventsOf } from './machine-steps.ts'
import type { Shown } from './machine-steps.ts'

/** Each state has an answer to each input, and can be reached from the first one. */
export function checkTable<State extends string, Input extends string>(
  inputs: readonly Input[],
  table: Table<State, Input>,
): void {
  const states = statesOf(table)
  const reached = new Set(states.slice(0, 1))
  for (const state of states) {
    expect(Object.keys(table[state]).sort(), state).toEqual([...inputs].sort())
    for (const input of inputs) {
      expect([...states, ILLEGAL] as string[], `${state}, ${input}`).toContain(table[state][input])
    }
  }
  for (const state of reached) {
    for (const input of inputs) {
      const next = table[state][input]
      if (next !== ILLEGAL) reached.add(next as State)
    }
  }
  expect([...reached].sort()).toEqual([...states].sort())
}

/** What is over stays over, and nothing else does. */
export function checkFinal<State extends string, Input extends string>(
  inputs: readonly Input[],
  table: Table<State, Input>,
  final: readonly State[],
): void {
  for (const state of statesOf(table)) {
    const stays = inputs.every((input) => table[state][input] === state)
    expect(stays, state).toBe(final.includes(state))
  }
}

/** A machine in some state. */
interface Place<M extends Shown> {
  readonly name: string
  readonly state: string
  readonly make: () => M
}

/** Every call that a session makes, at a connection with the streams 1 and 2. */
export const CALLS: Readonly<Record<string, (machine: Machine) => unknown>> = {
  endOfInput: (machine) => machine.endOfInput(1),
  'timeout, early': (machine) => machine.timeout(1),
  'timeout, late': (machine) => machine.timeout(1e9),
  acceptStream: (machine) => machine.acceptStream(1, 1),
  sendData: (machine) => machine.sendData(1, [new Uint8Array(3)], 3, 1),
  finishStream: (machine) => machine.finishStream(1, 1),
  resetStream: (machine) => machine.resetStream(1, 6, 'no', 1),
  consumed: (machine) => machine.consumed(1, 60_000, 1),
  'consumed of the second': (machine) => machine.consumed(2, 60_000, 1),
  ping: (machine) => machine.ping(1),
  close: (machine) => machine.close(1),
  abort: (machine) => machine.abort(4, 1),
  'reading stopped': (machine) => machine.setReading(false, 1),
  progress: (machine) => machine.progress(1),
  'empty chunk': (machine) => machine.receive(new Uint8Array(0), 1),
}

/** No call in any state throws, and none changes what is over. `check` looks at what each has returned. */
export function checkCalls<M extends Shown>(
  everywhere: readonly Place<M>[],
  check: (events: readonly MachineEvent[], machine: M, title: string) => void,
  calls: Readonly<Record<string, (machine: M) => unknown>> = CALLS,
): void {
  for (const { name, state, make } of everywhere) {
    for (const [call, run] of Object.entries(calls)) {
      const machine = make()
      const title = `${name}, ${state}, ${call}`
      check(eventsOf(run(machine)), machine, title)
      if (state !== 'closed' && state !== 'handed-over') continue
      expect(machine.current, title).toBe(state)
      expect(machine.takeWrites(), title).toEqual([])
      expect(machine.deadline, title).toBe(Infinity)
    }
  }
}

/** `openStream` succeeds where `mayOpen` says so, at clients in one of `states`, and throws an AnyTlsError elsewhere. */
export function checkOpening<M extends Shown>(
  everywhere: readonly Place<M>[],
  states: readonly string[],
  request?: StreamRequest,
): void {
  for (const { name, state, make } of everywhere) {
    const machine = make()
    const open = () => machine.openStream(0, request)
    const isAllowed = name.includes('client') && states.includes(state)
    expect(machine.mayOpen, `${name}, ${state}`).toBe(isAllowed)
    if (isAllowed) expect(open()).toBeGreaterThan(0)
    else expect(open).toThrow(AnyTlsError)
  }
}

/** Time limits, in milliseconds, that bring an input about. */
interface Limits {
  readonly auth?: number
  readonly nego?: number
  readonly connection?: number
  readonly ping?: number
}

/** Brings an input about that is no frame: makes a machine, and does something to it. */
export type Drive = <M extends Shown>(make: (setup: { timeouts: Limits }) => M) => M

/** Does something to a machine with those time limits. */
export function after(drive: (machine: Shown) => unknown, timeouts: Limits = {}): Drive {
  return (make) => {
    const machine = make({ timeouts })
    drive(machine)
    return machine
  }
}

/** How the inputs that are no frames are brought about on the wires with passwords. */
export const DRIVES = {
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
} as const
