// A TCP relay that counts flights: what the server sends is held from the client's first word until it is let
// through, so that a client that waits for an answer is seen to wait, whatever the clock says.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

export interface FlightRelay {
  readonly port: number
  /** How often the client has spoken after it had heard something, over all connections. */
  readonly flights: number
  /** Lets through what the server has sent, and sends, until the client speaks again. */
  release(): void
}

/** Starts one on a free port of loopback, in front of `port`; it ends with the test. */
export async function startFlightRelay(port: number): Promise<FlightRelay> {
  let flights = 0
  const releases: (() => void)[] = []
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    let isHeld = false
    let hasHeard = true
    const held: Buffer[] = []
    const tell = (bytes: Buffer) => {
      hasHeard = true
      client.write(bytes)
    }
    client.on('data', (bytes: Buffer) => {
      if (hasHeard) {
        flights += 1
        isHeld = true
        hasHeard = false
      }
      upstream.write(bytes)
    })
    upstream.on('data', (bytes: Buffer) => {
      if (isHeld) held.push(bytes)
      else tell(bytes)
    })
    releases.push(() => {
      isHeld = false
      for (const bytes of held.splice(0)) tell(bytes)
    })
    const end = () => {
      client.destroy()
      upstream.destroy()
    }
    for (const socket of [client, upstream]) socket.on('error', end).on('close', end)
    onTestFinished(end)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return {
    port: (server.address() as AddressInfo).port,
    get flights() {
      return flights
    },
    release: () => {
      for (const release of releases) release()
    },
  }
}
