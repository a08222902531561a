// The server's side of one proxy stream: reads the target and hands the stream to whoever serves such targets.
// Some names are no place to connect to: those of UDP over TCP ask for datagrams, `mux.pro` for more streams.
// Must never throw or reject: a bad stream ends alone and its session lives on.
import type { MuxProServerOptions } from '../../session/muxpro.ts'
import type { Address } from '../../codec/address.ts'
import type { DialOptions } from './outbound.ts'
import type { RelayOptions } from '../relay.ts'
import { isMuxPro, serveMuxPro } from './serve-muxpro.ts'
import { refuse, serveTarget } from './serve-target.ts'
import type { ReadTargetOptions } from './target-preamble.ts'
import { readTarget } from './target-preamble.ts'
import type { TunnelStream } from '../tunnel.ts'
import type { ServeUdpOptions, UdpStreamEvent } from '../udp/udp-serve.ts'
import { isUdpOverTcp, serveUdp } from '../udp/udp-serve.ts'

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
  /** Limits of Mux.Pro main connections, and the first priority that a client may have (D41, D44). */
  readonly muxPro?: Omit<MuxProServerOptions, 'autoAccept' | 'clock'>
  /** Told what happens, in order. Must not throw. */
  readonly observe?: (event: ProxyStreamEvent) => void
}

/** Serves one stream that a client opened, to its end. Never rejects. */
export async function serveProxyStream(
  stream: TunnelStream,
  options: ServeStreamOptions = {},
): Promise<void> {
  // A stream that breaks also closes, and that is what is acted upon.
  stream.on('error', () => {})
  let target: Address
  try {
    target = await readTarget(stream, options.preamble)
  } catch (error) {
    refuse(stream, error)
    options.observe?.({ type: 'refused', target: undefined, error })
    return
  }
  if (isUdpOverTcp(target)) await serveUdpStream(stream, target, options)
  else if (isMuxPro(target)) await serveMuxPro(stream, target, options)
  else await serveTarget(stream, target, options)
}

async function serveUdpStream(
  stream: TunnelStream,
  target: Address,
  { allowTarget, dial: { lookup } = {}, udp, observe }: ServeStreamOptions,
): Promise<void> {
  try {
    await serveUdp(stream, target, { ...udp, allowTarget, lookup, observe })
  } catch (error) {
    refuse(stream, error)
    observe?.({ type: 'refused', target, error })
  }
}
