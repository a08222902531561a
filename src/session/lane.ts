// One stream inside the core: what waits to be sent, and the sink that takes what arrives. A sink is the Duplex
// face for applications, or something leaner.
import type { AnyTlsError } from '../errors.ts'
import { ByteQueue } from '../codec/byte-queue.ts'
import type { CloseCode } from '../engine/close-code.ts'
import type { StreamRequest } from '../engine/machine.ts'
import type { Sender } from '../engine/send-scheduler.ts'
import type { Timer } from './clock.ts'
import { KeptBytes } from './join-buffers.ts'

/** Takes what happens on a stream, in order. What it throws harms itself alone. */
export interface LaneSink {
  /** Stream data, lent until {@link settle} returns: who keeps it copies it (D46). */
  data(view: Uint8Array): void
  /** All that this turn brought to the stream has been given. */
  settle(): void
  /** The peer has accepted the stream. */
  accepted(): void
  /** The peer sends no more data. */
  end(): void
  /** The stream is over in both directions; without an error in order. */
  closed(error: AnyTlsError | undefined): void
  /** All that was written is with the machine; the end may follow it at once. */
  sent(): void
  /** All that was written, and the end if there was one, has been taken by the socket (D45). */
  left(): void
  /** Gives the stream up. */
  destroy(error: Error | undefined): void
}

/** What a lane asks of its core. */
export interface LaneHost {
  /** What arrives is lent by the very socket: even a large view is not its reader's to keep. */
  readonly readsLent: boolean
  /** Bytes of all streams that are under way to the socket. */
  readonly backlog: number
  ready(lane: Lane): void
  /** As {@link ready}, for what is lent: sends what can be sent before it returns. */
  push(lane: Lane): void
  /** @returns whether a wide read may be lent, as one write may carry it and no other stream waits behind it */
  widen(): boolean
  drained(lane: Lane): void
  /** What was taken is lent until it has been written in this turn; then `buffers` serve others. */
  lends(buffers: readonly Buffer[]): void
  accept(lane: Lane): void
  finish(lane: Lane): void
  reset(lane: Lane, code: CloseCode, reason: string): void
  consumed(lane: Lane, bytes: number): void
  dropped(lane: Lane): void
  schedule(delay: number, callback: () => void): Timer
}

/** Where a stream comes from. */
export interface LaneOrigin {
  readonly id: number
  readonly openedHere: boolean
  /** What it was opened for, on a wire that says so (Mux.Pro). */
  readonly request: StreamRequest | undefined
  /** Whose data goes first: 0 is first, 255 last. */
  readonly priority: number
}

export class Lane implements Sender {
  readonly id: number
  readonly openedHere: boolean
  readonly request: StreamRequest | undefined
  readonly priority: number
  readonly messages: boolean
  /** Bytes that the peer has sent and the application has not taken. */
  unread = 0
  /** Nobody reads it any more. */
  dropped = false
  /** Something has arrived in this turn. */
  unsettled = false
  place = -1

  readonly #host: LaneHost
  #pending: ByteQueue | undefined
  /** What waits of {@link writeLent}. */
  #kept: KeptBytes | undefined
  #sink: LaneSink | undefined

  constructor(host: LaneHost, origin: LaneOrigin) {
    this.#host = host
    this.id = origin.id
    this.openedHere = origin.openedHere
    this.request = origin.request
    this.priority = origin.priority
    this.messages = origin.request?.network === 'udp'
  }

  /** Who takes what arrives; to be set before anything can. */
  get sink(): LaneSink | undefined {
    return this.#sink
  }

  attach(sink: LaneSink): void {
    this.#sink = sink
  }

  /** Sends `chunks`, each of which must not change until {@link LaneSink.left}. */
  write(chunks: readonly Uint8Array[]): void {
    const pending = (this.#pending ??= new ByteQueue())
    for (const chunk of chunks) pending.push(chunk)
    this.#host.ready(this)
  }

  /** Sends bytes that are lent until it returns: what cannot leave at once is copied. */
  writeLent(view: Uint8Array): void {
    const pending = (this.#pending ??= new ByteQueue())
    if (pending.length > 0) {
      this.#keep(pending, view)
      return
    }
    pending.push(view)
    this.#host.push(this)
    if (pending.length > 0) {
      for (const rest of pending.take(Infinity)) this.#keep(pending, rest)
    }
  }

  /** Asks the session. @returns whether {@link writeLent} may be given a wide read */
  widen(): boolean {
    return this.#host.widen()
  }

  #keep(pending: ByteQueue, view: Uint8Array): void {
    pending.push((this.#kept ??= new KeptBytes()).keep(view))
  }

  /** This end sends no more; to be called when nothing waits any more. {@link LaneSink.left} follows. */
  finish(): void {
    this.#host.finish(this)
    this.#host.drained(this)
  }

  accept(): void {
    this.#host.accept(this)
  }

  /** The application has taken `bytes` bytes. */
  consumed(bytes: number): void {
    this.unread -= bytes
    this.#host.consumed(this, bytes)
  }

  /** Ends the stream in both directions; no {@link LaneSink.closed} follows. */
  reset(code: CloseCode, reason: string): void {
    this.dropped = true
    this.discard()
    this.#host.reset(this, code, reason)
  }

  /** Nobody reads the rest of a stream that is over. */
  drop(): void {
    this.dropped = true
    this.#host.dropped(this)
  }

  /** Lets go what waits to be sent. */
  discard(): void {
    this.#pending = undefined
    // Not given back: what was taken in this turn may still have to be written.
    this.#kept = undefined
  }

  schedule(delay: number, callback: () => void): Timer {
    return this.#host.schedule(delay, callback)
  }

  get readsLent(): boolean {
    return this.#host.readsLent
  }

  /** Bytes of all streams of the connection that are under way to its socket. */
  get backlog(): number {
    return this.#host.backlog
  }

  get pendingBytes(): number {
    return this.#pending?.length ?? 0
  }

  get firstPendingBytes(): number {
    return this.#pending?.firstLength ?? 0
  }

  takePending(max: number): Uint8Array[] {
    const taken = this.#pending?.take(max) ?? []
    if (this.#kept?.isEmpty === false) this.#host.lends(this.#kept.took(taken))
    return taken
  }

  sent(): void {
    if (this.pendingBytes > 0) return
    this.#host.drained(this)
    this.#sink?.sent()
  }
}
