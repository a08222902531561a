// A TCP server on loopback whose connections a test takes one by one.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

export interface TcpEndpoint {
  readonly host: string
  readonly port: number
  /** The next connection, half-open, paused. It may come before it is asked for. */
  accept(): Promise<Socket>
  /** How many connections came. */
  readonly accepted: number
  stop(): Promise<void>
}

export async function startTcpEndpoint(): Promise<TcpEndpoint> {
  const sockets: Socket[] = []
  const waiting: Socket[] = []
  const takers: ((socket: Socket) => void)[] = []
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
    socket.on('error', () => {})
    sockets.push(socket)
    const taker = takers.shift()
    if (taker === undefined) waiting.push(socket)
    else taker(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    accept() {
      const socket = waiting.shift()
      if (socket !== undefined) return Promise.resolve(socket)
      return new Promise((resolve) => takers.push(resolve))
    },
    get accepted() {
      return sockets.length
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
