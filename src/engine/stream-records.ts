// The streams of one connection: by id, by deadline, and how far their windows may grow together.
// Must never keep anything of a stream that is gone.
import { Deadlines } from './deadlines.ts'
import type { StreamRecord } from './stream-record.ts'

/** By how many bytes the windows of all streams of a connection may have grown together. */
const GROWTH_BUDGET = 16_777_216

export class StreamRecords {
  readonly #byId = new Map<number, StreamRecord>()
  readonly #deadlines = new Deadlines<StreamRecord>()
  #growthLeft = GROWTH_BUDGET

  get size(): number {
    return this.#byId.size
  }

  get(id: number): StreamRecord | undefined {
    return this.#byId.get(id)
  }

  /** All streams, in a list of its own: what is done to one may remove others. */
  list(): StreamRecord[] {
    return [...this.#byId.values()]
  }

  /** Takes a stream in, or moves its deadline. */
  set(record: StreamRecord, due: number): void {
    this.#byId.set(record.id, record)
    this.#deadlines.set(record, due)
  }

  delete(record: StreamRecord): void {
    if (!this.#byId.delete(record.id)) return
    this.#deadlines.delete(record)
    this.#growthLeft += record.growth
  }

  clear(): void {
    this.#byId.clear()
    this.#deadlines.clear()
  }

  /** The earliest deadline; `Infinity` when there is none. */
  get nextDue(): number {
    return this.#deadlines.next
  }

  /** The stream whose deadline has come; it has none until it is {@link set} again. */
  takeDue(now: number): StreamRecord | undefined {
    return this.#deadlines.takeDue(now)
  }

  /**
   * A stream whose application has consumed all that came is held up by the round trip, not by its
   * reader: its window doubles, up to `limit`, as long as the connection has bytes to spare for it.
   *
   * @returns by how many bytes it has grown
   */
  growWindow(record: StreamRecord, limit: number): number {
    const bytes = Math.min(record.window, limit - record.window, this.#growthLeft)
    if (!record.keptUp || bytes <= 0) return 0
    record.growth += bytes
    this.#growthLeft -= bytes
    return bytes
  }
}
