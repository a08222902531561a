// Every error class and every error code of the package, in one table.
// Rule: a code, once released, keeps its meaning; text may be improved, codes may be added.
// This file must never import from another folder.

const TEXT = {
  // bytes
  ERR_VARINT_RANGE: 'value cannot be encoded as a variable-length integer',
  ERR_BLOCK_INVALID: 'data block is not valid',
  ERR_ADDRESS_INVALID: 'address is not valid',
  ERR_DATAGRAM_INVALID: 'what carries datagrams over the stream is not valid',
  // shaping
  ERR_SCHEME_SYNTAX: 'padding scheme is not valid',
  ERR_SCHEME_LIMIT: 'padding scheme asks for more than the limits allow',
  ERR_WORKLOAD_INVALID: 'a workload is not valid',
  ERR_SIMULATION_INVALID: 'a simulation is not valid',
  ERR_SHAPE_MISMATCH: 'records do not have the sizes that the padding scheme asks for',
  // the connection
  ERR_PROTOCOL_VIOLATION: 'the peer broke the protocol',
  ERR_VERSION_UNSUPPORTED: 'no protocol version in common',
  ERR_AUTH_REJECTED: 'the server did not accept the password, or is another kind of server',
  ERR_ALERT_RECEIVED: 'the peer sent an alert',
  ERR_CLOSE_RECEIVED: 'the peer closed the connection with an error',
  ERR_CONNECTION_LOST: 'the connection ended before its time',
  ERR_CONNECTION_TIMEOUT: 'no frame within the connection timeout',
  ERR_PING_TIMEOUT: 'a ping was not answered in time',
  ERR_PING_UNSUPPORTED: 'the peer answers no pings',
  ERR_TOO_MANY_RESETS: 'the peer opened and reset streams faster than it may',
  ERR_SESSION_CLOSED: 'the session is closed',
  ERR_SESSION_DRAINING: 'the session takes no new streams',
  ERR_STREAM_LIMIT: 'the session has as many streams as it may have',
  // a stream
  ERR_STREAM_RESET: 'the stream was reset',
  ERR_STREAM_TIMEOUT: 'no frame on the stream within its timeout',
  ERR_STREAM_OPEN_TIMEOUT: 'the peer did not accept the stream in time',
  ERR_STREAM_STALLED: 'the stream was not read for too long and held up its connection',
  // to a server, and at one
  ERR_CONNECT_FAILED: 'could not connect to the server',
  ERR_CONNECT_TIMEOUT: 'connecting to the server took too long',
  ERR_LISTEN_FAILED: 'the address cannot be listened on',
  ERR_PROXY_PROTOCOL: 'the PROXY protocol header is missing or not valid',
  ERR_CERTIFICATE_PIN: 'the certificate of the server is not the pinned one',
  ERR_POOL_CLOSED: 'the pool of sessions is closed',
  // proxy
  ERR_DIAL_FAILED: 'the target could not be reached',
  ERR_DIAL_TIMEOUT: 'connecting to the target took too long',
  ERR_TARGET_INVALID: 'the stream does not begin with a valid target address',
  ERR_TARGET_REJECTED: 'the target is not allowed',
  ERR_HTTP_INVALID: 'what the target answers is not valid HTTP',
  // requests to the admin server
  ERR_REQUEST_INVALID: 'the request is not valid',
  ERR_REQUEST_TOKEN: 'the request needs the token of the admin server',
  ERR_REQUEST_REFUSED: 'the request comes from another site, or for another host',
  ERR_REQUEST_PATH: 'there is nothing at this path',
  ERR_REQUEST_METHOD: 'this method is not for this path',
  ERR_REQUEST_TYPE: 'the body of the request is not application/json',
  ERR_REQUEST_TOO_LARGE: 'the request is too large',
  ERR_REQUEST_TIMEOUT: 'the request took too long',
  ERR_REQUEST_FAILED: 'the server could not do what was asked',
  // options, files, links
  ERR_OPTION_INVALID: 'an option is not valid',
  ERR_FILE: 'a file cannot be used',
  ERR_LINK_INVALID: 'a share link is not valid',
  ERR_CAPTURE_INVALID: 'a capture is not valid',
  // users
  ERR_USER_EXISTS: 'another user has this name',
  ERR_USER_UNKNOWN: 'there is no such user',
  ERR_USER_REVOKED: 'the user was removed, disabled or given a new password',
  ERR_USER_EXPIRED: 'the time of the user is over',
  ERR_USER_QUOTA: 'the user has used up the quota',
  ERR_USER_LIMIT: 'the user has as many sessions or addresses as it may have',
} as const

