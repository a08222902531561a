// What the client's and the server's Mux.Pro machine have in common: the frames of either end, credit,
// KeepAlive. The roles stand in client-machine.ts and server-machine.ts.
// Must never do I/O or move to a state that its table does not name.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { Connection } from '../../engine/connection.ts'
import { ILLEGAL } from '../../engine/state-table.ts'
import type { StreamFrames } from '../../engine/streams.ts'
import type { ConnectionConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import { encodeCreditUpdate, encodeKeepAlive } from './frame-encoder.ts'
import { INITIAL_CREDIT, MAX_EXTRA_DATA } from './frame.ts'
import type { Frame } from './frame.ts'
import type { FrameInput, Input, Table } from './state-tables.ts'

export type RoleFrame = Extract<Frame, { type: 'negotiate' | 'new' | 'new-unusable' }>

export abstract class MuxProConnection<State extends string> extends Connection<State, Input> {
  readonly wire = 'muxpro'
  readonly maxPayload = MAX_EXTRA_DATA

  readonly #config: ConnectionConfig
  readonly #table: Table<State>
  readonly #decoder = new FrameDecoder((stream) => this.streams.get(stream)?.messages === true)
  readonly #started: number
  #lastSent: number
  #lastHeard: number
  /** The peer has sent a KeepAlive, so that its silence means something. */
  #peerKeepsAlive = false

  protected constructor(
    role: {
      readonly table: Table<State>
      readonly state: State
      readonly frames: StreamFrames
      /** What may be sent on a new sub-connection, in bytes. */
      readonly sendWindow: number
    },
    config: ConnectionConfig,
    now: number,
  ) {
    const { table, state, frames, sendWindow } = role
    super(
      {
        table,
        state,
        frames,
        // This wire has no answer to a KeepAlive and none to a New: its own timers stand below.
        timeouts: {
          ...config.timeouts,
          connection: Infinity,
          ping: Infinity,
          streamOpen: Infinity,
        },
        streams: {
          halfClose: false,
          flowControlled: true,
          sendWindow,
          receiveWindow: INITIAL_CREDIT,
          maxWindow: 0,
        },
      },
      now,
    )
    this.streams.expectsAnswer = false
    this.#config = config
    this.#table = table
    this.#started = now
    this.#lastSent = now
    this.#lastHeard = now
  }

  /** Handles a frame that only the one role receives; its table has let it pass. */
  protected abstract onRoleFrame(frame: RoleFrame): void

  override get pingable(): boolean {
    return false
  }

  override consumed(stream: number, bytes: number, now: number): void {
    const record = this.streams.get(stream)
    if (record?.messages !== true) {
      super.consumed(stream, bytes, now)
      return
    }
    // A datagram cannot be cut: a sender of large ones could wait for ever for credit that is not yet due.
    this.now = now
    record.lastActivity = now
    record.receiveCredit += bytes
    this.send(encodeCreditUpdate(stream, bytes))
  }

  override progress(now: number): void {
    super.progress(now)
    this.#lastHeard = now
  }

  protected push(chunk: Uint8Array): void {
    this.#decoder.push(chunk)
  }

  protected step(): boolean {
    const frame = this.#decoder.next()
    if (frame === undefined) return false
    this.#lastHeard = this.now
    this.#onFrame(frame)
    return true
  }

  protected override deliver(parts: readonly Uint8Array[]): void {
    this.#lastSent = this.now
    super.deliver(parts)
  }

  protected get speaking(): boolean {
    return this.negotiated
  }

  protected get negotiated(): boolean {
    return !this.over && this.#table[this.state].keep !== ILLEGAL
  }

  /** Nothing: the peer would not answer ({@link pingable}). */
  protected sendPing(): void {}

  /** There is no frame for it, so each sub-connection ends; what was cut off must not look complete. */
  protected sendClose(code: CloseCode): void {
    const reason = code === CloseCode.Graceful ? CloseCode.RemoteDisconnect : code
    for (const { id } of this.streams.list()) this.streams.refuse(id, reason, '')
  }

  /** Ignored: ids wrap, so a frame that raced the end of its sub-connection looks like one for none. */
  protected onUnknownStream(): void {}

  protected onViolation(error: AnyTlsError): void {
    const { negotiated } = this
    if (!this.tryMove('violation')) return
    this.sendClose(CloseCode.ProtocolError)
    this.closed(
      negotiated
        ? error
        : new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${NO_MUXPRO}: ${error.message}`),
    )
  }

  protected override lostError(): AnyTlsError {
    return new AnyTlsError('ERR_CONNECTION_LOST', this.negotiated ? undefined : NO_MUXPRO)
  }

  protected override get roleDeadline(): number {
    return this.negotiated
      ? Math.min(this.#keepaliveDeadline, this.#silenceDeadline)
      : this.#started + this.#config.timeouts.nego
  }

  protected override onRoleTimeout(): void {
    if (!this.negotiated) {
      this.move('nego-timeout')
      this.closed(new AnyTlsError('ERR_CONNECTION_TIMEOUT', NO_MUXPRO))
    } else if (this.now >= this.#silenceDeadline) {
      this.move('idle-timeout')
      this.sendClose(CloseCode.Timeout)
      this.closed(new AnyTlsError('ERR_CONNECTION_TIMEOUT'))
    } else {
      this.send(encodeKeepAlive())
    }
  }

  get #keepaliveDeadline(): number {
    return this.#lastSent + this.#config.timeouts.keepalive
  }

  get #silenceDeadline(): number {
    if (!this.#peerKeepsAlive && this.streams.size > 0) return Infinity
    const since = this.liveness.waitSince(this.#lastHeard, this.now)
    return since + this.#config.timeouts.connection
  }

  #onFrame(frame: Frame): void {
    if (frame.type === 'data') {
      this.#onData(frame.stream, frame.data)
      return
    }
    this.move(inputOf(frame))
    switch (frame.type) {
      case 'keep':
        this.streams.onAnswer(frame.stream, this.now)
        break
      case 'end':
        this.#onEnd(frame.stream, frame.code)
        break
      case 'keep-alive':
        this.#peerKeepsAlive = true
        break
      case 'credit':
        this.streams.onCredit(frame.stream, frame.increment, this.now)
        break
      default:
        this.onRoleFrame(frame)
    }
  }

  #onData(stream: number, data: Uint8Array): void {
    const record = this.streams.get(stream)
    // No part of a datagram is one.
    if (record?.messages === true && data.length > record.receiveCredit) {
      this.onStreamFault(record, 'a datagram beyond the credit')
    } else {
      this.streams.onData(stream, data, this.now)
    }
  }

  #onEnd(stream: number, code: number): void {
    if (code !== CloseCode.Graceful) {
      this.streams.onReset(stream, code, '', this.now)
      return
    }
    const record = this.streams.onAnswer(stream, this.now)
    if (record !== undefined) this.streams.end(record, undefined)
  }
}

const NO_MUXPRO = 'the peer did not negotiate as Mux.Pro'

function inputOf(frame: Exclude<Frame, { type: 'data' }>): FrameInput {
  return frame.type === 'new-unusable' ? 'new' : frame.type
}
