// What the client's and the server's connection machine of ANYTLS v1 have in common: control frames,
// mux1. The roles stand in client-machine.ts and server-machine.ts.
// Must never do I/O or move to a state that its table does not name.
import { AnyTlsError, PeerCloseError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { Connection } from '../../engine/connection.ts'
import { ILLEGAL } from '../../engine/state-table.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import type { Shaper } from '../../shaping/shaper.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { toTextBlock } from '../../codec/text-block.ts'
import type { ConnectionConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import * as encode from './frame-encoder.ts'
import { MAX_BODY, MAX_PAYLOAD, StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import { PADDING_FORMAT } from './padding-format.ts'
import { readText } from './peer-text.ts'
import type { FrameInput, Input, Table } from './state-tables.ts'
import { makeStreamFrames } from './stream-frames.ts'

type Mux1Frame = Extract<Frame, { type: 'stream-credit' | 'stream-fin' | 'stream-reset' }>

export abstract class AnyTlsConnection<State extends string> extends Connection<State, Input> {
  readonly wire = 'v1'
  readonly maxPayload = MAX_PAYLOAD

  protected readonly config: ConnectionConfig
  protected readonly decoder = new FrameDecoder()
  /** mux1 is negotiated. */
  protected mux1 = false
  /** Highest stream id ever opened on the connection. */
  protected highest = 0

  readonly #table: Table<State>

  protected constructor(
    role: {
      readonly table: Table<State>
      readonly state: State
      /** What the peer takes on a new stream until more is known, in bytes. */
      readonly sendWindow: number
    },
    config: ConnectionConfig,
    now: number,
  ) {
    super(
      {
        table: role.table,
        state: role.state,
        timeouts: config.timeouts,
        frames: makeStreamFrames({
          deliver: (parts) => this.deliver(parts),
          send: (frame) => this.send(frame),
          mux1: () => this.mux1,
        }),
        liftControl: true,
        streams: {
          halfClose: false,
          flowControlled: false,
          sendWindow: role.sendWindow,
          receiveWindow: config.mux1Window ?? UNLIMITED,
          maxWindow: config.mux1MaxWindow ?? 0,
        },
      },
      now,
    )
    this.#table = role.table
    this.config = config
  }

  /** Handles a frame that only the one role receives; its table has let it pass. */
  protected abstract onRoleFrame(frame: Frame): void

  protected push(chunk: Uint8Array): void {
    this.decoder.push(chunk)
  }

  protected step(): boolean {
    const frame = this.decoder.next()
    if (frame === undefined) return false
    this.#onFrame(frame)
    return true
  }

  protected get negotiated(): boolean {
    return !this.over && this.#table[this.state].pingpong !== ILLEGAL
  }

  protected sendPing(): void {
    this.send(encode.encodePingPong())
  }

  protected sendClose(code: CloseCode): void {
    this.send(encode.encodeClose(code))
  }

  protected sendAlert(error: AnyTlsError): void {
    this.send(encode.encodeAlert(toTextBlock(error.message, MAX_BODY)))
  }

  /** mux1 holds from here on; `window` is what the peer takes on a new stream, in bytes. */
  protected startMux1(window: number): void {
    this.mux1 = true
    this.streams.halfClose = true
    this.streams.flowControlled = true
    this.streams.sendWindow = window
  }

  protected shapeWith(scheme: Scheme): Shaper {
    return this.startShaping(scheme, this.config.randomInt, PADDING_FORMAT)
  }

  protected onUnknownStream(id: number): void {
    if (id <= this.highest) return
    throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `stream ${id} was never opened`)
  }

  #onFrame(frame: Frame): void {
    if (frame.type === 'stream-data') {
      this.streams.onData(frame.stream, frame.data, this.now)
      return
    }
    if (frame.type === 'stream-rst') {
      this.streams.onClose(frame.stream)
      return
    }
    this.move(inputOf(frame))
    switch (frame.type) {
      case 'padding':
        break
      case 'stream':
        if ((frame.flags & StreamFlag.Open) !== 0) this.onRoleFrame(frame)
        // A frame of the STREAM class is activity, whatever else it brings (D5).
        else this.streams.touch(frame.stream, this.now)
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

  #onMux1(frame: Mux1Frame): void {
    switch (frame.type) {
      case 'stream-credit':
        if (frame.increment === 0) {
          throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', 'STREAM_CREDIT of zero')
        }
        this.streams.onCredit(frame.stream, frame.increment, this.now)
        break
      case 'stream-fin':
        this.streams.onEnd(frame.stream, this.now)
        break
      case 'stream-reset':
        this.streams.onReset(frame.stream, frame.code, readText(frame.reason), this.now)
        break
    }
  }

  #onPingPong(): void {
    // D8: with a ping outstanding it is the answer, otherwise it wants exactly one.
    const roundTrip = this.liveness.takePong(this.now)
    if (roundTrip === undefined) this.sendPing()
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
}

function inputOf(frame: Exclude<Frame, { type: 'stream-data' | 'stream-rst' }>): FrameInput {
  if (frame.type === 'stream')
    return (frame.flags & StreamFlag.Open) !== 0 ? 'stream-open' : 'stream'
  return frame.type
}
