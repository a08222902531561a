// One stream as the application sees it: a Node Duplex over a session.
// Must never buffer more than its highWaterMark of outgoing data, or lose data that came before an end.
import { Duplex } from 'node:stream'
import { AnyTlsError } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import type { StreamRequest } from '../engine/machine.ts'
import type { Sender } from '../engine/send-scheduler.ts'
import { ByteQueue } from '../codec/byte-queue.ts'
import type { Timer } from './clock.ts'
import { streamClosed } from './diagnostics.ts'
import type { Session } from './session.ts'

/** Bytes that either side of a stream buffers before it signals back-pressure. */
export const STREAM_HIGH_WATER_MARK = 65_536

/**
 * How long a writer that goes on after the peer's end has to wait for the reader, in milliseconds, before
 * the stream is given up together with what was not read.
 */
const LATE_WRITE_TIMEOUT = 30_000

/** A rest of a write that does not hold up the next one, in bytes. */
const JOINABLE_REST = 16_384

/** The largest datagram, in bytes, as a length of 16 bits tells it. */
const MAX_DATAGRAM = 65_535

const DUPLEX_OPTIONS = { highWaterMark: STREAM_HIGH_WATER_MARK }
const MESSAGE_OPTIONS = { writableHighWaterMark: STREAM_HIGH_WATER_MARK, readableObjectMode: true }

/** Where a stream comes from. */
export interface StreamOrigin {
  readonly openedHere: boolean
  readonly request: StreamRequest | undefined
  readonly priority: number
}

/** What a stream asks of its session. */
export interface StreamDriver {
  readonly session: Session
  schedule(delay: number, callback: () => void): Timer
  /** The stream has data to send. */
  ready(stream: Stream): void
  accept(stream: Stream): void
  finish(stream: Stream): void
  reset(stream: Stream, code: CloseCode, reason: string): void
  /** The application has taken `bytes` bytes out of the stream. */
  consumed(stream: Stream, bytes: number): void
  /** The stream was destroyed after it had been over, with whatever was not read. */
  dropped(stream: Stream): void
}

interface AcceptWaiter {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * A bidirectional stream of bytes inside a session. `end()` ends this direction; with mux1 the other
 * direction stays open, without it see D6. `destroy()` ends both; with an error, and before the end of
 * this direction, it is an error for a peer with mux1 too.
 *
 * A stream that was asked for with `network: 'udp'` carries datagrams: see {@link Stream.messages}.
 *
 * Events beside those of a Duplex: `accept` (client: the server has accepted the stream) and `timeout`
 * (see {@link Stream.setTimeout}).
 */
export class Stream extends Duplex implements Sender {
  /** The Stream ID, 1 or more. */
  readonly id: number
  /** What the stream was opened for, on a wire that says so (Mux.Pro). */
  readonly request: StreamRequest | undefined
  /** Whose data goes first: 0 is first, 255 last. */
  readonly priority: number
  /** Each write and each chunk that is read is one datagram; empty ones are not carried. */
  readonly messages: boolean

  readonly #driver: StreamDriver
  readonly #openedHere: boolean
  #accepted = false
  #over = false
  #resetCode: CloseCode = CloseCode.Graceful
  #resetReason = ''
  /** Bytes that the peer has sent and the application has not taken. */
  #unread = 0
  #discarded = 0
  #pending: ByteQueue | undefined
  #written: ((error?: Error | null) => void) | undefined
  /** The writable side is ending: to be called once nothing waits any more. */
  #finish: ((error?: Error | null) => void) | undefined
  #waiter: AcceptWaiter | undefined
  #timer: Timer | undefined
  #lateWriteTimer: Timer | undefined

  /** @internal streams come from {@link Session.openStream} and the session's `stream` event */
  constructor(id: number, driver: StreamDriver, origin: StreamOrigin) {
    const messages = origin.request?.network === 'udp'
    super(messages ? MESSAGE_OPTIONS : DUPLEX_OPTIONS)
    this.id = id
    this.request = origin.request
    this.priority = origin.priority
    this.messages = messages
    this.#driver = driver
    this.#openedHere = origin.openedHere
  }

  get session(): Session {
    return this.#driver.session
  }

