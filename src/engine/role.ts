// What one end of one wire is, as a value that the engine drives: its table, its frames, its rules, and what it
// does with the frames that only it knows.
// Must never be a class: what a role remembers stands in the closure that made it.
import type { AnyTlsError } from '../errors.ts'
import type { FrameReader } from '../codec/frame-reader.ts'
import type { CloseCode } from './close-code.ts'
import type { Connection, ConnectionSetup } from './connection.ts'
import type { StreamRequest, Wire } from './machine.ts'
import type { Streams } from './streams.ts'

/** `Frame` is what the decoder hands out, `Input` what the table of the role moves by. */
export interface Role<Frame, Input extends string> extends ConnectionSetup<Input> {
  readonly wire: Wire
  /** Most bytes of payload that one data frame carries. */
  readonly maxPayload: number
  /** States in which nothing of ours may be written: before authentication, or before negotiation. */
  readonly mute: readonly string[]
  /** Silence of the peer calls for a ping even when there are no streams. */
  readonly pingsIdle: boolean
  /**
   * Why there is no session, where the peer ended before both had agreed: `heard` when it had said something. Absent
   * where the end alone is all that is known.
   */
  readonly noAnswer?: (heard: boolean) => AnyTlsError

  makeDecoder(streams: Streams): FrameReader<Frame>
  /** Handles a frame. An AnyTlsError that it throws is the peer's violation. */
  handle(connection: Connection<Input>, frame: Frame): void
  /** The peer broke the protocol, or did too much of what it may do, and the connection stays ours to end. */
  violation(connection: Connection<Input>, error: AnyTlsError): void

  /** Absent where only the other end opens streams. */
  mayOpen?(connection: Connection<Input>): boolean
  /** Opens a stream, which {@link mayOpen}, and returns its id. */
  open?(connection: Connection<Input>, request: StreamRequest | undefined): number

  /** Writes a ping. Absent where the wire has none. */
  ping?(connection: Connection<Input>): void
  /** Whether the peer answers pings, once negotiated. Absent: yes. */
  answersPings?(): boolean
  /** Tells the peer that no new streams are taken. Absent where the wire has no frame for it. */
  goAway?(connection: Connection<Input>): void
  /**
   * Tells the peer that the connection is over, and why where the wire has words for it. Absent where it has no frame
   * for either.
   */
  goodbye?(connection: Connection<Input>, code: CloseCode, reason?: string): void

  /** How long both ends may be silent, in milliseconds. Asked while frames of ours may be written. */
  idleLimit(connection: Connection<Input>): number
  /** When {@link onDue} is to be called for a timer of the role's own; `Infinity` for never. Not asked ahead of the gate. */
  deadline?(connection: Connection<Input>): number
  /** @param unread gives what has come and is no whole frame */
  onDue?(connection: Connection<Input>, unread: () => readonly Uint8Array[]): void
  /** To be called before Writes are taken: what was held back for company leaves now. */
  beforeWrites?(connection: Connection<Input>): void
  /** The peer's input has ended: what of the streams may end with it. */
  beforeEnd?(connection: Connection<Input>): void

  /** What a connection begins with that has not to wait for anything. */
  begin?(connection: Connection<Input>): void
  /** Of a server that hands over whoever has not authenticated. */
  readonly gate?: Gate<Input>
}

/** Who gets past the first state (D14), and with which inputs others are handed over. */
export interface Gate<Input extends string> {
  /** Whether the peer has authenticated, by the first record alone; asked once. */
  readonly judge: JudgeRecord
  /** For a peer that has not. */
  readonly mismatch: Input
  /** How long the rest of the authentication may take, in milliseconds. */
  readonly limit: number
  /** For a peer that took longer. */
  readonly late: Input
  /** For a violation behind the authentication; `undefined` where that is no reason. */
  readonly violation: Input | undefined
}

/** The gate of a server on a wire with passwords. */
export function makeGate(
  judge: JudgeRecord,
  config: {
    readonly timeouts: { readonly auth: number }
    readonly onViolation: 'alert' | 'handover'
  },
): Gate<'auth-mismatch' | 'auth-timeout' | 'violation-handover'> {
  return {
    judge,
    mismatch: 'auth-mismatch',
    limit: config.timeouts.auth,
    late: 'auth-timeout',
    violation: config.onViolation === 'handover' ? 'violation-handover' : undefined,
  }
}

/** Whether a first record authenticates its sender. */
export type JudgeRecord = (firstRecord: Uint8Array) => boolean
