// A relay that holds all bytes back for a while: what lies between an onlooker beside the client and the server.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'

/** @param delay each way, in ms */
export async function startDelay(
  to: number,
  delay: number,
): Promise<{ port: number; stop(): void }> {
  const open = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    const far = connect({ port: to, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    for (const [from, into] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(from)
      from.on('data', (bytes) => setTimeout(() => into.write(bytes), delay))
      from.on('end', () => setTimeout(() => into.end(), delay))
      from.on('error', () => into.destroy())
      from.on('close', () => open.delete(from))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    stop() {
      server.close()
      for (const socket of open) socket.destroy()
    },
  }
}
