// What one turn of the loop brings to a socket leaves together, once all of the turn has come.
import { guarded } from './callbacks.ts'

/** Something that gathers what is to leave. */
export interface Gatherer {
  /** Writes what has come. */
  flush(): void
}

const due: Gatherer[] = []

/** Has `gatherer` write once the turn of the loop is over: to be asked once, and again from its `flush` on. */
export function flushAtTurnEnd(gatherer: Gatherer): void {
  if (due.push(gatherer) === 1) setImmediate(flushDue)
}

function flushDue(): void {
  for (const gatherer of due.splice(0)) guarded(() => gatherer.flush())
}
