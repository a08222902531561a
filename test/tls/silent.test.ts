// Who connects and never says a word, not even of TLS: is let go as nginx lets him go, and leaves nothing behind.

import { once } from 'node:events'
import { connect, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { afterEach, expect, it, vi } from 'vitest'
import { HANDSHAKE_TIMEOUT } from '../../src/tls/entrance.ts'
import { createServer } from '../../src/tls/listen.ts'
import { makeTestCertificate } from '../support/certificate.ts'

afterEach(() => void vi.restoreAllMocks())

it('D54: a connection without a handshake is closed after 60 s', async () => {
  expect(HANDSHAKE_TIMEOUT).toBe(60_000)
  // The timer is one of Node's own, which no fake clock moves.
  const setTimeout = vi.spyOn(TLSSocket.prototype, 'setTimeout')
  setTimeout.mockImplementation(function (this: TLSSocket, timeout, callback) {
    Socket.prototype.setTimeout.call(this, timeout === HANDSHAKE_TIMEOUT ? 50 : timeout, callback)
    return this
  })
  const server = createServer({ ...(await makeTestCertificate()), password: 'letmein' })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect(server.address().port, '127.0.0.1')
  await once(client.resume(), 'end')
  client.destroy()
  await server.shutdown(0)
})
