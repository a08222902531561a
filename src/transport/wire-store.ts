// What servers turned out to speak, so that `wire: 'auto'` asks each only once.
// Must never grow without bound.
import { AnyTlsError } from '../errors.ts'

/** The wires that a server of ours speaks on one port (D18). */
export type ServerWire = 'v1' | 'legacy'

/** Wires by server (`host:port`). An application may bring its own, to keep them beyond the process. */
export interface WireStore {
  get(server: string): ServerWire | undefined
  set(server: string, wire: ServerWire): void
  delete(server: string): void
}

/** Keeps them in memory; when it is full, what was learnt first goes first. */
export class MemoryWireStore implements WireStore {
  readonly #capacity: number
  readonly #wires = new Map<string, ServerWire>()

  /**
   * @param capacity most servers that are remembered
   * @throws AnyTlsError `ERR_OPTION_INVALID` unless it is a whole number of at least 1
   */
  constructor(capacity = 1024) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw new AnyTlsError('ERR_OPTION_INVALID', 'the capacity of a wire store is at least 1')
    }
    this.#capacity = capacity
  }

  get(server: string): ServerWire | undefined {
    return this.#wires.get(server)
  }

  set(server: string, wire: ServerWire): void {
    this.#wires.delete(server)
    this.#wires.set(server, wire)
    const oldest = this.#wires.keys().next().value
    if (this.#wires.size > this.#capacity && oldest !== undefined) this.#wires.delete(oldest)
  }

  delete(server: string): void {
    this.#wires.delete(server)
  }
}
