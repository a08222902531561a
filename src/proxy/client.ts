// The client's side of opening a stream to a target: address out, acceptance in, again on a fresh session.
// Must never send anything but the address, and what may leave twice, before the stream is accepted: only
// so is a retry harmless.
import { setImmediate } from 'node:timers/promises'
import type { ErrorCode } from '../errors.ts'
import { AnyTlsError } from '../errors.ts'
import { CloseCode } from '../engine/close-code.ts'
import { orAborted } from '../session/callbacks.ts'
import { Session } from '../session/session.ts'
import { encodeAddress } from '../codec/address.ts'
import { concatBytes } from '../codec/bytes.ts'
import type { OpenTunnel, StreamSource, TunnelStream } from './tunnel.ts'

const MAX_RETRIES = 2

/** The session went, not the target: another session may well serve it. */
const SESSION_LOST: readonly ErrorCode[] = [
  'ERR_CONNECTION_LOST',
  'ERR_CONNECTION_TIMEOUT',
  'ERR_PING_TIMEOUT',
  'ERR_SESSION_CLOSED',
  'ERR_SESSION_DRAINING',
]

/**
 * Makes an {@link OpenTunnel} of a source of streams: a session, a `SessionPool`, or one of your own. When a session
 * dies before it has accepted the stream, as when a server is restarted, or falls silent (see
 * `SessionPool.openStream`), the stream is opened anew, twice at most.
 *
 * A stream that it gives away has an `error` listener.
 *
 * @example
 * const session = await connect({ host, port, password })
 * const openTunnel = createTunnelOpener(session)
 * const stream = await openTunnel({ host: 'example.com', port: 80 }, AbortSignal.timeout(10_000))
 * @returns throws what the source or `accepted()` threw last; `ERR_ADDRESS_INVALID` for a target that
 * cannot be encoded; when aborted, the signal's reason
 */
export function createTunnelOpener(source: StreamSource | Session): OpenTunnel {
  const openStream = async (signal: AbortSignal): Promise<TunnelStream> =>
    source instanceof Session ? source.openStream({ signal }) : source.openStream(signal)
  return async (target, signal, early) => {
    const address = encodeAddress(target)
    const preamble = early === undefined ? address : concatBytes([address, early])
    for (let retries = 0; ; retries += 1) {
      try {
        return await open(openStream, preamble, signal)
      } catch (error) {
        signal.throwIfAborted()
        if (retries === MAX_RETRIES || !isSessionLost(error)) throw error
        // A server that stops ends all its sessions: what has arrived about the others is heard first.
        await setImmediate()
      }
    }
  }
}

async function open(
  openStream: (signal: AbortSignal) => Promise<TunnelStream>,
  preamble: Uint8Array,
  signal: AbortSignal,
): Promise<TunnelStream> {
  const stream = await openStream(signal)
  stream.on('error', () => {})
  const silence = new Promise<never>((_resolve, reject) => {
    stream.once('silent', () => reject(new AnyTlsError('ERR_PING_TIMEOUT')))
  })
  try {
    signal.throwIfAborted()
    stream.write(preamble)
    await orAborted(Promise.race([stream.accepted(), silence]), signal)
    return stream
  } catch (error) {
    if (!stream.destroyed) stream.reset(CloseCode.RemoteDisconnect)
    throw error
  }
}

function isSessionLost(error: unknown): boolean {
  if (!(error instanceof AnyTlsError)) return false
  return SESSION_LOST.includes(error.code) || isBrokenHandshake(error)
}

/** A server that stops breaks off the handshakes of connections that it will not serve any more. */
function isBrokenHandshake({ code, cause }: AnyTlsError): boolean {
  return (
    code === 'ERR_CONNECT_FAILED' &&
    (cause as { code?: unknown } | undefined)?.code === 'ECONNRESET'
  )
}
