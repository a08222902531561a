// What observers are told on the channels of diagnostics.ts.
// Must never be imported by what publishes it: its types name all of that.
import type { Session } from './session.ts'
import type { Stream } from './stream.ts'

/** What is told on each channel of `node:diagnostics_channel`, at once and within the turn in which it happens. */
export interface DiagnosticsMessages {
  /** Negotiation is over. */
  'anytls:session:open': { readonly session: Session }
  /** A session is over; `error` is missing where it ended in order. */
  'anytls:session:close': { readonly session: Session; readonly error: Error | undefined }
  /** A stream was opened, here or by the peer. */
  'anytls:stream:open': { readonly stream: Stream; readonly session: Session }
  /** A stream is over; `error` is missing where it ended in order or was destroyed without one. */
  'anytls:stream:close': { readonly stream: Stream; readonly error: Error | null | undefined }
}
