// What servers turned out to speak, so that `wire: 'auto'` asks each only once.
// Must never grow without bound.
import { invalidOption } from '../errors.ts'

/** The wires that a server of ours speaks on one port (D18). */
export type ServerWire = 'v1' | 'legacy'

/** What is known of a server: its wire, and with `legacy-1` that it speaks the first version of it alone (D48). */
export type KnownWire = ServerWire | 'legacy-1'

/** Wires by server (`host:port`). An application may bring its own, to keep them beyond the process. */
export interface WireStore {
  /** What the server speaks, if it is known. */
  get(server: string): KnownWire | undefined
  /** Keeps what has been found out. */
  set(server: string, wire: KnownWire): void
  /** Forgets it: the server did not speak it. */
  delete(server: string): void
}

/**
 * How long it is believed that a server speaks the original wire alone, in milliseconds: it may have learnt more,
 * and one that was asked at a bad moment is not to be stuck with the answer.
 */
const LEGACY_HOLDS = 3_600_000

/** What was learnt of a server. */
export interface LearntWire {
  readonly wire: KnownWire
  /** Until when it is believed, in milliseconds of the epoch. */
  readonly until: number
}

/** @param now in milliseconds of the epoch */
export function learnWire(wire: KnownWire, now: number): LearntWire {
  return { wire, until: wire === 'v1' ? Infinity : now + LEGACY_HOLDS }
}

/** Keeps them in memory; when it is full, what was learnt first goes first. */
export class MemoryWireStore implements WireStore {
  readonly #capacity: number
  readonly #now: () => number
  readonly #wires = new Map<string, LearntWire>()

  /**
   * @param capacity most servers that are remembered
   * @param now milliseconds of the epoch, for tests
   * @throws AnyTlsError `ERR_OPTION_INVALID` unless it is a whole number of at least 1
   */
  constructor(capacity = 1024, now = Date.now) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw invalidOption('the capacity of a wire store is at least 1')
    }
    this.#capacity = capacity
    this.#now = now
  }

  /** What the server speaks, unless that is unknown or too old. */
  get(server: string): KnownWire | undefined {
    const learnt = this.#wires.get(server)
    return learnt !== undefined && learnt.until > this.#now() ? learnt.wire : undefined
  }

  /** Keeps what has been found out, and forgets the oldest when it is full. */
  set(server: string, wire: KnownWire): void {
    this.#wires.delete(server)
    this.#wires.set(server, learnWire(wire, this.#now()))
    const oldest = this.#wires.keys().next().value
    if (this.#wires.size > this.#capacity && oldest !== undefined) this.#wires.delete(oldest)
  }

  /** Forgets what the server speaks. */
  delete(server: string): void {
    this.#wires.delete(server)
  }
}
