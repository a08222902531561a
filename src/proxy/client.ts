// The client's side of opening a stream to a target: address out, acceptance in, again on a fresh session.
// Must never open again what a program may have sent data on: only so is a retry harmless.
import { setImmediate } from 'node:timers/promises'
import type { ErrorCode } from '../errors.ts'
import { AnyTlsError, PeerCloseError, isWordlessRefusal, invalidOption } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import { MAX_DELAY } from '../session/clock.ts'
import { Session } from '../session/session.ts'
import { encodeAddress } from '../codec/address.ts'
import { concatBytes } from '../codec/bytes.ts'
import type { OpenTunnel, StreamSource, TunnelStream } from './tunnel.ts'

const MAX_RETRIES = 2

/** How long a tunnel waits for the server's word, in ms: what takes longer costs a round trip that can be felt. */
const DEFAULT_REPLY_WAIT = 10

/** Answers that are remembered, to know whether waiting for the next one is of use. */
const REMEMBERED_ANSWERS = 16

/** Options of {@link createTunnelOpener}. */
export interface TunnelOpenerOptions {
  /**
   * How long a tunnel waits for the server to accept it, in milliseconds, before it is given away as it is:
   * what is written then follows the address without a round trip, and a refusal ends the stream with its error.
   * `Infinity` waits for the answer in any case. Where none of the last answers came as fast as that, nothing is
   * waited for. Default 10.
   */
  readonly replyWait?: number | undefined
}

/** The session went, not the target: another session may well serve it. */
const SESSION_LOST: readonly ErrorCode[] = [
  'ERR_CONNECTION_LOST',
  'ERR_CONNECTION_TIMEOUT',
  'ERR_PING_TIMEOUT',
  'ERR_SESSION_CLOSED',
  'ERR_SESSION_DRAINING',
]

/**
 * Makes an {@link OpenTunnel} of a source of streams: a session, a `SessionPool`, or one of your own. When a session of a
 * pool dies before it has accepted the stream, as when a server is restarted, or falls silent (see
 * `SessionPool.openStream`), the stream is opened anew, twice at most, as long as it has not been given away.
 *
 * A stream that it gives away has an `error` listener.
 *
 * @example
 * const session = await connect({ host, port, password })
 * const openTunnel = createTunnelOpener(session)
 * const late = new AbortController()
 * const timer = setTimeout(() => late.abort(), 10_000)
 * const stream = await openTunnel({ host: 'example.com', port: 80 }, late.signal)
 * clearTimeout(timer)
 * @returns throws what the source or `accepted()` threw last; `ERR_ADDRESS_INVALID` for a target that
 * cannot be encoded; when aborted, the signal's reason
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function createTunnelOpener(
  source: StreamSource | Session,
  { replyWait = DEFAULT_REPLY_WAIT }: TunnelOpenerOptions = {},
): OpenTunnel {
  if (!(replyWait >= 0)) {
    throw invalidOption('replyWait must be at least 0 milliseconds')
  }
  const answers = new AnswerTimes(replyWait)
  const openStream = (signal: AbortSignal): TunnelStream | Promise<TunnelStream> =>
    source instanceof Session ? source.openStream({ signal }) : source.openStream(signal)
  // A session that is gone has no other to offer.
  const maxRetries = source instanceof Session ? 0 : MAX_RETRIES
  return async (target, signal, early) => {
    const address = encodeAddress(target)
    const preamble = early === undefined ? address : concatBytes([address, early])
    for (let retries = 0; ; retries += 1) {
      let stream: TunnelStream | undefined
      try {
        stream = await openStream(signal)
        stream.on('error', ignore)
        signal.throwIfAborted()
        stream.write(preamble)
        await answered(stream, answers, signal)
        return stream
      } catch (error) {
        if (stream?.destroyed === false) stream.reset(CloseCode.RemoteDisconnect)
        signal.throwIfAborted()
        if (retries === maxRetries || !isSessionLost(error)) throw error
        // A server that stops ends all its sessions: what has arrived about the others is heard first.
        await setImmediate()
      }
    }
  }
}

/** Resolves once the server has accepted the stream, or has been waited for long enough; rejects as `accepted` does. */
function answered(stream: TunnelStream, answers: AnswerTimes, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const asked = performance.now()
    let waiting = true
    const settle = (error?: Error): void => {
      waiting = false
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      if (error === undefined) resolve()
      else reject(error)
    }
    const onAbort = (): void => settle(signal.reason as Error)
    const onSilent = (): void => {
      const error = new AnyTlsError('ERR_PING_TIMEOUT')
      if (waiting) settle(error)
      // Whoever has it may have sent what must not leave twice, and can tell best what to do about it.
      else stream.destroy(error)
    }
    const onAnswer = (error?: Error): void => {
      stream.off('silent', onSilent)
      if (error === undefined || error instanceof PeerCloseError) {
        answers.add(performance.now() - asked)
      }
      if (waiting) settle(error)
    }
    const wait = answers.wait
    const timer = wait > 0 && wait <= MAX_DELAY ? setTimeout(settle, wait, undefined) : undefined
    stream.once('silent', onSilent)
    signal.addEventListener('abort', onAbort)
    stream.accepted().then(() => onAnswer(), onAnswer)
    if (wait === 0) settle()
  })
}

/** How long a server takes to answer, and so how long to wait for it. */
class AnswerTimes {
  readonly #patience: number
  readonly #last: number[] = []

  /** @param patience the longest wait, in milliseconds */
  constructor(patience: number) {
    this.#patience = patience
  }

  add(milliseconds: number): void {
    this.#last.push(milliseconds)
    if (this.#last.length > REMEMBERED_ANSWERS) this.#last.shift()
  }

  /** How long to wait for the next answer, in milliseconds: not at all when it cannot be expected within that time. */
  get wait(): number {
    const patience = this.#patience
    const hopeless = this.#last.length > 0 && this.#last.every((time) => time > patience)
    return hopeless ? 0 : patience
  }
}

function ignore(): void {}

function isSessionLost(error: unknown): boolean {
  if (!(error instanceof AnyTlsError)) return false
  return SESSION_LOST.includes(error.code) || isWordlessRefusal(error) || isBrokenHandshake(error)
}

/** A server that stops breaks off the handshakes of connections that it will not serve any more. */
function isBrokenHandshake({ code, cause }: AnyTlsError): boolean {
  return (
    code === 'ERR_CONNECT_FAILED' &&
    (cause as { code?: unknown } | undefined)?.code === 'ECONNRESET'
  )
}
