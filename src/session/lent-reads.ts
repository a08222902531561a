// Reading sockets into buffers that serve for ever: Node makes a new one outside the heap for each read, and their sum
// drives full collections of the heap.
// Must never lose what comes before somebody takes it.
import type { OnReadOpts, Socket, SocketConstructorOpts } from 'node:net'
import { Duplex } from 'node:stream'

/**
 * Bytes of one read from TCP: with the heads of two frames they fill eight TLS records, where 128 KiB would leave some for a
 * frame and a record of their own. A record of TLS fits in too.
 */
export const READ_SIZE = 2 * 65_520

/** Bytes of a wide read, which with their heads fill 32 records. */
export const WIDE_READ = 4 * READ_SIZE

type Take = (bytes: Uint8Array) => void

/** What carries what the sockets read. */
export type ReadKind = 'tcp' | 'tls'

/**
 * One for all sockets of a kind: what was read is used up before the next read begins. TCP and TLS have one each, as
 * what comes over the one may be read while the other is at it; a wide read begins where others of TCP do.
 */
const buffers: { tcp?: Uint8Array; wide?: Uint8Array; tls?: Uint8Array } = {}

function bufferOf(kind: keyof typeof buffers): Uint8Array {
  if (kind === 'tls') return (buffers.tls ??= new Uint8Array(READ_SIZE))
  const wide = (buffers.wide ??= new Uint8Array(WIDE_READ))
  return kind === 'wide' ? wide : (buffers.tcp ??= wide.subarray(0, READ_SIZE))
}

/**
 * Where a socket has its reads. (A WeakMap would keep each socket until a full collection, as its value leads back to
 * its key: ten times the memory of a busy proxy.)
 */
const READS = Symbol('reads')

function readsOf(duplex: Duplex): LentReads | undefined {
  return (duplex as { [READS]?: LentReads | undefined })[READS]
}

/** The reads of a socket. */
export class LentReads {
  /** For `net.connect` or `tls.connect`; {@link of} must be called with what they return. */
  readonly onread: OnReadOpts
  #take: Take | undefined
  /** What came before anybody took it: no more than the kernel and OpenSSL had at hand when reading stopped. */
  #early: Uint8Array[] = []
  /** Takes reads as a socket does that lends none. */
  #keeper: Duplex | undefined
  #isWide = false

