// One stream as an application sees it: a Node Duplex in front of a lane.
// Must never buffer more than its highWaterMark of outgoing data, or lose data that came before an end.
import { AsyncResource } from 'node:async_hooks'
import { Duplex, Readable } from 'node:stream'
import { AnyTlsError, invalidOption } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import type { StreamRequest, Wire } from '../engine/machine.ts'
import type { Timer } from './clock.ts'
import { streamClosed } from './diagnostics.ts'
import { Inbox } from './inbox.ts'
import type { Lane, LaneSink } from './lane.ts'

/** Bytes that the writable side buffers before it signals back-pressure. */
export const STREAM_HIGH_WATER_MARK = 65_536

/**
 * How long a writer that goes on after the peer's end has to wait for the reader, in milliseconds, before
 * the stream is given up together with what was not read.
 */
const LATE_WRITE_TIMEOUT = 30_000

/** The largest datagram, in bytes, as a length of 16 bits tells it. */
const MAX_DATAGRAM = 65_535

const baseLength = Object.getOwnPropertyDescriptor(Readable.prototype, 'readableLength')

// The readable side holds little: the rest waits in blocks, which cost what their bytes do (D46). Not less than this,
// in bytes, as readers that wait for a `readableLength` are told of more only below the mark.
const READABLE_HIGH_WATER_MARK = 1_024
const DUPLEX_OPTIONS = {
  writableHighWaterMark: STREAM_HIGH_WATER_MARK,
  readableHighWaterMark: READABLE_HIGH_WATER_MARK,
}
const MESSAGE_OPTIONS = {
  writableHighWaterMark: STREAM_HIGH_WATER_MARK,
  readableHighWaterMark: 1,
  readableObjectMode: true,
}

/** Whose session it is, at a server that knows its users. */
export interface SessionUser {
  /** No two users of a server have the same. Text from outside: escape it before showing it. */
  readonly name: string
  /** Who it is, whatever the name is by now; where there is none it is the name. */
  readonly id?: string | undefined
}

/** The session of a stream, as the stream knows it. */
export interface StreamSession {
  readonly id: string
  readonly wire: Wire
  readonly remoteAddress: string | undefined
  readonly user: SessionUser | undefined
  readonly closed: boolean
  /** Ends gracefully; resolves when it is over. */
  close(): Promise<void>
  /** Ends at once. */
  destroy(error?: Error): void
}

type WriteCallback = (error?: Error | null) => void

/** What {@link Stream.divert} hands over. */
export interface Diverted {
  /** Writes, finishes and gives credit back; what ends the stream otherwise goes through the stream itself. */
  readonly lane: Lane
  /** What had arrived and was not read, as the new owner's; its credit has been given back. */
  readonly unread: readonly Uint8Array[]
  /** The peer has ended its direction: nothing more will come. */
  readonly ended: boolean
  /** What was written before is with the machine and on its way: one `left` comes that no `sent` comes before. */
  readonly leaving: boolean
}

interface AcceptWaiter {
  readonly promise: Promise<void>
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * A bidirectional stream of bytes inside a session. `end()` ends this direction; with mux1 the other
 * direction stays open, without it both end (D6). `destroy()` ends both; with an error, or before all that was
 * written has left, it is an error for a peer with mux1 too (D49). A write is over, and `finish` and `drain`
 * come, when the socket has taken its bytes, as on a `net.Socket` (D45). Each chunk that is read is a `Buffer`
 * and the reader's own.
 *
 * A stream that was asked for with `network: 'udp'` carries datagrams: see {@link Stream.messages}.
 *
 * Events beside those of a Duplex: `accept` (client: the server has accepted the stream) and `timeout`
 * (see {@link Stream.setTimeout}). All of them, and all callbacks, run in the asynchronous context that the
 * stream was opened in.
 */
export class Stream extends Duplex {
  /** The session that it belongs to. */
  readonly session: StreamSession
  /** Each write and each chunk that is read is one datagram; empty ones are not carried. */
  readonly messages: boolean

