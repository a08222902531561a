// The channels of node:diagnostics_channel on which the library tells observers what happens.
import { channel } from 'node:diagnostics_channel'

/** Their messages: `DiagnosticsMessages` in diagnostics-messages.ts. */
export const sessionOpened = channel('anytls:session:open')
export const sessionClosed = channel('anytls:session:close')
export const streamOpened = channel('anytls:stream:open')
export const streamClosed = channel('anytls:stream:close')
