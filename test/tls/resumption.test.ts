// Session tickets: taken by servers that share their keys, also after a new certificate, and not after new keys.
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as tlsConnect } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { makeTestCertificate } from '../support/certificate.ts'
import { startEchoServer } from '../support/server.ts'

/** Asks for a page; whether the session was resumed, and a ticket for the next time. */
async function visit(
  port: number,
  session?: Buffer,
): Promise<{ resumed: boolean; ticket: Buffer }> {
  const socket = tlsConnect({ port, host: '127.0.0.1', rejectUnauthorized: false, ...{ session } })
  const ticket = once(socket, 'session') as Promise<[Buffer]>
  await once(socket, 'secureConnect')
  const resumed = socket.isSessionReused()
  socket.resume().write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
  // A session that is resumed brings no other ticket.
  const latest = resumed && session !== undefined ? session : (await ticket)[0]
  socket.destroy()
  return { resumed, ticket: latest }
}

describe('session tickets', () => {
  it('servers with the same keys resume sessions of each other, others do not', async () => {
    const ticketKeys = randomBytes(48)
    const one = await startEchoServer({ ticketKeys })
    const other = await startEchoServer({ ticketKeys })
    const stranger = await startEchoServer()
    const { resumed, ticket } = await visit(one.port)
    expect(resumed).toBe(false)
    expect((await visit(one.port, ticket)).resumed).toBe(true)
    expect((await visit(other.port, ticket)).resumed).toBe(true)
    expect((await visit(stranger.port, ticket)).resumed).toBe(false)
  })

  it('sessions are resumed after a new certificate, and not after new keys', async () => {
    const { server, port } = await startEchoServer()
    const { ticket } = await visit(port)
    const { key, cert } = await makeTestCertificate()
    server.setCertificate(key, cert)
    expect((await visit(port, ticket)).resumed).toBe(true)
    const keys = randomBytes(48)
    server.setTicketKeys(keys)
    const next = await visit(port, ticket)
    expect(next.resumed).toBe(false)
    expect((await visit(port, next.ticket)).resumed).toBe(true)
    server.setCertificate(key, cert)
    expect((await visit(port, next.ticket)).resumed).toBe(true)
  })

  it('keys of another length are refused', async () => {
    const { server, port } = await startEchoServer()
    expect(() => server.setTicketKeys(randomBytes(32))).toThrow(
      expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error,
    )
    await visit(port)
  })
})
