// Puts the bytes of one direction of a TCP connection in order: retransmitted, overlapping, reordered, missing.
// Must never hold more than its bound: what is missing by then counts as lost.

/** Who is given the bytes of a direction, in order. Each is told the time at which they were complete, in ms. */
interface StreamReader {
  push(bytes: Uint8Array, time: number): void
  /** `length` bytes went by that nobody captured. */
  skip(length: number, time: number): void
}

/** What waits for bytes before it. */
interface Piece {
  readonly offset: number
  /** What was captured, and how long it was on the network. */
  readonly bytes: Uint8Array
  readonly length: number
  readonly time: number
}

/** Bytes that wait in all directions of all connections. */
export interface WaitingBytes {
  total: number
}

/** Bytes that may wait in one direction: the windows of today's systems, and in all. */
const MAX_WAITING = 16 * 1024 * 1024
const MAX_WAITING_IN_ALL = 64 * 1024 * 1024

/** What a piece costs beside its bytes. */
const PIECE_COST = 200

/** A sequence number further off is not of this connection, or of a window that TCP cannot have (RFC 7323). */
const MAX_DISTANCE = 2 ** 30

/** One direction. Offsets count from its first byte, sequence numbers wrap. */
export class TcpStream {
  readonly #reader: StreamReader
  readonly #waiting: WaitingBytes
  #pieces: Piece[] = []
  #cost = 0
  /** The sequence number of the next byte, and its offset; undefined until the first is known. */
  #next: number | undefined
  #offset = 0
  #end: number | undefined

  constructor(reader: StreamReader, waiting: WaitingBytes) {
    this.#reader = reader
    this.#waiting = waiting
  }

  /** Bytes that have gone by, lost ones included. */
  get length(): number {
    return this.#offset
  }

  /** Whether its end has been reached. */
  get isOver(): boolean {
    return this.#end !== undefined && this.#offset >= this.#end
  }

  /** Tells the sequence number of the first byte, unless it is known. */
  begin(sequence: number): void {
    this.#next ??= sequence >>> 0
  }

  /**
   * A segment has been seen. `data` is lent.
   *
   * @param length of its data on the network
   * @param fin whether the direction ends behind it
   */
  push(sequence: number, data: Uint8Array, length: number, fin: boolean, time: number): void {
    this.begin(sequence)
    const offset = this.#offset + ((sequence - (this.#next ?? 0)) | 0)
    if (Math.abs(offset - this.#offset) > MAX_DISTANCE) return
    if (fin) this.#end ??= offset + length
    if (offset + length <= this.#offset) return
    if (offset > this.#offset) {
      this.#hold({ offset, bytes: data.slice(), length, time })
      return
    }
    this.#deliver({ offset, bytes: data, length, time })
    this.#release(time)
  }

  /** Nothing will fill the gaps any more: they are lost, and what waits behind them is read. */
  flush(): void {
    for (const piece of this.#pieces) {
      const gap = piece.offset - this.#offset
      if (gap > 0) this.#pass(gap, piece.time)
      this.#deliver(piece)
    }
    this.#drop(this.#pieces.length)
  }

  #hold(piece: Piece): void {
    let at = this.#pieces.length
    while (at > 0 && (this.#pieces[at - 1]?.offset ?? 0) > piece.offset) at -= 1
    const before = this.#pieces[at - 1]
    if (before !== undefined && before.offset + before.length >= piece.offset + piece.length) return
    this.#pieces.splice(at, 0, piece)
    this.#charge(piece.bytes.length + PIECE_COST)
    if (this.#cost > MAX_WAITING || this.#waiting.total > MAX_WAITING_IN_ALL) this.flush()
  }

  /** Reads what follows without a gap. */
  #release(time: number): void {
    let count = 0
    for (const piece of this.#pieces) {
      if (piece.offset > this.#offset) break
      this.#deliver({ ...piece, time })
      count += 1
    }
    if (count > 0) this.#drop(count)
  }

  #drop(count: number): void {
    for (const { bytes } of this.#pieces.splice(0, count)) {
      this.#charge(-bytes.length - PIECE_COST)
    }
  }

  #charge(cost: number): void {
    this.#cost += cost
    this.#waiting.total += cost
  }

  /** What is new of a piece that begins no later than at the next byte. */
  #deliver({ offset, bytes, length, time }: Piece): void {
    const known = this.#offset - offset
    if (known >= length) return
    const fresh = bytes.subarray(Math.min(known, bytes.length), length)
    const cut = length - known - fresh.length
    this.#advance(fresh.length)
    if (fresh.length > 0) this.#reader.push(fresh, time)
    if (cut > 0) this.#pass(cut, time)
  }

  #pass(length: number, time: number): void {
    this.#advance(length)
    this.#reader.skip(length, time)
  }

  #advance(length: number): void {
    this.#offset += length
    this.#next = ((this.#next ?? 0) + length) >>> 0
  }
}
