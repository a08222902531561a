// Two connected Duplexes in memory, as a TCP connection without a network: back-pressure, half-close,
// reset, and a hook that cuts the bytes anew.
import { Duplex } from 'node:stream'

export interface DuplexPairOptions {
  /** Bytes that each end buffers for its reader. Default 16,384. */
  readonly highWaterMark?: number
  /** Cuts what was written in one piece into the pieces that the other end reads. Default: as it is. */
  readonly segment?: (chunk: Buffer) => readonly Buffer[]
}

/** One end. `destroy(error)` resets the connection, `destroy()` alone ends it as a close would. */
export class PairEnd extends Duplex {
  /** Bytes that were written to this end and handed to the other. */
  bytesSent = 0
  /** Every chunk that was written to this end, in order. */
  readonly written: Buffer[] = []

  readonly #segment: (chunk: Buffer) => readonly Buffer[]
  #peer: PairEnd | undefined
  /** The write that waits for the other end's reader. */
  #blocked: (() => void) | undefined

  constructor({ highWaterMark = 16_384, segment = (chunk) => [chunk] }: DuplexPairOptions) {
    super({ highWaterMark, allowHalfOpen: true })
    this.#segment = segment
  }

  /** @internal */
  join(peer: PairEnd): void {
    this.#peer = peer
  }

  override _read(): void {
    this.#peer?.unblock()
  }

  /** @internal */
  unblock(): void {
    const blocked = this.#blocked
    this.#blocked = undefined
    blocked?.()
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    const peer = this.#peer
    if (peer === undefined || peer.destroyed) {
      process.nextTick(callback, new Error('write EPIPE'))
      return
    }
    this.written.push(chunk)
    let more = true
    for (const piece of this.#segment(chunk)) {
      this.bytesSent += piece.length
      more = peer.push(piece)
    }
    if (more) process.nextTick(callback)
    else this.#blocked = callback
  }

  override _final(callback: () => void): void {
    if (this.#peer?.destroyed === false) this.#peer.push(null)
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    const peer = this.#peer
    if (peer !== undefined && !peer.destroyed) {
      if (error !== null) peer.destroy(new Error('read ECONNRESET'))
      else if (!this.writableEnded) peer.push(null)
    }
    // What waits to be written has nowhere to go.
    peer?.unblock()
    callback(error)
  }
}

/** Two ends; what is written to one is read from the other. `segment` applies to both directions. */
export function createDuplexPair(options: DuplexPairOptions = {}): [PairEnd, PairEnd] {
  const ends: [PairEnd, PairEnd] = [new PairEnd(options), new PairEnd(options)]
  ends[0].join(ends[1])
  ends[1].join(ends[0])
  return ends
}

/** A `segment` that cuts everything into pieces of `size` bytes. */
export function piecesOf(size: number): (chunk: Buffer) => Buffer[] {
  return (chunk) => {
    const pieces: Buffer[] = []
    for (let start = 0; start < chunk.length; start += size) {
      pieces.push(chunk.subarray(start, start + size))
    }
    return pieces
  }
}
