// Explores every interleaving of what two machines of one wire and their applications can do, breadth first, up
// to bounds: opening, data, the end of one direction, reset, credit, ping, closing, the arrival of the next piece in
// either direction, loss of the link. States that look alike from outside are visited once. Machines cannot be
// copied, so each transition plays its path again from the start.
// Must never use real time or a random source, or know the wire.
import { ExploredWorld, ExploreError } from './explored-world.ts'
import type { Action, Bounds, ExploredWire } from './explored-world.ts'

export interface Exploration {
  /** States that differ from outside. */
  readonly states: number
  /** Moves that were made from them. */
  readonly transitions: number
  /** The longest shortest way to a state, in moves. */
  readonly depth: number
  /** Nothing within the bounds was left out. */
  readonly complete: boolean
}

/** A state, by the way that leads there. */
interface Node {
  readonly parent: Node | undefined
  readonly action: Action | undefined
  readonly depth: number
}

/**
 * @param mostTransitions where to stop, should the bounds permit more
 * @throws ExploreError with the shortest way to a state that breaks an invariant
 */
export function explore(wire: ExploredWire, bounds: Bounds, mostTransitions: number): Exploration {
  const seen = new Set<number>()
  const first: Node = { parent: undefined, action: undefined, depth: 0 }
  const queue: Node[] = [first]
  seen.add(play(wire, bounds, first).key())
  let transitions = 0
  let depth = 0
  for (let next = 0; next < queue.length; next += 1) {
    const node = queue[next]!
    depth = node.depth
    const world = play(wire, bounds, node)
    const actions = world.actions()
    guarded(node, () => world.windDown())
    for (const action of actions) {
      if (transitions === mostTransitions) {
        return { states: seen.size, transitions, depth, complete: false }
      }
      transitions += 1
      const child: Node = { parent: node, action, depth: node.depth + 1 }
      const key = guarded(child, () => play(wire, bounds, child).key())
      if (seen.has(key)) continue
      seen.add(key)
      queue.push(child)
    }
  }
  return { states: seen.size, transitions, depth, complete: true }
}

function play(wire: ExploredWire, bounds: Bounds, node: Node): ExploredWorld {
  const world = new ExploredWorld(wire, bounds)
  for (const action of wayTo(node)) world.apply(action)
  return world
}

function wayTo(node: Node): Action[] {
  const way: Action[] = []
  for (let at: Node | undefined = node; at?.action !== undefined; at = at.parent)
    way.push(at.action)
  return way.reverse()
}

/** Whatever is thrown in there, a machine's own exceptions too, is told with the way to it. */
function guarded<T>(node: Node, run: () => T): T {
  try {
    return run()
  } catch (error) {
    const way = wayTo(node).map(({ role, kind, stream }) =>
      `${role} ${kind} ${stream || ''}`.trim(),
    )
    const what = error instanceof ExploreError ? error.message : String(error)
    throw new ExploreError(`${what}; after: ${way.join(', ')}`, { cause: error })
  }
}
