// The streams of one connection, whatever the wire: which directions are open, credit, deadlines, and
// when each of them is over.
// Must never judge a frame by the state of the connection, or know what a frame looks like.
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import { CloseCode } from './close-code.ts'
import type { Liveness } from './liveness.ts'
import type { MachineEvent } from './machine.ts'
import { StreamRecord, UNLIMITED } from './stream-record.ts'
import { StreamRecords } from './stream-records.ts'

/** How a wire says what happens on a stream. */
export interface StreamFrames {
  /** This end accepts a stream that the peer opened. */
  accept(record: StreamRecord): void
  data(record: StreamRecord, parts: readonly Uint8Array[], bytes: number): void
  /** The peer may send that many more bytes. Only where streams are flow controlled. */
  credit(record: StreamRecord, bytes: number): void
  /** This end will send no more. Only where there is half-close. */
  end(record: StreamRecord): void
  /** The stream is over in both directions. */
  reset(stream: number, code: CloseCode, reason: string): void
}

/** Time limits in milliseconds (D26). */
export interface StreamTimeouts {
  /** No frame of the stream either way: it ends. */
  readonly stream: number
  /** No answer to the opening of a stream: it ends. */
  readonly streamOpen: number
  /** Without half-close: how long a stream whose writable side has ended still waits for an answer. */
  readonly linger: number
}

/** What the streams need of their connection. */
export interface StreamsHost {
  readonly timeouts: StreamTimeouts
  readonly liveness: Liveness
  readonly frames: StreamFrames
  emit(event: MachineEvent): void
  /** What ending the writable side means to a peer that knows no half-close. */
  finishWithoutHalfClose(record: StreamRecord): void
  /** A frame names a stream that is not there. Throws where that is a violation. */
  onUnknownStream(id: number): void
  /** The peer broke a rule of one stream: {@link Streams.fail}, or worse. */
  onStreamFault(record: StreamRecord, message: string): void
  /** A stream is gone. */
  onStreamGone(): void
}

/** Where a connection's streams begin, unless negotiation says otherwise. */
export interface StreamDefaults {
  readonly halfClose: boolean
  readonly flowControlled: boolean
  /** What the peer takes on a new stream, in bytes. */
  readonly sendWindow: number
  /** What this end takes on a new stream, in bytes. */
  readonly receiveWindow: number
  /** How far the window of a stream that is read at once may grow, in bytes; 0 for not at all. */
  readonly maxWindow: number
}

export class Streams {
  /** The peer understands that one direction has ended and the other has not. */
  halfClose: boolean
  /** Credit bounds what either end sends. */
  flowControlled: boolean
  sendWindow: number
  readonly receiveWindow: number
  /** The peer answers the opening of a stream, so that its silence means something. */
  expectsAnswer = true

  readonly #maxWindow: number
  readonly #host: StreamsHost
  readonly #records = new StreamRecords()

  constructor(host: StreamsHost, defaults: StreamDefaults) {
    this.#host = host
    this.halfClose = defaults.halfClose
    this.flowControlled = defaults.flowControlled
    this.sendWindow = defaults.sendWindow
    this.receiveWindow = defaults.receiveWindow
    this.#maxWindow = defaults.maxWindow
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
  }

  /** @param openedHere whether this end opened it, and so hears answers on it */
  add(id: number, openedHere: boolean, now: number): StreamRecord {
    const record = new StreamRecord(id, openedHere, this.sendWindow, this.receiveWindow, now)
    this.schedule(record, now)
    return record
  }

  /** Turns down a stream that the peer wants to open. */
  refuse(id: number, code: CloseCode, reason: string): void {
    this.#host.frames.reset(id, code, reason)
  }

  accept(id: number, now: number): void {
    const record = this.#records.get(id)
    // D9: only the end that was asked for the stream accepts it.
    if (record === undefined || record.answered || record.openedHere) return
    record.answered = true
    record.lastActivity = now
    this.#host.frames.accept(record)
  }

  credit(id: number): number {
    return this.#records.get(id)?.sendCredit ?? 0
  }

  sendData(id: number, parts: readonly Uint8Array[], bytes: number, now: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    record.lastActivity = now
    if (record.sendCredit !== UNLIMITED) record.sendCredit -= bytes
    this.#host.frames.data(record, parts, bytes)
  }

  finish(id: number, now: number): void {
    const record = this.#records.get(id)
    if (record === undefined || record.sendEnded) return
    record.sendEnded = true
    record.lastActivity = now
    this.sendFinish(record)
  }

  /** Says that this end sends no more, in whatever way the peer understands. */
  sendFinish(record: StreamRecord): void {
    if (!this.halfClose) {
      this.#host.finishWithoutHalfClose(record)
      return
    }
    this.#host.frames.end(record)
    if (record.receiveEnded) this.end(record, undefined)
  }

