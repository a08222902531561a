// Drives one machine over one Duplex: moves bytes, keeps the timers, hands streams to the application.
// Must never know which wire the machine speaks, or buffer without a bound.
import { EventEmitter } from 'node:events'
import { addAbortSignal } from 'node:stream'
import type { Duplex } from 'node:stream'
import { AnyTlsError } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import type { Handover, Machine, MachineEvent, StreamRequest, Wire } from '../engine/machine.ts'
import { DEFAULT_PRIORITY, SendScheduler } from '../engine/send-scheduler.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { systemClock } from './clock.ts'
import type { Clock, Timer } from './clock.ts'
import { sessionClosed, sessionOpened, streamOpened } from './diagnostics.ts'
import { RecordWriter } from './record-writer.ts'
import { Stream } from './stream.ts'
import type { StreamDriver, StreamOrigin } from './stream.ts'
import { UnreadGuard } from './unread-guard.ts'

/** Bytes under way to the socket at which streams have to wait. */
const OUTPUT_HIGH_WATER = 262_144

/**
 * Bytes under way at which their leaving is a sign of life. Less than that the kernel takes from us on a
 * dead path as well, and each retry of an application would put the end of the session off.
 */
const PROGRESS_BACKLOG = 65_536

/** Bytes under way at which even reading stops, so that a peer cannot make us answer without end. */
const OUTPUT_LIMIT = 2 * 1_048_576

/**
 * At the end of a session: how long no bytes may leave, and how long the peer may take to end after the
 * last, in milliseconds. What the kernel still holds would be lost to a peer that sends meanwhile.
 */
const FLUSH_TIMEOUT = 15_000

export interface SessionOptions {
  readonly duplex: Duplex
  readonly machine: Machine
  readonly clock?: Clock | undefined
  /** Whether a stream is accepted when its `stream` listeners have run. Default true. */
  readonly autoAccept?: boolean | undefined
  /**
   * Without mux1: how long a stream that is not read may hold up its connection, in milliseconds,
   * before it alone is ended. Default 20,000: below the time after which peers give a silent
   * connection up.
   */
  readonly stallTimeout?: number | undefined
  /**
   * Asked once, before the first bytes from the peer are handled: the machine that is to handle them, or
   * `undefined` for the one that the session was made with (D18). Until then nothing has been written.
   */
  readonly chooseMachine?:
    ((firstBytes: Uint8Array, now: number) => Machine | undefined) | undefined
  /** Takes over the Duplex, paused and without listeners, when it is no connection of ours. */
  readonly onHandover?: ((handover: Handover) => void) | undefined
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
export class Session extends EventEmitter<SessionEvents> {
  readonly #duplex: Duplex
  #machine: Machine
  readonly #clock: Clock
  readonly #options: SessionOptions
  readonly #driver: StreamDriver
  readonly #writer: RecordWriter
  readonly #streams = new Map<number, Stream>()
  readonly #ready = new SendScheduler<Stream>()
  readonly #unread: UnreadGuard
  readonly #pings: { resolve: (ms: number) => void; reject: (error: Error) => void }[] = []
  #timer: Timer | undefined
  #timerDue = Infinity
  #stallTimer: Timer | undefined
  #instant: number | undefined
  #turnScheduled = false
  #handling = false
  /** Events that listeners caused while others were being told. */
  readonly #later: MachineEvent[] = []
  #reading = true
  /** Reading is stopped because of streams that are not read. */
  #held = false
  #state: 'open' | 'closing' | 'closed' = 'open'
  #established = false
  /** Whether it is settled which machine handles the peer's bytes. */
  #chosen = false
  #openedCount = 0
  #closingError: AnyTlsError | undefined

