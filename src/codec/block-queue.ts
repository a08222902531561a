// Received bytes that wait for a reader, kept in blocks of our own (D46): what waits costs a quarter more than its
// bytes, however small the pieces were that it came in.
// Must never keep a view that was pushed: its bytes are lent.

/** Bytes of the smallest and of the largest block for pieces that are smaller than it. */
const MIN_BLOCK = 1_024
const MAX_BLOCK = 16_384

/** A FIFO of bytes. What it costs beside its bytes is at most a quarter of them and {@link MIN_BLOCK}. */
export class BlockQueue {
  /** Blocks that are full. */
  #full: Uint8Array[] = []
  #head = 0
  /** Bytes of the first block that have been taken. */
  #offset = 0
  /** The block that is being filled. */
  #tail: Uint8Array | undefined
  #filled = 0
  #length = 0

  /** Bytes in the queue. */
  get length(): number {
    return this.#length
  }

  /** Adds a copy of `view` at the back. */
  push(view: Uint8Array): void {
    let at = 0
    while (at < view.length) {
      const tail = (this.#tail ??= new Uint8Array(this.#blockSize(view.length - at)))
      const bytes = Math.min(tail.length - this.#filled, view.length - at)
      tail.set(bytes === view.length ? view : view.subarray(at, at + bytes), this.#filled)
      at += bytes
      this.#filled += bytes
      this.#length += bytes
      if (this.#filled === tail.length) this.#closeTail(tail)
    }
  }

  /** Takes the next bytes, as many as stand together; `undefined` when there are none. The caller owns them. */
  take(): Uint8Array | undefined {
    const block = this.#full[this.#head]
    if (block === undefined) return this.#takeTail()
    const piece = this.#offset === 0 ? block : block.slice(this.#offset)
    this.#dropFirst()
    this.#length -= piece.length
    return piece
  }

  /** Takes exactly `bytes` bytes, which must be there. The caller owns them. */
  takeExactly(bytes: number): Uint8Array {
    const taken = new Uint8Array(bytes)
    let at = 0
    while (at < bytes) {
      const block = this.#full[this.#head]
      const from = block ?? this.#tail
      const end = block === undefined ? this.#filled : block.length
      if (from === undefined) throw new RangeError('fewer bytes wait than are taken')
      const part = from.subarray(this.#offset, Math.min(end, this.#offset + bytes - at))
      taken.set(part, at)
      at += part.length
      this.#offset += part.length
      if (this.#offset === end) {
        if (block === undefined) this.#dropTail()
        else this.#dropFirst()
      }
    }
    this.#length -= bytes
    return taken
  }

  /** Drops everything. */
  clear(): void {
    this.#full = []
    this.#head = 0
    this.#dropTail()
    this.#length = 0
  }

  #blockSize(rest: number): number {
    const quarter = Math.min(Math.max(this.#length >> 2, MIN_BLOCK), MAX_BLOCK)
    return Math.max(quarter, rest)
  }

  #closeTail(tail: Uint8Array): void {
    this.#full.push(tail)
    this.#tail = undefined
    this.#filled = 0
  }

  #takeTail(): Uint8Array | undefined {
    const tail = this.#tail
    if (tail === undefined) return undefined
    // Whoever takes it must not keep much more than its bytes.
    const kept = this.#filled - this.#offset
    const whole = this.#offset === 0 && 5 * kept >= 4 * tail.length
    const piece = whole ? tail.subarray(0, kept) : tail.slice(this.#offset, this.#filled)
    this.#dropTail()
    this.#length -= kept
    return piece
  }

  #dropTail(): void {
    this.#tail = undefined
    this.#filled = 0
    this.#offset = 0
  }

  #dropFirst(): void {
    this.#offset = 0
    this.#head += 1
    if (this.#head === this.#full.length) {
      this.#full = []
      this.#head = 0
    } else if (this.#head >= 64) {
      this.#full.splice(0, this.#head)
      this.#head = 0
    }
  }
}
