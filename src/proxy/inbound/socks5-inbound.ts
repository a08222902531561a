// SOCKS5 on a socket of the local port: drives the handshake machine, then carries the tunnel or datagrams.
// Must never wait without a limit for a program that is silent: the caller's timer ends its handshake.
import type { Socket } from 'node:net'
import type { Address } from '../../codec/address.ts'
import { closeGently } from '../close-gently.ts'
import { reportFailure } from '../failure.ts'
import type { InboundContext } from './inbound-tunnel.ts'
import { openForProgram, sourceOf, watchDeparture } from './inbound-tunnel.ts'
import { relay } from '../relay.ts'
import { encodeSocks5Reply, Socks5Handshake, Socks5Reply } from './socks5.ts'
import type { UdpAssociations } from '../udp/udp-inbound.ts'

/** What SOCKS5 needs beside what HTTP needs too. */
export interface Socks5Context extends InboundContext {
  readonly associations: UdpAssociations
}

/** Serves SOCKS5 on `socket`. `onHandshakeOver` is called once the request stands or was refused. */
export function serveSocks5(
  socket: Socket,
  context: Socks5Context,
  onHandshakeOver: () => void,
): void {
  const handshake = new Socks5Handshake(context.checkCredentials)
  const onReadable = () => {
    const chunk = socket.read() as Uint8Array | null
    if (chunk === null) return
    for (const event of handshake.receive(chunk)) {
      switch (event.type) {
        case 'send':
          socket.write(event.bytes)
          break
        case 'connect':
          release()
          if (event.rest.length > 0) socket.unshift(event.rest)
          void serveTunnel(socket, event.target, context)
          break
        case 'associate':
          release()
          context.associations.associate(socket, event.source, context)
          break
        case 'refuse':
          release()
          context.emit('invalid', { source: sourceOf(socket), reason: `SOCKS5: ${event.reason}` })
          closeGently(socket)
          break
      }
    }
  }
  const onEnd = () => socket.destroy()
  const release = () => {
    socket.off('readable', onReadable)
    socket.off('end', onEnd)
    onHandshakeOver()
  }
  socket.on('readable', onReadable)
  socket.on('end', onEnd)
}

async function serveTunnel(
  socket: Socket,
  target: Address,
  context: InboundContext,
): Promise<void> {
  const departure = watchDeparture(socket)
  const request = { source: sourceOf(socket), target, protocol: 'socks5' } as const
  let stream
  try {
    stream = await openForProgram(context, request, departure.signal)
  } catch (error) {
    departure.release()
    if (!socket.destroyed) closeGently(socket, encodeSocks5Reply(reportFailure(error).socksReply))
    return
  }
  departure.release()
  socket.write(encodeSocks5Reply(Socks5Reply.Succeeded))
  await relay(socket, stream)
}