  constructor(options: SessionOptions) {
    super()
    this.#duplex = options.duplex
    this.#machine = options.machine
    this.#clock = options.clock ?? systemClock
    this.#options = options
    this.#driver = this.#makeDriver()
    this.#unread = new UnreadGuard(options.stallTimeout ?? 20_000)
    this.#writer = new RecordWriter(options.duplex, this.#onProgress)
    this.#duplex.on('data', this.#onData)
    this.#duplex.on('end', this.#onEnd)
    this.#duplex.on('error', this.#onError)
    this.#duplex.on('close', this.#onClose)
    if (this.#duplex.destroyed) process.nextTick(this.#onClose)
    this.#schedule()
  }

  /** Streams that are open now. */
  get streamCount(): number {
    return this.#streams.size
  }

  /** Whether {@link openStream} would succeed now. */
  get mayOpen(): boolean {
    return this.#state === 'open' && this.#machine.mayOpen
  }

  /** Whether the peer has answered the negotiation. */
  get established(): boolean {
    return this.#established
  }

  get closed(): boolean {
    return this.#state === 'closed'
  }

  /** Which wire the session speaks. */
  get wire(): Wire {
    return this.#machine.wire
  }

  /** Whether a slow reader slows its own stream alone, and not the whole session. */
  get flowControlled(): boolean {
    return this.#machine.flowControlled
  }

  /** Whether {@link ping} would be answered by a peer that is there. */
  get pingable(): boolean {
    return this.#state === 'open' && this.#machine.pingable
  }

  /** When the peer was last known to be there, on the session's clock. */
  get lastAlive(): number {
    return this.#machine.lastAlive
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
      throw new AnyTlsError('ERR_OPTION_INVALID', 'a priority is a whole number from 0 to 255')
    }
    if (this.#state !== 'open') throw new AnyTlsError('ERR_SESSION_CLOSED')
    const id = this.#machine.openStream(this.#clock.now(), request)
    this.#openedCount += 1
    const stream = this.#addStream(id, { openedHere: true, request, priority })
    this.emit('streamOpened')
    if (signal !== undefined) addAbortSignal(signal, stream)
    this.#schedule()
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
    if (this.#state !== 'open') return Promise.reject(new AnyTlsError('ERR_SESSION_CLOSED'))
    if (this.#established && !this.#machine.pingable) {
      return Promise.reject(new AnyTlsError('ERR_PING_UNSUPPORTED'))
    }
    return new Promise((resolve, reject) => {
      this.#pings.push({ resolve, reject })
      // One under way already answers for both.
      this.#machine.ping(this.#clock.now())
      this.#schedule()
    })
  }

  /** Ends gracefully: no new streams, those that stand run to their end. Resolves when it is over. */
  async close(): Promise<void> {
    if (this.#state === 'closed') return
    const over = new Promise<void>((resolve) => this.once('close', () => resolve()))
    this.#handle(this.#machine.close(this.#clock.now()))
    this.#schedule()
    await over
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Ends at once. Streams that are open are destroyed with `error`; without one they just close. */
  destroy(error?: Error): void {
    if (this.#state === 'closed') return
    this.#machine.abort(CloseCode.Graceful, this.#clock.now())
    this.#writer.write(this.#machine.takeWrites())
    for (const stream of [...this.#streams.values()]) stream.destroy(error)
    this.#finish(error)
    this.#duplex.destroy()
  }

  readonly #onData = (chunk: Buffer): void => {
    // One reading of the clock serves all that a chunk causes.
    this.#instant = this.#clock.now()
    try {
      if (!this.#chosen) this.#choose(chunk, this.#instant)
      this.#take(this.#machine.receive(chunk, this.#instant))
    } finally {
      this.#instant = undefined
    }
  }

  #choose(firstBytes: Uint8Array, now: number): void {
    this.#chosen = true
    const machine = this.#options.chooseMachine?.(firstBytes, now)
    if (machine !== undefined) this.#machine = machine
  }

  get #now(): number {
    return this.#instant ?? this.#clock.now()
  }

  readonly #onEnd = (): void => {
    this.#take(this.#machine.endOfInput(this.#now))
  }

  readonly #onError = (error: Error): void => {
    this.#finish(new AnyTlsError('ERR_CONNECTION_LOST', undefined, { cause: error }))
    // A TLSSocket stays open when it only cannot decrypt a record.
    this.#duplex.destroy()
  }

  readonly #onClose = (): void => {
    this.#finish(new AnyTlsError('ERR_CONNECTION_LOST'))
  }

  readonly #onProgress = (): void => {
    if (this.#state === 'closed') return
    if (this.#writer.backlog >= PROGRESS_BACKLOG) this.#machine.progress(this.#now)
    if (this.#state === 'closing') this.#armFlushTimer()
    // In the lull after each write of a conversation there is nothing to move.
    if (this.#ready.size > 0 || this.#state === 'closing' || !this.#reading) this.#turn()
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined
    this.#timerDue = Infinity
    this.#take(this.#machine.timeout(this.#now))
  }

  /** Handles what the peer or the time caused, and then at once what the application made of it. */
  #take(events: readonly MachineEvent[]): void {
    // The turn that follows makes every other superfluous.
    const scheduled = this.#turnScheduled
    this.#turnScheduled = true
    this.#handle(events)
    this.#turnScheduled = scheduled
    this.#turn()
  }

  /** Gathers what one tick of the application causes into one turn. */
  #schedule(): void {
    if (this.#turnScheduled || this.#state === 'closed') return
    this.#turnScheduled = true
    process.nextTick(this.#runScheduledTurn)
  }

  readonly #runScheduledTurn = (): void => {
    this.#turnScheduled = false
    this.#turn()
  }

  /** Moves waiting stream data and frames to the writer, then looks at pauses and timers. */
  #turn(): void {
    if (this.#state === 'closed') return
    this.#pump()
    const writes = this.#machine.takeWrites()
    if (writes.length > 0) this.#writer.write(writes)
    if (this.#state === 'closing') {
      this.#writer.end()
      return
    }
    this.#updateReading()
    this.#armTimer()
  }

  #pump(): void {
    if (this.#ready.size === 0 || this.#state !== 'open') return
    const room = OUTPUT_HIGH_WATER - this.#writer.backlog
    const left = this.#ready.pump(this.#machine, room, this.#now)
    if (left > 0 && this.#ready.size > 0) this.#schedule()
  }

  #handle(events: readonly MachineEvent[]): void {
    if (events.length === 0) return
    if (this.#handling) {
      this.#later.push(...events)
      return
    }
    this.#handling = true
    try {
      for (const event of events) this.#handleOne(event)
      for (const event of this.#later) this.#handleOne(event)
    } finally {
      this.#handling = false
      this.#later.length = 0
    }
  }

  #handleOne(event: MachineEvent): void {
    // A listener may have destroyed the session in between.
    if (this.#state === 'closed') return
    switch (event.type) {
      case 'data':
        this.#receive(event.stream, event.data)
        break
      case 'open':
        this.#onOpen(event.stream, event.request)
        break
      case 'accept':
        this.#streams.get(event.stream)?.receiveAccept()
        break
      case 'end':
        this.#streams.get(event.stream)?.receiveEnd()
        break
      case 'close':
        this.#closeStream(event.stream, event.error)
        break
      case 'credit': {
        const stream = this.#streams.get(event.stream)
        if (stream !== undefined && stream.pendingBytes > 0) this.#ready.add(stream)
        break
      }
      case 'established':
        this.#established = true
        // Pings could not be sent before.
        if (this.#pings.length > 0) this.#pingAtLast()
        if (sessionOpened.hasSubscribers) sessionOpened.publish({ session: this })
        this.emit('established', event.peer)
        break
      case 'scheme':
        this.emit('scheme', event.scheme)
        break
      case 'scheme-refused':
        this.emit('schemeRefused', event.error)
        break
      case 'pong':
        for (const ping of this.#pings.splice(0)) ping.resolve(event.roundTrip)
        break
      case 'draining':
        this.emit('draining')
        break
      case 'handover':
        this.#handOver(event.handover)
        break
      case 'closed':
        this.#beginClosing(event.error)
        break
    }
  }

  #pingAtLast(): void {
    if (this.#machine.pingable) {
      this.#machine.ping(this.#now)
      return
    }
    for (const ping of this.#pings.splice(0)) ping.reject(new AnyTlsError('ERR_PING_UNSUPPORTED'))
  }

  #onOpen(id: number, request: StreamRequest | undefined): void {
    const priority = request?.priority ?? DEFAULT_PRIORITY
    const stream = this.#addStream(id, { openedHere: false, request, priority })
    // A peer must not be able to end the process by resetting a stream that nobody listens on for
    // errors; readers and pipelines hear of it all the same.
    stream.on('error', ignore)
    if (!this.emit('stream', stream)) {
      stream.reset(CloseCode.Rejected, 'nobody serves streams here')
    } else if (this.#options.autoAccept !== false) {
      stream.accept()
    }
  }

  #receive(id: number, data: Uint8Array): void {
    const stream = this.#streams.get(id)
    if (stream === undefined) return
    stream.receive(data)
    if (!this.#machine.flowControlled) this.#unread.received(stream, this.#now)
  }

  #closeStream(id: number, error: AnyTlsError | undefined): void {
    if (error?.code === 'ERR_STREAM_OPEN_TIMEOUT') this.emit('streamUnanswered')
    const stream = this.#removeStream(id)
    if (stream === undefined) return
    stream.receiveClose(error)
    this.#unread.ended(stream, this.#now)
  }

  #addStream(id: number, origin: StreamOrigin): Stream {
    const stream = new Stream(id, this.#driver, origin)
    this.#streams.set(id, stream)
    if (streamOpened.hasSubscribers) streamOpened.publish({ stream, session: this })
    return stream
  }

  #removeStream(id: number): Stream | undefined {
    const stream = this.#streams.get(id)
    if (stream === undefined) return undefined
    this.#streams.delete(id)
    this.#ready.delete(stream)
    this.emit('streamEnded')
    return stream
  }

  #makeDriver(): StreamDriver {
    return {
      session: this,
      schedule: (delay, callback) => this.#clock.schedule(delay, callback),
      ready: (stream) => {
        this.#ready.add(stream)
        this.#schedule()
      },
      accept: (stream) => {
        this.#machine.acceptStream(stream.id, this.#now)
        this.#schedule()
      },
      finish: (stream) => {
        this.#handle(this.#machine.finishStream(stream.id, this.#now))
        this.#schedule()
      },
      reset: (stream, code, reason) => {
        const now = this.#now
        this.#removeStream(stream.id)
        this.#unread.released(stream, now)
        this.#handle(this.#machine.resetStream(stream.id, code, reason, now))
        this.#schedule()
      },
      consumed: (stream, bytes) => {
        const now = this.#now
        this.#machine.consumed(stream.id, bytes, now)
        this.#unread.released(stream, now)
        this.#schedule()
      },
      dropped: (stream) => {
        this.#unread.released(stream, this.#now)
        this.#schedule()
      },
    }
  }

  /** Reads from the peer unless streams or our own output are too far behind. */
  #updateReading(): void {
    const held = this.#unread.holding
    if (held) this.#armStallTimer()
    if (held !== this.#held) {
      this.#held = held
      // Output that does not move excuses nobody: that is silence as well.
      this.#machine.setReading(!held, this.#now)
    }
    const reading = !held && this.#writer.backlog < OUTPUT_LIMIT
    if (reading === this.#reading) return
    this.#reading = reading
    if (reading) this.#duplex.resume()
    else this.#duplex.pause()
  }

  #armStallTimer(): void {
    if (this.#stallTimer !== undefined) return
    const wait = this.#unread.due - this.#now
    this.#stallTimer = this.#clock.schedule(wait, () => {
      this.#stallTimer = undefined
      this.#unread.cut(this.#now)
      this.#turn()
    })
  }

  #armTimer(): void {
    const due = this.#machine.deadline
    // A timer that fires too early asks again; only one that would fire too late must be replaced.
    if (due >= this.#timerDue) return
    this.#timer?.cancel()
    this.#timerDue = due
    this.#timer = this.#clock.schedule(due - this.#now, this.#onTimer)
  }

  /** The machine is done: streams end, what is still to be written is, then the socket ends. */
  #beginClosing(error: AnyTlsError | undefined): void {
    if (this.#state !== 'open') return
    this.#state = 'closing'
    this.#endStreams(error)
    this.#cancelTimers()
    // Nothing that still arrives is of interest, but it must be read for the peer's end to be seen.
    this.#duplex.off('data', this.#onData)
    this.#duplex.resume()
    this.#closingError = error
    this.#armFlushTimer()
    this.emit('ending', error)
  }

  #armFlushTimer(): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.schedule(FLUSH_TIMEOUT, () => this.#duplex.destroy())
  }

