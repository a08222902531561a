// The client's Mux.Pro machine: NegotiateVersion first, then sub-connections (section 5.1; D36, D43).
// Must never send another frame before the server has answered the negotiation.
import { AnyTlsError } from '../../errors.ts'
import type { StreamRequest, Write } from '../../engine/machine.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import type { ClientConfig } from './config.ts'
import { MuxProConnection } from './connection.ts'
import type { RoleFrame } from './connection.ts'
import { encodeNegotiate, encodeNew, withInitialData } from './frame-encoder.ts'
import { INITIAL_CREDIT, MAX_STREAM_ID } from './frame.ts'
import { HeldOpenings } from './held-openings.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { ClientState } from './state-tables.ts'
import { makeStreamFrames } from './stream-frames.ts'
import { SUPPORTED_VERSIONS, formatVersion } from './version.ts'

export class ClientMachine extends MuxProConnection<ClientState> {
  /** The id that was given out last. */
  protected lastId = 0
  readonly #config: ClientConfig
  readonly #held = new HeldOpenings()

  constructor(config: ClientConfig, now: number) {
    const frames = makeStreamFrames((parts) => this.deliver(parts))
    super(
      {
        table: CLIENT_TABLE,
        state: 'negotiating',
        frames: {
          ...frames,
          data: (record, parts, bytes) => this.#sendData(frames, record, parts, bytes),
          // The server knows nothing of a sub-connection whose New has not left.
          reset: (id, code, reason) => {
            if (this.#held.take(id) === undefined) frames.reset(id, code, reason)
          },
        },
        // Nothing may be sent before the answer.
        sendWindow: 0,
      },
      config,
      now,
    )
    this.#config = config
    this.send(encodeNegotiate(SUPPORTED_VERSIONS, config.countPlace))
  }

  get mayOpen(): boolean {
    const open = this.state === 'negotiating' || this.state === 'open'
    return open && this.streams.size < this.#config.maxStreams
  }

  openStream(now: number, request?: StreamRequest): number {
    this.now = now
    if (!this.mayOpen) throw this.openError()
    if (request === undefined) {
      throw new AnyTlsError('ERR_OPTION_INVALID', 'a Mux.Pro stream needs a target')
    }
    const id = this.#freeId()
    const frame = encodeNew(id, request)
    this.lastId = id
    const record = this.streams.add(id, true, now)
    record.messages = request.network === 'udp'
    this.#held.hold(record, frame)
    return id
  }

  override takeWrites(): readonly Write[] {
    if (this.negotiated) {
      for (const frame of this.#held.takeAll((id) => this.streams.get(id))) this.send(frame)
    }
    return super.takeWrites()
  }

  protected onRoleFrame(frame: RoleFrame): void {
    if (frame.type !== 'negotiate') {
      throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${frame.type} from a server`)
    }
    const [version, ...more] = frame.versions
    if (version === undefined || more.length > 0) {
      throw new AnyTlsError(
        'ERR_PROTOCOL_VIOLATION',
        `an answer with ${frame.versions.length} versions instead of one`,
      )
    }
    if (!SUPPORTED_VERSIONS.includes(version)) {
      this.move('version-unsupported')
      this.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    this.emit({ type: 'established', peer: formatVersion(version) })
    this.streams.sendWindow = INITIAL_CREDIT
    for (const record of this.streams.list()) {
      if (record.grant(INITIAL_CREDIT)) this.emit({ type: 'credit', stream: record.id })
    }
  }

  /** End would cut off the answer too, so it waits for the server's End or for silence. */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.schedule(record, this.now)
  }

  protected override get isDraining(): boolean {
    return this.state === 'draining' || this.state === 'draining-early'
  }

  #sendData(
    frames: ReturnType<typeof makeStreamFrames>,
    record: StreamRecord,
    parts: readonly Uint8Array[],
    bytes: number,
  ): void {
    const opening = this.#held.take(record.id)
    if (opening === undefined) frames.data(record, parts, bytes)
    else this.deliver([withInitialData(opening, bytes), ...parts])
  }

  /** Upward, wrapping, skipping 0 and what is in use (D43); there is one, as `mayOpen` has been asked. */
  #freeId(): number {
    let id = this.lastId
    do {
      id = id === MAX_STREAM_ID ? 1 : id + 1
    } while (this.streams.has(id))
    return id
  }
}
