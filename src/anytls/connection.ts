// What the client's and the server's connection machine have in common: streams, credit, timers. The
// roles stand in client-machine.ts and server-machine.ts.
// Must never do I/O or move to a state that its table does not name.
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import type { ErrorCode } from '../errors.ts'
import { CloseCode } from '../mux/close-code.ts'
import { Liveness } from '../mux/liveness.ts'
import type { Handover, Machine, MachineEvent, Write } from '../mux/machine.ts'
import { StreamRecord, UNLIMITED } from '../mux/stream-record.ts'
import { StreamRecords } from '../mux/stream-records.ts'
import type { Shaper } from '../shaping/shaper.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { decodeTextBlock, toTextBlock } from '../wire/text-block.ts'
import type { ConnectionConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import * as encode from './frame-encoder.ts'
import { MAX_BODY, MAX_PAYLOAD, MAX_RESET_REASON, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import { Output } from './output.ts'
import { ILLEGAL } from './state-tables.ts'
import type { FrameInput, Input, Table } from './state-tables.ts'

// Never the machine's own list: that one goes on to grow.
const NOTHING: readonly MachineEvent[] = Object.freeze([])

export abstract class Connection<State extends string> implements Machine {
  readonly maxPayload = MAX_PAYLOAD

  protected readonly config: ConnectionConfig
  protected readonly decoder = new FrameDecoder()
  protected readonly streams = new StreamRecords()
  protected state: State
  protected now: number
  /** mux1 is negotiated. */
  protected mux1 = false
  /** Where a new stream's credit begins: what the peer will take, in bytes. */
  protected sendWindow = UNLIMITED
  /** Highest stream id ever opened on the connection. */
  protected highestStream = 0

  readonly #table: Table<State>
  readonly #liveness: Liveness
  readonly #output = new Output()
  #events: MachineEvent[] = []
  #drainingTold = false

  protected constructor(table: Table<State>, state: State, config: ConnectionConfig, now: number) {
    this.#table = table
    this.state = state
    this.config = config
    this.now = now
    this.#liveness = new Liveness(config.timeouts, now)
  }

  /** Whether this end opens the streams, and so hears answers on them (D27). */
  protected abstract get isOpener(): boolean
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
    return this.mux1
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
    while (!this.over) {
      const record = this.streams.takeDue(now)
      if (record === undefined) break
      this.#onStreamDue(record)
    }
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
    const record = this.streams.get(stream)
    // D9: only the end that was asked for the stream accepts it.
    if (record === undefined || record.answered || this.isOpener) return
    record.answered = true
    record.lastActivity = now
    this.send(encode.encodeStreamAck(stream))
  }

  credit(stream: number): number {
    return this.streams.get(stream)?.sendCredit ?? 0
  }

  sendData(stream: number, parts: readonly Uint8Array[], bytes: number, now: number): void {
    this.now = now
    const record = this.streams.get(stream)
    if (record === undefined) return
    record.lastActivity = now
    if (record.sendCredit !== UNLIMITED) record.sendCredit -= bytes
    this.#liveness.sent(now)
    this.#output.deliver([encode.encodeDataHead(stream, bytes), ...parts])
  }

  finishStream(stream: number, now: number): readonly MachineEvent[] {
    this.now = now
    const record = this.streams.get(stream)
    if (record !== undefined && !record.sendEnded) {
      record.sendEnded = true
      record.lastActivity = now
      this.sendFinish(record)
    }
    return this.takeEvents()
  }

  resetStream(
    stream: number,
    code: CloseCode,
    reason: string,
    now: number,
  ): readonly MachineEvent[] {
    this.now = now
    const record = this.streams.get(stream)
    if (record !== undefined) {
      this.sendReset(stream, code, reason)
      this.#forget(record)
    }
    return this.takeEvents()
  }

  consumed(stream: number, bytes: number, now: number): void {
    const record = this.streams.get(stream)
    if (!this.mux1 || record === undefined || record.receiveEnded) return
    this.now = now
    record.consumed += bytes
    // mux1: credit goes back once half a window is due.
    if (record.consumed < record.window / 2) return
    const credit = record.consumed + this.streams.growWindow(record, this.config.mux1MaxWindow ?? 0)
    record.consumed = 0
    record.receiveCredit += credit
    record.lastActivity = now
    this.send(encode.encodeStreamCredit(stream, credit))
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

  protected get receiveWindow(): number {
    return this.config.mux1Window ?? UNLIMITED
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
    this.#liveness.sent(this.now)
    this.#output.deliver([frame])
  }

  protected startShaping(scheme: Scheme): Shaper {
    return this.#output.startShaping(scheme, this.config.randomInt)
  }

  protected addStream(id: number, answered: boolean): StreamRecord {
    this.highestStream = id
    const record = new StreamRecord(id, answered, this.sendWindow, this.receiveWindow, this.now)
    this.schedule(record)
    return record
  }

  /** (Re)computes when a stream must be looked at next. */
  protected schedule(record: StreamRecord): void {
    this.streams.set(record, this.#streamDeadline(record))
  }

  protected sendFinish(record: StreamRecord): void {
    if (!this.mux1) {
      this.finishWithoutMux1(record)
      return
    }
    this.send(encode.encodeStreamFin(record.id))
    if (record.receiveEnded) this.endStream(record, undefined)
  }

  protected sendReset(stream: number, code: CloseCode, reason: string): void {
    // RST says "over" and no more; a reason needs mux1.
    const frame =
      this.mux1 && code !== CloseCode.Graceful
        ? encode.encodeStreamReset(stream, code, toTextBlock(reason, MAX_RESET_REASON))
        : encode.encodeStream(stream, StreamFlag.Rst)
    this.send(frame)
  }

  /** The stream is over: forgets it and tells the application. */
  protected endStream(record: StreamRecord, error: AnyTlsError | undefined): void {
    this.emit({ type: 'close', stream: record.id, error })
    this.#forget(record)
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
      this.#onData(frame.stream, frame.data)
      return
    }
    if (frame.type === 'stream-rst') {
      this.#onRst(frame.stream)
      return
    }
    this.move(inputOf(frame))
    switch (frame.type) {
      case 'padding':
        break
      case 'stream':
        if ((frame.flags & StreamFlag.Open) !== 0) this.onRoleFrame(frame)
        else this.#touch(frame.stream)
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
        this.#onMux1(frame)
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
    if (this.mux1) return
    throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${type} without a negotiated mux1`)
  }

  /** The stream of a frame; `undefined` for one that is gone, whose frame raced its end (D11). */
  #touch(stream: number): StreamRecord | undefined {
    const record = this.streams.get(stream)
    if (record !== undefined) {
      record.lastActivity = this.now
      record.heard = true
    } else if (stream > this.highestStream) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `stream ${stream} was never opened`)
    }
    return record
  }

  /** The stream of a frame that proves that the peer serves it. */
  protected touchAnswered(stream: number): StreamRecord | undefined {
    const record = this.#touch(stream)
    if (record !== undefined && !record.answered && this.isOpener) {
      record.answered = true
      this.emit({ type: 'accept', stream })
    }
    return record
  }

  #onData(stream: number, data: Uint8Array): void {
    const record = this.touchAnswered(stream)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#breakStream(record, 'stream data after STREAM_FIN')
      return
    }
    if (this.mux1) {
      const room = record.receiveCredit
      if (data.length > room) {
        // However the frame was cut, the same bytes are delivered: the window and no more.
        if (room > 0) this.emit({ type: 'data', stream, data: data.subarray(0, room) })
        this.#breakStream(record, 'stream data beyond the window')
        return
      }
      record.receiveCredit -= data.length
    }
    this.emit({ type: 'data', stream, data })
  }

  #onRst(stream: number): void {
    const record = this.streams.get(stream)
    if (record === undefined) return
    // D7: before an answer RST is a refusal, and the draft has no way to say why.
    const refused = this.isOpener && !record.answered
    this.endStream(
      record,
      refused ? new PeerCloseError('ERR_STREAM_RESET', CloseCode.Graceful) : undefined,
    )
  }

  #onMux1(frame: Extract<Frame, { type: 'stream-credit' | 'stream-fin' | 'stream-reset' }>): void {
    const record = this.#touch(frame.stream)
    if (frame.type === 'stream-credit' && frame.increment === 0) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', 'STREAM_CREDIT of zero')
    }
    if (record === undefined) return
    switch (frame.type) {
      case 'stream-credit':
        if (record.grant(frame.increment)) this.emit({ type: 'credit', stream: frame.stream })
        break
      case 'stream-fin':
        this.touchAnswered(frame.stream)
        if (record.receiveEnded) {
          this.#breakStream(record, 'STREAM_FIN twice')
          break
        }
        record.receiveEnded = true
        this.emit({ type: 'end', stream: frame.stream })
        if (record.sendEnded) this.endStream(record, undefined)
        break
      case 'stream-reset':
        this.endStream(
          record,
          new PeerCloseError('ERR_STREAM_RESET', frame.code, readText(frame.reason)),
        )
        break
    }
  }

  /** The peer broke a rule of one stream: that stream ends, nothing else is harmed. */
  #breakStream(record: StreamRecord, message: string): void {
    this.sendReset(record.id, CloseCode.ProtocolError, message)
    this.endStream(record, new AnyTlsError('ERR_PROTOCOL_VIOLATION', message))
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

  #onStreamDue(record: StreamRecord): void {
    // Activity does not move an entry: the deadline is computed afresh when it comes up.
    if (this.#streamDeadline(record) > this.now) {
      this.schedule(record)
      return
    }
    if (this.#lingers(record)) {
      this.sendReset(record.id, CloseCode.Graceful, '')
      this.endStream(record, undefined)
      return
    }
    const unheard = this.isOpener && !record.heard
    const error = new AnyTlsError(unheard ? 'ERR_STREAM_OPEN_TIMEOUT' : 'ERR_STREAM_TIMEOUT')
    this.sendReset(record.id, CloseCode.Timeout, error.message)
    this.endStream(record, error)
  }

  #streamDeadline(record: StreamRecord): number {
    const { stream, streamOpen, linger } = this.config.timeouts
    const quietSince = this.#liveness.waitSince(record.lastActivity, this.now)
    let due = quietSince + stream
    // D26: what this end sends is no answer, so it does not put the open timeout off.
    if (this.isOpener && !record.heard) {
      due = Math.min(due, this.#liveness.waitSince(record.opened, this.now) + streamOpen)
    }
    if (this.#lingers(record)) due = Math.min(due, quietSince + linger)
    return due
  }

  #lingers(record: StreamRecord): boolean {
    return record.sendEnded && record.heard && !this.mux1
  }

  get #idleDeadline(): number {
    // The role's own timer rules before the connection speaks.
    return this.speaking ? this.#liveness.idleDeadline : Infinity
  }

  get #keepaliveDeadline(): number {
    return this.streams.size > 0 && this.negotiated ? this.#liveness.keepaliveDeadline : Infinity
  }

  #forget(record: StreamRecord): void {
    this.streams.delete(record)
    this.checkDrained()
  }

  protected checkDrained(): void {
    if (this.streams.size > 0 || !this.isDraining || !this.tryMove('drained')) return
    this.send(encode.encodeClose(CloseCode.Graceful))
    this.closed(undefined)
  }

  protected get isDraining(): boolean {
    return this.state === 'draining' || this.state === 'draining-early'
  }
}

function inputOf(frame: Exclude<Frame, { type: 'stream-data' | 'stream-rst' }>): FrameInput {
  if (frame.type === 'stream')
    return (frame.flags & StreamFlag.Open) !== 0 ? 'stream-open' : 'stream'
  return frame.type
}

/** A peer's TEXT block for an error message; one that breaks Appendix B says nothing. */
function readText(block: Uint8Array): string {
  try {
    return decodeTextBlock(block)
  } catch {
    return '(no valid text)'
  }
}
