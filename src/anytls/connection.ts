// What the client's and the server's connection machine have in common: the tables' moves, control
// frames, the connection's timers. The roles stand in client-machine.ts and server-machine.ts, the
// streams in streams.ts.
// Must never do I/O or move to a state that its table does not name.
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { CloseCode } from '../mux/close-code.ts'
import { Liveness } from '../mux/liveness.ts'
import type { Handover, Machine, MachineEvent, Write } from '../mux/machine.ts'
import type { StreamRecord } from '../mux/stream-record.ts'
import type { Shaper } from '../shaping/shaper.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { toTextBlock } from '../wire/text-block.ts'
import type { ConnectionConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import * as encode from './frame-encoder.ts'
import { MAX_BODY, MAX_PAYLOAD, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import { Output } from './output.ts'
import { readText } from './peer-text.ts'
import { ILLEGAL } from './state-tables.ts'
import type { FrameInput, Input, Table } from './state-tables.ts'
import { Streams } from './streams.ts'

// Never the machine's own list: that one goes on to grow.
const NOTHING: readonly MachineEvent[] = Object.freeze([])

export abstract class Connection<State extends string> implements Machine {
  readonly maxPayload = MAX_PAYLOAD

  protected readonly config: ConnectionConfig
  protected readonly decoder = new FrameDecoder()
  protected readonly streams: Streams
  protected state: State
  protected now: number

  readonly #table: Table<State>
  readonly #liveness: Liveness
  readonly #output = new Output()
  #events: MachineEvent[] = []
  #drainingTold = false

  protected constructor(
    role: { readonly table: Table<State>; readonly state: State; readonly isOpener: boolean },
    config: ConnectionConfig,
    now: number,
  ) {
    const { table, state, isOpener } = role
    this.#table = table
    this.state = state
    this.config = config
    this.now = now
    this.#liveness = new Liveness(config.timeouts, now)
    this.streams = new Streams({
      config,
      liveness: this.#liveness,
      isOpener,
      deliver: (parts) => this.#deliver(parts),
      emit: (event) => this.emit(event),
      finishWithoutMux1: (record) => this.finishWithoutMux1(record),
      onStreamGone: () => this.checkDrained(),
    })
  }

  abstract get mayOpen(): boolean
  abstract openStream(now: number): number

  /** Handles a frame that only the one role receives; its table has let it pass. */
  protected abstract onRoleFrame(frame: Frame): void
  /** Whether the machine is past authentication, so that frames of ours may be written. */
  protected abstract get speaking(): boolean
  /** The deadline of the role's own timer: AUTH on the server, the hold on the client. */
  protected abstract get roleDeadline(): number
  protected abstract onRoleTimeout(): void
  protected abstract onViolation(error: AnyTlsError): void
  /** What ending the writable side means to a peer without mux1 (D6: RST ends both directions). */
  protected abstract finishWithoutMux1(record: StreamRecord): void

  get flowControlled(): boolean {
    return this.streams.mux1
  }

  get shaping(): boolean {
    return this.#output.shaping
  }

  receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    this.now = now
    this.decoder.push(chunk)
    try {
      while (!this.over) {
        const frame = this.decoder.next()
        if (frame === undefined) break
        this.#liveness.alive(now)
        this.#onFrame(frame)
      }
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
    if (now >= this.#liveness.pingDeadline) this.#expire('ping-timeout', 'ERR_PING_TIMEOUT')
    if (now >= this.#keepaliveDeadline) this.ping(now)
    while (this.streams.onDue(now));
    return this.takeEvents()
  }

  #expire(input: 'idle-timeout' | 'ping-timeout', code: ErrorCode): void {
    if (this.over || !this.tryMove(input)) return
    this.send(encode.encodeClose(CloseCode.Timeout))
    this.closed(new AnyTlsError(code))
  }

  get deadline(): number {
    if (this.over) return Infinity
    return Math.min(
      this.roleDeadline,
      this.#idleDeadline,
      this.#liveness.pingDeadline,
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
    if (this.#liveness.pinging || !this.negotiated) return false
    this.#liveness.pingSent(now)
    this.send(encode.encodePingPong())
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
      if (mayWrite) this.send(encode.encodeClose(code))
      this.closed(undefined)
    }
    return this.takeEvents()
  }

  setReading(reading: boolean, now: number): void {
    this.#liveness.setReading(reading, now)
  }

  progress(now: number): void {
    this.#liveness.alive(now)
  }

  takeWrites(): readonly Write[] {
    return this.#output.take()
  }

  /** Whether the connection is closed or handed over. */
  protected get over(): boolean {
    return this.state === 'closed' || this.state === 'handed-over'
  }

  /** Whether negotiation is over and the connection still stands. */
  protected get negotiated(): boolean {
    return !this.over && this.#table[this.state].pingpong !== ILLEGAL
  }

  /** What the end of the input means while more was expected. */
  protected lostError(): AnyTlsError {
    return new AnyTlsError('ERR_CONNECTION_LOST')
  }

  /** Moves by the table; an input that is illegal in this state is the peer's violation. */
  protected move(input: Input): void {
    if (!this.tryMove(input)) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${input} while ${this.state}`)
    }
  }

  /** Moves by the table, or returns false where it has no such move. */
  protected tryMove(input: Input): boolean {
    const next = this.#table[this.state][input]
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
    this.#deliver([frame])
  }

  protected startShaping(scheme: Scheme): Shaper {
    return this.#output.startShaping(scheme, this.config.randomInt)
  }

  protected closed(error: AnyTlsError | undefined): void {
    this.streams.clear()
    this.emit({ type: 'closed', error })
  }

  protected handOver(handover: Handover): void {
    this.streams.clear()
    this.emit({ type: 'handover', handover })
  }

  protected sendAlert(error: AnyTlsError): void {
    this.send(encode.encodeAlert(toTextBlock(error.message, MAX_BODY)))
  }

  /** The connection takes no new streams from now on: tells the peer and the application, once. */
  protected tellDraining(): void {
    if (this.#drainingTold) return
    this.#drainingTold = true
    this.sendGoAway()
    this.emit({ type: 'draining' })
  }

  /** Tells the peer that no new streams are taken; only a server has a frame for it. */
  protected sendGoAway(): void {}

  #onFrame(frame: Frame): void {
    if (frame.type === 'stream-data') {
      this.streams.onData(frame.stream, frame.data, this.now)
      return
    }
    if (frame.type === 'stream-rst') {
      this.streams.onRst(frame.stream)
      return
    }
    this.move(inputOf(frame))
    switch (frame.type) {
      case 'padding':
        break
      case 'stream':
        if ((frame.flags & StreamFlag.Open) !== 0) this.onRoleFrame(frame)
        else this.streams.onStream(frame.stream, this.now)
        break
      case 'pingpong':
        this.#onPingPong()
        break
      case 'alert':
        this.#onAlert(frame.body)
        break
      case 'close':
        this.#onClose(frame.code)
        break
      case 'stream-credit':
      case 'stream-fin':
      case 'stream-reset':
        this.#requireMux1(frame.type)
        this.streams.onMux1(frame, this.now)
        break
      case 'goaway':
        this.#requireMux1(frame.type)
        this.onRoleFrame(frame)
        break
      default:
        this.onRoleFrame(frame)
    }
  }

  #requireMux1(type: string): void {
    if (this.streams.mux1) return
    throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${type} without a negotiated mux1`)
  }

  #onPingPong(): void {
    // D8: with a ping outstanding it is the answer, otherwise it wants exactly one.
    const roundTrip = this.#liveness.takePong(this.now)
    if (roundTrip === undefined) this.send(encode.encodePingPong())
    else this.emit({ type: 'pong', roundTrip })
  }

  #onAlert(body: Uint8Array): void {
    const text = readText(body).replaceAll('\n', ' ')
    this.closed(new AnyTlsError('ERR_ALERT_RECEIVED', `the peer sent an alert: ${text}`))
  }

  #onClose(code: number): void {
    if (code === CloseCode.UnsupportedVersion) {
      this.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
    } else {
      const orderly = code === CloseCode.Graceful
      this.closed(orderly ? undefined : new PeerCloseError('ERR_CLOSE_RECEIVED', code))
    }
  }

  get #idleDeadline(): number {
    // The role's own timer rules before the connection speaks.
    return this.speaking ? this.#liveness.idleDeadline : Infinity
  }

  get #keepaliveDeadline(): number {
    return this.streams.size > 0 && this.negotiated ? this.#liveness.keepaliveDeadline : Infinity
  }

  protected checkDrained(): void {
    if (this.streams.size > 0 || !this.isDraining || !this.tryMove('drained')) return
    this.send(encode.encodeClose(CloseCode.Graceful))
    this.closed(undefined)
  }

  protected get isDraining(): boolean {
    return this.state === 'draining' || this.state === 'draining-early'
  }

  #deliver(parts: readonly Uint8Array[]): void {
    this.#liveness.sent(this.now)
    this.#output.deliver(parts)
  }
}

function inputOf(frame: Exclude<Frame, { type: 'stream-data' | 'stream-rst' }>): FrameInput {
  if (frame.type === 'stream')
    return (frame.flags & StreamFlag.Open) !== 0 ? 'stream-open' : 'stream'
  return frame.type
}
