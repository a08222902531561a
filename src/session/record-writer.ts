// A machine's Writes on a Duplex: shaped ones flushed one by one, so that each leaves as one TLS record
// and one TCP segment (D33), the others joined for speed, small ones of several streams over a whole turn of the loop.
// Must never reorder, or have more than one write under way: what waits here can still be joined, what
// waits in the Duplex would be written in pieces of its choice.
import type { Duplex } from 'node:stream'
import type { Write } from '../engine/machine.ts'
import { ByteQueue } from '../codec/byte-queue.ts'
import { isSocket } from './carrier.ts'
import { flushAtTurnEnd } from './turn-end.ts'
import type { Gatherer } from './turn-end.ts'
import {
  JOIN_SIZE,
  RECORDS_JOIN,
  RECORDS_LIMIT,
  SMALL_JOIN,
  WIDE_JOIN,
  giveJoinBuffer,
  takeJoinBuffer,
} from './join-buffers.ts'

// What a view costs until it has left, beside its bytes: a peer must not make us keep thousands of tiny ones.
const VIEW_OVERHEAD = 256

/** From how many bytes on what is left of a buffer is filled, whatever comes. */
const WORTH_FILLING = 1_024

/** Connections that may have wide writes, those that asked first: Node keeps a buffer as large for the output of each, until it is closed. */
const MAX_WIDE = 16
let wideWriters = 0

export class RecordWriter implements Gatherer {
  readonly #sink: Duplex
  /** Another Duplex may keep what it was given; a socket has passed it on once it calls back. */
  readonly #reuses: boolean
  readonly #onProgress: () => void
  /** A shaped Write is one view; unshaped ones that follow each other share a queue. */
  readonly #queue: (Uint8Array | ByteQueue | Joined)[] = []
  #queued = 0
  #views = 0
  #underWay = 0
  #busy = false
  /** What waits may be joined by what this turn of the loop still brings. */
  #gathering = false
  /** Holds the bytes under way, if they were joined. */
  #joined: Buffer | undefined
  #ending = false
  #abandoned = false
  #accepted = 0
  #left = 0
  #isWide = false

  /** @param onProgress called after each time that bytes have left, or failed to */
  constructor(sink: Duplex, onProgress: () => void) {
    this.#sink = sink
    this.#reuses = isSocket(sink)
    this.#onProgress = onProgress
  }

  /** What has been taken over and has not left yet, in bytes of memory. */
  get backlog(): number {
    return this.#queued + this.#underWay + this.#views * VIEW_OVERHEAD
  }

  /** Bytes that were ever taken over. */
  get accepted(): number {
    return this.#accepted
  }

  /** Bytes of those that the sink has taken. */
  get left(): number {
    return this.#left
  }

  /** What is lent leaves as one write, if it comes as one, has no more than {@link WIDE_JOIN} bytes, finds nothing under way and gathers nothing. */
  get isWide(): boolean {
    return this.#isWide
  }

  /** Asks for wide writes. @returns whether it has them from now on */
  widen(): boolean {
    if (!this.#isWide && this.#reuses && wideWriters < MAX_WIDE) {
      this.#isWide = true
      wideWriters += 1
    }
    return this.#isWide
  }

