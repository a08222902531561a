// What the frame decoders of the wires have in common: the chunk that is being read, pieces that pass through,
// and bodies that are gathered.
// Must never copy what passes through, or keep a chunk that is used up.

export const NO_BYTES = new Uint8Array(0)

/** A decoder of one direction of a connection, chunk by chunk. */
export abstract class ChunkDecoder {
  protected chunk: Uint8Array = NO_BYTES
  protected position = 0
  /** Bytes that are still to come of what {@link takePiece} gives. */
  protected remaining = 0
  /** A body under way, allocated as a whole; {@link remaining} bytes at its end are not there yet. */
  protected body: Uint8Array = NO_BYTES

  /** Takes the next chunk. The one before must have been used up. */
  push(chunk: Uint8Array): void {
    this.chunk = chunk
    this.position = 0
  }

  /** The chunk is used up. */
  protected dropChunk(): void {
    this.chunk = NO_BYTES
    this.position = 0
  }

  /** A view of the next bytes, {@link remaining} at most; empty when the chunk is used up. */
  protected takePiece(): Uint8Array {
    const { chunk, position } = this
    if (position === chunk.length) return NO_BYTES
    const end = Math.min(position + this.remaining, chunk.length)
    this.position = end
    this.remaining -= end - position
    return position === 0 && end === chunk.length ? chunk : chunk.subarray(position, end)
  }

  /**
   * Begins a body. Allocated whole: its length has been held against a cap, and a body that drips in byte by
   * byte must not be copied again for each of them.
   */
  protected expectBody(bytes: number): void {
    this.remaining = bytes
    this.body = new Uint8Array(bytes)
  }

  /** Takes what there is of the body; false when more bytes are needed. */
  protected fillBody(): boolean {
    const filled = this.body.length - this.remaining
    this.body.set(this.takePiece(), filled)
    return this.remaining === 0
  }

  /** What there is of a body under way, and of the chunk. */
  protected unreadBytes(bodyIsUnderWay: boolean): Uint8Array[] {
    const missing = bodyIsUnderWay ? this.remaining : 0
    return [this.body.subarray(0, this.body.length - missing), this.chunk.subarray(this.position)]
  }
}
