// A session as an application sees it: streams, events, the end. What drives it stands in core.ts.
// Must never know which wire it speaks.
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { invalidOption } from '../errors.ts'
import type { AnyTlsError } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import type { Handover, StreamRequest, Wire } from '../engine/machine.ts'
import { DEFAULT_PRIORITY } from '../engine/send-scheduler.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { tell } from './callbacks.ts'
import { isSocket } from './carrier.ts'
import { SessionCore } from './core.ts'
import type { CoreEvent, CoreOptions } from './core.ts'
import { sessionClosed, sessionOpened, streamOpened } from './diagnostics.ts'
import type { Lane } from './lane.ts'
import type { SessionPaces } from './pace.ts'
import { Stream } from './stream.ts'
import type { SessionUser, StreamSession } from './stream.ts'

export interface SessionOptions extends CoreOptions {
  /** Whether a stream is accepted when its `stream` listeners have run. Default true. */
  readonly autoAccept?: boolean | undefined
  /** Takes over the Duplex, paused and without listeners, when it is no connection of ours. */
  readonly onHandover?: ((handover: Handover) => void) | undefined
  /** Where the peer is, if somebody in between knows better than the socket. */
  readonly remoteAddress?: string | undefined
}

/** How a stream is opened. */
export interface OpenStreamOptions {
  /** Destroys the stream when it is aborted. */
  readonly signal?: AbortSignal | undefined
  /**
   * Whose data goes first when several streams of the session wait to send: 0 is first, 255 last. Default
   * that of the request, else 128.
   */
  readonly priority?: number | undefined
  /** What the stream is for, where the wire says so (Mux.Pro). */
  readonly request?: StreamRequest | undefined
}

/** What a {@link Session} tells. */
export interface SessionEvents {
  /** Negotiation is over; the peer's name for itself is text from the wire. */
  established: [peer: string]
  /** The peer opened a stream. */
  stream: [stream: Stream]
  /** The server told which padding scheme later connections must use. */
  scheme: [scheme: Scheme]
  /** The server sent a padding scheme that was refused. */
  schemeRefused: [error: AnyTlsError]
  /** The session takes no new streams. */
  draining: []
  /** A stream was opened here; `streamCount` is up to date. */
  streamOpened: []
  /** A stream has ended; `streamCount` is up to date. */
  streamEnded: []
  /** The peer did not answer the opening of a stream in time: it may have gone. */
  streamUnanswered: []
  /** The session takes and gives nothing any more; `close` follows when its last bytes have left. */
  ending: [error: Error | undefined]
  /** The session is over; always the last event. There is no `error` event. */
  close: [error: Error | undefined]
}

/**
 * Many streams over one connection. Made by `connect` and by a server; ends with one `close` event,
 * whose error, if any, also reaches every stream that was still open.
 */
export class Session extends EventEmitter<SessionEvents> implements StreamSession {
  /** Names the session in logs: no two of a process have the same. */
  readonly id: string = process.getBuiltinModule('node:crypto').randomUUID()
  /** The peer's IP address, where the connection is a socket; that of the client where a balancer named it. */
  readonly remoteAddress: string | undefined

  readonly #duplex: Duplex
  readonly #core: SessionCore
  readonly #autoAccept: boolean
  readonly #onHandover: SessionOptions['onHandover']
  #user: SessionUser | undefined
  #openedCount = 0

  constructor(options: SessionOptions) {
    super()
    this.#duplex = options.duplex
    const ownAddress = isSocket(options.duplex) ? options.duplex.remoteAddress : undefined
    this.remoteAddress = options.remoteAddress ?? ownAddress
    this.#autoAccept = options.autoAccept ?? true
    this.#onHandover = options.onHandover
    this.#core = new SessionCore(options, this.#onEvent)
  }

  /** Streams that are open now. */
  get streamCount(): number {
    return this.#core.size
  }

  /** Bytes that its streams and the protocol have carried so far, both ways together. */
  get bytesPassed(): number {
    return this.#core.bytesPassed
  }

  /** Whether {@link openStream} would succeed now. */
  get mayOpen(): boolean {
    return this.#core.state === 'open' && this.#core.machine.mayOpen
  }

  /** Whether the peer has answered the negotiation. */
  get established(): boolean {
    return this.#core.established
  }

  /** Whether the session is over, in order or not. */
  get closed(): boolean {
    return this.#core.state === 'closed'
  }

  /** Who has logged in, at a server that was given `users`: what their `lookup` returned. */
  get user(): SessionUser | undefined {
    return this.#user
  }

  /** @internal who has logged in */
  logIn(user: SessionUser): void {
    this.#user = user
  }

  /** Which wire the session speaks. */
  get wire(): Wire {
    return this.#core.machine.wire
  }

  /** Whether a slow reader slows its own stream alone, and not the whole session. */
  get flowControlled(): boolean {
    return this.#core.machine.flowControlled
  }

  /** Whether {@link ping} would be answered by a peer that is there. */
  get pingable(): boolean {
    return this.#core.state === 'open' && this.#core.machine.pingable
  }

