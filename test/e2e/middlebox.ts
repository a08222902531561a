// What stands between a client and its server: forwards connections, sends new ones elsewhere when told
// to, and forgets those that stand, as a box on the way does that has dropped its state, resets them, or is late.
import { once } from 'node:events'
import net from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { Transform } from 'node:stream'

export interface Middlebox {
  /** Where clients connect, on 127.0.0.1. */
  readonly port: number
  /** Connections that came so far. */
  readonly connections: number
  /** New connections go to `port` of 127.0.0.1 from now on; those that stand stay. */
  leadTo(port: number): void
  /** Takes the bytes of the connections that stand from now on and delivers none; new ones are served. */
  forget(): void
  /** Resets the connections that stand, at both ends. */
  reset(): void
  /** Resets those that it has forgotten, as when the box itself is gone. */
  resetForgotten(): void
  /** What comes from now on is delivered `wait` milliseconds later, one piece after the other. */
  delay(wait: number): void
  stop(): Promise<void>
}

export async function startMiddlebox(target: number): Promise<Middlebox> {
  const pairs = new Set<readonly [Socket, Socket]>()
  const forgotten: Socket[] = []
  let port = target
  let connections = 0
  let wait = 0
  const late = (): Transform =>
    new Transform({
      transform(chunk, _encoding, callback) {
        if (wait === 0) callback(null, chunk)
        else setTimeout(callback, wait, null, chunk)
      },
    })
  const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (near) => {
    connections += 1
    const far = net.connect({ host: '127.0.0.1', port, allowHalfOpen: true, noDelay: true })
    const pair = [near, far] as const
    pairs.add(pair)
    for (const [from, to] of [pair, [far, near] as const]) {
      from.on('error', () => {
        if (pairs.has(pair)) to.resetAndDestroy()
      })
      from.once('close', () => pairs.delete(pair))
      from.pipe(late()).pipe(to)
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections
    },
    leadTo(next) {
      port = next
    },
    forget() {
      for (const pair of pairs) {
        for (const socket of pair) socket.unpipe().resume()
        forgotten.push(...pair)
      }
      pairs.clear()
    },
    reset() {
      for (const pair of pairs) for (const socket of pair) socket.resetAndDestroy()
      pairs.clear()
    },
    resetForgotten() {
      for (const socket of forgotten.splice(0)) socket.resetAndDestroy()
    },
    delay(next) {
      wait = next
    },
    async stop() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of [...[...pairs].flat(), ...forgotten]) socket.destroy()
      await closed
    },
  }
}
