// What the client's and the server's connection machine of the original wire have in common: frames that
// both ends send, versions. The roles stand in client-machine.ts and server-machine.ts.
// Must never do I/O or move to a state that its table does not name.
import { AnyTlsError } from '../../errors.ts'
import { Connection } from '../../engine/connection.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import type { StreamFrames } from '../../engine/streams.ts'
import type { Shaper } from '../../shaping/shaper.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import type { LegacyConfig } from './config.ts'
import { FrameDecoder } from './frame-decoder.ts'
import { encodeHeartbeatRequest, encodeHeartbeatResponse } from './frame-encoder.ts'
import { MAX_PAYLOAD } from './frame.ts'
import type { Frame } from './frame.ts'
import { PADDING_FORMAT } from './padding-format.ts'
import { readText } from './peer-text.ts'
import type { Input, Table } from './state-tables.ts'

/** Frames that the roles take care of. */
export type RoleFrame = Extract<
  Frame,
  { type: 'auth' | 'syn' | 'settings' | 'update-scheme' | 'synack' | 'server-settings' }
>

export abstract class LegacyConnection<State extends string> extends Connection<State, Input> {
  readonly wire = 'legacy'
  readonly maxPayload = MAX_PAYLOAD

  protected readonly config: LegacyConfig
  protected readonly decoder: FrameDecoder
  /** Both ends speak version 2: SYNACK and heartbeats mean something. */
  protected isVersion2 = false

  protected constructor(
    role: {
      readonly table: Table<State>
      readonly state: State
      readonly frames: Pick<StreamFrames, 'accept' | 'data' | 'reset'>
      /** The peer begins with an authentication block. */
      readonly awaitsAuth: boolean
    },
    config: LegacyConfig,
    now: number,
  ) {
    const { table, state, frames, awaitsAuth } = role
    super(
      {
        table,
        state,
        timeouts: config.timeouts,
        // The wire has neither credit nor half-close.
        frames: { ...frames, credit: () => {}, end: () => {} },
        streams: {
          halfClose: false,
          flowControlled: false,
          sendWindow: UNLIMITED,
          receiveWindow: UNLIMITED,
          maxWindow: 0,
        },
      },
      now,
    )
    this.config = config
    this.decoder = new FrameDecoder(awaitsAuth)
  }

  /** Handles a frame of the role; its table has let it pass. */
  protected abstract onRoleFrame(frame: RoleFrame): void

  override get pingable(): boolean {
    return this.isVersion2 && this.negotiated
  }

  protected push(chunk: Uint8Array): void {
    this.decoder.push(chunk)
  }

  protected step(): boolean {
    const frame = this.decoder.next()
    if (frame === undefined) return false
    this.onFrame(frame)
    return true
  }

  protected onFrame(frame: Frame): void {
    if (frame.type === 'push-data') {
      this.streams.onData(frame.stream, frame.data, this.now)
      return
    }
    // Empty ones do not count, as in the reference.
    if ('body' in frame && frame.body.length === 0) return
    this.move(frame.type)
    switch (frame.type) {
      case 'waste':
      case 'unknown':
        break
      case 'push':
        this.streams.onAnswer(frame.stream, this.now)
        break
      case 'fin':
        this.streams.onClose(frame.stream)
        break
      case 'alert':
        this.closed(
          new AnyTlsError('ERR_ALERT_RECEIVED', `the peer sent an alert: ${readText(frame.body)}`),
        )
        break
      case 'heartbeat-request':
        this.send(encodeHeartbeatResponse(frame.stream))
        break
      case 'heartbeat-response': {
        const roundTrip = this.liveness.takePong(this.now)
        if (roundTrip !== undefined) this.emit({ type: 'pong', roundTrip })
        break
      }
      default:
        this.onRoleFrame(frame)
    }
  }

  /** Its frame raced the end of the stream; any other id is passed over like the reference does. */
  protected onUnknownStream(): void {}

  /** A peer of version 1 has nothing to answer with, so its streams may be silent for as long as they like. */
  protected override get idles(): boolean {
    return this.speaking && (this.pingable || !this.negotiated || this.streams.size === 0)
  }

  protected sendPing(): void {
    this.send(encodeHeartbeatRequest())
  }

  /** The wire has no frame for it: the end of TLS says it. */
  protected sendClose(): void {}

  protected shapeWith(scheme: Scheme): Shaper {
    return this.startShaping(scheme, this.config.randomInt, PADDING_FORMAT)
  }
}
