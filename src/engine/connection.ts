// What the machines of all wires have in common: moves by a state table, events, timers, draining. A wire
// adds its frames and its roles.
// Must never do I/O, know what a frame looks like, or move to a state that its table does not name.
import { AnyTlsError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import type { PaddingFormat, RandomInt, Shaper } from '../shaping/shaper.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { CloseCode } from './close-code.ts'
import { Liveness } from './liveness.ts'
import type { LivenessTimeouts } from './liveness.ts'
import type { Handover, Machine, MachineEvent, StreamRequest, Wire, Write } from './machine.ts'
import { Output } from './output.ts'
import { ILLEGAL } from './state-table.ts'
import type { CommonInput, Table } from './state-table.ts'
import type { StreamRecord } from './stream-record.ts'
import { Streams } from './streams.ts'
import type { StreamDefaults, StreamFrames, StreamTimeouts } from './streams.ts'

// Never the machine's own list: that one goes on to grow.
const NOTHING: readonly MachineEvent[] = Object.freeze([])

/** What a machine of one wire and one role is made of. */
export interface ConnectionSetup<State extends string, Input extends string> {
  readonly table: Table<State, Input>
  readonly state: State
  readonly timeouts: LivenessTimeouts & StreamTimeouts
  readonly frames: StreamFrames
  readonly streams: StreamDefaults
  /** Control frames that a scheme leaves unshaped below its `stop` are padded all the same. */
  readonly liftControl?: boolean
}

export abstract class Connection<State extends string, Input extends string> implements Machine {
  abstract readonly wire: Wire
  abstract readonly maxPayload: number

  protected readonly streams: Streams
  protected readonly liveness: Liveness
  protected state: State
  protected now: number

  readonly #table: Table<State, Input | CommonInput>
  readonly #output = new Output()
  readonly #liftControl: boolean
  #events: MachineEvent[] = []
  #drainingTold = false

  protected constructor(setup: ConnectionSetup<State, Input | CommonInput>, now: number) {
    this.#table = setup.table
    this.#liftControl = setup.liftControl ?? false
    this.state = setup.state
    this.now = now
    this.liveness = new Liveness(setup.timeouts, now)
    this.streams = new Streams(
      {
        timeouts: setup.timeouts,
        liveness: this.liveness,
        frames: setup.frames,
        emit: (event) => this.emit(event),
        finishWithoutHalfClose: (record) => this.finishWithoutHalfClose(record),
        onUnknownStream: (id) => this.onUnknownStream(id),
        onStreamFault: (record, message) => this.onStreamFault(record, message),
        onStreamGone: () => this.checkDrained(),
      },
      setup.streams,
    )
  }

  abstract get mayOpen(): boolean
  abstract openStream(now: number, request?: StreamRequest): number

  /** Takes bytes from the peer; {@link step} handles them. */
  protected abstract push(chunk: Uint8Array): void
  /**
   * Handles the next frame, or as much of it as there is; false when more bytes are needed. An AnyTlsError
   * that it throws is the peer's violation.
   */
  protected abstract step(): boolean
  /** Whether frames of ours may be written: the machine is past authentication. */
  protected abstract get speaking(): boolean
  /** Whether both ends have agreed on how they speak, and the connection still stands. */
  protected abstract get negotiated(): boolean
  protected abstract onViolation(error: AnyTlsError): void
  /** A frame for a stream that is gone, or was never there. Throws where that is a violation. */
  protected abstract onUnknownStream(id: number): void
  protected abstract sendPing(): void
  /** Tells the peer that the connection is over, on a wire that has a frame for it. */
  protected abstract sendClose(code: CloseCode): void

  get hasMore(): boolean {
    return false
  }

  get flowControlled(): boolean {
    return this.streams.flowControlled
  }

  get shaping(): boolean {
    return this.#output.shaping
  }

  get pingable(): boolean {
    return this.negotiated
  }

  get lastAlive(): number {
    return this.liveness.lastAlive
  }

  receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    this.now = now
    this.push(chunk)
    try {
      while (!this.over && this.step()) this.liveness.alive(now)
    } catch (error) {
      // Codecs throw for bytes that break their rules, and only then.
      if (!(error instanceof AnyTlsError)) throw error
      this.onViolation(error)
    }
    return this.takeEvents()
  }

  endOfInput(now: number): readonly MachineEvent[] {
    this.now = now
    const error = this.streams.size > 0 || !this.negotiated ? this.lostError() : undefined
    if (!this.over && this.tryMove('end-of-input')) this.closed(error)
    return this.takeEvents()
  }

  timeout(now: number): readonly MachineEvent[] {
    this.now = now
    if (this.over) return this.takeEvents()
    if (now >= this.roleDeadline) this.onRoleTimeout()
    if (now >= this.#idleDeadline) this.#expire('idle-timeout', 'ERR_CONNECTION_TIMEOUT')
    if (now >= this.liveness.pingDeadline) this.#expire('ping-timeout', 'ERR_PING_TIMEOUT')
    if (now >= this.#keepaliveDeadline) this.ping(now)
    while (this.streams.onDue(now));
    return this.takeEvents()
  }

  #expire(input: 'idle-timeout' | 'ping-timeout', code: ErrorCode): void {
    if (this.over || !this.tryMove(input)) return
    this.sendClose(CloseCode.Timeout)
    this.closed(new AnyTlsError(code))
  }

  get deadline(): number {
    if (this.over) return Infinity
    return Math.min(
      this.roleDeadline,
      this.#idleDeadline,
      this.liveness.pingDeadline,
      this.#keepaliveDeadline,
      this.streams.nextDue,
    )
  }

  acceptStream(stream: number, now: number): void {
    this.now = now
    this.streams.accept(stream, now)
  }

  credit(stream: number): number {
    return this.streams.credit(stream)
  }

  sendData(stream: number, parts: readonly Uint8Array[], bytes: number, now: number): void {
    this.now = now
    this.streams.sendData(stream, parts, bytes, now)
  }

  finishStream(stream: number, now: number): readonly MachineEvent[] {
    this.now = now
    this.streams.finish(stream, now)
    return this.takeEvents()
  }

  resetStream(
    stream: number,
    code: CloseCode,
    reason: string,
    now: number,
  ): readonly MachineEvent[] {
    this.now = now
    this.streams.reset(stream, code, reason)
    return this.takeEvents()
  }

  consumed(stream: number, bytes: number, now: number): void {
    this.now = now
    this.streams.consumed(stream, bytes, now)
  }

  ping(now: number): boolean {
    this.now = now
    if (this.liveness.pinging || !this.pingable) return false
    this.liveness.pingSent(now)
    this.sendPing()
    return true
  }

  close(now: number): readonly MachineEvent[] {
    this.now = now
    const first = !this.over && !this.isDraining
    if (first && this.tryMove('local-close')) this.#onLocalClose()
    return this.takeEvents()
  }

  #onLocalClose(): void {
    if (this.isDraining) {
      this.tellDraining()
      this.checkDrained()
    } else {
      this.closed(undefined)
    }
  }

  abort(code: CloseCode, now: number): readonly MachineEvent[] {
    this.now = now
    const mayWrite = this.speaking
    if (!this.over && this.tryMove('local-abort')) {
      if (mayWrite) this.sendClose(code)
      this.closed(undefined)
    }
    return this.takeEvents()
  }

  setReading(reading: boolean, now: number): void {
    this.liveness.setReading(reading, now)
  }

  progress(now: number): void {
    this.liveness.alive(now)
  }

  takeWrites(): readonly Write[] {
    return this.#output.take()
  }

  /** The deadline of the role's own timer, such as AUTH's. */
  protected get roleDeadline(): number {
    return Infinity
  }

  protected onRoleTimeout(): void {}

  /** Whether silence of the peer calls for a ping. */
  protected get keepsAlive(): boolean {
    return this.streams.size > 0 && this.pingable
  }

  /**
   * Whether silence of both ends is the end of the connection. Before the connection speaks, the role's
   * own timer rules.
   */
  protected get idles(): boolean {
    return this.speaking
  }

  /** What ending the writable side means where the wire has no half-close. */
  protected finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.reset(record.id, CloseCode.Graceful, '')
  }

  /** The peer broke a rule of one stream: by default that stream ends and nothing else is harmed. */
  protected onStreamFault(record: StreamRecord, message: string): void {
    this.streams.fail(record, CloseCode.ProtocolError, message)
  }

  /** Tells the peer that no new streams are taken, on a wire that has a frame for it. */
  protected sendGoAway(): void {}

  /** Why no stream can be opened now. */
  protected openError(): AnyTlsError {
    if (this.over) return new AnyTlsError('ERR_SESSION_CLOSED')
    if (this.isDraining) return new AnyTlsError('ERR_SESSION_DRAINING')
    return new AnyTlsError('ERR_STREAM_LIMIT')
  }

  /** What the end of the input means while more was expected. */
  protected lostError(): AnyTlsError {
    return new AnyTlsError('ERR_CONNECTION_LOST')
  }

  protected get isDraining(): boolean {
    return (this.state as string) === 'draining'
  }

  /** Whether the connection is closed or handed over. */
  protected get over(): boolean {
    return (this.state as string) === 'closed' || (this.state as string) === 'handed-over'
  }

  /** Moves by the table; an input that is illegal in this state is the peer's violation. */
  protected move(input: Input | CommonInput): void {
    if (!this.tryMove(input)) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${input} while ${this.state}`)
    }
  }

  /** Moves by the table, or returns false where it has no such move. */
  protected tryMove(input: Input | CommonInput): boolean {
    const next: State | typeof ILLEGAL = this.#table[this.state][input]
    if (next === ILLEGAL) return false
    this.state = next
    return true
  }

  protected emit(event: MachineEvent): void {
    this.#events.push(event)
  }

  protected takeEvents(): readonly MachineEvent[] {
    if (this.#events.length === 0) return NOTHING
    const events = this.#events
    this.#events = []
    return events
  }

  /** Writes a frame that carries no stream data. */
  protected send(frame: Uint8Array): void {
    this.deliver([frame], this.#liftControl)
  }

  /** Writes one Frame, or several that are one Deliver, in parts. */
  protected deliver(parts: readonly Uint8Array[], lift = false): void {
    this.liveness.sent(this.now)
    this.#output.deliver(parts, lift)
  }

  protected startShaping(scheme: Scheme, randomInt: RandomInt, padding: PaddingFormat): Shaper {
    return this.#output.startShaping(scheme, randomInt, padding)
  }

  /** To be called before the Deliver that opens a stream: a scheme may begin again with it. */
  protected shapeStream(): void {
    this.#output.streamOpened()
  }

  protected closed(error: AnyTlsError | undefined): void {
    this.streams.clear()
    this.emit({ type: 'closed', error })
  }

  protected handOver(handover: Handover): void {
    this.streams.clear()
    this.emit({ type: 'handover', handover })
  }

  /** The connection takes no new streams from now on: tells the peer and the application, once. */
  protected tellDraining(): void {
    if (this.#drainingTold) return
    this.#drainingTold = true
    this.sendGoAway()
    this.emit({ type: 'draining' })
  }

  /** Closes once the last stream of a draining connection has ended. */
  protected checkDrained(): void {
    if (this.streams.size > 0 || !this.isDraining || !this.tryMove('drained')) return
    this.sendClose(CloseCode.Graceful)
    this.closed(undefined)
  }

  get #idleDeadline(): number {
    return this.idles ? this.liveness.idleDeadline : Infinity
  }

  get #keepaliveDeadline(): number {
    return this.keepsAlive ? this.liveness.keepaliveDeadline : Infinity
  }
}
