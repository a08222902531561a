// The streams of one connection, whatever the wire: which directions are open, credit, deadlines, and
// when each of them is over.
import { AnyTlsError, PeerCloseError, violation } from '../errors.ts'
import type { Channel } from './channel.ts'
import { CloseCode } from './close-code.ts'
import type { Liveness } from './liveness.ts'
import { ResetBudget } from './reset-budget.ts'
import { StreamRecord, UNLIMITED } from './stream-record.ts'
import { StreamRecords } from './stream-records.ts'
import type { Surroundings } from './receive-window.ts'
import type { StreamTimeouts } from './timeouts.ts'

/** How a wire says what happens on a stream: each writes its frame into the channel. */
export interface StreamFrames {
  /** This end accepts a stream that the peer opened. */
  accept(channel: Channel, record: StreamRecord): void
  data(channel: Channel, record: StreamRecord, parts: readonly Uint8Array[], bytes: number): void
  /** The peer may send that many more bytes. Only where streams are flow controlled. */
  credit?(channel: Channel, record: StreamRecord, bytes: number): void
  /** The peer may send up to `limit`, in bytes from the first one, and no more. Only where windows are open. */
  hold?(channel: Channel, record: StreamRecord, limit: number): void
  /** This end will send no more. Only where there is half-close. */
  end?(channel: Channel, record: StreamRecord): void
  /** The stream is over in both directions; without `record` it was refused and never taken in. */
  reset(
    channel: Channel,
    id: number,
    code: CloseCode,
    reason: string,
    record: StreamRecord | undefined,
  ): void
}

/** What a wire lays down for its streams, and where they begin unless negotiation says otherwise. */
export interface StreamRules {
  readonly halfClose: boolean
  readonly flowControlled: boolean
  /** What the peer takes on a new stream, in bytes. */
  readonly sendWindow: number
  /** What this end takes on a new stream, in bytes. */
  readonly receiveWindow: number
  /** That window is open: it is narrowed for a reader that is behind, and for no other. */
  readonly openWindow: boolean
  /** The peer answers the opening of a stream, so that its silence means something. */
  readonly expectsAnswer: boolean
  /** Nothing may go out on a stream of the peer's before it is accepted, so whatever does accepts it. */
  readonly acceptsFirst: boolean
  /**
   * What the end of the writable side means without half-close: the stream waits for the rest of the peer's answer,
   * or it is over, as that is usually the end of the answer (D6), which may have to be accepted first.
   */
  readonly finish: 'lingers' | 'closes' | 'accepts-and-closes'
  /** What breaking a rule of one stream ends. */
  readonly fault: 'stream' | 'connection'
  /** Whether a frame may name `id`, of which there is no stream: then it raced its end (D11). */
  isKnown(id: number, lastId: number): boolean
}

export class Streams {
  /** The peer understands that one direction has ended and the other has not. */
  halfClose: boolean
  /** Credit bounds what either end sends. */
  flowControlled: boolean
  /** What the peer takes on a new stream, in bytes. */
  sendWindow: number
  expectsAnswer: boolean
  /** What may come on a stream whatever its window, in bytes: the peer may not know that yet. */
  firstFlight = 0
  /** The id of the last stream that was opened, by the end that gives out ids in order. */
  lastId = 0
  /** The peer has sent more than its credit. */
  overrun = false
  /** The last round trip that was measured, in milliseconds. */
  roundTrip: number | undefined
  /** Somebody has to know how long a round trip takes. */
  wantsRoundTrip = false

  readonly #channel: Channel
  readonly #liveness: Liveness
  readonly #timeouts: StreamTimeouts
  readonly #frames: StreamFrames
  readonly #rules: StreamRules
  readonly #records = new StreamRecords()
  readonly #resets = new ResetBudget()
  /** What all streams hold unread, in bytes. */
  #unread = 0

  constructor(
    channel: Channel,
    liveness: Liveness,
    wire: {
      readonly timeouts: StreamTimeouts
      readonly frames: StreamFrames
      readonly rules: StreamRules
    },
  ) {
    this.#channel = channel
    this.#liveness = liveness
    this.#timeouts = wire.timeouts
    this.#frames = wire.frames
    this.#rules = wire.rules
    this.halfClose = wire.rules.halfClose
    this.flowControlled = wire.rules.flowControlled
    this.sendWindow = wire.rules.sendWindow
    this.expectsAnswer = wire.rules.expectsAnswer
  }

  get size(): number {
    return this.#records.size
  }

  has(id: number): boolean {
    return this.#records.get(id) !== undefined
  }

  get(id: number): StreamRecord | undefined {
    return this.#records.get(id)
  }

  list(): StreamRecord[] {
    return this.#records.list()
  }

  clear(): void {
    this.#records.clear()
    this.#unread = 0
  }

  #delete(record: StreamRecord): void {
    if (this.#records.delete(record)) this.#unread -= record.window.unread
  }

