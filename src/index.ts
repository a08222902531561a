// The public face of the package: connect, createServer and what they hand out.
// Must never hold code of its own.
export { AnyTlsError, BlockError, ERROR_TEXT, PeerCloseError, SchemeError } from './errors.ts'
export type { ErrorCode } from './errors.ts'
export { CloseCode } from './engine/close-code.ts'
export { connect, type ConnectOptions } from './tls/dial.ts'
export type { ServerUsers } from './tls/first-record.ts'
export { createServer, type Server, type ServerEvents } from './tls/listen.ts'
export {
  MemoryWireStore,
  type KnownWire,
  type ServerWire,
  type WireStore,
} from './tls/wire-store.ts'
export { createFallback, type Fallback, type FallbackOptions } from './fallback/fallback.ts'
export type { PrivatePages } from './fallback/private-pages.ts'
export type { SiteAnswer, SiteRequest } from './fallback/site-answer.ts'
export { parseFallbackEndpoint, type FallbackEndpoint } from './fallback/fallback-endpoint.ts'
export type { DiagnosticsMessages } from './session/diagnostics-messages.ts'
export type { OpenStreamOptions, Session, SessionEvents } from './session/session.ts'
export { SessionPool, type SessionPoolOptions } from './session/pool.ts'
export type { SessionUser, Stream } from './session/stream.ts'
export type { SessionTimeouts } from './tls/session-options.ts'
export type { Timeouts } from './wires/anytls/config.ts'
export type { ServerOptions, ServerUpdate } from './tls/server-options.ts'
export type { FallbackConnection } from './fallback/fallback-connection.ts'
export type { ProxyProtocolEnds, ProxyProtocolVersion } from './codec/proxy-protocol.ts'
export type { Clock, Timer } from './session/clock.ts'
export type { Wire } from './engine/machine.ts'
export type { LegacyTimeouts } from './wires/legacy/config.ts'