  readonly #lane: Lane
  /** Whoever it was diverted to. */
  #taker: LaneSink | undefined
  readonly #context = new AsyncResource('AnyTlsStream', { requireManualDestroy: true })
  /** Received bytes that the readable side has not asked for. */
  readonly #inbox: Inbox
  /** The readable side has asked for the next piece. */
  #wanted = false
  /** Bytes with the readable side that the peer has no credit back for. */
  #handed = 0
  #endCame = false
  #accepted = false
  /** The stream is over on the wire. */
  #over = false
  #resetCode: CloseCode = CloseCode.Graceful
  #resetReason = ''
  #discarded = 0
  #written: WriteCallback | undefined
  #writing = 0
  /** The writable side is ending: to be called once that has left. */
  #finish: WriteCallback | undefined
  /** The end of this direction is on its way. */
  #finSent = false
  #finLeft = false
  #waiter: AcceptWaiter | undefined
  #timer: Timer | undefined
  #lateWriteTimer: Timer | undefined

  /** What the lane has to tell, for the stream or for whoever it was diverted to. */
  static readonly #Sink = class implements LaneSink {
    readonly #stream: Stream

    constructor(stream: Stream) {
      this.#stream = stream
    }

    data(view: Uint8Array): void {
      const stream = this.#stream
      stream.#timer?.refresh()
      if (stream.#taker === undefined) stream.#onData(view)
      else stream.#taker.data(view)
    }

    settle(): void {
      const stream = this.#stream
      if (stream.#taker === undefined) stream.#run(stream.#onSettle)
      else stream.#taker.settle()
    }

    accepted(): void {
      const stream = this.#stream
      stream.#run(stream.#onAccepted)
    }

    end(): void {
      const stream = this.#stream
      if (stream.#taker === undefined) stream.#run(stream.#onEnd)
      else stream.#taker.end()
    }

    closed(error: AnyTlsError | undefined): void {
      const stream = this.#stream
      if (stream.#taker === undefined) {
        stream.#run(stream.#onClosed, error)
        return
      }
      stream.#over = true
      // In order: what has come may still be on its way to where it goes.
      if (error === undefined) stream.#taker.closed(error)
      else stream.#run(() => void stream.destroy(error))
    }

    sent(): void {
      const stream = this.#stream
      stream.#timer?.refresh()
      if (stream.#taker === undefined) stream.#onSent()
      else stream.#taker.sent()
    }

    left(): void {
      const stream = this.#stream
      stream.#timer?.refresh()
      // What is told to the stream may divert it.
      const taker = stream.#taker
      // What was written before it was diverted.
      if (taker === undefined || stream.#written !== undefined) stream.#run(stream.#onLeft)
      taker?.left()
    }

    destroy(error: Error | undefined): void {
      const stream = this.#stream
      stream.#run(() => void stream.destroy(error))
    }
  }

  static {
    // Of the bytes that wait, the readable side holds but one piece.
    Object.defineProperty(Stream.prototype, 'readableLength', {
      get(this: Stream): number {
        return this.#held + this.#inbox.length
      },
    })
  }

  /** Streams come from `Session.openStream` and the session's `stream` event. */
  constructor(lane: Lane, session: StreamSession) {
    super(lane.messages ? MESSAGE_OPTIONS : DUPLEX_OPTIONS)
    this.session = session
    this.messages = lane.messages
    this.#lane = lane
    this.#inbox = new Inbox(lane.messages, lane.readsLent)
    lane.attach(new Stream.#Sink(this))
  }

  /** The Stream ID, 1 or more. */
  get id(): number {
    return this.#lane.id
  }

  /** What the stream was opened for, on a wire that says so (Mux.Pro). */
  get request(): StreamRequest | undefined {
    return this.#lane.request
  }

  /** Whose data goes first: 0 is first, 255 last. */
  get priority(): number {
    return this.#lane.priority
  }

  /**
   * Server: tells the client that the stream is accepted (STREAM_ACK, D7). Once is enough; the first
   * write does it too. On a stream that was opened here it does nothing.
   */
  accept(): void {
    if (this.#lane.openedHere || this.#accepted || this.#over) return
    this.#accepted = true
    this.#lane.accept()
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
      this.#timer = this.#lane.schedule(delay, () => this.#run(this.#onTimeout))
    }
    return this
  }

  /** What programs call on a socket. The session's connection never delays small writes. */
  setNoDelay(): this {
    return this
  }

  /** What programs call on a socket. The session keeps its connection alive itself (D26). */
  setKeepAlive(): this {
    return this
  }

  /** What programs call on a socket. It is the session that keeps a process up, or not. */
  ref(): this {
    return this
  }

  /** What programs call on a socket. It is the session that keeps a process up, or not. */
  unref(): this {
    return this
  }

  /**
   * Has `sink` take what arrives from now on, and its owner send, without the Duplex in between: for whoever carries the
   * bytes elsewhere. The stream lives on for its state and its end: it closes with its error when it breaks off, and its
   * owner must destroy it when both directions are over. `undefined` where the Duplex is in use.
   *
   * @internal
   */
  divert(sink: LaneSink): Diverted | undefined {
    const inUse = this.readableFlowing !== null && this.readableFlowing
    if (this.messages || this.#over || this.destroyed || this.writableEnded || inUse)
      return undefined
    if (this.readableEncoding !== null || this.writableNeedDrain) return undefined
    const unread: Uint8Array[] = []
    for (;;) {
      const chunk = this.read() as Buffer | null
      if (chunk === null) break
      unread.push(chunk)
    }
    this.#taker = sink
    const leaving = this.#written !== undefined && this.#lane.pendingBytes === 0
    return { lane: this.#lane, unread, ended: this.#endCame, leaving }
  }

  override read(size?: number): unknown {
    const chunk: unknown = super.read(size)
    this.#reportTaken()
    return chunk
  }

  /** @internal */
  override _read(): void {
    this.#wanted = true
    this.#pushWaiting()
  }

  /** @internal */
  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: WriteCallback): void {
    this.#send([chunk], callback)
  }

  /** @internal */
  override _writev(chunks: readonly { chunk: Buffer }[], callback: WriteCallback): void {
    this.#send(
      chunks.map(({ chunk }) => chunk),
      callback,
    )
  }

  /** @internal */
  override _final(callback: WriteCallback): void {
    if (this.#finLeft || (this.#over && !this.#finSent)) {
      callback()
      return
    }
    this.#finish = callback
    this.#sendFin()
  }

  /** @internal */
  override _destroy(error: Error | null, callback: WriteCallback): void {
    this.#timer?.cancel()
    this.#lateWriteTimer?.cancel()
    this.#inbox.clear()
    // What broke off must not look complete to the peer (D49). Why it broke is nobody's business there.
    const broken = !this.writableFinished && (error !== null || this.writableLength > 0)
    if (this.#written !== undefined || this.#waiter !== undefined) {
      const failure = error ?? new AnyTlsError('ERR_STREAM_RESET')
      this.#written?.(failure)
      this.#waiter?.reject(failure)
    }
    this.#written = undefined
    this.#finish = undefined
    this.#waiter = undefined
    if (this.#over) {
      this.#lane.drop()
    } else {
      this.#over = true
      const code =
        broken && this.#resetCode === CloseCode.Graceful
          ? CloseCode.RemoteDisconnect
          : this.#resetCode
      this.#lane.reset(code, this.#resetReason)
    }
    if (streamClosed.hasSubscribers) streamClosed.publish({ stream: this, error })
    callback(error)
  }

  /** What the readable side itself holds, in bytes, or datagrams. */
  get #held(): number {
    return Number(baseLength?.get?.call(this))
  }

  /** In the context that the stream was opened in. */
  #run<A extends readonly unknown[]>(action: (this: Stream, ...args: A) => void, ...args: A): void {
    this.#context.runInAsyncScope(action, this, ...args)
  }

  #onTimeout(): void {
    this.emit('timeout')
  }

  #onData(view: Uint8Array): void {
    if (this.destroyed) return
    this.#inbox.push(view)
  }

  #onSettle(): void {
    while (this.#mayEmit()) {
      const piece = this.#inbox.take()
      if (piece === undefined) return
      // First of all: what a listener does, or throws, must not keep the peer waiting.
      this.#lane.consumed(piece.length)
      this.emit('data', piece)
    }
    this.#pushWaiting()
    this.#inbox.keep()
  }

