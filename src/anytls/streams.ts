// The streams of one connection as both roles see them: STREAM frames and mux1's in, commands out,
// credit, stream timeouts (draft, Streams; D5 to D7, D11, D26; mux1).
// Must never know the state of the connection: its tables have let through what comes here.
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import { CloseCode } from '../mux/close-code.ts'
import type { Liveness } from '../mux/liveness.ts'
import type { MachineEvent } from '../mux/machine.ts'
import { StreamRecord, UNLIMITED } from '../mux/stream-record.ts'
import { StreamRecords } from '../mux/stream-records.ts'
import { toTextBlock } from '../wire/text-block.ts'
import type { ConnectionConfig } from './config.ts'
import * as encode from './frame-encoder.ts'
import { MAX_RESET_REASON, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import { readText } from './peer-text.ts'

/** What the streams need of their connection. */
export interface StreamsHost {
  readonly config: ConnectionConfig
  readonly liveness: Liveness
  /** Whether this end opens the streams, and so hears answers on them (D27). */
  readonly isOpener: boolean
  /** Writes one Frame, in parts. */
  deliver(parts: readonly Uint8Array[]): void
  emit(event: MachineEvent): void
  /** What ending the writable side means to a peer without mux1 (D6: RST ends both directions). */
  finishWithoutMux1(record: StreamRecord): void
  /** A stream is gone. */
  onStreamGone(): void
}

type Mux1Frame = Extract<Frame, { type: 'stream-credit' | 'stream-fin' | 'stream-reset' }>

export class Streams {
  /** mux1 is negotiated. */
  mux1 = false
  /** Where a new stream's credit begins: what the peer will take, in bytes. */
  sendWindow = UNLIMITED
  /** Highest stream id ever opened on the connection. */
  highest = 0

  readonly #host: StreamsHost
  readonly #records = new StreamRecords()

  constructor(host: StreamsHost) {
    this.#host = host
  }

  get size(): number {
    return this.#records.size
  }

  list(): StreamRecord[] {
    return this.#records.list()
  }

  clear(): void {
    this.#records.clear()
  }

  add(id: number, now: number): void {
    this.highest = id
    const window = this.#host.config.mux1Window ?? UNLIMITED
    this.schedule(new StreamRecord(id, this.sendWindow, window, now), now)
  }

  accept(id: number, now: number): void {
    const record = this.#records.get(id)
    // D9: only the end that was asked for the stream accepts it.
    if (record === undefined || record.answered || this.#host.isOpener) return
    record.answered = true
    record.lastActivity = now
    this.#send(encode.encodeStreamAck(id))
  }

  credit(id: number): number {
    return this.#records.get(id)?.sendCredit ?? 0
  }

  sendData(id: number, parts: readonly Uint8Array[], bytes: number, now: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    record.lastActivity = now
    if (record.sendCredit !== UNLIMITED) record.sendCredit -= bytes
    this.#host.deliver([encode.encodeDataHead(id, bytes), ...parts])
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
    if (!this.mux1) {
      this.#host.finishWithoutMux1(record)
      return
    }
    this.#send(encode.encodeStreamFin(record.id))
    if (record.receiveEnded) this.end(record, undefined)
  }

  /** Ends the stream from this end; no event tells of it. */
  reset(id: number, code: CloseCode, reason: string): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    this.sendReset(id, code, reason)
    this.#forget(record)
  }

  sendReset(id: number, code: CloseCode, reason: string): void {
    // RST says "over" and no more; a reason needs mux1.
    const frame =
      this.mux1 && code !== CloseCode.Graceful
        ? encode.encodeStreamReset(id, code, toTextBlock(reason, MAX_RESET_REASON))
        : encode.encodeStream(id, StreamFlag.Rst)
    this.#send(frame)
  }

  /** The stream is over: forgets it and tells the application. */
  end(record: StreamRecord, error: AnyTlsError | undefined): void {
    this.#host.emit({ type: 'close', stream: record.id, error })
    this.#forget(record)
  }

  consumed(id: number, bytes: number, now: number): void {
    const record = this.#records.get(id)
    if (!this.mux1 || record === undefined || record.receiveEnded) return
    record.consumed += bytes
    // mux1: credit goes back once half a window is due.
    if (record.consumed < record.window / 2) return
    const limit = this.#host.config.mux1MaxWindow ?? 0
    const credit = record.consumed + this.#records.growWindow(record, limit)
    record.consumed = 0
    record.receiveCredit += credit
    record.lastActivity = now
    this.#send(encode.encodeStreamCredit(id, credit))
  }

  /** A frame of the STREAM class without OPEN: activity, whatever else it brings (D5). */
  onStream(id: number, now: number): void {
    this.#touch(id, now)
  }

  onData(id: number, data: Uint8Array, now: number): void {
    const record = this.onAnswer(id, now)
    if (record === undefined) return
    if (record.receiveEnded) {
      this.#break(record, 'stream data after STREAM_FIN')
      return
    }
    if (this.mux1) {
      const room = record.receiveCredit
      if (data.length > room) {
        // However the frame was cut, the same bytes are delivered: the window and no more.
        if (room > 0) this.#host.emit({ type: 'data', stream: id, data: data.subarray(0, room) })
        this.#break(record, 'stream data beyond the window')
        return
      }
      record.receiveCredit -= data.length
    }
    this.#host.emit({ type: 'data', stream: id, data })
  }

  onRst(id: number): void {
    const record = this.#records.get(id)
    if (record === undefined) return
    // D7: before an answer RST is a refusal, and the draft has no way to say why.
    const refused = this.#host.isOpener && !record.answered
    this.end(
      record,
      refused ? new PeerCloseError('ERR_STREAM_RESET', CloseCode.Graceful) : undefined,
    )
  }

  onMux1(frame: Mux1Frame, now: number): void {
    const record = this.#touch(frame.stream, now)
    if (frame.type === 'stream-credit' && frame.increment === 0) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', 'STREAM_CREDIT of zero')
    }
    if (record === undefined) return
    switch (frame.type) {
      case 'stream-credit':
        if (record.grant(frame.increment)) this.#host.emit({ type: 'credit', stream: frame.stream })
        break
      case 'stream-fin':
        this.onAnswer(frame.stream, now)
        if (record.receiveEnded) {
          this.#break(record, 'STREAM_FIN twice')
          break
        }
        record.receiveEnded = true
        this.#host.emit({ type: 'end', stream: frame.stream })
        if (record.sendEnded) this.end(record, undefined)
        break
      case 'stream-reset':
        this.end(record, new PeerCloseError('ERR_STREAM_RESET', frame.code, readText(frame.reason)))
        break
    }
  }

  /** The stream of a frame that proves that the peer serves it. */
  onAnswer(id: number, now: number): StreamRecord | undefined {
    const record = this.#touch(id, now)
    if (record !== undefined && !record.answered && this.#host.isOpener) {
      record.answered = true
      this.#host.emit({ type: 'accept', stream: id })
    }
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
    if (this.#lingers(record)) {
      this.sendReset(record.id, CloseCode.Graceful, '')
      this.end(record, undefined)
      return
    }
    const unheard = this.#host.isOpener && !record.heard
    const error = new AnyTlsError(unheard ? 'ERR_STREAM_OPEN_TIMEOUT' : 'ERR_STREAM_TIMEOUT')
    this.sendReset(record.id, CloseCode.Timeout, error.message)
    this.end(record, error)
  }

  #deadline(record: StreamRecord, now: number): number {
    const { config, liveness, isOpener } = this.#host
    const { stream, streamOpen, linger } = config.timeouts
    const quietSince = liveness.waitSince(record.lastActivity, now)
    let due = quietSince + stream
    // D26: what this end sends is no answer, so it does not put the open timeout off.
    if (isOpener && !record.heard) {
      due = Math.min(due, liveness.waitSince(record.opened, now) + streamOpen)
    }
    if (this.#lingers(record)) due = Math.min(due, quietSince + linger)
    return due
  }

  #lingers(record: StreamRecord): boolean {
    return record.sendEnded && record.heard && !this.mux1
  }

  /** The stream of a frame; `undefined` for one that is gone, whose frame raced its end (D11). */
  #touch(id: number, now: number): StreamRecord | undefined {
    const record = this.#records.get(id)
    if (record !== undefined) {
      record.lastActivity = now
      record.heard = true
    } else if (id > this.highest) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `stream ${id} was never opened`)
    }
    return record
  }

  /** The peer broke a rule of one stream: that stream ends, nothing else is harmed. */
  #break(record: StreamRecord, message: string): void {
    this.sendReset(record.id, CloseCode.ProtocolError, message)
    this.end(record, new AnyTlsError('ERR_PROTOCOL_VIOLATION', message))
  }

  #forget(record: StreamRecord): void {
    this.#records.delete(record)
    this.#host.onStreamGone()
  }

  #send(frame: Uint8Array): void {
    this.#host.deliver([frame])
  }
}
