// The server's side of one proxy stream: reads the target and hands the stream to whoever serves such targets.
// Some names are no place to connect to: those of UDP over TCP ask for datagrams, `mux.pro` for more streams.
// Must never throw or reject: a bad stream ends alone and its session lives on.
import type { Address } from '../../codec/address.ts'
import { guarded } from '../../session/callbacks.ts'
import { isMuxPro, serveMuxPro } from './serve-muxpro.ts'
import type { ServeStreamOptions } from './serve-target.ts'
import { refuse, serveTarget } from './serve-target.ts'
import { readTarget } from './target-preamble.ts'
import type { TunnelStream } from '../tunnel.ts'
import { isUdpOverTcp, serveUdp } from '../udp/udp-serve.ts'

/** Serves one stream that a client opened, to its end. Never rejects. */
export async function serveProxyStream(
  stream: TunnelStream,
  options: ServeStreamOptions = {},
): Promise<void> {
  // A stream that breaks also closes, and that is what is acted upon.
  stream.on('error', () => {})
  let target: Address | undefined
  try {
    target = await readTarget(stream, options.preamble)
    if (isUdpOverTcp(target)) await serveUdpStream(stream, target, options)
    else if (isMuxPro(target)) await serveMuxPro(stream, target, options)
    else await serveTarget(stream, target, options)
  } catch (error) {
    refuse(stream, error)
    guarded(() => options.observe?.({ type: 'refused', target, error }))
  }
}

function serveUdpStream(
  stream: TunnelStream,
  target: Address,
  { allowTarget, allowAddress, dial: { lookup } = {}, udp, observe }: ServeStreamOptions,
): Promise<void> {
  return serveUdp(stream, target, { ...udp, allowTarget, allowAddress, lookup, observe })
}
