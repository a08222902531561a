// The client's connection machine of the original wire: what leaves in one Deliver, version 1 or 2,
// answers to SYN, the server's padding scheme (D23, D25 to D29).
// Must never send the authentication block in pieces, or a SYN before the settings.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { StreamRecord } from '../../engine/stream-record.ts'
import { parseRawScheme } from '../../shaping/scheme.ts'
import type { LegacyConfig } from './config.ts'
import { LegacyConnection } from './connection.ts'
import type { RoleFrame } from './connection.ts'
import {
  encodeAuthBlock,
  encodeFin,
  encodePushHead,
  encodeSettings,
  encodeSyn,
} from './frame-encoder.ts'
import { MAX_STREAM_ID } from './frame.ts'
import type { Frame } from './frame.ts'
import { readText } from './peer-text.ts'
import { decodeServerSettings, encodeClientSettingsText, VERSION } from './settings.ts'
import { CLIENT_TABLE } from './state-tables.ts'
import type { ClientState, Input } from './state-tables.ts'

export class LegacyClientMachine extends LegacyConnection<ClientState> {
  /** Highest stream id ever opened on the connection. */
  protected highest = 0
  readonly #started: number
  /** Settings and SYNs that wait for the first data of their stream, to leave in one Deliver with it. */
  #held: Uint8Array[] = []
  /** The first stream whose SYN is held. */
  #heldFrom = Infinity
  #heldDue = Infinity
  /** Until when the server's settings are awaited. */
  #answerDue = Infinity
  /** When the driver must come back for an event that came about by a call of its own. */
  #tellDue = Infinity
  #schemeUpdated = false

  constructor(config: LegacyConfig, now: number) {
    super(
      {
        table: CLIENT_TABLE,
        state: 'initializing',
        awaitsAuth: false,
        frames: {
          accept: () => {},
          data: ({ id }, parts, bytes) => this.#say(id, [encodePushHead(id, bytes), ...parts]),
          reset: (id) => this.#say(id, [encodeFin(id)]),
        },
      },
      config,
      now,
    )
    this.#started = now
  }

  get mayOpen(): boolean {
    const open =
      this.state === 'initializing' || this.state === 'unconfirmed' || this.state === 'open'
    return open && this.streams.size < this.config.maxStreams && this.highest < MAX_STREAM_ID
  }

  openStream(now: number): number {
    this.now = now
    if (!this.mayOpen) throw this.openError()
    if (this.state === 'initializing') this.#flush()
    this.highest += 1
    const id = this.highest
    const record = this.streams.add(id, true, now)
    this.#held.push(encodeSyn(id))
    this.#heldFrom = Math.min(this.#heldFrom, id)
    this.#heldDue = Math.min(this.#heldDue, now + this.config.timeouts.hold)
    if (!this.streams.expectsAnswer) {
      this.streams.markAnswered(record)
      this.#tellDue = now
    }
    return id
  }

  protected get speaking(): boolean {
    return this.state !== 'initializing'
  }

  protected get negotiated(): boolean {
    return this.state === 'open' || this.state === 'draining'
  }

  /** Also while idle: middleboxes forget connections that are silent for 30 s. */
  protected override get keepsAlive(): boolean {
    return this.pingable
  }

