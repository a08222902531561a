// Drives one machine over one Duplex: between what comes in and what goes out, hands what happens to the lanes and to
// the session, and keeps the timers. Everything that one turn of the loop brings is handled in one turn here (D47).
// Must never know which wire the machine speaks, buffer without a bound, or let a listener's exception stop a turn.
import type { Duplex } from 'node:stream'
import { AnyTlsError } from '../errors.ts'
import { ChurningMap } from '../codec/churning.ts'
import { CloseCode } from '../engine/close-code.ts'
import type { Handover, Machine, MachineEvent, StreamRequest } from '../engine/machine.ts'
import { DEFAULT_PRIORITY } from '../engine/send-scheduler.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { guarded } from './callbacks.ts'
import { systemClock } from './clock.ts'
import type { Clock, Timer } from './clock.ts'
import { Intake } from './intake.ts'
import { Lane } from './lane.ts'
import type { LaneHost } from './lane.ts'
import { Outlet } from './outlet.ts'
import type { SessionPaces } from './pace.ts'
import { UnreadGuard } from './unread-guard.ts'

/**
 * At the end of a session: how long no bytes may leave, and how long the peer may take to end after the
 * last, in milliseconds. What the kernel still holds would be lost to a peer that sends meanwhile.
 */
const FLUSH_TIMEOUT = 15_000

/** The same for a session that ends with an error, or is destroyed: a peer that goes on sending is read no longer. */
const ABORT_TIMEOUT = 1_000

const NOTHING = new Uint8Array(0)

export interface CoreOptions {
  readonly duplex: Duplex
  readonly machine: Machine
  readonly clock?: Clock | undefined
  /**
   * How long streams that are not read may hold up their connection, in milliseconds, before they alone
   * are ended. Default 20,000: below the time after which peers give a silent connection up.
   */
  readonly stallTimeout?: number | undefined
  /**
   * Asked once, before the first bytes from the peer are handled: the machine that is to handle them, or
   * `undefined` for the one that the session was made with (D18). Until then nothing has been written.
   */
  readonly chooseMachine?:
    ((firstBytes: Uint8Array, now: number) => Machine | undefined) | undefined
}

/** What happens on the connection, as told to the session. `lane`: the peer opened a stream. */
export type CoreEvent =
  | { readonly type: 'established'; readonly peer: string }
  | { readonly type: 'lane'; readonly lane: Lane }
  | { readonly type: 'scheme'; readonly scheme: Scheme }
  | { readonly type: 'scheme-refused'; readonly error: AnyTlsError }
  | { readonly type: 'draining' }
  | { readonly type: 'lane-ended' }
  | { readonly type: 'lane-unanswered' }
  | { readonly type: 'handover'; readonly handover: Handover }
  | { readonly type: 'ending'; readonly error: Error | undefined }
  | { readonly type: 'close'; readonly error: Error | undefined }

interface Ping {
  readonly resolve: (ms: number) => void
  readonly reject: (error: Error) => void
}

export class SessionCore implements LaneHost {
  readonly #duplex: Duplex
  readonly #tell: (event: CoreEvent) => void
  readonly #chooseMachine: CoreOptions['chooseMachine']
  readonly #clock: Clock
  readonly #intake: Intake
  readonly #outlet: Outlet
  readonly #lanes = new ChurningMap<number, Lane>()
  /** By id, the last `close` that is yet to be told: for the machine the id may name another stream by now. */
  readonly #untold = new ChurningMap<number, MachineEvent>()
  readonly #unread: UnreadGuard
  readonly #pings: Ping[] = []
  #machine: Machine
  /** Lanes that something has arrived for in this turn. */
  #unsettled: Lane[] = []
  #timer: Timer | undefined
  #timerDue = Infinity
  #stallTimer: Timer | undefined
  #instant: number | undefined
  #turnScheduled = false
  #handling = false
  /** A lane has lent what it pushes until this turn is over. */
  #pushing = false
  /** Events that listeners caused while others were being told. */
  readonly #later: MachineEvent[] = []
  #state: 'open' | 'closing' | 'closed' = 'open'
  #established = false
  /** Whether it is settled which machine handles the peer's bytes. */
  #chosen = false
  #closingError: Error | undefined
  /** How long the end may take, in milliseconds. */
  #patience = FLUSH_TIMEOUT

