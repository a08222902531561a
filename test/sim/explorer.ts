// Explores every interleaving of what two machines of one wire and their applications can do, breadth first, up
// to bounds: opening, data, the end of one direction, reset, credit, ping, closing, the arrival of the next piece in
// either direction, loss of the link. States that look alike from outside are visited once. Machines cannot be
// copied, so each transition plays its path again from the start.
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
  /** What can happen there. */
  readonly actions: readonly Action[]
}

/**
 * @param most where to stop, should the bounds permit more: that many transitions, or that many states
 * @throws ExploreError with the shortest way to a state that breaks an invariant
 */
export function explore(
  wire: ExploredWire,
  bounds: Bounds,
  most: { readonly transitions?: number; readonly states?: number },
): Exploration {
  const { transitions: mostTransitions = Infinity, states: mostStates = Infinity } = most
  const seen = new Set<number>()
  const queue: Node[] = []
  /** The state at the end of a way, if it is a new one. */
  const visit = (parent: Node | undefined, action: Action | undefined): void => {
    const depth = parent === undefined ? 0 : parent.depth + 1
    guarded({ parent, action, depth, actions: [] }, () => {
      const world = new ExploredWorld(wire, bounds)
      if (parent !== undefined) for (const each of wayTo(parent)) world.apply(each)
      if (action !== undefined) world.apply(action)
      const key = world.key()
      if (seen.has(key)) return
      seen.add(key)
      queue.push({ parent, action, depth, actions: world.actions() })
      // The world is of no use afterwards, and costs a way to make.
      world.windDown()
    })
  }

  visit(undefined, undefined)
  let transitions = 0
  let depth = 0
  for (let next = 0; next < queue.length; next += 1) {
    const node = queue[next]!
    depth = node.depth
    for (const action of node.actions) {
      if (transitions === mostTransitions || seen.size >= mostStates) {
        return { states: seen.size, transitions, depth, complete: false }
      }
      transitions += 1
      visit(node, action)
    }
  }
  return { states: seen.size, transitions, depth, complete: true }
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
