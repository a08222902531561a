// The public face of `anytls/muxpro`: Mux.Pro 0.0 over any Duplex.
// Must never hold code of its own.
export { AnyTlsError, PeerCloseError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { CloseCode } from './engine/close-code.ts'
export type { StreamRequest } from './engine/machine.ts'
export type { CountPlace } from './wires/muxpro/frame.ts'
export type { Timeouts as MuxProTimeouts } from './wires/muxpro/config.ts'
export type { Session, SessionEvents } from './session/session.ts'
export type { Stream } from './session/stream.ts'
export { MuxProPool, muxProClient, muxProServer } from './session/muxpro.ts'
export type {
  MuxProClient,
  MuxProClientOptions,
  MuxProPoolOptions,
  MuxProServerOptions,
  MuxProTarget,
} from './session/muxpro.ts'
export type { Address } from './codec/address.ts'
