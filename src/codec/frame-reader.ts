// The skeleton of every frame decoder: the chunk that is being read, heads that come in pieces, bodies that are
// gathered, data that passes through. What a frame looks like is a FrameSyntax.
// Must never gather what passes through, or keep a chunk that is used up: a chunk is lent.

const NO_BYTES = new Uint8Array(0)

/** What follows a head. */
export interface Follow {
  /** A body of `bytes` bytes that is wanted whole. Its length must have been held against a cap. */
  body(bytes: number): void
  /** `bytes` bytes that are handed out as they arrive. */
  pieces(bytes: number): void
  /** `bytes` bytes that nobody wants. */
  skip(bytes: number): void
}

/** How the frames of a wire are read. A violation is thrown. */
export interface FrameSyntax<Frame> {
  /** Most bytes of a head. */
  readonly maxHead: number
  /** The length of the head at `offset` in bytes; 0 when some of it is missing between there and `end`. */
  readHead(bytes: Uint8Array, offset: number, end: number): number
  /**
   * The head at `offset` is there. Says what follows it, nothing by default; returns the frame, or `undefined`
   * where that is not yet known.
   */
  begin(follow: Follow, bytes: Uint8Array, offset: number, length: number): Frame | undefined
  /** The frame whose body is complete. */
  withBody(body: Uint8Array): Frame
  piece(data: Uint8Array): Frame
  /** What is to be said after the last piece. */
  afterPieces(): Frame | undefined
}

