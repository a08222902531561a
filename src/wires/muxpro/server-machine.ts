// The server's Mux.Pro machine: answers the negotiation, takes sub-connections (section 5.2; D36, D40, D41).
// Must never send a frame before the client has negotiated, or a New at all.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { StreamRequest } from '../../engine/machine.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import type { ServerConfig } from './config.ts'
import { MuxProConnection } from './connection.ts'
import type { RoleFrame } from './connection.ts'
import { encodeNegotiate } from './frame-encoder.ts'
import { INITIAL_CREDIT } from './frame.ts'
import type { CountPlace } from './frame.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { ServerState } from './state-tables.ts'
import { makeStreamFrames } from './stream-frames.ts'
import { chooseVersion, formatVersion } from './version.ts'

export class ServerMachine extends MuxProConnection<ServerState> {
  readonly #config: ServerConfig

  constructor(config: ServerConfig, now: number) {
    const frames = makeStreamFrames((parts) => this.deliver(parts))
    super(
      { table: SERVER_TABLE, state: 'await-version', frames, sendWindow: INITIAL_CREDIT },
      config,
      now,
    )
    this.#config = config
  }

  /** Only clients open sub-connections (section 5.2). */
  get mayOpen(): boolean {
    return false
  }

  openStream(): number {
    throw new AnyTlsError('ERR_STREAM_LIMIT', 'a server opens no streams')
  }

  protected onRoleFrame(frame: RoleFrame): void {
    switch (frame.type) {
      case 'negotiate':
        this.#onNegotiate(frame.versions, frame.countPlace)
        break
      case 'new':
        this.#onNew(frame.stream, frame.request)
        break
      case 'new-unusable':
        if (this.#isFree(frame.stream)) {
          this.streams.refuse(frame.stream, CloseCode.ProtocolError, frame.problem)
        }
        break
    }
  }

  /** A server's end is usually the end of the answer: End tells the client so at once. */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.refuse(record.id, CloseCode.Graceful, '')
    this.streams.end(record, undefined)
  }

  #onNegotiate(versions: readonly number[], countPlace: CountPlace): void {
    const version = chooseVersion(versions)
    if (version === undefined) {
      this.move('version-unsupported')
      this.closed(new AnyTlsError('ERR_VERSION_UNSUPPORTED'))
      return
    }
    this.send(encodeNegotiate([version], countPlace))
    this.emit({ type: 'established', peer: formatVersion(version) })
  }

  #onNew(stream: number, request: StreamRequest): void {
    if (!this.#isFree(stream)) return
    if (this.isDraining) {
      this.streams.refuse(stream, CloseCode.Rejected, 'the server is stopping')
    } else if (this.streams.size >= this.#config.maxStreams) {
      this.streams.refuse(stream, CloseCode.ResourceExhausted, 'too many streams')
    } else {
      const record = this.streams.add(stream, false, this.now)
      record.messages = request.network === 'udp'
      const priority = Math.max(request.priority, this.#config.firstPriority)
      this.emit({ type: 'open', stream, request: { ...request, priority } })
    }
  }

  /** Whether the id may be used; a sub-connection that has it already ends. */
  #isFree(stream: number): boolean {
    const record = this.streams.get(stream)
    if (record !== undefined)
      this.onStreamFault(record, `New with the id ${stream}, which is in use`)
    return record === undefined
  }
}
