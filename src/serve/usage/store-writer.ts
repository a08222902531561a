// Writes into a store who is here and what was counted, for whoever serves: one process, or the primary one of several.
import { AnyTlsError } from '../../errors.ts'
import type { SessionsByUser, UserStore } from '../users/store.ts'

export class StoreWriter {
  readonly #store: Pick<UserStore, 'publishSessions' | 'usage' | 'close'>
  readonly #warn: (problem: string) => void
  #writing: Promise<void> | undefined
  #failing = false

  /** @param warn told of what could not be written, in one line, once until it could be */
  constructor(
    store: Pick<UserStore, 'publishSessions' | 'usage' | 'close'>,
    warn: (problem: string) => void,
  ) {
    this.#store = store
    this.#warn = warn
  }

  /** Writes, unless it is at it still: then it is done with the next one. */
  write(here: () => SessionsByUser): void {
    this.#writing ??= this.#write(here()).finally(() => (this.#writing = undefined))
  }

  /** Writes what is left, and closes the store. */
  async close(): Promise<void> {
    await this.#writing
    try {
      await this.#store.close()
    } catch (error) {
      this.#onFailure(error)
    }
  }

  async #write(here: SessionsByUser): Promise<void> {
    try {
      this.#store.publishSessions(here)
      await this.#store.usage.flush()
      await this.#store.usage.refresh()
      this.#failing = false
    } catch (error) {
      this.#onFailure(error)
    }
  }

  /** What cannot be written now is kept, and tried again. */
  #onFailure(error: unknown): void {
    if (!(error instanceof AnyTlsError)) throw error
    if (!this.#failing) this.#warn(error.message)
    this.#failing = true
  }
}
