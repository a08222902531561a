// The client's connection machine: Deliver 0, optimistic streams, the server's NEGO (draft,
// Authentication, Version Negotiation and Padding Scheme Update; D25 to D29).
// Must never wait for the server before it sends, or change the scheme of a connection that runs.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import { UNLIMITED } from '../../engine/stream-record.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import { parsePeerScheme } from '../../shaping/scheme.ts'
import { concatBytes } from '../../codec/bytes.ts'
import type { ConnectionConfig } from './config.ts'
import { AnyTlsConnection } from './connection.ts'
import { encodeAuth, encodeClientNego, encodeClose, encodeStream } from './frame-encoder.ts'
import { StreamFlag } from './frame.ts'
import type { Frame } from './frame.ts'
import {
  MUX1_MIN_WINDOW,
  SUPPORTED_VERSIONS,
  decodeServerNegoBlock,
  encodeClientNegoBlock,
} from './nego.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { ClientState } from './state-tables.ts'

const NO_FRAME = new Uint8Array(0)

export class ClientMachine extends AnyTlsConnection<ClientState> {
  readonly #started: number
  #flushed = Infinity
  #schemeUpdated = false

  constructor(config: ConnectionConfig, now: number) {
    // mux1: until the server's NEGO tells more, a stream may send that much.
    const sendWindow = config.mux1Window === undefined ? UNLIMITED : MUX1_MIN_WINDOW
    super({ table: CLIENT_TABLE, state: 'initializing', sendWindow }, config, now)
    this.#started = now
  }

  get mayOpen(): boolean {
    const open =
      this.state === 'initializing' || this.state === 'negotiating' || this.state === 'open'
    return open && this.streams.size < this.config.maxStreams && this.highest < MAX_STREAM_ID
  }

  openStream(now: number): number {
    this.now = now
    if (!this.mayOpen) throw this.openError()
    this.highest += 1
    const id = this.highest
    this.streams.add(id, true, now)
    const open = encodeStream(id, StreamFlag.Open)
    this.shapeStream()
    if (this.state === 'initializing') this.#flush(open)
    else this.send(open)
    return id
  }

  protected get speaking(): boolean {
    return this.state !== 'initializing'
  }

  protected override get roleDeadline(): number {
    switch (this.state) {
      case 'initializing':
        return this.#started + this.config.timeouts.hold
      case 'negotiating':
      case 'draining-early':
        return this.#flushed + this.config.timeouts.nego
      default:
        return Infinity
    }
  }

  protected override onRoleTimeout(): void {
    if (this.state === 'initializing') {
      this.#flush(NO_FRAME)
    } else if (this.tryMove('nego-timeout')) {
      this.closed(new AnyTlsError('ERR_CONNECTION_TIMEOUT', NO_NEGO))
    }
  }

  protected onRoleFrame(frame: Frame): void {
    switch (frame.type) {
      case 'server-nego':
        this.#onServerNego(frame.body)
        break
      case 'scheme-update':
        this.#onSchemeUpdate(frame.body)
        break
      case 'stream-ack':
        this.streams.onAnswer(frame.stream, this.now)
        break
      case 'goaway':
        // The table has moved on to draining: streams above lastStream never reached the server.
        this.tellDraining()
        for (const record of this.streams.list()) {
          if (record.id > frame.lastStream) {
            this.streams.end(record, new AnyTlsError('ERR_SESSION_DRAINING'))
          }
        }
        this.checkDrained()
        break
      default:
        throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${frame.type} from a server`)
    }
  }

  protected override lostError(): AnyTlsError {
    return new AnyTlsError('ERR_CONNECTION_LOST', this.negotiated ? undefined : NO_NEGO)
  }

  protected onViolation(error: AnyTlsError): void {
    // A server that never negotiated may be anybody: what it must not hear from us is an ALERT.
    const { negotiated } = this
    if (!this.tryMove('violation')) return
    if (negotiated) this.sendAlert(error)
    this.closed(
      negotiated
        ? error
        : new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${NO_NEGO}: ${error.message}`),
    )
  }

  /** RST would cut off the answer too, so it waits for the peer's end or for silence. */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.schedule(record, this.now)
  }

  /** Deliver 0: AUTH, NEGO and, if a stream is waiting, its OPEN, in one Write (D28). */
  #flush(open: Uint8Array): void {
    this.move('flush')
    this.#flushed = this.now
    const { passwordHash, scheme, name, mux1Window } = this.config
    const shaper = this.shapeWith(scheme)
    const nego = encodeClientNegoBlock({
      versions: SUPPORTED_VERSIONS,
      client: name,
      schemeDigest: scheme.digest,
      mux1Window,
    })
    this.send(
      concatBytes([encodeAuth(passwordHash, shaper.authPadding()), encodeClientNego(nego), open]),
    )
  }

  #onServerNego(body: Uint8Array): void {
    const nego = decodeServerNegoBlock(body)
    if (!SUPPORTED_VERSIONS.includes(nego.version)) {
      this.move('version-unsupported')
      this.send(encodeClose(CloseCode.UnsupportedVersion))
      this.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    const offered = this.config.mux1Window !== undefined
    const window = (offered ? nego.mux1Window : undefined) ?? UNLIMITED
    const more = window - this.streams.sendWindow
    if (offered && nego.mux1Window !== undefined) this.startMux1(window)
    else this.streams.sendWindow = UNLIMITED
    this.emit({ type: 'established', peer: nego.server })
    for (const record of this.streams.list()) {
      if (more > 0 && record.grant(more)) this.emit({ type: 'credit', stream: record.id })
      // An end that came before it was known how to say so.
      if (record.sendEnded) this.streams.sendFinish(record)
    }
    this.checkDrained()
  }

  #onSchemeUpdate(body: Uint8Array): void {
    // Its place is right behind the server's NEGO: a server has no reason to send another, and reading
    // one is not cheap.
    if (this.#schemeUpdated) {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', 'PADDING_UPDATE_SCHEME twice')
    }
    this.#schemeUpdated = true
    try {
      this.emit({ type: 'scheme', scheme: parsePeerScheme(body) })
    } catch (error) {
      // D23: refused with a logged reason; the connection and the old scheme stay.
      if (!(error instanceof AnyTlsError)) throw error
      this.emit({ type: 'scheme-refused', error })
    }
  }

  protected override get isDraining(): boolean {
    return this.state === 'draining' || this.state === 'draining-early'
  }
}

const NO_NEGO = 'the server did not answer as ANYTLS (wrong password, or another kind of server)'

// D27: number arithmetic ends there; never reached in practice.
const MAX_STREAM_ID = Number.MAX_SAFE_INTEGER - 1
