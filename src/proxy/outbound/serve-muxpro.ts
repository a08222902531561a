// The target `mux.pro`: a stream that is a Mux.Pro main connection to this server, each of whose
// sub-connections goes to a target of its own (Mux.Pro, Application Usage; D44).
// Must never let a bad sub-connection harm another, or serve a main connection inside of a main connection.
import { once } from 'node:events'
import { AnyTlsError } from '../../errors.ts'
import { guarded } from '../../session/callbacks.ts'
import type { Stream } from '../../session/stream.ts'
import { muxProServer } from '../../session/muxpro.ts'
import type { Address } from '../../codec/address.ts'
import { serveMuxProUdp } from '../udp/serve-muxpro-udp.ts'
import type { ServeStreamOptions } from './serve-target.ts'
import { refuse, serveTarget } from './serve-target.ts'
import type { TunnelStream } from '../tunnel.ts'

/** The host that means Mux.Pro. */
const MUXPRO_HOST = 'mux.pro'

/** Whether a stream to `target` is a Mux.Pro main connection. The port is of no importance (D44). */
export function isMuxPro({ host }: Address): boolean {
  return host.toLowerCase() === MUXPRO_HOST
}

/**
 * Serves a stream whose target is `mux.pro`, and all of its sub-connections, to their end. `allowTarget`,
 * `dial`, `relay` and `udp` hold for each of them. Never rejects for what a peer does.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID` for `options.muxPro`
 */
export async function serveMuxPro(
  stream: TunnelStream,
  target: Address,
  options: ServeStreamOptions = {},
): Promise<void> {
  const session = muxProServer(stream, { ...options.muxPro, autoAccept: false })
  stream.accept()
  guarded(() => options.observe?.({ type: 'open', target }))
  session.on('stream', (subConnection) => void serveSubConnection(subConnection, options))
  await once(session, 'close')
  guarded(() => options.observe?.({ type: 'closed', target }))
}

async function serveSubConnection(stream: Stream, options: ServeStreamOptions): Promise<void> {
  const { request } = stream
  if (request === undefined) return
  const { network, target } = request
  if (isMuxPro(target)) {
    const error = new AnyTlsError('ERR_TARGET_REJECTED', 'mux.pro inside of mux.pro')
    refuse(stream, error)
    guarded(() => options.observe?.({ type: 'refused', target, error }))
  } else if (network === 'udp') {
    await serveMuxProUdp(stream, target, options)
  } else {
    await serveTarget(stream, target, options)
  }
}