/** What the reader is in the middle of. */
const Phase = { Head: 0, Body: 1, Pieces: 2, Skipped: 3 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * Decodes one direction of a connection. Push a chunk, then call {@link next} until it returns `undefined`: only
 * then nothing of the chunk is kept any more. Views in frames point into the chunk. After a violation the reader
 * is of no use but for {@link unread}.
 */
export class FrameReader<Frame> {
  readonly #syntax: FrameSyntax<Frame>
  readonly #follow: Follow
  #chunk: Uint8Array = NO_BYTES
  #position = 0
  #phase: Phase = Phase.Head
  /** Bytes that are still to come of what follows the head. */
  #remaining = 0
  /** The body under way; {@link #remaining} bytes at its end are not there yet. */
  #body: Uint8Array = NO_BYTES
  /** The head of the current frame: within the chunk, or in `#partial` when it came in pieces. */
  #head: Uint8Array = NO_BYTES
  #headStart = 0
  #headLength = 0
  #partial: Uint8Array | undefined
  /** Bytes of a head that is not complete, in `#partial`. */
  #kept = 0

  constructor(syntax: FrameSyntax<Frame>) {
    this.#syntax = syntax
    const expect = (phase: Phase, bytes: number): void => {
      this.#phase = phase
      this.#remaining = bytes
    }
    this.#follow = {
      body: (bytes) => expect(Phase.Body, bytes),
      pieces: (bytes) => expect(Phase.Pieces, bytes),
      skip: (bytes) => expect(Phase.Skipped, bytes),
    }
  }

  /** Takes the next chunk. One that is not used up yet is joined with it, and so copied. */
  push(chunk: Uint8Array): void {
    const rest = this.#chunk.length - this.#position
    if (rest === 0) {
      this.#chunk = chunk
    } else if (chunk.length > 0) {
      const joined = new Uint8Array(rest + chunk.length)
      joined.set(this.#chunk.subarray(this.#position))
      joined.set(chunk, rest)
      this.#chunk = joined
    } else {
      return
    }
    this.#position = 0
  }

  /** Copies what is still to be read, as the chunk is lent. */
  keep(): void {
    if (this.#head !== this.#partial) this.#keepHead()
    if (this.#position === this.#chunk.length) return
    this.#chunk = new Uint8Array(this.#chunk.subarray(this.#position))
    this.#position = 0
  }

  /**
   * The next frame or piece of a frame; `undefined` when more bytes are needed.
   *
   * @throws AnyTlsError for bytes that are no legal frame
   */
  next(): Frame | undefined {
    const frame = this.#decode()
    if (frame === undefined) this.#letGo()
    return frame
  }

  /**
   * Everything from the first byte of the current frame on that has not been handed out: what a new owner of the
   * connection must see after a violation (D17). Views, as in frames.
   */
  unread(): Uint8Array[] {
    const head =
      this.#kept > 0
        ? this.#partial?.subarray(0, this.#kept)
        : this.#head.subarray(this.#headStart, this.#headStart + this.#headLength)
    const missing = this.#phase === Phase.Body ? this.#remaining : 0
    const body = this.#body.subarray(0, this.#body.length - missing)
    const parts = [head ?? NO_BYTES, body, this.#chunk.subarray(this.#position)]
    return parts.filter((part) => part.length > 0)
  }

  /** Forgets everything: the connection is over. */
  clear(): void {
    this.#phase = Phase.Skipped
    this.#remaining = Infinity
    this.#kept = 0
    this.#letGo()
  }

  #decode(): Frame | undefined {
    for (;;) {
      switch (this.#phase) {
        case Phase.Head: {
          if (!this.#readHead()) return undefined
          const frame = this.#begin()
          if (frame !== undefined) return frame
          break
        }
        case Phase.Pieces: {
          if (this.#remaining > 0) {
            const data = this.#takePiece()
            return data.length === 0 ? undefined : this.#syntax.piece(data)
          }
          this.#phase = Phase.Head
          const frame = this.#syntax.afterPieces()
          if (frame !== undefined) return frame
          break
        }
        case Phase.Body:
          if (!this.#fillBody()) return undefined
          this.#phase = Phase.Head
          return this.#syntax.withBody(this.#body)
        case Phase.Skipped:
          this.#takePiece()
          if (this.#remaining > 0) return undefined
          this.#phase = Phase.Head
          break
      }
    }
  }

  #begin(): Frame | undefined {
    return this.#syntax.begin(this.#follow, this.#head, this.#headStart, this.#headLength)
  }

  /** Reads a head; false when bytes are missing: those that are there are kept then, copied. */
  #readHead(): boolean {
    this.#body = NO_BYTES
    this.#headLength = 0
    const syntax = this.#syntax
    const available = this.#chunk.length - this.#position
    if (available === 0) return false
    if (this.#kept === 0) {
      const length = syntax.readHead(this.#chunk, this.#position, this.#chunk.length)
      if (length > 0) {
        this.#head = this.#chunk
        this.#headStart = this.#position
        this.#headLength = length
        this.#position += length
        return true
      }
    }
    this.#partial ??= new Uint8Array(syntax.maxHead)
    const kept = this.#kept
    const added = Math.min(syntax.maxHead - kept, available)
    this.#partial.set(this.#chunk.subarray(this.#position, this.#position + added), kept)
    const length = kept === 0 ? 0 : syntax.readHead(this.#partial, 0, kept + added)
    if (length === 0) {
      this.#kept = kept + added
      this.#position += added
      return false
    }
    this.#head = this.#partial
    this.#headStart = 0
    this.#headLength = length
    this.#position += length - kept
    this.#kept = 0
    return true
  }

  /** A view of the next bytes, {@link #remaining} at most; empty when the chunk is used up. */
  #takePiece(): Uint8Array {
    const chunk = this.#chunk
    const position = this.#position
    if (position === chunk.length) return NO_BYTES
    const end = Math.min(position + this.#remaining, chunk.length)
    this.#position = end
    this.#remaining -= end - position
    return position === 0 && end === chunk.length ? chunk : chunk.subarray(position, end)
  }

  /**
   * Takes what there is of the body; false when more bytes are needed. A body that is not there in one piece is
   * allocated whole: one that drips in byte by byte must not be copied again for each of them.
   */
  #fillBody(): boolean {
    if (this.#body.length === 0) {
      const length = this.#remaining
      if (this.#chunk.length - this.#position >= length) {
        this.#body = this.#takePiece()
        return true
      }
      this.#body = new Uint8Array(length)
    }
    const filled = this.#body.length - this.#remaining
    this.#body.set(this.#takePiece(), filled)
    return this.#remaining === 0
  }

  /** The chunk is used up: keeps nothing of it but what belongs to a frame not yet handed out. */
  #letGo(): void {
    this.#chunk = NO_BYTES
    this.#position = 0
    if (this.#phase === Phase.Body) {
      if (this.#head !== this.#partial) this.#keepHead()
      return
    }
    this.#head = NO_BYTES
    this.#headLength = 0
    this.#headStart = 0
    this.#body = NO_BYTES
  }

  /** (A chunk may be a Buffer, whose `slice` copies nothing.) */
  #keepHead(): void {
    const end = this.#headStart + this.#headLength
    this.#head = new Uint8Array(this.#head.subarray(this.#headStart, end))
    this.#headStart = 0
  }
}