  /** @param openedHere whether this end opened it, and so hears answers on it */
  add(id: number, openedHere: boolean): StreamRecord {
    const { receiveWindow } = this.#rules
    const { now } = this.#channel
    const record = new StreamRecord(id, openedHere, this.sendWindow, receiveWindow, now)
    this.schedule(record)
    return record
  }

  /** Refuses a stream that the peer asked for. */
  refuse(id: number, code: CloseCode, reason: string): void {
    this.#frames.reset(this.#channel, id, code, reason, undefined)
  }

  accept(id: number): void {
    const record = this.#records.get(id)
    // D9: only the end that was asked for the stream accepts it.
    if (record === undefined || record.answered || record.openedHere) return
    record.answered = true
    record.lastActivity = this.#channel.now
    this.#frames.accept(this.#channel, record)
    // Credit that was held back.
    if (this.#rules.acceptsFirst) this.consumed(id, 0)
  }

  credit(id: number): number {
    return Math.max(0, this.#records.get(id)?.sendCredit ?? 0)
  }

  sendData(id: number, parts: readonly Uint8Array[], bytes: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    if (this.#rules.acceptsFirst) this.accept(id)
    record.used = true
    record.lastActivity = this.#channel.now
    record.sent += bytes
    if (record.sendCredit !== UNLIMITED) record.sendCredit -= bytes
    this.#frames.data(this.#channel, record, parts, bytes)
  }

  finish(id: number): void {
    const record = this.#records.get(id)
    if (record === undefined || record.sendEnded) return
    if (this.#rules.acceptsFirst) this.accept(id)
    record.sendEnded = true
    record.lastActivity = this.#channel.now
    this.sendFinish(record)
  }

  /** Says that this end sends no more, in whatever way the peer understands. */
  sendFinish(record: StreamRecord): void {
    if (this.halfClose) {
      this.#frames.end?.(this.#channel, record)
      if (record.receiveEnded) this.end(record, undefined)
    } else if (this.#rules.finish === 'lingers') {
      // Its frame would cut off the answer too.
      this.schedule(record)
    } else {
      if (this.#rules.finish === 'accepts-and-closes') this.accept(record.id)
      this.#sayReset(record, CloseCode.Graceful, '')
      this.end(record, undefined)
    }
  }

  /** Ends the stream from this end; no event tells of it. */
  reset(id: number, code: CloseCode, reason: string): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    this.#sayReset(record, code, reason)
    this.#delete(record)
  }

  /** Tells the peer that the stream is over, and no more than that. */
  #sayReset(record: StreamRecord, code: CloseCode, reason: string): void {
    this.#frames.reset(this.#channel, record.id, code, reason, record)
  }

  /** The stream is over: forgets it and tells the application. */
  end(record: StreamRecord, error: AnyTlsError | undefined): void {
    this.#channel.emit({ type: 'close', stream: record.id, error })
    this.#delete(record)
  }

  /** The stream is over because the peer broke a rule of it; nothing else is harmed. */
  fail(record: StreamRecord, code: CloseCode, message: string): void {
    this.#sayReset(record, code, message)
    this.end(record, violation(message))
  }

  consumed(id: number, bytes: number): void {
    const record = this.#records.get(id)
    if (!this.flowControlled || record === undefined) return
    const { window } = record
    window.consumed += bytes
    this.#unread -= bytes
    if (record.receiveEnded) return
    if (this.#rules.acceptsFirst && !record.openedHere && !record.answered) return
    if (this.#rules.openWindow) window.widen(this.#surroundings)
    // A datagram cannot be cut: a sender of large ones could wait for ever for credit that is not yet due.
    const credit = window.takeCredit(record.messages)
    if (credit === 0) return
    record.lastActivity = this.#channel.now
    this.#frames.credit?.(this.#channel, record, credit)
  }

  get #surroundings(): Surroundings {
    return {
      now: this.#channel.now,
      roundTrip: this.roundTrip,
      unread: this.#unread,
      alone: this.size === 1,
    }
  }

  onData(id: number, data: Uint8Array): void {
    const record = this.onAnswer(id)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#fault(record, 'stream data after the end of that direction')
      return
    }
    if (this.flowControlled) {
      const room = record.window.room(this.firstFlight)
      if (data.length > room) {
        this.#onOverrun(record, data, room)
        return
      }
      record.window.received += data.length
      this.#unread += data.length
      if (this.#rules.openWindow) this.#watchReader(record)
    }
    record.used = true
    this.#channel.emit({ type: 'data', stream: id, data })
  }

  /** A reader that is behind must not take from its siblings what the connection may hold. */
  #watchReader(record: StreamRecord): void {
    const { window } = record
    if (window.mayBeBehind && this.roundTrip === undefined) this.wantsRoundTrip = true
    if (!window.narrow(this.#surroundings)) return
    record.lastActivity = this.#channel.now
    this.#frames.hold?.(this.#channel, record, window.limit)
  }

  #onOverrun(record: StreamRecord, data: Uint8Array, room: number): void {
    this.overrun = true
    if (record.messages) {
      // No part of a datagram is one.
      this.#fault(record, 'a datagram beyond the credit')
      return
    }
    // However the frame was cut, the same bytes are delivered: the window and no more.
    if (room > 0) {
      record.window.received += room
      this.#unread += room
      this.#channel.emit({ type: 'data', stream: record.id, data: data.subarray(0, room) })
    }
    this.#fault(record, 'stream data beyond the window')
  }

  #fault(record: StreamRecord, message: string): void {
    if (this.#rules.fault === 'connection') {
      throw violation(message)
    }
    this.fail(record, CloseCode.ProtocolError, message)
  }

  /** The peer will send no more on the stream. */
  onEnd(id: number): void {
    const record = this.onAnswer(id)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#fault(record, 'the end of one direction twice')
      return
    }
    record.receiveEnded = true
    this.#channel.emit({ type: 'end', stream: id })
    if (record.sendEnded) this.end(record, undefined)
  }

  onCredit(id: number, bytes: number): void {
    const record = this.touch(id)
    if (record?.grant(bytes) === true) this.#channel.emit({ type: 'credit', stream: id })
  }

  onHold(id: number, limit: number): void {
    this.touch(id)?.hold(limit)
  }

  /** The peer has ended the stream in both directions without saying why. */
  onClose(id: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    // D7: before an answer that is a refusal.
    const refused = record.openedHere && !record.answered
    this.#endByPeer(
      record,
      refused ? new PeerCloseError('ERR_STREAM_RESET', CloseCode.Graceful) : undefined,
    )
  }

  /** The peer has ended the stream in both directions and said why. */
  onReset(id: number, code: number, reason: string): void {
    const record = this.touch(id)
    if (record === undefined) return
    this.#endByPeer(record, new PeerCloseError('ERR_STREAM_RESET', code, reason))
  }

  /** The peer has ended the stream in both directions, in order, and thereby served it. */
  onComplete(id: number): void {
    const record = this.onAnswer(id)
    if (record !== undefined) this.#endByPeer(record, undefined)
  }

  #endByPeer(record: StreamRecord, error: AnyTlsError | undefined): void {
    this.end(record, error)
    const wasted = !record.openedHere && !record.answered && !record.used
    if (wasted && !this.#resets.take(this.#channel.now)) {
      throw new AnyTlsError('ERR_TOO_MANY_RESETS')
    }
  }