  /**
   * Whether `push` would do nothing but emit: the stream flows and holds nothing. It would also wake up a
   * tick later to ask for more, for each record, which the session does not need.
   */
  #mayEmit(): boolean {
    return (
      this.readableFlowing === true &&
      this.#held === 0 &&
      this.readableDidRead &&
      this.readableEncoding === null &&
      this.listenerCount('data') > 0
    )
  }

  /** Gives the readable side the piece that it has asked for. */
  #pushWaiting(): void {
    if (!this.#wanted || this.destroyed) return
    const piece = this.#inbox.take()
    if (piece !== undefined) {
      this.#wanted = false
      this.#handed += piece.length
      try {
        this.push(piece)
      } finally {
        this.#reportTaken()
      }
    } else if (this.#endCame) {
      this.#wanted = false
      this.push(null)
    }
  }

  /** What the reader has taken may be sent anew. With an encoding a piece counts once it has been taken whole. */
  #reportTaken(): void {
    if (this.#handed === 0) return
    const whole = this.messages || this.readableEncoding !== null
    const held = this.#held
    const rest = whole && held > 0 ? this.#handed : Math.min(held, this.#handed)
    const taken = this.#handed - rest
    if (taken === 0) return
    this.#handed = rest
    this.#lane.consumed(taken)
    this.#endIfRead()
  }

