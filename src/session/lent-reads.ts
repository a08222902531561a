// Reading sockets into buffers that serve for ever: Node makes a new one outside the heap for each read, and their sum
// drives full collections of the heap.
// Must never keep what was read, nor lose what comes before somebody takes it.
import type { OnReadOpts, Socket } from 'node:net'
import type { Duplex } from 'node:stream'

/** Bytes of one read from TCP, as many as Node's own buffers have; a record of TLS fits in too. */
const READ_SIZE = 65_536

type Take = (bytes: Uint8Array) => void

/**
 * One for all sockets of a kind: what was read is used up before the next read begins. TCP and TLS have one each, as
 * what comes over the one may be read while the other is at it.
 */
const buffers: { tcp?: Uint8Array; tls?: Uint8Array } = {}

const readsOf = new WeakMap<Duplex, LentReads>()

/** The reads of a socket that is being connected. */
export class LentReads {
  /** For `net.connect` or `tls.connect`; {@link of} must be called with what they return. */
  readonly onread: OnReadOpts
  #take: Take | undefined
  /** What came before anybody took it: no more than the kernel and OpenSSL had at hand when reading stopped. */
  #early: Uint8Array[] = []

  constructor(kind: 'tcp' | 'tls') {
    const buffer = (buffers[kind] ??= new Uint8Array(READ_SIZE))
    this.onread = { buffer, callback: (bytes, read) => this.#onRead(read.subarray(0, bytes)) }
  }

  of<S extends Socket>(socket: S): S {
    readsOf.set(socket, this)
    return socket
  }

  /** What came before goes first. */
  start(socket: Duplex, take: Take): void {
    this.#take = take
    for (const bytes of this.#early.splice(0)) take(bytes)
    socket.resume()
  }

  #onRead(bytes: Uint8Array): boolean {
    if (this.#take !== undefined) {
      this.#take(bytes)
      return true
    }
    this.#early.push(new Uint8Array(bytes))
    return false
  }
}

/** Whether the bytes that {@link takeReads} gives are lent: valid until the callback returns. */
export function readsAreLent(duplex: Duplex): boolean {
  return readsOf.has(duplex)
}

/** Gives what is read to `take` from now on, without an event of its own where reads are lent. */
export function takeReads(duplex: Duplex, take: Take): void {
  const reads = readsOf.get(duplex)
  if (reads === undefined) duplex.on('data', take)
  else reads.start(duplex, take)
}

/** Nobody takes what is read any more; what still comes is dropped if the Duplex goes on to flow. */
export function dropReads(duplex: Duplex, take: Take): void {
  const reads = readsOf.get(duplex)
  if (reads === undefined) duplex.off('data', take)
  else reads.start(duplex, () => {})
}
