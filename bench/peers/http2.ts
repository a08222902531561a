// node:http2: a request with a body for each stream, with windows as large as it takes for full speed.
import { connect, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import type { Peer } from '../peer.ts'

const WINDOW = 1_048_576
const settings = { initialWindowSize: WINDOW, maxConcurrentStreams: 100_000 }

export const http2: Peer = {
  name: 'node:http2',
  halfClose: true,
  listen: ({ key, cert }, serve) =>
    new Promise((resolve) => {
      const server = createSecureServer({ key, cert, minVersion: 'TLSv1.3', settings })
      server.on('session', (session) => session.setLocalWindowSize(8 * WINDOW))
      server.on('stream', (stream) => {
        stream.respond({ ':status': 200 })
        serve(stream)
      })
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port))
    }),
  connect: (port) =>
    new Promise((resolve, reject) => {
      const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false, settings })
      session.once('error', reject)
      session.once('connect', () => {
        session.setLocalWindowSize(8 * WINDOW)
        resolve({
          openStream: () => session.request({ ':method': 'POST' }, { endStream: false }),
          close: () =>
            new Promise((done) => {
              if (session.closed) done()
              session.once('close', () => done())
              session.destroy()
            }),
        })
      })
    }),
}