  /** @returns whether to read on */
  readonly onRead = (length: number, buffer: Uint8Array): boolean => {
    const bytes = buffer.subarray(0, length)
    if (this.#keeper !== undefined) return this.#keeper.push(Buffer.from(bytes))
    if (this.#take !== undefined) {
      this.#take(bytes)
      return true
    }
    this.#early.push(new Uint8Array(bytes))
    return false
  }

  /** Where the next read goes; Node asks after each. */
  readonly #next = (): Uint8Array => bufferOf(this.#isWide ? 'wide' : 'tcp')

  constructor(kind: ReadKind) {
    const buffer = kind === 'tls' ? bufferOf(kind) : this.#next
    this.onread = { buffer, callback: this.onRead }
  }

  /** @param isWide whether the next read is a wide one */
  widen(isWide: boolean): void {
    this.#isWide = isWide
  }

  of<S extends Socket>(socket: S): S {
    Object.assign(socket, { [READS]: this })
    return socket
  }

  /** What came before goes first. */
  start(socket: Duplex, take: Take): void {
    this.#take = take
    for (const bytes of this.#early.splice(0)) take(bytes)
    if (this.#keeper !== undefined) {
      this.#keeper = undefined
      for (let bytes; (bytes = socket.read() as Buffer | null) !== null;) take(bytes)
    }
    socket.resume()
  }

  /** What comes waits in the socket until the next {@link start}. */
  hold(socket: Socket): void {
    this.#keeper = socket
  }

  /** From now on what is read is in the socket's `data` events, and nobody else's. */
  keep(socket: Duplex): void {
    this.#keeper = socket
    for (const bytes of this.#early.splice(0)) socket.push(bytes)
    Object.assign(socket, { [READS]: undefined })
  }
}

/** Where a socket keeps what `onread` gave it. */
interface InsideOfSockets {
  readonly buffer: symbol
  readonly callback: symbol
  /** The function that gives the next buffer, or `null`. */
  readonly next: symbol
}

interface Handle {
  useUserBuffer(buffer: Uint8Array): void
}

/** Looked for once; `false` where Node does it otherwise. */
let inside: InsideOfSockets | false | undefined

/**
 * Node has `onread` for sockets that it connects, none for those that it accepts. What it does with it is the same for
 * both: found on a socket that is never connected.
 */
function insideOfSockets(): InsideOfSockets | false {
  const { Socket } = process.getBuiltinModule('node:net')
  const options = { onread: { buffer: new Uint8Array(1), callback: () => true } }
  const marked = new Socket(options as SocketConstructorOpts)
  const symbols = Object.getOwnPropertySymbols(marked)
  const [buffer, callback, next] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) => {
    return symbols.find(({ description }) => description === name)
  })
  const isKnown = buffer !== undefined && callback !== undefined && next !== undefined
  return isKnown && { buffer, callback, next }
}

/**
 * Makes a socket that was accepted lend what it reads, where this Node allows it: then it is for whoever calls
 * {@link takeReads}. To be called while nothing waits in the socket to be read.
 */
export function lendReads(socket: Socket, kind: ReadKind): void {
  const { _handle: handle } = socket as unknown as { readonly _handle: Partial<Handle> | null }
  inside ??= insideOfSockets()
  if (inside === false || handle === null || !lends(handle)) return
  if (readsOf(socket) !== undefined || socket.readableLength > 0 || socket.readableEnded) return
  const reads = new LentReads(kind)
  const given = reads.onread.buffer
  const [buffer, next] = typeof given === 'function' ? [given(), given] : [given, null]
  const inner = { [inside.buffer]: buffer, [inside.callback]: reads.onRead, [inside.next]: next }
  Object.assign(socket, inner)
  handle.useUserBuffer(buffer)
  reads.of(socket)
}

function lends(handle: Partial<Handle>): handle is Handle {
  return typeof handle.useUserBuffer === 'function'
}

/** Makes the socket one that lends nothing, where `take` had its reads: what is read from now on is in its `data` events. */
export function keepReads(duplex: Duplex, take?: Take): void {
  if (take !== undefined) duplex.off('data', take)
  readsOf(duplex)?.keep(duplex)
}

/** Gives `take` nothing more: what is read waits for whoever takes it next, behind `rest`, which `take` has been given. */
export function holdReads(socket: Socket, take: Take, rest: Uint8Array): void {
  socket.off('data', take)
  readsOf(socket)?.hold(socket)
  // That of a socket that lends would stop reading: of one that is gone nobody would hear.
  Duplex.prototype.pause.call(socket)
  if (rest.length > 0) socket.unshift(Buffer.from(rest))
}

/** Whether the next read of a TCP socket that lends its reads is a wide one. */
export function widenReads(socket: Socket, isWide: boolean): void {
  readsOf(socket)?.widen(isWide)
}

/** Whether the bytes that {@link takeReads} gives are lent: valid until the callback returns. */
export function readsAreLent(duplex: Duplex): boolean {
  return readsOf(duplex) !== undefined
}

/** Gives what is read to `take` from now on, without an event of its own where reads are lent. */
export function takeReads(duplex: Duplex, take: Take): void {
  const reads = readsOf(duplex)
  if (reads === undefined) duplex.on('data', take)
  else reads.start(duplex, take)
}

/** Nobody takes what is read any more; what still comes is dropped if the Duplex goes on to flow. */
export function dropReads(duplex: Duplex, take: Take): void {
  const reads = readsOf(duplex)
  if (reads === undefined) duplex.off('data', take)
  else reads.start(duplex, () => {})
}
