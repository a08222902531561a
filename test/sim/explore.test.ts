// Every interleaving of what two machines and their applications can do, as far as a few seconds go; `npm run
// explore` goes further.
import { describe, expect, it } from 'vitest'
import { EXPLORED_WIRES } from './explored-wires.ts'
import type { Bounds, ExploredWire } from './explored-world.ts'
import { explore } from './explorer.ts'
import { FAULTS, SHOWS } from './planted-faults.ts'
import type { Fault } from './planted-faults.ts'

const BOUNDS: Bounds = { streams: 2, units: { client: 3, server: 1 }, resets: 1, pings: 1 }
const TRANSITIONS = 1_500

/** Without credit none can be lost, and without GOAWAY nothing waited for. */
function applies(fault: string, { name, servesUnderWay }: ExploredWire): boolean {
  if (fault === 'it waits for nobody when it drains') return servesUnderWay === true
  return fault !== 'a credit is lost' || ['v1', 'Mux.Pro', 'net-mux'].includes(name)
}

/** `wire` with a server that has a fault. */
function withFault(wire: ExploredWire, fault: Fault): ExploredWire {
  return {
    ...wire,
    make: () => {
      const { client, server } = wire.make()
      return { client, server: FAULTS[fault](server) }
    },
  }
}

describe.each(EXPLORED_WIRES)('$name, client and server', (wire) => {
  it('never stand still, lose or repeat a byte or a credit, throw, or accuse each other, whatever comes when', () => {
    // By way of the wrapper that faults are planted with, which shows that it does nothing itself.
    const explored = explore(withFault(wire, 'nothing is wrong'), BOUNDS, {
      transitions: TRANSITIONS,
    })
    expect(explored.transitions).toBe(TRANSITIONS)
    expect(explored.states).toBeGreaterThan(400)
  })

  it.each(Object.entries(SHOWS).filter(([fault]) => applies(fault, wire)))(
    'and it shows when, at the server, %s',
    (fault, shows) => {
      expect(() =>
        explore(withFault(wire, fault as Fault), BOUNDS, { transitions: TRANSITIONS }),
      ).toThrow(shows)
    },
  )
})