  /**
   * Server: tells the client that the stream is accepted (STREAM_ACK, D7). Once is enough; the first
   * write does it too. On a stream that was opened here it does nothing.
   */
  accept(): void {
    if (this.#openedHere || this.#accepted || this.destroyed) return
    this.#accepted = true
    this.#driver.accept(this)
  }

  /**
   * Client: waits until the server has accepted the stream. Data may be written without waiting.
   *
   * @throws AnyTlsError rejects with what ended the stream before: `PeerCloseError` for a refusal,
   *   `ERR_STREAM_OPEN_TIMEOUT`, or the error of the session
   */
  accepted(): Promise<void> {
    if (this.#accepted) return Promise.resolve()
    if (this.destroyed) return Promise.reject(this.errored ?? new AnyTlsError('ERR_STREAM_RESET'))
    this.#waiter ??= makeWaiter()
    return this.#waiter.promise
  }

  /**
   * Ends the stream in both directions and tells the peer why. Without mux1 the peer learns only that
   * it is over.
   *
   * @param reason at most 1,024 bytes of printable ASCII go to the peer
   */
  reset(code: CloseCode, reason = ''): void {
    if (this.destroyed) return
    this.#resetCode = code
    this.#resetReason = reason
    this.destroy()
  }

  /**
   * Emits `timeout` after `delay` milliseconds without data in either direction, as `net.Socket` does;
   * the stream is not ended by it. 0 turns it off.
   */
  setTimeout(delay: number, callback?: () => void): this {
    this.#timer?.cancel()
    this.#timer = undefined
    if (callback !== undefined) {
      if (delay > 0) this.once('timeout', callback)
      else this.off('timeout', callback)
    }
    if (delay > 0 && !this.destroyed) {
      this.#timer = this.#driver.schedule(delay, () => this.emit('timeout'))
    }
    return this
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size)
    if (this.messages) this.#reportTaken(chunk === null ? 0 : (chunk as Uint8Array).length)
    else this.#reportConsumed()
    return chunk
  }

  override _read(): void {
    // The session pushes as data arrives; credit and the pausing of the connection bound it.
  }

  override _write(
    chunk: Buffer,
    _encoding: BufferEncoding,
    callback: (error?: Error | null) => void,
  ): void {
    this.#take([{ chunk }], callback)
  }

  override _writev(
    chunks: readonly { chunk: Buffer; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    this.#take(chunks, callback)
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#finish = callback
    this.#finishIfSent()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#timer?.cancel()
    this.#lateWriteTimer?.cancel()
    this.#pending = undefined
    this.#written?.(error ?? new AnyTlsError('ERR_STREAM_RESET'))
    this.#written = undefined
    this.#finish = undefined
    this.#waiter?.reject(error ?? new AnyTlsError('ERR_STREAM_RESET'))
    this.#waiter = undefined
    if (this.#over) {
      this.#driver.dropped(this)
    } else {
      this.#over = true
      // What broke off must not look complete to the peer. Why it broke is nobody's business there.
      const broken = error !== null && !this.writableFinished
      const code =
        broken && this.#resetCode === CloseCode.Graceful
          ? CloseCode.RemoteDisconnect
          : this.#resetCode
      this.#driver.reset(this, code, this.#resetReason)
    }
    if (streamClosed.hasSubscribers) streamClosed.publish({ stream: this, error })
    callback(error)
  }

  /** @internal bytes that wait to be sent */
  get pendingBytes(): number {
    return this.#pending?.length ?? 0
  }

  /** @internal bytes of the first write that waits */
  get firstPendingBytes(): number {
    return this.#pending?.firstLength ?? 0
  }

  /** @internal takes at most `max` waiting bytes; {@link sent} must follow once they are on their way */
  takePending(max: number): Uint8Array[] {
    return this.#pending?.take(max) ?? []
  }

  /** @internal what was taken is on its way: the next write, or the end, may come */
  sent(): void {
    this.#timer?.refresh()
    // A small rest is better sent together with what the application writes next.
    if (this.pendingBytes < JOINABLE_REST) this.#completeWrite()
    this.#finishIfSent()
  }

  /** @internal data from the peer */
  receive(data: Uint8Array): void {
    if (this.destroyed) return
    this.#timer?.refresh()
    this.#unread += data.length
    if (this.messages) this.#receiveMessage(data)
    else this.#receiveBytes(data)
  }

  /** @internal the peer has accepted the stream */
  receiveAccept(): void {
    if (this.#accepted) return
    this.#accepted = true
    this.#waiter?.resolve()
    this.#waiter = undefined
    this.emit('accept')
  }

  /** @internal the peer sends no more data */
  receiveEnd(): void {
    if (this.destroyed) return
    this.push(null)
  }

  /** @internal bytes that the peer has sent and the application has not taken */
  get unreadBytes(): number {
    return this.#unread
  }

  /**
   * @internal the stream is over for the machine. Without an error, what was received is still read to
   * its end; what is written from now on has nobody to go to.
   */
  receiveClose(error: AnyTlsError | undefined): void {
    if (this.#over) return
    this.#over = true
    if (error !== undefined) {
      this.destroy(error)
      return
    }
    this.#pending?.clear()
    this.#completeWrite()
    this.#finishIfSent()
    if (this.readableEnded && !this.writableEnded) {
      this.destroy()
      return
    }
    // Ends the writable side by itself once the readable side has been read.
    this.allowHalfOpen = false
    this.push(null)
  }

  #receiveBytes(data: Uint8Array): void {
    if (this.#mayEmit()) this.emit('data', data)
    else this.push(detached(data))
    this.#reportConsumed()
  }

  #receiveMessage(data: Uint8Array): void {
    const before = this.readableLength
    if (this.#mayEmit()) this.emit('data', data)
    else this.push(detached(data))
    // A datagram that did not stay has been taken.
    if (this.readableLength === before) this.#reportTaken(data.length)
  }

  /**
   * Whether `push` would do nothing but emit: the stream flows and holds nothing. It would also wake up a
   * tick later to ask for more, for each record, which the session does not need.
   */
  #mayEmit(): boolean {
    return (
      this.readableFlowing === true &&
      this.readableLength === 0 &&
      this.readableDidRead &&
      this.readableEncoding === null &&
      this.listenerCount('data') > 0
    )
  }

  #take(
    chunks: readonly { readonly chunk: Buffer }[],
    callback: (error?: Error | null) => void,
  ): void {
    if (this.messages && chunks.some(({ chunk }) => chunk.length > MAX_DATAGRAM)) {
      callback(
        new AnyTlsError('ERR_OPTION_INVALID', `a datagram has at most ${MAX_DATAGRAM} bytes`),
      )
      return
    }
    this.#pending ??= new ByteQueue()
    for (const { chunk } of chunks) this.#pending.push(chunk)
    this.#send(callback)
  }

  #send(callback: (error?: Error | null) => void): void {
    const bytes = this.pendingBytes
    if (this.#over || bytes === 0) {
      this.#pending?.clear()
      this.#discarded += bytes
      // What races the peer's end is let go.
      if (this.#discarded <= STREAM_HIGH_WATER_MARK) callback()
      else this.#stopWriter(callback)
      return
    }
    this.accept()
    this.#written = callback
    this.#driver.ready(this)
  }

  /**
   * A writer that goes on after the peer's end must find out, but the reader comes first: destroying
   * would take its unread data away.
   */
  #stopWriter(callback: (error?: Error | null) => void): void {
    this.#written = callback
    const stop = (): void => void this.destroy()
    this.#lateWriteTimer = this.#driver.schedule(LATE_WRITE_TIMEOUT, stop)
    this.once('end', stop)
    this.#endIfRead()
  }

  /** With nothing left to read, `end` comes only when it is asked for. */
  #endIfRead(): void {
    if (this.#lateWriteTimer !== undefined && this.readableLength === 0) super.read(0)
  }

  #finishIfSent(): void {
    const finish = this.#finish
    if (finish === undefined || (this.pendingBytes > 0 && !this.#over)) return
    this.#finish = undefined
    if (!this.#over) this.#driver.finish(this)
    finish()
  }

  #completeWrite(): void {
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  #reportConsumed(): void {
    this.#reportTaken(this.#unread - this.readableLength)
  }

  #reportTaken(bytes: number): void {
    if (bytes === 0) return
    this.#unread -= bytes
    this.#driver.consumed(this, bytes)
    this.#endIfRead()
  }
}

/** Data that is read later must not keep the whole record in memory that it is a small piece of. */
function detached(data: Uint8Array): Uint8Array {
  return 2 * data.length >= data.buffer.byteLength ? data : Buffer.from(data)
}

function makeWaiter(): AcceptWaiter {
  let resolve: () => void = () => {}
  let reject: (error: Error) => void = () => {}
  const promise = new Promise<void>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
