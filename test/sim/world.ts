// A client and a server machine of ANYTLS in a simulated world (see mux-world.ts).
import { makeClient, makeServer } from '../wires/anytls/support.ts'
import type { Client, Server, ServerSetup, Setup } from '../wires/anytls/support.ts'
import { MuxWorld } from './mux-world.ts'
import type { End } from './mux-world.ts'

export type { End, Role } from './mux-world.ts'

/**
 * Without streams nothing may have a deadline: what is left in the machine's heap would show. Streams have
 * all the time that their applications need.
 */
const TIMEOUTS = { connection: Infinity, streamOpen: 3_600_000, linger: 3_600_000 }

export class World extends MuxWorld<Client, Server> {
  constructor(seed: number, setup: Setup, serverSetup: ServerSetup) {
    super(seed, {
      client: makeClient({ ...setup, seed, timeouts: TIMEOUTS }),
      server: makeServer({ ...serverSetup, seed, timeouts: TIMEOUTS }),
      window: setup.mux1Window ?? 0,
    })
  }

  /** Only clients open streams (D9, D27). */
  override open(): End {
    return super.open('client')
  }
}
