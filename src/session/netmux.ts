// net-mux sessions over any Duplex: a socket, a TLSSocket, a stream of another session.
// Must never open or listen on anything: the Duplex is given, and belongs to the session from then on.
import type { Duplex } from 'node:stream'
import { parseNetMuxConfig } from '../wires/netmux/config.ts'
import type { NetMuxSettings } from '../wires/netmux/config.ts'
import { netMuxMachine } from '../wires/netmux/role.ts'
import type { NetMuxEnd } from '../wires/netmux/role.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { Session } from './session.ts'
import { prepareCarrier } from './carrier.ts'

/** Settings of one end, which the other end need not share. */
export interface NetMuxOptions extends NetMuxSettings {
  /**
   * Whether a stream that the peer opens is accepted when the `stream` listeners have run. Default true;
   * with false `stream.accept()` does it, or the first write.
   */
  readonly autoAccept?: boolean | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
}

/**
 * The end that opens streams with odd ids, usually the one that connected. Both ends may open streams:
 * `session.openStream()` here, `session.on('stream')` for the peer's.
 *
 * `session.close()` takes no new streams, lets those that stand run to their end, says GoAway and resolves
 * when all of it has been written and the Duplex is closed.
 *
 * @param duplex where the bytes go; the session reads it, writes it and ends it, and turns TCP_NODELAY on
 *   where it is a socket
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 * @example
 * const session = netMuxClient(net.connect(7777))
 * const stream = session.openStream()
 * stream.end('hello')
 * for await (const chunk of stream) console.log(chunk.toString())
 * await session.close()
 */
export function netMuxClient(duplex: Duplex, options: NetMuxOptions = {}): Session {
  return makeSession('client', duplex, options)
}

/**
 * The end that opens streams with even ids, usually the one that was connected to. Otherwise as
 * {@link netMuxClient}.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 * @example
 * net.createServer((socket) => {
 *   netMuxServer(socket).on('stream', (stream) => stream.pipe(stream))
 * })
 */
export function netMuxServer(duplex: Duplex, options: NetMuxOptions = {}): Session {
  return makeSession('server', duplex, options)
}

function makeSession(role: NetMuxEnd, duplex: Duplex, options: NetMuxOptions): Session {
  const { clock = systemClock, autoAccept } = options
  const machine = netMuxMachine(role, parseNetMuxConfig(options), clock.now())
  return new Session({ duplex: prepareCarrier(duplex), machine, clock, autoAccept })
}
