// The public face of the package: connect, createServer and what they hand out.
// Must never hold code of its own.
export { AnyTlsError, BlockError, ERROR_TEXT, PeerCloseError, SchemeError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { CloseCode } from './mux/close-code.ts'
export { connect, type ConnectOptions } from './transport/dial.ts'
export {
  createServer,
  type Server,
  type ServerEvents,
  type ServerOptions,
} from './transport/listen.ts'
export { MemoryWireStore, type ServerWire, type WireStore } from './transport/wire-store.ts'
export { createFallback, type Fallback, type FallbackOptions } from './transport/fallback.ts'
export { parseFallbackEndpoint, type FallbackEndpoint } from './transport/fallback-endpoint.ts'
export type { OpenStreamOptions, Session, SessionEvents } from './session/session.ts'
export { SessionPool, type SessionPoolOptions } from './session/pool.ts'
export type { Stream } from './session/stream.ts'
export type { SessionTimeouts } from './transport/session-options.ts'
export type { Timeouts } from './anytls/config.ts'
