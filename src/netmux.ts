// The public face of `anytls/netmux`: net-mux version 1 over any Duplex.
// Must never hold code of its own.
export { AnyTlsError, PeerCloseError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { CloseCode } from './engine/close-code.ts'
export { GoAwayCode } from './wires/netmux/go-away-code.ts'
export type { Session, SessionEvents } from './session/session.ts'
export type { Stream } from './session/stream.ts'
export { netMuxClient, netMuxServer } from './session/netmux.ts'
export type { NetMuxOptions } from './session/netmux.ts'