  /** The connection is over, or somebody else's: another may have wide writes. */
  narrow(): void {
    if (this.#isWide) wideWriters -= 1
    this.#isWide = false
  }

  /**
   * @param lent whether their bytes are valid until this returns, and no longer: what has to wait is copied then
   * @param gathers whether others may follow in this turn of the loop, which small ones then wait for
   */
  write(writes: readonly Write[], lent = false, gathers = false): void {
    if (this.#abandoned) return
    for (const { bytes } of writes) this.#accepted += bytes
    const only = writes.length === 1 ? writes[0] : undefined
    if (only !== undefined && gathers && this.#gather(only)) return
    const most = lent && this.#isWide && !gathers ? WIDE_JOIN : RECORDS_LIMIT
    if (only !== undefined && only.bytes <= most && !this.#busy && this.#queue.length === 0) {
      this.#start(this.#inOne(only.parts))
      return
    }
    for (const { parts, bytes, shaped } of writes) {
      this.#queued += bytes
      this.#views += parts.length
      if (shaped) {
        this.#queue.push(...parts)
        continue
      }
      if (lent) {
        this.#views -= parts.length
        this.#append(parts, bytes)
        continue
      }
      let tail = this.#queue.at(-1)
      if (!(tail instanceof ByteQueue)) {
        tail = new ByteQueue()
        this.#queue.push(tail)
      }
      for (const part of parts) tail.push(part)
    }
    this.#continue()
  }

  /** Ends the sink once everything has been written. */
  end(): void {
    this.#ending = true
    this.#continue()
  }

  /** Somebody else has the sink from now on: nothing that still waits is written. */
  abandon(): void {
    this.#abandoned = true
    this.#queue.length = 0
    this.#queued = 0
    this.#views = 0
  }

  /** What fits into one buffer of the small ones waits for more. @returns whether it does */
  #gather({ parts, bytes, shaped }: Write): boolean {
    if (shaped || !this.#reuses || this.#queued + bytes > SMALL_JOIN) return false
    this.#queued += bytes
    this.#append(parts, bytes)
    if (!this.#gathering) flushAtTurnEnd(this)
    this.#gathering = true
    return true
  }

  /** The turn of the loop is over. */
  flush(): void {
    this.#gathering = false
    this.#continue()
  }

  #continue(): void {
    if (this.#abandoned) return
    while (!this.#busy) {
      const next = this.#next()
      if (next === undefined) break
      this.#queued -= next.length
      this.#start(next)
    }
    if (this.#ending && !this.#busy && !this.#sink.writableEnded) this.#sink.end()
  }

  #append(parts: readonly Uint8Array[], bytes: number): void {
    let tail = this.#queue.at(-1)
    let missing = bytes
    for (const part of parts) {
      let at = 0
      while (at < part.length) {
        if (!(tail instanceof Joined) || !tail.takes(missing)) {
          // Behind a large one more is to be expected.
          const more = tail instanceof Joined && tail.buffer.length > SMALL_JOIN
          const size = more ? RECORDS_LIMIT : Math.min(missing, RECORDS_LIMIT)
          tail = new Joined(this.#bufferFor(missing, size), missing)
          this.#queue.push(tail)
          this.#views += 1
        }
        const added = tail.add(part, at)
        at += added
        missing -= added
      }
    }
  }

  #bufferFor(bytes: number, size: number): Buffer {
    return this.#reuses ? takeJoinBuffer(size) : Buffer.allocUnsafe(Math.min(bytes, RECORDS_JOIN))
  }

  #start(bytes: Uint8Array): void {
    // First of all: a sink may bring the peer's answer, and so our next Writes, before `write` returns.
    this.#busy = true
    this.#underWay = bytes.length
    this.#sink.write(bytes, this.#onWritten)
  }

  /** The bytes of the next write. */
  #next(): Uint8Array | undefined {
    const head = this.#queue[0]
    if (head instanceof Joined) {
      this.#queue.shift()
      this.#views -= 1
      if (this.#reuses) this.#joined = head.buffer
      return head.bytes
    }
    if (!(head instanceof ByteQueue)) {
      if (head === undefined) return undefined
      this.#queue.shift()
      this.#views -= 1
      return head
    }
    const before = head.viewCount
    const views = head.take(head.length <= RECORDS_LIMIT ? RECORDS_LIMIT : RECORDS_JOIN)
    if (head.length === 0) this.#queue.shift()
    // Not what was taken: a view that was cut is still there.
    this.#views -= before - head.viewCount
    return this.#inOne(views)
  }

  /** Copied, as a vectored write on a TLSSocket copies as well, and at twice the cost. */
  #inOne(views: readonly Uint8Array[]): Uint8Array {
    const [first] = views
    if (views.length === 1 && first !== undefined) return first
    if (!this.#reuses) return Buffer.concat(views)
    let bytes = 0
    for (const view of views) bytes += view.length
    const buffer = takeJoinBuffer(bytes)
    this.#joined = buffer
    let length = 0
    for (const view of views) {
      buffer.set(view, length)
      length += view.length
    }
    return buffer.subarray(0, length)
  }

  // A failed write also destroys the sink, whose `error` and `close` the session listens to.
  readonly #onWritten = (error?: Error | null): void => {
    this.#busy = false
    if (!error) this.#left += this.#underWay
    this.#underWay = 0
    if (this.#joined !== undefined && !error) giveJoinBuffer(this.#joined)
    this.#joined = undefined
    this.#continue()
    this.#onProgress()
  }
}

/** Bytes that wait, in a buffer of ours. */
class Joined {
  readonly buffer: Buffer
  readonly #limit: number
  #length = 0

  /** @param bytes that are to go into it: full TLS records of them, or all if the buffer has room for all */
  constructor(buffer: Buffer, bytes: number) {
    this.buffer = buffer
    const { length } = buffer
    const full = length < JOIN_SIZE ? length : length - (length % JOIN_SIZE)
    this.#limit = bytes <= length ? Math.max(bytes, full) : full
  }

  get room(): number {
    return this.#limit - this.#length
  }

  /** Whether to go on in it with so many bytes: where little room is left, many begin a record of their own. */
  takes(bytes: number): boolean {
    return this.room > 0 && this.room >= Math.min(bytes, WORTH_FILLING)
  }

  get bytes(): Uint8Array {
    return this.buffer.subarray(0, this.#length)
  }

  /** Copies what there is room for of `view` from `at` on. @returns how many bytes that were */
  add(view: Uint8Array, at: number): number {
    const bytes = Math.min(view.length - at, this.room)
    this.buffer.set(
      at === 0 && bytes === view.length ? view : view.subarray(at, at + bytes),
      this.#length,
    )
    this.#length += bytes
    return bytes
  }
}