  #onAccepted(): void {
    if (this.#accepted) return
    this.#accepted = true
    this.#waiter?.resolve()
    this.#waiter = undefined
    this.emit('accept')
  }

  #onEnd(): void {
    if (this.destroyed || this.#endCame) return
    this.#endCame = true
    this.#endReadable()
  }

  /** Ends the readable side once nothing waits for it. */
  #endReadable(): void {
    if (this.#inbox.length > 0) return
    this.#wanted = false
    this.push(null)
  }

  #onClosed(error: AnyTlsError | undefined): void {
    if (this.#over) return
    this.#over = true
    // A session that is closed in order takes nothing from a direction that had ended before.
    const complete = this.#endCame && error?.code === 'ERR_SESSION_CLOSED'
    if (error !== undefined && !(complete && this.writableLength === 0)) {
      this.destroy(error)
      return
    }
    // What waits to be sent has nobody to go to.
    if (this.#lane.pendingBytes > 0) {
      this.#lane.discard()
      this.#completeWrite()
    }
    if (this.readableEnded && !this.writableEnded) {
      this.destroy()
      return
    }
    // Ends the writable side by itself once the readable side has been read.
    this.allowHalfOpen = false
    if (!this.#endCame) {
      this.#endCame = true
      this.#endReadable()
    }
  }

  #send(chunks: readonly Buffer[], callback: WriteCallback): void {
    if (this.messages && chunks.some(({ length }) => length > MAX_DATAGRAM)) {
      const message = `a datagram has at most ${MAX_DATAGRAM} bytes`
      callback(invalidOption(message))
      return
    }
    let bytes = 0
    for (const { length } of chunks) bytes += length
    if (bytes === 0) callback()
    else if (this.#over) this.#discard(bytes, callback)
    else {
      this.accept()
      this.#written = callback
      this.#writing = bytes
      this.#timer?.refresh()
      this.#lane.write(chunks)
    }
  }

  /** What races the peer's end is let go; a writer that goes on must find out. */
  #discard(bytes: number, callback: WriteCallback): void {
    this.#discarded += bytes
    if (this.#discarded <= STREAM_HIGH_WATER_MARK) {
      callback()
      return
    }
    this.#written = callback
    const stop = (): void => void this.destroy()
    if (this.readableEnded) {
      process.nextTick(stop)
      return
    }
    // The reader comes first: destroying would take its unread data away.
    this.#lateWriteTimer = this.#lane.schedule(LATE_WRITE_TIMEOUT, stop)
    this.once('end', stop)
    this.#endIfRead()
  }

  /** With nothing left to read, `end` comes only when it is asked for. */
  #endIfRead(): void {
    if (this.#lateWriteTimer !== undefined && this.readableLength === 0) super.read(0)
  }

  /** The end of this direction goes with the last bytes where it is known by then. */
  #onSent(): void {
    if (this.writableEnded && this.writableLength === this.#writing) this.#sendFin()
  }

  #sendFin(): void {
    if (this.#finSent) return
    this.#finSent = true
    this.#lane.finish()
  }

  #onLeft(): void {
    if (this.#lane.pendingBytes > 0) return
    if (this.#written !== undefined) {
      this.#completeWrite()
    } else if (this.#finSent) {
      this.#finLeft = true
      this.#finish?.()
      this.#finish = undefined
    }
  }

  #completeWrite(): void {
    const callback = this.#written
    this.#written = undefined
    callback?.()
  }
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