  #handOver(handover: Handover): void {
    this.#detach()
    this.#state = 'closed'
    this.#cancelTimers()
    this.#endStreams(handover.error)
    this.#duplex.pause()
    if (this.#options.onHandover === undefined) this.#duplex.destroy()
    else this.#options.onHandover(handover)
    this.#announceClose(handover.error)
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return
    const cause = this.#state === 'closing' ? this.#closingError : error
    this.#state = 'closed'
    this.#detach()
    // A socket may still report what went wrong after its session is over.
    this.#duplex.on('error', ignore)
    this.#cancelTimers()
    this.#endStreams(cause)
    this.#announceClose(cause)
  }

  #announceClose(error: Error | undefined): void {
    // Open and close come in pairs: whoever never negotiated was never told of.
    if (this.#established && sessionClosed.hasSubscribers) {
      sessionClosed.publish({ session: this, error })
    }
    this.emit('close', error)
  }

  #detach(): void {
    this.#duplex.off('data', this.#onData)
    this.#duplex.off('end', this.#onEnd)
    this.#duplex.off('close', this.#onClose)
    this.#duplex.off('error', this.#onError)
  }

  #cancelTimers(): void {
    this.#timer?.cancel()
    this.#stallTimer?.cancel()
    this.#timer = undefined
    this.#stallTimer = undefined
  }

  #endStreams(error: Error | undefined): void {
    const cause =
      error instanceof AnyTlsError
        ? error
        : new AnyTlsError('ERR_SESSION_CLOSED', undefined, { cause: error })
    for (const stream of this.#streams.values()) stream.receiveClose(cause)
    this.#streams.clear()
    this.#ready.clear()
    this.#unread.clear()
    for (const ping of this.#pings.splice(0)) ping.reject(cause)
  }
}

function ignore(): void {}