  /** Ends the stream from this end; no event tells of it. */
  reset(id: number, code: CloseCode, reason: string): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    this.#host.frames.reset(id, code, reason)
    this.#forget(record)
  }

  /** The stream is over: forgets it and tells the application. */
  end(record: StreamRecord, error: AnyTlsError | undefined): void {
    this.#host.emit({ type: 'close', stream: record.id, error })
    this.#forget(record)
  }

  /** The stream is over because the peer broke a rule of it; nothing else is harmed. */
  fail(record: StreamRecord, code: CloseCode, message: string): void {
    this.#host.frames.reset(record.id, code, message)
    this.end(record, new AnyTlsError('ERR_PROTOCOL_VIOLATION', message))
  }

  consumed(id: number, bytes: number, now: number): void {
    const record = this.#records.get(id)
    if (!this.flowControlled || record === undefined || record.receiveEnded) return
    record.consumed += bytes
    // Credit goes back once half a window is due.
    if (record.consumed < record.window / 2) return
    const credit = record.consumed + this.#records.growWindow(record, this.#maxWindow)
    record.consumed = 0
    record.receiveCredit += credit
    record.lastActivity = now
    this.#host.frames.credit(record, credit)
  }

  onData(id: number, data: Uint8Array, now: number): void {
    const record = this.onAnswer(id, now)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#host.onStreamFault(record, 'stream data after the end of that direction')
      return
    }
    if (this.flowControlled) {
      const room = record.receiveCredit
      if (data.length > room) {
        // However the frame was cut, the same bytes are delivered: the window and no more.
        if (room > 0) this.#host.emit({ type: 'data', stream: id, data: data.subarray(0, room) })
        this.#host.onStreamFault(record, 'stream data beyond the window')
        return
      }
      record.receiveCredit -= data.length
    }
    this.#host.emit({ type: 'data', stream: id, data })
  }

  /** The peer will send no more on the stream. */
  onEnd(id: number, now: number): void {
    const record = this.onAnswer(id, now)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#host.onStreamFault(record, 'the end of one direction twice')
      return
    }
    record.receiveEnded = true
    this.#host.emit({ type: 'end', stream: id })
    if (record.sendEnded) this.end(record, undefined)
  }

  onCredit(id: number, bytes: number, now: number): void {
    const record = this.touch(id, now)
    if (record?.grant(bytes) === true) this.#host.emit({ type: 'credit', stream: id })
  }

  /** The peer has ended the stream in both directions without saying why. */
  onClose(id: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    // D7: before an answer that is a refusal.
    const refused = record.openedHere && !record.answered
    this.end(
      record,
      refused ? new PeerCloseError('ERR_STREAM_RESET', CloseCode.Graceful) : undefined,
    )
  }

  /** The peer has ended the stream in both directions and said why. */
  onReset(id: number, code: number, reason: string, now: number): void {
    const record = this.touch(id, now)
    if (record === undefined) return
    this.end(record, new PeerCloseError('ERR_STREAM_RESET', code, reason))
  }

  /** The stream of a frame that proves that the peer serves it. */
  onAnswer(id: number, now: number): StreamRecord | undefined {
    const record = this.touch(id, now)
    if (record !== undefined) this.markAnswered(record)
    return record
  }

  /** The peer serves the stream: tells the application, once. */
  markAnswered(record: StreamRecord): void {
    if (record.answered || !record.openedHere) return
    record.answered = true
    this.#host.emit({ type: 'accept', stream: record.id })
  }

  /** The stream of a frame; `undefined` for one that is gone, whose frame raced its end (D11). */
  touch(id: number, now: number): StreamRecord | undefined {
    const record = this.#records.get(id)
    if (record === undefined) {
      this.#host.onUnknownStream(id)
      return undefined
    }
    record.lastActivity = now
    record.heard = true
    return record
  }

  /** The earliest deadline of a stream; `Infinity` when there is none. */
  get nextDue(): number {
    return this.#records.nextDue
  }

  /** Looks at one stream whose deadline has come; false when there is none. */
  onDue(now: number): boolean {
    const record = this.#records.takeDue(now)
    if (record === undefined) return false
    // Activity does not move an entry: the deadline is computed afresh when it comes up.
    if (this.#deadline(record, now) > now) this.schedule(record, now)
    else this.#expire(record)
    return true
  }

  /** (Re)computes when a stream must be looked at next. */
  schedule(record: StreamRecord, now: number): void {
    this.#records.set(record, this.#deadline(record, now))
  }

  #expire(record: StreamRecord): void {
    const { frames } = this.#host
    if (this.#lingers(record)) {
      frames.reset(record.id, CloseCode.Graceful, '')
      this.end(record, undefined)
      return
    }
    const unheard = this.expectsAnswer && record.openedHere && !record.heard
    const error = new AnyTlsError(unheard ? 'ERR_STREAM_OPEN_TIMEOUT' : 'ERR_STREAM_TIMEOUT')
    frames.reset(record.id, CloseCode.Timeout, error.message)
    this.end(record, error)
  }

  #deadline(record: StreamRecord, now: number): number {
    const { timeouts, liveness } = this.#host
    const quietSince = liveness.waitSince(record.lastActivity, now)
    let due = quietSince + timeouts.stream
    // D26: what this end sends is no answer, so it does not put the open timeout off.
    if (this.expectsAnswer && record.openedHere && !record.heard) {
      due = Math.min(due, liveness.waitSince(record.opened, now) + timeouts.streamOpen)
    }
    if (this.#lingers(record)) due = Math.min(due, quietSince + timeouts.linger)
    return due
  }

  /** Waits for the rest of the peer's answer, having said all itself. */
  #lingers(record: StreamRecord): boolean {
    return record.sendEnded && !this.halfClose && (record.heard || !this.expectsAnswer)
  }

  #forget(record: StreamRecord): void {
    this.#records.delete(record)
    this.#host.onStreamGone()
  }
}