/** A stable error code, a key of {@link ERROR_TEXT}. */
export type ErrorCode = keyof typeof TEXT

/** What each stable code means. The text is the default message. */
export const ERROR_TEXT: Readonly<Record<ErrorCode, string>> = TEXT

/**
 * Base of every error that this package creates. `code` is stable, `message` is one line for people.
 *
 * @example
 * stream.on('error', (error) => {
 *   if (error instanceof AnyTlsError && error.code === 'ERR_STREAM_RESET') retry()
 * })
 */
export class AnyTlsError extends Error {
  /** Says which error it is, and keeps its meaning from release to release. */
  readonly code: ErrorCode

  constructor(code: ErrorCode, message: string = ERROR_TEXT[code], options?: ErrorOptions) {
    super(message, options)
    this.name = new.target.name
    this.code = code
  }
}

/** A KV or TEXT data block that its appendix says must be rejected. */
export class BlockError extends AnyTlsError {
  /** Where the offending byte stands in the block, in bytes from its start. */
  readonly offset: number
  /** The short name of the rule that was broken, such as `kv-duplicate-key`. */
  readonly rule: string
  /** What is wrong, without the place: for a reader that tells the place in its own terms. */
  readonly problem: string

  constructor(rule: string, offset: number, problem: string) {
    super('ERR_BLOCK_INVALID', `${problem} (rule ${rule}, byte ${offset})`)
    this.rule = rule
    this.offset = offset
    this.problem = problem
  }
}

/** A padding scheme that cannot be used. */
export class SchemeError extends AnyTlsError {
  /** Line in the scheme, from 1. */
  readonly line: number
  /** Column in the line, from 1, in characters. */
  readonly column: number

  constructor(
    code: 'ERR_SCHEME_SYNTAX' | 'ERR_SCHEME_LIMIT',
    line: number,
    column: number,
    message: string,
  ) {
    super(code, `line ${line}, column ${column}: ${message}`)
    this.line = line
    this.column = column
  }
}

/** A stream or connection that its peer ended with a close code (D21; see `CloseCode`). */
export class PeerCloseError extends AnyTlsError {
  /** The peer's close code; codes without a name are carried as they came. */
  readonly closeCode: number
  /** The peer's own words, possibly empty. Text from the wire: escape it before showing it. */
  readonly reason: string

  constructor(code: 'ERR_STREAM_RESET' | 'ERR_CLOSE_RECEIVED', closeCode: number, reason = '') {
    super(code, `${ERROR_TEXT[code]} (code ${closeCode})`)
    this.closeCode = closeCode
    this.reason = reason
  }
}

/** The error for an option, or for what stands in the place of one, that cannot be used. */
export function invalidOption(problem: string, options?: ErrorOptions): AnyTlsError {
  return new AnyTlsError('ERR_OPTION_INVALID', problem, options)
}

/** The error of a peer that breaks the protocol. */
export function violation(problem: string, options?: ErrorOptions): AnyTlsError {
  return new AnyTlsError('ERR_PROTOCOL_VIOLATION', problem, options)
}

/**
 * The error of a server that did not answer as one of ours. Without a word heard of it the cause says that it only hung
 * up, as a server that is being stopped does, too: then another attempt may succeed.
 */
export function authRejected(message: string, heard: boolean): AnyTlsError {
  const cause = heard ? undefined : new AnyTlsError('ERR_CONNECTION_LOST')
  return new AnyTlsError('ERR_AUTH_REJECTED', message, cause && { cause })
}

/** Whether a server hung up on us before it had said anything. */
export function isWordlessRefusal({ code, cause }: AnyTlsError): boolean {
  return code === 'ERR_AUTH_REJECTED' && cause instanceof AnyTlsError
}
