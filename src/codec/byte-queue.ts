// Bytes waiting in order, as the views they came in: the pending data of a stream.
// Must never copy bytes, or keep a view that has been taken. Its owner bounds `length`.

// Below this many empty places at the front, moving the rest down is not worth it.
const COMPACT_MIN = 64

/** A FIFO of byte views. Every operation is O(1) amortised for each view that goes in. */
export class ByteQueue {
  #views: (Uint8Array | undefined)[] = []
  #head = 0
  #length = 0

  /** Bytes in the queue. */
  get length(): number {
    return this.#length
  }

  /** Views in the queue. */
  get viewCount(): number {
    return this.#views.length - this.#head
  }

  /** Bytes of the view at the front, 0 when the queue is empty. */
  get firstLength(): number {
    return this.#views[this.#head]?.length ?? 0
  }

  /** Adds a view at the back. It is kept, not copied: it must not change until it is taken. */
  push(view: Uint8Array): void {
    if (view.length === 0) return
    this.#views.push(view)
    this.#length += view.length
  }

  /**
   * Takes views off the front, in order, that add up to `max` bytes, or to all bytes if there are fewer.
   * The last one is split by `subarray` when it does not fit.
   *
   * @param max whole number of bytes, or Infinity
   */
  take(max: number): Uint8Array[] {
    const taken: Uint8Array[] = []
    let room = Math.min(max, this.#length)
    while (room > 0) {
      const view = this.#views[this.#head]
      if (view === undefined) break
      if (view.length > room) {
        taken.push(view.subarray(0, room))
        this.#views[this.#head] = view.subarray(room)
        this.#length -= room
        break
      }
      taken.push(view)
      this.#views[this.#head] = undefined
      this.#head += 1
      this.#length -= view.length
      room -= view.length
    }
    this.#compact()
    return taken
  }

  /** Drops everything. */
  clear(): void {
    this.#views = []
    this.#head = 0
    this.#length = 0
  }

  #compact(): void {
    if (this.#head === this.#views.length) {
      // Setting the length of an array costs far more than one pop, and one view is the common case.
      if (this.#head === 1) this.#views.pop()
      else this.#views.length = 0
      this.#head = 0
    } else if (this.#head >= COMPACT_MIN && this.#head * 2 >= this.#views.length) {
      this.#views.splice(0, this.#head)
      this.#head = 0
    }
  }
}
