// The server's connection machine: the decision on the first record, NEGO, streams that clients open
// (draft, Authentication and Version Negotiation; D14 to D24).
// Must never write a byte before the client has authenticated.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { MachineEvent } from '../../engine/machine.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { encodeScheme } from '../../shaping/scheme.ts'
import { matchesAuth } from './auth.ts'
import type { ConnectionConfig } from './config.ts'
import { AnyTlsConnection } from './connection.ts'
import {
  encodeClose,
  encodeGoAway,
  encodeSchemeUpdate,
  encodeServerNego,
  encodeStream,
} from './frame-encoder.ts'
import { StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import { chooseVersion, decodeClientNegoBlock, encodeServerNegoBlock } from './nego.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { ServerState } from './state-tables.ts'

/** What only a server is told. */
export interface ServerConfig extends ConnectionConfig {
  /** After a violation: say ALERT and close, or hand the connection to another owner (D17). */
  readonly onViolation: 'alert' | 'handover'
  /** The scheme to shape the server's direction with; `undefined` to leave it alone (D34). */
  readonly downlinkScheme: Scheme | undefined
}

export class ServerMachine extends AnyTlsConnection<ServerState> {
  protected override readonly config: ServerConfig
  readonly #started: number
  #matched = false

  constructor(config: ServerConfig, now: number) {
    super({ table: SERVER_TABLE, state: 'await-auth', sendWindow: UNLIMITED }, config, now)
    this.config = config
    this.#started = now
  }

  /** Only clients open streams (D9, D27). */
  get mayOpen(): boolean {
    return false
  }

  openStream(): number {
    throw new AnyTlsError('ERR_STREAM_LIMIT', 'a server opens no streams')
  }

  override receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    if (this.state === 'await-auth' && !this.#matched) {
      // D14: this one record decides, whatever its length.
      if (!matchesAuth(chunk, this.config.passwordHash)) {
        this.now = now
        this.move('auth-mismatch')
        this.handOver({ cause: 'auth-failed', unread: [chunk], error: undefined })
        return this.takeEvents()
      }
      this.#matched = true
    }
    return super.receive(chunk, now)
  }

  protected get speaking(): boolean {
    return this.state !== 'await-auth'
  }

  protected override get roleDeadline(): number {
    return this.state === 'await-auth' ? this.#started + this.config.timeouts.auth : Infinity
  }

  protected override onRoleTimeout(): void {
    this.move('auth-timeout')
    this.handOver({ cause: 'auth-timeout', unread: this.decoder.unread(), error: undefined })
  }

  protected onRoleFrame(frame: Frame): void {
    switch (frame.type) {
      case 'auth':
        if (this.config.downlinkScheme !== undefined) this.shapeWith(this.config.downlinkScheme)
        break
      case 'client-nego':
        this.#onClientNego(frame.body)
        break
      case 'stream':
        this.#onOpen(frame.stream)
        break
      default:
        throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${frame.type} from a client`)
    }
  }

  protected onViolation(error: AnyTlsError): void {
    if (this.state === 'await-auth') {
      this.move('violation')
      this.handOver({ cause: 'auth-failed', unread: this.decoder.unread(), error })
      return
    }
    if (this.config.onViolation === 'handover' && this.tryMove('violation-handover')) {
      this.handOver({ cause: 'violation', unread: this.decoder.unread(), error })
    } else if (this.tryMove('violation')) {
      this.sendAlert(error)
      this.closed(error)
    }
  }

  /** A server's end is usually the end of the answer: RST tells the client so at once (D6). */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.send(encodeStream(record.id, StreamFlag.Rst))
    this.streams.end(record, undefined)
  }

  protected override sendGoAway(): void {
    if (this.mux1) this.send(encodeGoAway(this.highest, CloseCode.Graceful))
  }

  #onClientNego(body: Uint8Array): void {
    const nego = decodeClientNegoBlock(body)
    const version = chooseVersion(nego.versions)
    if (version === undefined) {
      // D20
      this.move('version-unsupported')
      this.send(encodeClose(CloseCode.UnsupportedVersion))
      this.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    const { scheme, name, mux1Window } = this.config
    if (mux1Window !== undefined && nego.mux1Window !== undefined) {
      this.startMux1(nego.mux1Window)
    }
    const block = encodeServerNegoBlock({
      version,
      server: name,
      mux1Window: this.mux1 ? mux1Window : undefined,
    })
    this.send(encodeServerNego(block))
    // D23: at once, whenever the digests differ.
    if (nego.schemeDigest !== scheme.digest) this.send(encodeSchemeUpdate(encodeScheme(scheme)))
    this.emit({ type: 'established', peer: nego.client })
  }

  #onOpen(stream: number): void {
    if (stream <= this.highest) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `stream ${stream} opened out of order`)
    }
    this.highest = stream
    if (this.isDraining) {
      this.streams.refuse(stream, CloseCode.Rejected, 'the server is stopping')
    } else if (this.streams.size >= this.config.maxStreams) {
      this.streams.refuse(stream, CloseCode.ResourceExhausted, 'too many streams')
    } else {
      this.streams.add(stream, false, this.now)
      this.shapeStream()
      this.emit({ type: 'open', stream })
    }
  }
}