  protected override get roleDeadline(): number {
    if (this.state === 'initializing') return this.#started + this.config.timeouts.hold
    return Math.min(this.#heldDue, this.#answerDue, this.#tellDue)
  }

  protected override onRoleTimeout(): void {
    this.#tellDue = Infinity
    if (this.state === 'initializing') {
      this.#flush()
      this.deliver(this.#takeHeld())
      return
    }
    if (this.now >= this.#heldDue) this.deliver(this.#takeHeld())
    if (this.now >= this.#answerDue) this.#useVersion(1)
  }

  protected override onFrame(frame: Frame): void {
    if (!this.negotiated && 'stream' in frame) this.#requireOpened(frame)
    super.onFrame(frame)
  }

  protected override move(input: Input): void {
    const { negotiated } = this
    super.move(input)
    // Only a frame moves it there. The server does not say who it is.
    if (this.negotiated && !negotiated) this.emit({ type: 'established', peer: '' })
  }

  protected onRoleFrame(frame: RoleFrame): void {
    switch (frame.type) {
      case 'server-settings':
        this.#useVersion(decodeServerSettings(frame.body))
        break
      case 'update-scheme':
        this.#onUpdateScheme(frame.body)
        break
      case 'synack':
        this.#onSynAck(frame.stream, frame.reason)
        break
      case 'auth':
      case 'syn':
      case 'settings':
        // Passed over, as in the reference: only clients have a use for them.
        break
    }
  }

  protected override lostError(): AnyTlsError {
    return new AnyTlsError('ERR_CONNECTION_LOST', this.negotiated ? undefined : NO_ANSWER)
  }

  protected onViolation(error: AnyTlsError): void {
    if (!this.tryMove('violation')) return
    this.closed(new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${NO_ANSWER}: ${error.message}`))
  }

  /** FIN would cut off the answer too, so it waits for the peer's end or for silence. */
  protected override finishWithoutHalfClose(record: StreamRecord): void {
    this.streams.schedule(record, this.now)
  }

  protected override get isDraining(): boolean {
    return this.state === 'draining' || this.state === 'draining-early'
  }

  /** Deliver 0, the authentication block; the settings are held for what comes with them. */
  #flush(): void {
    this.move('flush')
    const { passwordHash, scheme, name, timeouts } = this.config
    const shaper = this.shapeWith(scheme)
    this.send(encodeAuthBlock(passwordHash, shaper.authPadding()))
    this.#held.push(encodeSettings(encodeClientSettingsText(name, scheme.digest)))
    this.#answerDue = this.now + timeouts.answer
  }

  /** Writes a frame of a stream, together with the stream's SYN when that is still held. */
  #say(stream: number, parts: readonly Uint8Array[]): void {
    this.deliver(stream >= this.#heldFrom ? [...this.#takeHeld(), ...parts] : parts)
  }

  #takeHeld(): Uint8Array[] {
    const held = this.#held
    if (this.#heldFrom < Infinity) this.shapeStream()
    this.#held = []
    this.#heldFrom = Infinity
    this.#heldDue = Infinity
    return held
  }

  /** Before anything has shown whom we talk to, only frames that make sense are believed. */
  #requireOpened({ type, stream }: Extract<Frame, { stream: number }>): void {
    const ofStream = type === 'push' || type === 'fin' || type === 'synack'
    if (!ofStream || (stream > 0 && stream <= this.highest)) return
    throw new AnyTlsError('ERR_PROTOCOL_VIOLATION', `${type} on stream ${stream}, never opened`)
  }

  /** The server's version is known, or taken for granted; settings that come late still count. */
  #useVersion(version: number): void {
    this.#answerDue = Infinity
    this.isVersion2 = version >= VERSION
    this.streams.expectsAnswer = this.isVersion2
    if (this.isVersion2) return
    for (const record of this.streams.list()) {
      this.streams.markAnswered(record)
      // No open timer for it, whatever the server says later.
      record.heard = true
    }
  }

  #onSynAck(stream: number, reason: Uint8Array): void {
    if (reason.length === 0) {
      this.streams.onAnswer(stream, this.now)
    } else if (this.streams.has(stream)) {
      this.#say(stream, [encodeFin(stream)])
      this.streams.onReset(stream, CloseCode.DestinationUnreachable, readText(reason), this.now)
    }
  }

  #onUpdateScheme(body: Uint8Array): void {
    // Reading one is not cheap, and a server has no reason to send another.
    if (this.#schemeUpdated) return
    this.#schemeUpdated = true
    try {
      this.emit({ type: 'scheme', scheme: parseRawScheme(body) })
    } catch (error) {
      // D23: refused with a logged reason; the connection and the old scheme stay.
      if (!(error instanceof AnyTlsError)) throw error
      this.emit({ type: 'scheme-refused', error })
    }
  }
}

const NO_ANSWER =
  'the server did not answer on the original AnyTLS wire (wrong password, or another kind of server)'