  /** @param tell takes what happens, in order; what it throws harms itself alone */
  constructor(options: CoreOptions, tell: (event: CoreEvent) => void) {
    this.#duplex = options.duplex
    this.#machine = options.machine
    this.#clock = options.clock ?? systemClock
    this.#chooseMachine = options.chooseMachine
    this.#tell = tell
    this.#unread = new UnreadGuard(options.stallTimeout ?? 20_000)
    const resumed = (): void => this.#turn()
    this.#intake = new Intake(this.#duplex, this.#clock, {
      receive: this.#receive,
      goOn: this.#onGoOn,
      resumed,
    })
    this.#outlet = new Outlet(this.#duplex, this.#clock, { progressed: this.#onProgress, resumed })
    this.#duplex.on('end', this.#onEnd)
    this.#duplex.on('error', this.#onError)
    this.#duplex.on('close', this.#onClose)
    if (this.#duplex.destroyed) process.nextTick(this.#onClose)
    this.#intake.start()
    this.#schedule()
  }

  get backlog(): number {
    return this.#outlet.backlog
  }

  get readsLent(): boolean {
    return this.#intake.lent
  }

  get machine(): Machine {
    return this.#machine
  }

  get state(): 'open' | 'closing' | 'closed' {
    return this.#state
  }

  /** Bytes that have come, and that were given to be sent. */
  get bytesPassed(): number {
    return this.#intake.received + this.#outlet.accepted
  }

  get established(): boolean {
    return this.#established
  }

  /** Streams that are open now. */
  get size(): number {
    return this.#lanes.size
  }

  /** Keeps a pace from now on. */
  pace(paces: SessionPaces): void {
    this.#intake.pace = paces.receive
    this.#outlet.pace = paces.send
  }

  /** @throws AnyTlsError as {@link Machine.openStream}, and `ERR_SESSION_CLOSED` */
  open(request: StreamRequest | undefined, priority: number): Lane {
    if (this.#state !== 'open') throw new AnyTlsError('ERR_SESSION_CLOSED')
    const id = this.#machine.openStream(this.#clock.now(), request)
    const lane = new Lane(this, { id, openedHere: true, request, priority })
    this.#lanes.set(id, lane)
    // Behind the promises of this tick: who opens a stream by one writes then, and that leaves in the same record.
    queueMicrotask(this.#scheduleLater)
    return lane
  }

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

  close(): void {
    if (this.#state === 'closed') return
    this.#handle(this.#machine.close(this.#clock.now()))
    this.#schedule()
  }

  /**
   * What has begun to leave leaves, up to the next frame's end and the word that it is over; then nothing more.
   *
   * @param reason told to the peer, where the wire has words for it
   */
  destroy(error: Error | undefined, reason?: string): void {
    if (this.#state === 'closed') return
    this.#machine.abort(CloseCode.Graceful, this.#clock.now(), reason)
    this.#outlet.write(this.#machine)
    for (const lane of this.#lanes.list()) {
      guarded(() => lane.sink?.destroy(error))
    }
    this.#finish(error)
    if (this.#outlet.backlog === 0) {
      this.#duplex.destroy()
      return
    }
    this.#outlet.end()
    const cut = this.#clock.schedule(ABORT_TIMEOUT, () => this.#duplex.destroy())
    this.#duplex.resume()
    this.#duplex.once('finish', () => this.#duplex.destroy())
    this.#duplex.once('close', () => cut.cancel())
  }

  ready(lane: Lane): void {
    this.#outlet.add(lane)
    this.#schedule()
  }

  push(lane: Lane): void {
    this.#outlet.add(lane)
    if (this.#handling || this.#pushing) {
      this.#schedule()
      return
    }
    this.#pushing = true
    this.#outlet.lends([])
    this.#turn()
    this.#pushing = false
  }

  widen(): boolean {
    return this.#lanes.size === 1 && this.#outlet.widen()
  }

  drained(lane: Lane): void {
    this.#outlet.drained(lane)
  }

  lends(buffers: readonly Buffer[]): void {
    this.#outlet.lends(buffers)
  }

  accept(lane: Lane): void {
    if (!this.#isOpen(lane)) return
    this.#machine.acceptStream(lane.id, this.#now)
    this.#schedule()
  }

  finish(lane: Lane): void {
    if (this.#isOpen(lane)) this.#handle(this.#machine.finishStream(lane.id, this.#now))
    this.#schedule()
  }

  reset(lane: Lane, code: CloseCode, reason: string): void {
    const now = this.#now
    const isOpen = this.#isOpen(lane)
    this.#remove(lane)
    this.#unread.dropped(lane, now)
    if (isOpen) this.#handle(this.#machine.resetStream(lane.id, code, reason, now))
    this.#schedule()
  }

  consumed(lane: Lane, bytes: number): void {
    const now = this.#now
    if (this.#isOpen(lane)) this.#machine.consumed(lane.id, bytes, now)
    this.#unread.consumed(lane, bytes, now)
    this.#schedule()
  }

  dropped(lane: Lane): void {
    this.#unread.dropped(lane, this.#now)
    this.#schedule()
  }

  schedule(delay: number, callback: () => void): Timer {
    return this.#clock.schedule(delay, callback)
  }

  /** One that is over may have left its id to another. */
  #isOpen(lane: Lane): boolean {
    return this.#lanes.get(lane.id) === lane && this.#untold.get(lane.id) === undefined
  }

  get #now(): number {
    return this.#instant ?? this.#clock.now()
  }

  readonly #receive = (bytes: Uint8Array): void => {
    // One reading of the clock serves all that a chunk causes.
    this.#instant = this.#clock.now()
    try {
      if (!this.#chosen) this.#choose(bytes, this.#instant)
      if (bytes.length > 0) this.#intake.took(bytes.length, this.#instant)
      this.#take(this.#machine.receive(bytes, this.#instant))
    } finally {
      this.#instant = undefined
    }
  }

  #choose(firstBytes: Uint8Array, now: number): void {
    this.#chosen = true
    const machine = this.#chooseMachine?.(firstBytes, now)
    if (machine !== undefined) this.#machine = machine
  }

  /** D47: what one chunk brought beyond the bound of a turn is handled in the next ones. */
  readonly #onGoOn = (): void => {
    if (this.#state === 'open' && this.#machine.hasMore) this.#receive(NOTHING)
  }

  readonly #onEnd = (): void => {
    this.#receiveRest()
    this.#take(this.#machine.endOfInput(this.#now))
  }

  /** Nothing comes after it any more, and it is one chunk at most. */
  #receiveRest(): void {
    while (this.#state === 'open' && this.#machine.hasMore) this.#receive(NOTHING)
  }

  readonly #onError = (error: Error): void => {
    this.#receiveRest()
    this.#finish(new AnyTlsError('ERR_CONNECTION_LOST', undefined, { cause: error }))
    // A TLSSocket stays open when it only cannot decrypt a record.
    this.#duplex.destroy()
  }

  readonly #onClose = (): void => {
    this.#receiveRest()
    this.#finish(new AnyTlsError('ERR_CONNECTION_LOST'))
  }

  readonly #onProgress = (peerTakes: boolean): void => {
    if (this.#state === 'closed') return
    if (peerTakes) this.#machine.progress(this.#now)
    if (this.#state === 'closing') this.#armFlushTimer()
    // In the lull after each write of a conversation there is nothing to move.
    if (this.#outlet.waiting || this.#state === 'closing' || !this.#intake.reading) this.#turn()
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

  readonly #scheduleLater = (): void => this.#schedule()

  readonly #runScheduledTurn = (): void => {
    this.#turnScheduled = false
    this.#turn()
  }

  /** Moves waiting stream data and frames to the writer, then looks at pauses and timers. */
  #turn(): void {
    if (this.#state === 'closed') return
    // A session with one stream brings nothing else in this turn of the loop.
    const isShared = this.#lanes.size > 1
    if (this.#state === 'open') this.#outlet.pump(this.#machine, this.#now, isShared)
    this.#outlet.write(this.#machine, isShared)
    if (this.#state === 'closing') {
      this.#outlet.end()
      return
    }
    this.#updateReading()
    this.#armTimer()
  }

  #handle(events: readonly MachineEvent[]): void {
    if (events.length === 0) return
    for (const event of events) if (event.type === 'close') this.#untold.set(event.stream, event)
    if (this.#handling) {
      this.#later.push(...events)
      return
    }
    this.#handling = true
    for (const event of events) guarded(() => this.#handleOne(event))
    this.#settle()
    for (const event of this.#later) guarded(() => this.#handleOne(event))
    this.#settle()
    this.#handling = false
    this.#later.length = 0
  }

  /** Gives each lane that something has arrived for the end of the turn. */
  #settle(): void {
    while (this.#unsettled.length > 0) {
      const lanes = this.#unsettled
      this.#unsettled = []
      for (const lane of lanes) this.#settleLane(lane)
    }
  }

  #settleLane(lane: Lane): void {
    if (!lane.unsettled) return
    lane.unsettled = false
    guarded(() => lane.sink?.settle())
  }

  #handleOne(event: MachineEvent): void {
    // A listener may have destroyed the session in between.
    if (this.#state === 'closed') return
    switch (event.type) {
      case 'data':
        this.#onStreamData(event.stream, event.data)
        break
      case 'open':
        this.#onOpen(event.stream, event.request)
        break
      case 'accept':
        this.#lanes.get(event.stream)?.sink?.accepted()
        break
      case 'end': {
        const lane = this.#lanes.get(event.stream)
        if (lane === undefined) break
        this.#settleLane(lane)
        lane.sink?.end()
        break
      }
      case 'close':
        this.#onStreamClose(event.stream, event.error)
        if (this.#untold.get(event.stream) === event) this.#untold.delete(event.stream)
        break
      case 'credit': {
        const lane = this.#lanes.get(event.stream)
        if (lane !== undefined && lane.pendingBytes > 0) this.#outlet.add(lane)
        break
      }
      case 'established':
        this.#established = true
        // Pings could not be sent before.
        if (this.#pings.length > 0) this.#pingAtLast()
        this.#tell(event)
        break
      case 'scheme':
      case 'scheme-refused':
      case 'draining':
        this.#tell(event)
        break
      case 'pong':
        for (const ping of this.#pings.splice(0)) ping.resolve(event.roundTrip)
        break
      case 'handover':
        this.#settle()
        this.#handOver(event.handover)
        break
      case 'closed':
        this.#settle()
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
    const lane = new Lane(this, { id, openedHere: false, request, priority })
    this.#lanes.set(id, lane)
    this.#tell({ type: 'lane', lane })
  }

  #onStreamData(id: number, data: Uint8Array): void {
    const lane = this.#lanes.get(id)
    if (lane === undefined) return
    lane.unread += data.length
    if (!lane.unsettled) {
      lane.unsettled = true
      this.#unsettled.push(lane)
    }
    lane.sink?.data(data)
    this.#unread.received(lane, data.length, this.#machine.flowControlled, this.#now)
  }

  #onStreamClose(id: number, error: AnyTlsError | undefined): void {
    if (error?.code === 'ERR_STREAM_OPEN_TIMEOUT') guarded(() => this.#tell(UNANSWERED))
    const lane = this.#lanes.get(id)
    if (lane === undefined) return
    this.#settleLane(lane)
    this.#remove(lane)
    guarded(() => lane.sink?.closed(error))
    this.#unread.ended(lane, this.#now)
  }

  #remove(lane: Lane): void {
    if (this.#lanes.get(lane.id) !== lane) return
    this.#lanes.delete(lane.id)
    this.#outlet.delete(lane)
    guarded(() => this.#tell(LANE_ENDED))
  }

  /** Reads from the peer unless streams, our own output or what has come are too far behind. */
  #updateReading(): void {
    const stalled = this.#unread.holding
    if (stalled) this.#armStallTimer()
    this.#intake.update(this.#machine, stalled, this.#outlet.backlog, this.#now)
  }

  #armStallTimer(): void {
    if (this.#stallTimer !== undefined) return
    const wait = this.#unread.due - this.#now
    this.#stallTimer = this.#clock.schedule(wait, () => {
      this.#stallTimer = undefined
      this.#unread.cut(this.#lanes.list(), this.#now)
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
    this.#closingError = error
    this.#patience = error === undefined ? FLUSH_TIMEOUT : ABORT_TIMEOUT
    this.#endLanes(error)
    this.#cancelTimers()
    this.#intake.drain()
    this.#armFlushTimer()
    this.#tell({ type: 'ending', error })
  }

  #armFlushTimer(): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.schedule(this.#patience, () => this.#duplex.destroy())
  }

  #handOver(handover: Handover): void {
    this.#detach()
    this.#state = 'closed'
    this.#cancelTimers()
    this.#outlet.handOver()
    this.#endLanes(handover.error)
    this.#intake.handOver()
    guarded(() => this.#tell({ type: 'handover', handover }))
    this.#tell({ type: 'close', error: handover.error })
  }

  #finish(error: Error | undefined): void {
    if (this.#state === 'closed') return
    const cause = this.#state === 'closing' ? this.#closingError : error
    this.#state = 'closed'
    this.#detach()
    // A socket may still report what went wrong after its session is over.
    this.#duplex.on('error', ignore)
    this.#cancelTimers()
    this.#endLanes(cause)
    this.#outlet.lose(sessionError(cause))
    guarded(() => this.#tell({ type: 'close', error: cause }))
  }

  #detach(): void {
    this.#intake.stop()
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

  #endLanes(error: Error | undefined): void {
    const cause = sessionError(error)
    const lanes = this.#lanes.list()
    this.#lanes.clear()
    this.#outlet.clear()
    this.#unread.clear()
    for (const lane of lanes) guarded(() => lane.sink?.closed(cause))
    for (const ping of this.#pings.splice(0)) ping.reject(cause)
  }
}

const UNANSWERED: CoreEvent = Object.freeze({ type: 'lane-unanswered' })
const LANE_ENDED: CoreEvent = Object.freeze({ type: 'lane-ended' })

function sessionError(error: Error | undefined): AnyTlsError {
  if (error instanceof AnyTlsError) return error
  return new AnyTlsError('ERR_SESSION_CLOSED', undefined, { cause: error })
}

function ignore(): void {}
