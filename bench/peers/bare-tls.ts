// A bare TLSSocket: one stream a connection, nothing in between. The ceiling.
import { connect, createServer } from 'node:tls'
import type { AddressInfo } from 'node:net'
import type { Peer } from '../peer.ts'

export const bareTls: Peer = {
  name: 'bare TLSSocket',
  halfClose: true,
  listen: ({ key, cert }, serve) =>
    new Promise((resolve) => {
      const server = createServer(
        { key, cert, minVersion: 'TLSv1.3', allowHalfOpen: true, noDelay: true },
        serve,
      )
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
    }),
  connect: (port) =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port, rejectUnauthorized: false, allowHalfOpen: true }
      const socket = connect({ ...options, minVersion: 'TLSv1.3' }, () => {
        socket.setNoDelay(true)
        resolve({
          openStream: () => socket,
          close: () =>
            new Promise((done) => {
              if (socket.closed) done()
              socket.once('close', () => done())
              socket.destroy()
            }),
        })
      })
      socket.once('error', reject)
    }),
}