  /** When the peer was last known to be there, on the session's clock. */
  get lastAlive(): number {
    return this.#core.machine.lastAlive
  }

  /** Streams that were ever opened here. */
  get openedCount(): number {
    return this.#openedCount
  }

  /**
   * Opens a stream; it is usable at once, without a round trip.
   *
   * @throws AnyTlsError `ERR_SESSION_CLOSED`, `ERR_SESSION_DRAINING` or `ERR_STREAM_LIMIT`;
   *   `ERR_OPTION_INVALID` for a priority that is none, or where the wire wants a request
   */
  openStream(options: OpenStreamOptions = {}): Stream {
    const { signal, request, priority = request?.priority ?? DEFAULT_PRIORITY } = options
    signal?.throwIfAborted()
    if (!Number.isInteger(priority) || priority < 0 || priority > 255) {
      throw invalidOption('a priority is a whole number from 0 to 255')
    }
    const stream = this.#makeStream(this.#core.open(request, priority))
    this.#openedCount += 1
    tell(this, 'streamOpened')
    if (signal !== undefined) destroyWhenAborted(stream, signal)
    return stream
  }

  /**
   * Asks the peer for a sign of life. Before negotiation is over it waits for that.
   *
   * @returns the round trip in milliseconds
   * @throws AnyTlsError rejects with `ERR_PING_UNSUPPORTED` where the peer's wire has none, or with what
   *   ended the session before the answer
   */
  ping(): Promise<number> {
    return this.#core.ping()
  }

  /** Ends gracefully: no new streams, those that stand run to their end. Resolves when it is over. */
  async close(): Promise<void> {
    if (this.closed) return
    const over = new Promise<void>((resolve) => this.once('close', () => resolve()))
    this.#core.close()
    await over
  }

  /** Closes it as {@link close} does. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Ends at once. Streams that are open are destroyed with `error`; without one they just close. What is
   * already on its way to the socket, and the word that it is over, may take a second more.
   */
  destroy(error?: Error): void {
    this.#core.destroy(error)
  }

  /** Ends at once, as {@link destroy}, and tells the peer the error's message where the wire has words for it. */
  dismiss(error: AnyTlsError): void {
    this.#core.destroy(error, error.message)
  }

  /**
   * Keeps to these rates from now on. Several sessions that are given the same `Pace` keep it together. A
   * direction that waits slows its peer down, as a slow reader or network would.
   */
  pace(paces: SessionPaces): void {
    this.#core.pace(paces)
  }

  /** Lets the connection keep the process up, as it does by default. */
  ref(): this {
    if (isSocket(this.#duplex)) this.#duplex.ref()
    return this
  }

  /** Lets the process end although the connection stands. */
  unref(): this {
    if (isSocket(this.#duplex)) this.#duplex.unref()
    return this
  }

  readonly #onEvent = (event: CoreEvent): void => {
    switch (event.type) {
      case 'established':
        if (sessionOpened.hasSubscribers) sessionOpened.publish({ session: this })
        tell(this, 'established', event.peer)
        break
      case 'lane':
        this.#onLane(event.lane)
        break
      case 'scheme':
        tell(this, 'scheme', event.scheme)
        break
      case 'scheme-refused':
        tell(this, 'schemeRefused', event.error)
        break
      case 'draining':
        tell(this, 'draining')
        break
      case 'lane-ended':
        tell(this, 'streamEnded')
        break
      case 'lane-unanswered':
        tell(this, 'streamUnanswered')
        break
      case 'handover':
        if (this.#onHandover === undefined) this.#duplex.destroy()
        else this.#onHandover(event.handover)
        break
      case 'ending':
        tell(this, 'ending', event.error)
        break
      case 'close':
        // Open and close come in pairs: whoever never negotiated was never told of.
        if (this.established && sessionClosed.hasSubscribers) {
          sessionClosed.publish({ session: this, error: event.error })
        }
        tell(this, 'close', event.error)
        break
    }
  }

  #onLane(lane: Lane): void {
    const stream = this.#makeStream(lane)
    // A peer must not be able to end the process by resetting a stream that nobody listens on for
    // errors; readers and pipelines hear of it all the same.
    stream.on('error', ignore)
    if (!tell(this, 'stream', stream)) {
      stream.reset(CloseCode.Rejected, 'nobody serves streams here')
    } else if (this.#autoAccept) {
      stream.accept()
    }
  }

  #makeStream(lane: Lane): Stream {
    const stream = new Stream(lane, this)
    if (streamOpened.hasSubscribers) streamOpened.publish({ stream, session: this })
    return stream
  }
}

function ignore(): void {}

/** As `addAbortSignal` of node:stream, without its error for each stream that is over. */
function destroyWhenAborted(stream: Stream, signal: AbortSignal): void {
  const onAbort = (): void => {
    const error = new Error('The operation was aborted', { cause: signal.reason })
    stream.destroy(Object.assign(error, { name: 'AbortError', code: 'ABORT_ERR' }))
  }
  signal.addEventListener('abort', onAbort)
  stream.once('close', () => signal.removeEventListener('abort', onAbort))
}
