// What the tests of servers with many users log in with, and lead to.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'
import type { Session } from '../../src/session/session.ts'
import { connect } from '../../src/tls/dial.ts'

export async function login(port: number, password: string): Promise<Session> {
  const session = await connect({ host: '127.0.0.1', port, password, insecure: true })
  onTestFinished(() => session.destroy())
  return session
}

/** A target that sends back what it is sent, and ends. */
export async function startTarget(): Promise<number> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {})
    socket.pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}
