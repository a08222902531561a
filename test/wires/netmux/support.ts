// What the tests of net-mux share: machines that show their state, and a pair of them.
import { parseNetMuxConfig } from '../../../src/wires/netmux/config.ts'
import type { NetMuxConfig, NetMuxSettings } from '../../../src/wires/netmux/config.ts'
import type { Frame } from '../../../src/wires/netmux/frame.ts'
import { netMuxRole } from '../../../src/wires/netmux/role.ts'
import type { NetMuxEnd } from '../../../src/wires/netmux/role.ts'
import type { Input } from '../../../src/wires/netmux/state-table.ts'
import type { Write } from '../../../src/engine/machine.ts'
import { bytesOf } from '../anytls/support.ts'
import { ShownMachine } from '../../support/shown-machine.ts'
import { describeFrames } from './frames.ts'

/** A machine whose state shows. */
export class NetMux extends ShownMachine<Frame, Input> {
  constructor(end: NetMuxEnd, config: NetMuxConfig, now: number) {
    super(netMuxRole(end, config), now)
  }

  /** As if the streams below `id` had been opened and closed. */
  override useUpIds(id: number): void {
    super.useUpIds(id - 2)
  }
}

export function makeMachine(role: NetMuxEnd, settings: NetMuxSettings = {}, now = 0): NetMux {
  return new NetMux(role, parseNetMuxConfig(settings), now)
}

/** What a machine has to write, as lines of text. */
export function said(machine: { takeWrites(): readonly Write[] }): string[] {
  return describeFrames(bytesOf(machine.takeWrites()))
}
