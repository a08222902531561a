// Multiplexers over any Duplex, here over a TLSSocket each: ours and that of another project.
import { connect, createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { muxProClient, muxProServer } from '../../src/muxpro.ts'
import { netMuxClient, netMuxServer } from '../../src/netmux.ts'
import type { Link, Peer } from '../peer.ts'
import { makeYamux } from './yamux.ts'

const MAX_STREAMS = 100_000

function overTls(
  name: string,
  halfClose: boolean,
  open: (socket: TLSSocket) => Link,
  accept: (socket: TLSSocket, serve: (stream: Duplex) => void) => void,
): Peer {
  return {
    name,
    halfClose,
    listen: ({ key, cert }, serve) =>
      new Promise((resolve) => {
        const options = { key, cert, minVersion: 'TLSv1.3', noDelay: true } as const
        const server = createServer(options, (socket) => accept(socket, serve))
        server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
      }),
    connect: (port) =>
      new Promise((resolve, reject) => {
        const options = { host: '127.0.0.1', port, rejectUnauthorized: false } as const
        const socket = connect({ ...options, minVersion: 'TLSv1.3' }, () => {
          socket.setNoDelay(true)
          socket.off('error', reject)
          resolve(open(socket))
        })
        socket.once('error', reject)
      }),
  }
}

export const netMux = overTls(
  'net-mux',
  true,
  (socket) => {
    const session = netMuxClient(socket, { maxStreams: MAX_STREAMS })
    return {
      openStream: () => session.openStream(),
      close: () => ended(() => session.destroy()),
    }
  },
  (socket, serve) => void netMuxServer(socket, { maxStreams: MAX_STREAMS }).on('stream', serve),
)

function ended(end: () => void): Promise<void> {
  end()
  return Promise.resolve()
}

const TARGET = { host: 'bench.invalid', port: 1 }

export const muxPro = overTls(
  'Mux.Pro',
  false,
  (socket) => {
    const client = muxProClient(socket, { maxStreams: 65_000 })
    return {
      openStream: () => client.openStream({ target: TARGET }),
      close: () => ended(() => client.destroy()),
    }
  },
  (socket, serve) => void muxProServer(socket, { maxStreams: 65_000 }).on('stream', serve),
)

export const yamux = overTls(
  '@libp2p/yamux',
  // Its close() gives up what has not been read yet.
  false,
  (socket) => makeYamux(socket, 'outbound', MAX_STREAMS, () => {}),
  (socket, serve) => void makeYamux(socket, 'inbound', MAX_STREAMS, serve),
)
