// New frames that have not left: each waits for the first data of its sub-connection, to carry it along
// (section 6.3.2).
// Must never keep one whose sub-connection is gone, or let anything of a sub-connection leave before it.
import type { StreamRecord } from '../../engine/stream-record.ts'

export class HeldOpenings {
  readonly #frames = new Map<
    number,
    { readonly record: StreamRecord; readonly frame: Uint8Array }
  >()

  hold(record: StreamRecord, frame: Uint8Array): void {
    this.#frames.set(record.id, { record, frame })
  }

  /** Takes the New of a sub-connection out; `undefined` when it has left. */
  take(stream: number): Uint8Array | undefined {
    const held = this.#frames.get(stream)
    this.#frames.delete(stream)
    return held?.frame
  }

  /** Takes out all of them, in the order in which they were held, but for sub-connections that are gone. */
  takeAll(current: (stream: number) => StreamRecord | undefined): Uint8Array[] {
    if (this.#frames.size === 0) return []
    const held = [...this.#frames.values()]
    this.#frames.clear()
    return held.flatMap(({ record, frame }) => (current(record.id) === record ? [frame] : []))
  }
}
