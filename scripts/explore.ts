// The long form of test/sim/explore.test.ts: `npm run explore [states a wire]`. Two streams with all that can happen, up
// to that many states, and one stream for as long as it takes.
import { EXPLORED_WIRES } from '../test/sim/explored-wires.ts'
import type { Bounds } from '../test/sim/explored-world.ts'
import { explore } from '../test/sim/explorer.ts'

const MOST = Number(process.argv[2] ?? 110_000)

const SCENARIOS: Readonly<Record<string, Bounds>> = {
  'two streams': { streams: 2, units: { client: 3, server: 1 }, resets: 1, pings: 1 },
  'one stream': { streams: 1, units: { client: 3, server: 1 }, resets: 1, pings: 1 },
}

// Machines make errors that nobody reads: their stacks would take half of the time.
Error.stackTraceLimit = 0
const total = { states: 0, transitions: 0 }
for (const wire of EXPLORED_WIRES) {
  for (const [name, bounds] of Object.entries(SCENARIOS)) {
    const { states, transitions, depth, complete } = explore(wire, bounds, { states: MOST })
    total.states += states
    total.transitions += transitions
    const end = complete ? 'all there are' : `all up to ${depth} moves`
    console.log(`${wire.name}, ${name}: ${states} states, ${transitions} transitions, ${end}`)
  }
}
console.log(`${total.states} states, ${total.transitions} transitions in all, and nothing broken`)
