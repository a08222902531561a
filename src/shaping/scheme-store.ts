// Where a client keeps the schemes that servers sent it, one a server (D23).
// Must never grow without bound, or change the scheme of a connection that is running.
import { invalidOption } from '../errors.ts'
import type { Scheme } from './scheme.ts'

/** Schemes by server. An application may bring its own, to keep them beyond the process. */
export interface SchemeStore {
  /** The scheme that the server sent last, for the next connection to it. */
  get(server: string): Scheme | undefined
  /**
   * Keeps what a server sent.
   *
   * @param server what tells servers apart; this package uses `host:port`
   */
  set(server: string, scheme: Scheme): void
}

/** Keeps schemes in memory; when it is full, the least recently used goes first. */
export class MemorySchemeStore implements SchemeStore {
  readonly #capacity: number
  /** A Map keeps the order of insertion: the first key is the least recently used. */
  readonly #schemes = new Map<string, Scheme>()

  /**
   * @param capacity most servers that are remembered
   * @throws AnyTlsError `ERR_OPTION_INVALID` unless it is a whole number of at least 1
   */
  constructor(capacity = 1024) {
    if (!Number.isSafeInteger(capacity) || capacity < 1) {
      throw invalidOption('the capacity of a scheme store is at least 1')
    }
    this.#capacity = capacity
  }

  get(server: string): Scheme | undefined {
    const scheme = this.#schemes.get(server)
    if (scheme !== undefined) this.#putLast(server, scheme)
    return scheme
  }

  /** Keeps what a server sent, in place of what it sent before. */
  set(server: string, scheme: Scheme): void {
    this.#putLast(server, scheme)
    const oldest = this.#schemes.keys().next().value
    if (this.#schemes.size > this.#capacity && oldest !== undefined) this.#schemes.delete(oldest)
  }

  #putLast(server: string, scheme: Scheme): void {
    this.#schemes.delete(server)
    this.#schemes.set(server, scheme)
  }
}
