// Machines whose state shows, for the tests of every wire.
import { Engine } from '../../src/engine/engine.ts'
import type { Machine } from '../../src/engine/machine.ts'

export class ShownMachine<Frame, Input extends string> extends Engine<Frame, Input> {
  get current(): string {
    return this.connection.state
  }

  get streamCount(): number {
    return this.connection.streams.size
  }

  /** As if ids up to `id` had been given out, their streams opened and closed. */
  useUpIds(id: number): void {
    this.connection.streams.lastId = id
  }
}

/** A machine that its application has told to close; nothing is left to take. */
export function closing<M extends Machine>(machine: M): M {
  machine.close(0)
  machine.takeWrites()
  return machine
}

/** A machine that its application has ended at once; nothing is left to take. */
export function aborted<M extends Machine>(machine: M): M {
  machine.abort(0, 0)
  machine.takeWrites()
  return machine
}
