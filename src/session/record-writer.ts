// A machine's Writes on a Duplex: shaped ones flushed one by one, so that each leaves as one TLS record
// and one TCP segment (D33), the others joined for speed.
// Must never reorder, or start a shaped Write while anything else is on its way.
import type { Duplex } from 'node:stream'
import type { Write } from '../mux/machine.ts'

// Up to this many bytes one copy into one buffer beats a vectored write, which copies as well.
const JOIN_LIMIT = 65_536

export class RecordWriter {
  readonly #sink: Duplex
  readonly #onProgress: () => void
  readonly #queue: Write[] = []
  #queued = 0
  #flushing = false
  #ending = false

  /** @param onProgress called after each time that bytes have left */
  constructor(sink: Duplex, onProgress: () => void) {
    this.#sink = sink
    this.#onProgress = onProgress
  }

  /** Bytes taken over that have not left yet. */
  get backlog(): number {
    return this.#queued + this.#sink.writableLength
  }

  write(writes: readonly Write[]): void {
    if (this.#queue.length === 0 && !this.#flushing) {
      let index = 0
      for (; index < writes.length; index += 1) {
        const write = writes[index]
        if (write === undefined || !this.#start(write)) break
      }
      writes = index === 0 ? writes : writes.slice(index)
    }
    for (const write of writes) {
      this.#queue.push(write)
      this.#queued += write.bytes
    }
  }

  /** Ends the sink once everything has been written. */
  end(): void {
    this.#ending = true
    this.#continue()
  }

  /** Hands a Write to the sink, or returns false when it must wait for those before it. */
  #start(write: Write): boolean {
    if (this.#flushing) return false
    if (write.shaped) {
      if (this.#sink.writableLength > 0) return false
      this.#flushing = true
      this.#sink.write(write.parts[0], this.#onFlushed)
      return true
    }
    this.#writeJoined(write)
    return true
  }

  #writeJoined({ parts, bytes }: Write): void {
    if (parts.length === 1) {
      this.#sink.write(parts[0], this.#onWritten)
    } else if (bytes <= JOIN_LIMIT) {
      this.#sink.write(Buffer.concat(parts, bytes), this.#onWritten)
    } else {
      this.#sink.cork()
      const last = parts.length - 1
      for (let index = 0; index < last; index += 1) this.#sink.write(parts[index])
      this.#sink.write(parts[last], this.#onWritten)
      this.#sink.uncork()
    }
  }

  // A failed write also destroys the sink, whose `error` and `close` the session listens to.
  readonly #onFlushed = (): void => {
    this.#flushing = false
    this.#onWritten()
  }

  readonly #onWritten = (): void => {
    this.#continue()
    this.#onProgress()
  }

  #continue(): void {
    while (this.#queue.length > 0) {
      const write = this.#queue[0]
      if (write === undefined || !this.#start(write)) return
      this.#queue.shift()
      this.#queued -= write.bytes
    }
    if (this.#ending && !this.#flushing && !this.#sink.writableEnded) this.#sink.end()
  }
}
