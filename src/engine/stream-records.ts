// The streams of one connection: by id and by deadline.
import { ChurningMap } from '../codec/churning.ts'
import { Deadlines } from './deadlines.ts'
import type { StreamRecord } from './stream-record.ts'

export class StreamRecords {
  readonly #byId = new ChurningMap<number, StreamRecord>()
  readonly #deadlines = new Deadlines<StreamRecord>()

  get size(): number {
    return this.#byId.size
  }

  get(id: number): StreamRecord | undefined {
    return this.#byId.get(id)
  }

  /** All streams, in a list of its own: what is done to one may remove others. */
  list(): StreamRecord[] {
    return this.#byId.list()
  }

  /** Takes a stream in, or moves its deadline. */
  set(record: StreamRecord, due: number): void {
    this.#byId.set(record.id, record)
    this.#deadlines.set(record, due)
  }

  /** False when it had gone already. */
  delete(record: StreamRecord): boolean {
    this.#deadlines.delete(record)
    return this.#byId.delete(record.id)
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
}
