// Machines that do one thing wrong, for the explorer to find: what it would not notice here, it would not notice in
// src either.
import type { Machine, MachineEvent, Write } from '../../src/engine/machine.ts'

export const FAULTS = {
  /** What the others are measured by. */
  'nothing is wrong': (machine: Machine) => changed(machine, {}),
  /** The peer never hears that its first bytes were consumed. */
  'a credit is lost': (machine: Machine) => {
    let lost = false
    return changed(machine, {
      consumed: (stream, bytes, now) => {
        if (lost) machine.consumed(stream, bytes, now)
        lost = true
      },
    })
  },
  'an end is swallowed': (machine: Machine) =>
    received(machine, (events) => events.filter(({ type }) => type !== 'end' && type !== 'close')),
  'data is delivered twice': (machine: Machine) =>
    received(machine, (events) =>
      events.flatMap((event): readonly MachineEvent[] =>
        event.type === 'data' ? [event, event] : [event],
      ),
    ),
  'data is dropped': (machine: Machine) =>
    received(machine, (events) => events.filter(({ type }) => type !== 'data')),
  /** What is written second overtakes what was first. */
  'frames change places': (machine: Machine) => {
    let held: readonly Write[] = []
    let count = 0
    return changed(machine, {
      takeWrites: () => {
        const writes = machine.takeWrites()
        if (writes.length === 0) return []
        count += 1
        if (count === 3) {
          held = writes
          return []
        }
        const all = [...writes, ...held]
        held = []
        return all
      },
    })
  },
  'it waits for nobody when it drains': (machine: Machine) =>
    changed(machine, {
      close: (now) => {
        const events = machine.close(now)
        return machine.deadline === Infinity
          ? events
          : [...events, ...machine.timeout(machine.deadline)]
      },
    }),
  'the end of the link is not noticed': (machine: Machine) =>
    changed(machine, { endOfInput: () => [] }),
} satisfies Readonly<Record<string, (machine: Machine) => Machine>>

export type Fault = keyof typeof FAULTS

/** How the explorer tells of it. */
export const SHOWS: Readonly<Record<Exclude<Fault, 'nothing is wrong'>, RegExp>> = {
  'a credit is lost': /bytes of credit on stream 1 with everything read/,
  'an end is swallowed': /stream 1 is there alone/,
  'data is delivered twice': /other bytes than were sent/,
  'data is dropped': /stands still|bytes of stream 1 lost/,
  'frames change places': /bytes of credit|bytes of stream 1 lost|has no end/,
  'it waits for nobody when it drains': /refused by a server that drains in time/,
  'the end of the link is not noticed': /survives its link|goes round in circles/,
}

/** `machine` with other methods in place of some of its own. */
function changed(machine: Machine, methods: Partial<Machine>): Machine {
  return new Proxy(machine, {
    get(target, name) {
      const replaced: unknown = Reflect.get(methods, name)
      if (replaced !== undefined) return replaced
      // Getters and private fields need the machine itself as `this`.
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

function received(
  machine: Machine,
  change: (events: readonly MachineEvent[]) => readonly MachineEvent[],
): Machine {
  return changed(machine, { receive: (chunk, now) => change(machine.receive(chunk, now)) })
}