  /** The stream of a frame that proves that the peer serves it. */
  onAnswer(id: number): StreamRecord | undefined {
    const record = this.touch(id)
    if (record !== undefined) this.markAnswered(record)
    return record
  }

  /** The peer serves the stream: tells the application, once. */
  markAnswered(record: StreamRecord): void {
    if (record.answered || !record.openedHere) return
    record.answered = true
    this.#channel.emit({ type: 'accept', stream: record.id })
  }

  /** The stream of a frame; `undefined` for one that is gone, whose frame raced its end (D11). */
  touch(id: number): StreamRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) {
      if (this.#rules.isKnown(id, this.lastId)) return undefined
      throw violation(`stream ${id} was never opened`)
    }
    record.lastActivity = this.#channel.now
    record.heard = true
    return record
  }

  /** The earliest deadline of a stream; `Infinity` when there is none. */
  get nextDue(): number {
    return this.#records.nextDue
  }

  /** Looks at one stream whose deadline has come; false when there is none. */
  onDue(): boolean {
    const { now } = this.#channel
    const record = this.#records.takeDue(now)
    if (record === undefined) return false
    // Activity does not move an entry: the deadline is computed afresh when it comes up.
    if (this.#deadline(record) > now) this.schedule(record)
    else this.#expire(record)
    return true
  }

  /** (Re)computes when a stream must be looked at next. */
  schedule(record: StreamRecord): void {
    this.#records.set(record, this.#deadline(record))
  }

  #expire(record: StreamRecord): void {
    if (this.#lingers(record)) {
      this.#sayReset(record, CloseCode.Graceful, '')
      this.end(record, undefined)
      return
    }
    const unheard = this.expectsAnswer && record.openedHere && !record.heard
    const error = new AnyTlsError(unheard ? 'ERR_STREAM_OPEN_TIMEOUT' : 'ERR_STREAM_TIMEOUT')
    this.#sayReset(record, CloseCode.Timeout, error.message)
    this.end(record, error)
  }

  #deadline(record: StreamRecord): number {
    const { now } = this.#channel
    const quietSince = this.#liveness.waitSince(record.lastActivity, now)
    let due = quietSince + this.#timeouts.stream
    // D26: what this end sends is no answer, so it does not put the open timeout off.
    if (this.expectsAnswer && record.openedHere && !record.heard) {
      const openSince = this.#liveness.waitSince(record.opened, now)
      due = Math.min(due, openSince + this.#timeouts.streamOpen)
    }
    if (this.#lingers(record)) due = Math.min(due, quietSince + this.#timeouts.linger)
    return due
  }

  /** Waits for the rest of the peer's answer, having said all itself. */
  #lingers(record: StreamRecord): boolean {
    return record.sendEnded && !this.halfClose && (record.heard || !this.expectsAnswer)
  }
}
