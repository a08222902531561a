// The public face of `anytls/muxpro`: Mux.Pro 0.0 over any Duplex.
// Must never hold code of its own.
export { AnyTlsError, PeerCloseError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { CloseCode } from './mux/close-code.ts'
export type { StreamRequest } from './mux/machine.ts'
export type { Timeouts as MuxProTimeouts } from './muxpro/config.ts'
export type { Session, SessionEvents } from './session/session.ts'
export type { Stream } from './session/stream.ts'
export { MuxProPool, muxProClient, muxProServer } from './transport/muxpro.ts'
export type {
  MuxProClient,
  MuxProClientOptions,
  MuxProPoolOptions,
  MuxProServerOptions,
  MuxProTarget,
} from './transport/muxpro.ts'
export type { Address } from './wire/address.ts'
