// What observers are told on the channels of diagnostics.ts.
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

/** What is told on each channel of `node:diagnostics_channel`, at once and within the turn in which it happens. */
export interface DiagnosticsMessages {
  /** Negotiation is over. */
  'anytls:session:open': {
    /** It may be used. */
    readonly session: Session
  }
  /** A session is over. */
  'anytls:session:close': {
    /** Which one; it was told of when it opened. */
    readonly session: Session
    /** Missing where it ended in order. */
    readonly error: Error | undefined
  }
  /** A stream was opened, here or by the peer. */
  'anytls:stream:open': {
    /** It has not been accepted yet. */
    readonly stream: Stream
    /** The one that it belongs to. */
    readonly session: Session
  }
  /** A stream is over. */
  'anytls:stream:close': {
    /** Which one. */
    readonly stream: Stream
    /** Missing where it ended in order, or was destroyed without one. */
    readonly error: Error | null | undefined
  }
}
