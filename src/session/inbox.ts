// What a stream has received and its reader has not asked for yet, and what the reader gets of it: Buffers of its own.
// Must never keep a view beyond the turn that brought it: its bytes are lent (D46).
import { BlockQueue } from '../codec/block-queue.ts'

/** Views of fewer bytes are always copied for the reader: they would keep the record that they came in. */
const WORTH_KEEPING = 4_096

export class Inbox {
  readonly #messages: boolean
  readonly #readsLent: boolean
  #queue: BlockQueue | undefined
  /** The only piece of this turn so far. */
  #lent: Uint8Array | undefined

  /**
   * @param messages whether each view is one datagram, of at most 65,535 bytes, and is taken as one
   * @param readsLent whether the bytes of views are used again after their turn
   */
  constructor(messages: boolean, readsLent: boolean) {
    this.#messages = messages
    this.#readsLent = readsLent
  }

  /** Bytes that wait; a datagram counts two more. */
  get length(): number {
    return (this.#queue?.length ?? 0) + (this.#lent?.length ?? 0)
  }

  push(view: Uint8Array): void {
    if (this.#messages) {
      const queue = (this.#queue ??= new BlockQueue())
      queue.push(Uint8Array.of(view.length >> 8, view.length & 255))
      queue.push(view)
    } else if (this.length === 0) {
      this.#lent = view
    } else {
      this.keep()
      this.#queue?.push(view)
    }
  }

  /** At the end of a turn: what nobody has taken is copied. */
  keep(): void {
    if (this.#lent === undefined) return
    this.#queue ??= new BlockQueue()
    this.#queue.push(this.#lent)
    this.#lent = undefined
  }

  /** The next bytes, or the next datagram; `undefined` when there are none. The caller owns them. */
  take(): Buffer | undefined {
    if (this.#lent !== undefined) {
      const lent = this.#lent
      this.#lent = undefined
      return ownBuffer(lent, this.#readsLent)
    }
    const queue = this.#queue
    if (queue === undefined || queue.length === 0) return undefined
    if (!this.#messages) return bufferOf(queue.take())
    const [high = 0, low = 0] = queue.takeExactly(2)
    return bufferOf(queue.takeExactly((high << 8) | low))
  }

  clear(): void {
    this.#queue = undefined
    this.#lent = undefined
  }
}

/** A copy of what the socket has only lent, and of small views, so that they do not keep the record that they came in. */
function ownBuffer(view: Uint8Array, isLent: boolean): Buffer {
  const whole = view.length >= WORTH_KEEPING && 5 * view.length >= 4 * view.buffer.byteLength
  return whole && !isLent ? bufferOf(view) : copyOf(view)
}

/** Small copies share a block, as those of Buffer do; but from Node 24 on its blocks have 64 KiB, which one byte keeps. */
const SHARED_BLOCK = 8_192
let shared = Buffer.allocUnsafeSlow(SHARED_BLOCK)
let sharedUsed = 0

function copyOf(view: Uint8Array): Buffer {
  const { length } = view
  if (length > SHARED_BLOCK / 2) {
    const copy = Buffer.allocUnsafeSlow(length)
    copy.set(view)
    return copy
  }
  if (sharedUsed + length > SHARED_BLOCK) {
    shared = Buffer.allocUnsafeSlow(SHARED_BLOCK)
    sharedUsed = 0
  }
  shared.set(view, sharedUsed)
  sharedUsed += length
  return Buffer.from(shared.buffer, sharedUsed - length, length)
}

function bufferOf(view: Uint8Array): Buffer
function bufferOf(view: Uint8Array | undefined): Buffer | undefined
function bufferOf(view: Uint8Array | undefined): Buffer | undefined {
  return view && Buffer.from(view.buffer, view.byteOffset, view.byteLength)
}
