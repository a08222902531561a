// What a reverse tunnel runs over: a TCP connection, or on the wires of TLS one stream of an ANYTLS session,
// since there the listening end may not open streams. Over either runs a mux whose roles do not ask who
// connected: the public end opens the streams, the end behind NAT serves them.

import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { connect, createServer } from '../src/index.ts'
import type { Session, Stream } from '../src/index.ts'
import { muxProClient, muxProServer } from '../src/muxpro.ts'
import { netMuxClient, netMuxServer } from '../src/netmux.ts'
import { parseHostPort } from '../src/codec.ts'
import { clientSecrets, isSecure, listen, serverSecrets } from './support.ts'
import type { Wire } from './support.ts'

interface ServerSettings {
  readonly wire: Wire
  readonly listen: string
  readonly key: string
  readonly cert: string
}

interface ClientSettings {
  readonly wire: Wire
  readonly connect: string
  readonly ca: string
}

/** Waits for the ends behind NAT. */
export function listenForCarriers(
  settings: ServerSettings,
  onCarrier: (carrier: Duplex) => void,
): Promise<void> {
  const server = isSecure(settings.wire)
    ? createServer(serverSecrets(settings), onCarrier)
    : net.createServer({ noDelay: true, allowHalfOpen: true }, onCarrier)
  return listen(server, settings.listen, 'tunnel')
}

/** Connects to the public end. */
export async function connectCarrier(settings: ClientSettings): Promise<Duplex> {
  const { wire } = settings
  const address = parseHostPort(settings.connect)
  if (isSecure(wire)) {
    const session = await connect({ ...address, ...clientSecrets(settings), wire })
    const stream = session.openStream()
    stream.once('close', () => void session.close())
    // A refused password shows here, with its own error.
    await stream.once('error', () => {}).accepted()
    return stream
  }
  const socket = net.connect({ ...address, noDelay: true, allowHalfOpen: true })
  await once(socket, 'connect')
  return socket
}

/** The public end. */
export interface Opener {
  readonly session: Session
  openStream(): Stream
}

/** Mux.Pro lets only its client open streams, so that is what the public end is. */
export function makeOpener(wire: Wire, carrier: Duplex): Opener {
  if (wire === 'muxpro') {
    const client = muxProClient(carrier)
    const target = { host: 'service.test', port: 80 }
    return { session: client.session, openStream: () => client.openStream({ target }) }
  }
  const session = netMuxServer(carrier)
  return { session, openStream: () => session.openStream() }
}

/** The end behind NAT: a session whose `stream` events are visitors, to be accepted or reset. */
export function makeServingEnd(wire: Wire, carrier: Duplex): Session {
  const options = { autoAccept: false }
  return wire === 'muxpro' ? muxProServer(carrier, options) : netMuxClient(carrier, options)
}
