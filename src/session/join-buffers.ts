// Buffers for joining bytes before they are written, and for what was lent and has to wait: fresh ones cost more than the
// copy itself, and their sum drives full collections of the heap, so a few are kept for whatever session or socket is next.

/** Bytes that are joined for a socket that has no records: four full ones of TLS. */
export const JOIN_SIZE = 65_536

/** Bytes that are joined for a connection when more wait: eight full TLS records. */
export const RECORDS_JOIN = 2 * JOIN_SIZE

/** When no more wait, a write of an application of 128 KiB leaves with its frame heads as one. */
export const RECORDS_LIMIT = RECORDS_JOIN + 1_024

/** Bytes of the largest, for a wide read with its frame heads: 32 full records. */
export const WIDE_JOIN = 8 * JOIN_SIZE

/** Bytes of the buffers for less, so that a request does not hold what a download does. */
export const SMALL_JOIN = 4_096

/** Buffers of one size that nobody has. */
interface Spares {
  readonly size: number
  readonly most: number
  readonly buffers: Buffer[]
}

const SMALL: Spares = { size: SMALL_JOIN, most: 128, buffers: [] }
/** Those of sixty-four transfers that wait at both ends of a proxy: 8.1 MiB. They have room for heads as well. */
const MIDDLE: Spares = { size: JOIN_SIZE + 1_024, most: 128, buffers: [] }
/** Those of 128 connections that wait: 16.1 MiB. */
const LONG: Spares = { size: RECORDS_LIMIT, most: 128, buffers: [] }
/** One for each connection that may have wide writes: 8 MiB. */
const WIDE: Spares = { size: WIDE_JOIN, most: 16, buffers: [] }

const SIZES = [SMALL, MIDDLE, LONG, WIDE]

/** The smallest that have room for so many bytes. */
function sparesFor(bytes: number): Spares {
  return SIZES.find(({ size }) => bytes <= size) ?? WIDE
}

/** @param bytes what is to be joined, {@link WIDE_JOIN} at most: the buffer has room for it, or for more */
export function takeJoinBuffer(bytes: number): Buffer {
  const { buffers, size } = sparesFor(bytes)
  return buffers.pop() ?? Buffer.allocUnsafeSlow(size)
}

export function giveJoinBuffer(buffer: Buffer): void {
  const { buffers, most } = sparesFor(buffer.length)
  if (buffers.length < most) buffers.push(buffer)
}

/** A buffer of {@link KeptBytes}. */
interface Kept {
  readonly buffer: Buffer
  filled: number
  /** Bytes of it that have not been taken. */
  left: number
}

/** Copies of lent bytes that wait, in order, in such buffers. */
export class KeptBytes {
  readonly #kept: Kept[] = []

  get isEmpty(): boolean {
    return this.#kept.length === 0
  }

  /** @returns the copy; small ones share a buffer */
  keep(view: Uint8Array): Uint8Array {
    if (view.length > WIDE_JOIN) return new Uint8Array(view)
    let last = this.#kept.at(-1)
    if (last === undefined || last.buffer.length - last.filled < view.length) {
      last = { buffer: takeJoinBuffer(view.length), filled: 0, left: 0 }
      this.#kept.push(last)
    }
    const start = last.filled
    last.buffer.set(view, start)
    last.filled += view.length
    last.left += view.length
    return last.buffer.subarray(start, last.filled)
  }

  /**
   * The first of what waits has been taken; what is none of the copies counts for nothing.
   *
   * @returns the buffers that nothing waits in any more: to be given back when what was taken is of no use
   */
  took(views: readonly Uint8Array[]): readonly Buffer[] {
    let spent = 0
    for (const { buffer, length } of views) {
      const kept = this.#kept[spent]
      if (kept?.buffer.buffer !== buffer) continue
      kept.left -= length
      if (kept.left === 0) spent += 1
    }
    return this.#kept.splice(0, spent).map((kept) => kept.buffer)
  }
}
