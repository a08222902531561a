// What the tests of net-mux share: machines that show their state, and a pair of them.
import { parseNetMuxConfig } from '../../../src/wires/netmux/config.ts'
import type { NetMuxConfig, NetMuxSettings } from '../../../src/wires/netmux/config.ts'
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { netMuxRole } from '../../../src/wires/netmux/role.ts'
import type { NetMuxEnd } from '../../../src/wires/netmux/role.ts'
import { Engine } from '../../../src/engine/engine.ts'
import type { NetMuxInput, NetMuxState } from '../../../src/wires/netmux/state-table.ts'
import type { Write } from '../../../src/engine/machine.ts'
import { bytesOf } from '../anytls/support.ts'
import { describeFrames } from './frames.ts'

/** A machine whose state shows. */
export class NetMux extends Engine<Frame, NetMuxInput> {
  constructor(end: NetMuxEnd, config: NetMuxConfig, now: number) {
    super(netMuxRole(end, config), now)
  }

  get current(): NetMuxState {
    return this.connection.state as NetMuxState
  }

  get streamCount(): number {
    return this.connection.streams.size
  }

  /** As if the streams below `id` had been opened and closed. */
  useUpIds(id: number): void {
    this.connection.streams.lastId = id - 2
  }
}

export function makeMachine(role: NetMuxEnd, settings: NetMuxSettings = {}, now = 0): NetMux {
  return new NetMux(role, parseNetMuxConfig(settings), now)
}

/** What a machine has to write, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}
