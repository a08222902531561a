// SOCKS on a socket of the local port: drives the handshake machine, then carries the tunnel or datagrams.
import type { Socket } from 'node:net'
import type { Address } from '../../codec/address.ts'
import { dropReads } from '../../session/lent-reads.ts'
import { closeGently } from '../close-gently.ts'
import { reportFailure } from '../failure.ts'
import type { InboundContext } from './inbound-tunnel.ts'
import { openForProgram, sourceOf, watchDeparture } from './inbound-tunnel.ts'
import { relay } from '../relay.ts'
import { leaveWithProgram } from './leaving.ts'
import { encodeSocks4Reply, Socks4Handshake } from './socks4.ts'
import { encodeSocks5Reply, Socks5Handshake, Socks5Reply } from './socks5.ts'
import type { Socks5Event } from './socks5.ts'
import type { UdpAssociations } from '../udp/udp-inbound.ts'

const NO_BYTES = new Uint8Array(0)

/** What SOCKS needs beside what HTTP needs too. */
export interface SocksContext extends InboundContext {
  readonly associations: UdpAssociations
}

/** One version of SOCKS: its handshake and how a tunnel is answered, by the reply that SOCKS5 has for it. */
interface Version {
  readonly protocol: 'socks4' | 'socks5'
  readonly handshake: { receive(chunk: Uint8Array): readonly Socks5Event[] }
  readonly reply: (reply: number) => Uint8Array
}

/**
 * Serves SOCKS4, SOCKS4a or SOCKS5 on `socket`. `onHandshakeOver` is called once the request stands or was refused, with
 * what followed it; from then on it is nobody else's.
 *
 * @returns what takes the bytes of the handshake, which it does not keep
 */
export function serveSocks(
  socket: Socket,
  version: 4 | 5,
  context: SocksContext,
  onHandshakeOver: (rest: Uint8Array) => void,
): (bytes: Uint8Array) => void {
  const socks = version === 4 ? socks4(context) : socks5(context)
  return (bytes) => {
    for (const event of socks.handshake.receive(bytes)) {
      switch (event.type) {
        case 'send':
          socket.write(event.bytes)
          break
        case 'connect':
          onHandshakeOver(event.rest)
          void serveTunnel(socket, event.target, socks, context)
          break
        case 'associate':
          onHandshakeOver(NO_BYTES)
          dropReads(socket, ignore)
          context.associations.associate(socket, event.source, context)
          break
        case 'refuse':
          onHandshakeOver(NO_BYTES)
          context.emit('invalid', {
            source: sourceOf(socket),
            reason: `SOCKS${version}: ${event.reason}`,
          })
          endGently(socket)
          break
      }
    }
  }
}

function socks4({ checkCredentials }: InboundContext): Version {
  return {
    protocol: 'socks4',
    handshake: new Socks4Handshake(checkCredentials !== undefined),
    reply: (reply) => encodeSocks4Reply(reply === Socks5Reply.Succeeded),
  }
}

function socks5({ checkCredentials }: InboundContext): Version {
  return {
    protocol: 'socks5',
    handshake: new Socks5Handshake(checkCredentials),
    reply: (reply) => encodeSocks5Reply(reply),
  }
}

async function serveTunnel(
  socket: Socket,
  target: Address,
  { protocol, reply }: Version,
  context: InboundContext,
): Promise<void> {
  const departure = watchDeparture(socket)
  const request = { source: sourceOf(socket), target, protocol }
  let stream
  try {
    stream = await openForProgram(context, request, departure.signal)
  } catch (error) {
    departure.release()
    endGently(socket, reply(reportFailure(error).socksReply))
    return
  }
  departure.release()
  socket.write(reply(Socks5Reply.Succeeded))
  leaveWithProgram(socket)
  await relay(socket, stream)
}

/** What the program still sends is for nobody. */
function endGently(socket: Socket, lastBytes?: Uint8Array): void {
  dropReads(socket, ignore)
  closeGently(socket, lastBytes)
}

function ignore(): void {}
