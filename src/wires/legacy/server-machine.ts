// The server's connection machine of the original wire: the decision on the first record, settings,
// streams that clients open and the answers to them (D14 to D18, D23).
// Must never write a byte before the client has authenticated.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { MachineEvent } from '../../engine/machine.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import { toTextBlock } from '../../codec/text-block.ts'
import { matchesLegacyAuth } from './auth.ts'
import type { LegacyServerConfig } from './config.ts'
import { LegacyConnection } from './connection.ts'
import type { RoleFrame } from './connection.ts'
import {
  encodeAlert,
  encodeFin,
  encodePushHead,
  encodeServerSettings,
  encodeSynAck,
  encodeUpdateScheme,
} from './frame-encoder.ts'
import type { Frame } from './frame.ts'
import { decodeClientSettings, encodeServerSettingsText, VERSION } from './settings.ts'
import { SERVER_TABLE } from './state-tables.ts'
import type { ServerState } from './state-tables.ts'

/** Most bytes of the text in an alert or a refusal. */
const MAX_TEXT = 1_024

export class LegacyServerMachine extends LegacyConnection<ServerState> {
  protected override readonly config: LegacyServerConfig
  readonly #started: number
  #matched = false
  #settled = false
  /** Streams that wait for SYNACK, and since when; the oldest stands first. */
  readonly #unanswered = new Map<number, number>()

  constructor(config: LegacyServerConfig, now: number) {
    super(
      {
        table: SERVER_TABLE,
        state: 'await-auth',
        awaitsAuth: true,
        frames: {
          accept: ({ id }) => this.#answer(id),
          data: ({ id }, parts, bytes) => this.deliver([encodePushHead(id, bytes), ...parts]),
          reset: (id, _code, reason) => this.#reset(id, reason),
        },
      },
      config,
      now,
    )
    this.config = config
    this.#started = now
  }

  /** Only clients open streams. */
  get mayOpen(): boolean {
    return false
  }

  openStream(): number {
    throw new AnyTlsError('ERR_STREAM_LIMIT', 'a server opens no streams')
  }

  override receive(chunk: Uint8Array, now: number): readonly MachineEvent[] {
    if (this.state === 'await-auth' && !this.#matched) {
      // D14, D18: this one record decides, whatever its length.
      if (!matchesLegacyAuth(chunk, this.config.passwordHash)) {
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

  protected get negotiated(): boolean {
    return this.state === 'open' || this.state === 'draining'
  }

  protected override get roleDeadline(): number {
    if (this.state === 'await-auth') return this.#started + this.config.timeouts.auth
    const [oldest] = this.#unanswered.values()
    return oldest === undefined ? Infinity : oldest + this.config.timeouts.synack
  }

  protected override onRoleTimeout(): void {
    if (this.state === 'await-auth') {
      this.move('auth-timeout')
      this.handOver({ cause: 'auth-timeout', unread: this.decoder.unread(), error: undefined })
      return
    }
    const due = this.now - this.config.timeouts.synack
    for (const [id, opened] of this.#unanswered) {
      if (opened > due) break
      this.streams.accept(id, this.now)
    }
  }

  protected override onFrame(frame: Frame): void {
    if (frame.type === 'fin') this.#unanswered.delete(frame.stream)
    super.onFrame(frame)
  }

  protected onRoleFrame(frame: RoleFrame): void {
    switch (frame.type) {
      case 'auth':
        if (this.config.downlinkScheme !== undefined) this.shapeWith(this.config.downlinkScheme)
        break
      case 'settings':
        this.#onSettings(frame.body)
        break
      case 'syn':
        this.#onSyn(frame.stream)
        break
      case 'update-scheme':
      case 'synack':
      case 'server-settings':
        // Passed over, as in the reference: only servers have a use for them.
        break
    }
  }

  protected onViolation(error: AnyTlsError): void {
    if (this.config.onViolation === 'handover' && this.tryMove('violation-handover')) {
      this.handOver({ cause: 'violation', unread: this.decoder.unread(), error })
    } else if (this.tryMove('violation')) {
      this.send(encodeAlert(toTextBlock(error.message, MAX_TEXT)))
      this.closed(error)
    }
  }

  /** FIN ends both directions; a server's end is usually the end of the answer (D6). */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.accept(record.id, this.now)
    this.#reset(record.id, '')
    this.streams.end(record, undefined)
  }

  #onSettings(body: Uint8Array): void {
    // Settings that come again change nothing.
    if (this.#settled) return
    this.#settled = true
    const { version, client, schemeDigest } = decodeClientSettings(body)
    const { scheme } = this.config
    // D23: at once, whenever the digests differ, and the raw text, whose digest it is.
    const answer =
      schemeDigest === scheme.digest ? [] : [encodeUpdateScheme(utf8ToBytes(scheme.text))]
    this.isVersion2 = version >= VERSION
    if (this.isVersion2) answer.push(encodeServerSettings(encodeServerSettingsText()))
    if (answer.length > 0) this.deliver(answer)
    this.emit({ type: 'established', peer: client })
  }

  #onSyn(stream: number): void {
    if (this.streams.has(stream)) return
    if (this.isDraining) {
      this.streams.refuse(stream, CloseCode.Rejected, 'the server is stopping')
    } else if (this.streams.size >= this.config.maxStreams) {
      this.streams.refuse(stream, CloseCode.ResourceExhausted, 'too many streams')
    } else {
      this.streams.add(stream, false, this.now)
      if (this.isVersion2) this.#unanswered.set(stream, this.now)
      this.shapeStream()
      this.emit({ type: 'open', stream })
    }
  }

  #answer(stream: number): void {
    if (this.#unanswered.delete(stream)) this.send(encodeSynAck(stream))
  }

  /** Before SYNACK version 2 says why; behind it, and in version 1, there is only FIN. */
  #reset(stream: number, reason: string): void {
    const unanswered = this.#unanswered.delete(stream) || !this.streams.has(stream)
    const frame =
      this.isVersion2 && unanswered
        ? encodeSynAck(stream, toTextBlock(reason || 'refused', MAX_TEXT))
        : encodeFin(stream)
    this.send(frame)
  }
}
