// What the tests of net-mux share: machines that show their state, and a pair of them.
// Must never use real time: every call is given its `now`.
import { parseNetMuxConfig } from '../../../src/wires/netmux/config.ts'
import type { NetMuxSettings } from '../../../src/wires/netmux/config.ts'
import { NetMuxMachine } from '../../../src/wires/netmux/machine.ts'
import type { NetMuxRole } from '../../../src/wires/netmux/machine.ts'
import type { NetMuxState } from '../../../src/wires/netmux/state-table.ts'
import type { Write } from '../../../src/engine/machine.ts'
import { bytesOf } from '../anytls/support.ts'
import { describeFrames } from './frames.ts'

/** A machine whose state shows. */
export class NetMux extends NetMuxMachine {
  get current(): NetMuxState {
    return this.state
  }

  get streamCount(): number {
    return this.streams.size
  }

  /** As if the streams below `id` had been opened and closed. */
  useUpIds(id: number): void {
    this.nextId = id
  }
}

export function makeMachine(role: NetMuxRole, settings: NetMuxSettings = {}, now = 0): NetMux {
  return new NetMux(role, parseNetMuxConfig(settings), now)
}

/** What a machine has to write, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}
