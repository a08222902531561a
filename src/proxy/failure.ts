// Why a target could not be reached, in one table: what the server tells the client over the stream,
// and what the client tells the program behind it.
import type { ErrorCode } from '../errors.ts'
import { AnyTlsError, PeerCloseError } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'

/** How one kind of failure is told. */
export interface FailureReport {
  /** Code of the stream reset that the server sends. */
  readonly closeCode: CloseCode
  /** Reason in that reset, and what people are shown. The client tells the kind by this text. */
  readonly reason: string
  /** SOCKS5 reply (RFC 1928 section 6). */
  readonly socksReply: number
  /** HTTP status. */
  readonly httpStatus: number
}

/**
 * The kinds, the most telling first. A timeout is SOCKS5 reply 4: reply 6, "TTL expired", is the name
 * of an ICMP message and would send its reader looking for a routing loop.
 */
export const FAILURES = {
  refused: {
    closeCode: CloseCode.DestinationUnreachable,
    reason: 'connection refused',
    socksReply: 5,
    httpStatus: 502,
  },
  timeout: {
    closeCode: CloseCode.Timeout,
    reason: 'connecting to the target took too long',
    socksReply: 4,
    httpStatus: 504,
  },
  'host-unreachable': {
    closeCode: CloseCode.DestinationUnreachable,
    reason: 'host unreachable',
    socksReply: 4,
    httpStatus: 502,
  },
  'network-unreachable': {
    closeCode: CloseCode.DestinationUnreachable,
    reason: 'network unreachable',
    socksReply: 3,
    httpStatus: 502,
  },
  'name-not-found': {
    closeCode: CloseCode.DestinationUnreachable,
    reason: 'name not found',
    socksReply: 4,
    httpStatus: 502,
  },
  rejected: {
    closeCode: CloseCode.Rejected,
    reason: 'target not allowed',
    socksReply: 2,
    httpStatus: 403,
  },
  malformed: {
    closeCode: CloseCode.ProtocolError,
    reason: 'target address not valid',
    socksReply: 1,
    httpStatus: 502,
  },
  general: {
    closeCode: CloseCode.DestinationUnreachable,
    reason: 'no connection to the target',
    socksReply: 1,
    httpStatus: 502,
  },
} as const satisfies Record<string, FailureReport>

/** The kind of a failure, a key of {@link FAILURES}. */
export type Failure = keyof typeof FAILURES

/** How to tell `error`, which is what `dial`, `readTarget` or an `OpenTunnel` threw. */
export function reportFailure(error: unknown): FailureReport {
  return FAILURES[failureOf(error)]
}

/** What kind of failure `error` is: for a peer's refusal by its code and reason, else by its cause. */
export function failureOf(error: unknown): Failure {
  if (error instanceof PeerCloseError) return peerFailure(error)
  if (!(error instanceof AnyTlsError)) return 'general'
  if (error.code === 'ERR_DIAL_FAILED') return dialFailure(error.cause)
  return FAILURE_OF_CODE[error.code] ?? 'general'
}

const FAILURE_OF_CODE: Partial<Record<ErrorCode, Failure>> = {
  ERR_DIAL_TIMEOUT: 'timeout',
  ERR_CONNECT_TIMEOUT: 'timeout',
  ERR_CONNECTION_TIMEOUT: 'timeout',
  ERR_PING_TIMEOUT: 'timeout',
  ERR_STREAM_OPEN_TIMEOUT: 'timeout',
  ERR_STREAM_TIMEOUT: 'timeout',
  ERR_TARGET_REJECTED: 'rejected',
  ERR_TARGET_INVALID: 'malformed',
}

function peerFailure({ closeCode, reason }: PeerCloseError): Failure {
  switch (closeCode) {
    case CloseCode.Timeout:
      return 'timeout'
    case CloseCode.Rejected:
      return 'rejected'
    case CloseCode.ProtocolError:
      return 'malformed'
    case CloseCode.DestinationUnreachable:
      return WORDS.find(([words]) => reason.includes(words))?.[1] ?? 'host-unreachable'
    default:
      // Without mux1 a refusal is a bare RST (D7): it says nothing about the target.
      return 'general'
  }
}

/** What a reason says: our own words, and those of servers of the original wire, which have a text alone. */
const WORDS: readonly (readonly [words: string, kind: Failure])[] = [
  [FAILURES.refused.reason, 'refused'],
  [FAILURES['host-unreachable'].reason, 'host-unreachable'],
  ['no route to host', 'host-unreachable'],
  [FAILURES['network-unreachable'].reason, 'network-unreachable'],
  ['network is unreachable', 'network-unreachable'],
  [FAILURES['name-not-found'].reason, 'name-not-found'],
  ['no such host', 'name-not-found'],
  ['i/o timeout', 'timeout'],
  [FAILURES.general.reason, 'general'],
]

function dialFailure(cause: unknown): Failure {
  const errors: readonly unknown[] = cause instanceof AggregateError ? cause.errors : [cause]
  const kinds = errors.map((error) =>
    systemFailure((error as { code?: unknown } | undefined)?.code),
  )
  return KINDS.find((kind) => kinds.includes(kind)) ?? 'general'
}

function systemFailure(code: unknown): Failure {
  switch (code) {
    case 'ECONNREFUSED':
    case 'ECONNRESET':
      return 'refused'
    case 'ETIMEDOUT':
      return 'timeout'
    case 'ENETUNREACH':
    case 'ENETDOWN':
      return 'network-unreachable'
    case 'EHOSTUNREACH':
    case 'EHOSTDOWN':
    case 'EADDRNOTAVAIL':
      return 'host-unreachable'
    case 'ENOTFOUND':
    case 'ENODATA':
    case 'EAI_AGAIN':
      return 'name-not-found'
    default:
      return 'general'
  }
}

const KINDS = Object.keys(FAILURES) as Failure[]
