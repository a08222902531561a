// The server's side of one proxy stream: read the target, connect to it, accept, carry the data. A target
// that is a name of UDP over TCP is no place to connect to but asks for datagrams.
// Must never throw or reject: a bad stream ends alone and its session lives on.
import { AnyTlsError } from '../errors.ts'
import type { Address } from '../wire/address.ts'
import { reportFailure } from './failure.ts'
import type { DialOptions } from './outbound.ts'
import { dial } from './outbound.ts'
import type { RelayOptions } from './relay.ts'
import { relay } from './relay.ts'
import type { ReadTargetOptions } from './target-preamble.ts'
import { readTarget } from './target-preamble.ts'
import type { TunnelStream } from './tunnel.ts'
import type { ServeUdpOptions, UdpStreamEvent } from './udp-serve.ts'
import { isUdpOverTcp, serveUdp } from './udp-serve.ts'

/** What happened on a stream, for a log. Names in targets come from the peer. */
export type ProxyStreamEvent =
  /** Data flows between the stream and `target`. */
  | { readonly type: 'open'; readonly target: Address }
  /** The stream was refused; `target` is missing when it was not even named. */
  | { readonly type: 'refused'; readonly target: Address | undefined; readonly error: unknown }
  /** The stream is over. */
  | { readonly type: 'closed'; readonly target: Address }
  | UdpStreamEvent

/** Options of {@link serveProxyStream}. */
export interface ServeStreamOptions {
  /**
   * Whether streams and datagrams may go to `target`. A name is given as it came, not resolved. Default:
   * all may.
   */
  readonly allowTarget?: (target: Address) => boolean | Promise<boolean>
  readonly preamble?: ReadTargetOptions
  readonly dial?: Omit<DialOptions, 'signal'>
  readonly relay?: RelayOptions
  readonly udp?: ServeUdpOptions
  /** Told what happens, in order. Must not throw. */
  readonly observe?: (event: ProxyStreamEvent) => void
}

/** Serves one stream that a client opened, to its end. Never rejects. */
export async function serveProxyStream(
  stream: TunnelStream,
  options: ServeStreamOptions = {},
): Promise<void> {
  const { observe } = options
  // A stream that breaks also closes, and that is what is acted upon.
  stream.on('error', () => {})
  let target: Address | undefined
  let socket
  try {
    target = await readTarget(stream, options.preamble)
    if (isUdpOverTcp(target)) {
      const { allowTarget, dial: { lookup } = {}, udp } = options
      await serveUdp(stream, target, { ...udp, allowTarget, lookup, observe })
      return
    }
    socket = await connectTarget(stream, target, options)
  } catch (error) {
    refuse(stream, error)
    observe?.({ type: 'refused', target, error })
    return
  }
  stream.accept()
  observe?.({ type: 'open', target })
  await relay(stream, socket, options.relay)
  observe?.({ type: 'closed', target })
}

async function connectTarget(stream: TunnelStream, target: Address, options: ServeStreamOptions) {
  const gone = new AbortController()
  const onClose = () => gone.abort(new AnyTlsError('ERR_STREAM_RESET'))
  stream.once('close', onClose)
  if (stream.destroyed) onClose()
  try {
    if ((await options.allowTarget?.(target)) === false) {
      throw new AnyTlsError('ERR_TARGET_REJECTED')
    }
    return await dial(target, { ...options.dial, signal: gone.signal })
  } finally {
    stream.off('close', onClose)
  }
}

function refuse(stream: TunnelStream, error: unknown): void {
  if (stream.destroyed) return
  const { closeCode, reason } = reportFailure(error)
  stream.reset(closeCode, reason)
}
