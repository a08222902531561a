// The wires as the explorer makes them: windows of two units, streams and connections with all the time of the
// world. One row a wire; a wire with a smallest window counts in halves of that.
import type { Machine } from '../../src/engine/machine.ts'
import * as anytls from '../wires/anytls/support.ts'
import * as legacy from '../wires/legacy/support.ts'
import * as muxpro from '../wires/muxpro/support.ts'
import * as netmux from '../wires/netmux/support.ts'
import type { Role } from './mux-world.ts'
import type { ExploredWire } from './explored-world.ts'

/** Only what makes a machine speak at all has a deadline. */
const PATIENT = {
  connection: Infinity,
  keepalive: Infinity,
  ping: Infinity,
  stream: Infinity,
  streamOpen: Infinity,
  linger: Infinity,
}
const V1 = { ...PATIENT, auth: Infinity, nego: Infinity }
const LEGACY = { ...PATIENT, auth: Infinity, answer: Infinity, synack: Infinity }
const NETMUX = { keepaliveInterval: Infinity, keepaliveTimeout: Infinity, openTimeout: Infinity }

export const EXPLORED_WIRES: readonly ExploredWire[] = [
  {
    name: 'v1',
    make: () =>
      pair(
        () => anytls.makeClient({ timeouts: V1, mux1Window: 65_536 }),
        () => anytls.makeServer({ timeouts: V1, mux1Window: 65_536 }),
      ),
    unit: 32_768,
    openers: ['client'],
    halfClose: true,
    servesUnderWay: true,
  },
  {
    name: 'v1 without mux1',
    make: () =>
      pair(
        () => anytls.makeClient({ timeouts: V1 }),
        () => anytls.makeServer({ timeouts: V1 }),
      ),
    unit: 1,
    openers: ['client'],
    halfClose: false,
  },
  {
    name: 'original',
    make: () =>
      pair(
        () => legacy.makeClient({ timeouts: LEGACY }),
        () => legacy.makeServer({ timeouts: LEGACY }),
      ),
    unit: 1,
    openers: ['client'],
    halfClose: false,
  },
  {
    name: 'Mux.Pro',
    make: () =>
      pair(
        () => muxpro.makeClient({ timeouts: { ...PATIENT, nego: Infinity } }),
        () => muxpro.makeServer({ timeouts: { ...PATIENT, nego: Infinity } }),
      ),
    unit: 32_768,
    openers: ['client'],
    halfClose: false,
    request: muxpro.TCP,
  },
  {
    name: 'net-mux',
    make: () =>
      pair(
        () => netmux.makeMachine('client', { ...NETMUX, initialStreamWindow: 2 }),
        () => netmux.makeMachine('server', { ...NETMUX, initialStreamWindow: 2 }),
      ),
    unit: 1,
    openers: ['client', 'server'],
    halfClose: true,
  },
]

function pair(client: () => Machine, server: () => Machine): Record<Role, Machine> {
  return { client: client(), server: server() }
}
