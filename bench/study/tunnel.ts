// The two ends of our tunnels, as processes of their own: one is forked as `server`, one as `client`. A client is
// fresh for each page, so that each page has a connection of its own.
import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer, SessionPool } from '../../src/index.ts'
import type { ConnectOptions } from '../../src/index.ts'
import { createInbound, createTunnelOpener, serveProxyStream } from '../../src/proxy.ts'
import { MemorySchemeStore, parseScheme } from '../../src/shaping.ts'

interface ServerOrder {
  readonly kind: 'server'
  readonly key: string
  readonly cert: string
  /** Text of the scheme of the client's direction, and of the server's. */
  readonly up: string
  readonly down: string | undefined
  readonly fixedKeepalive: boolean
}

interface ClientOrder {
  readonly kind: 'client'
  readonly wire: 'v1' | 'legacy'
  readonly port: number
  readonly ca: string
  /** What a client knows that was there before. */
  readonly scheme: string
  readonly fixedKeepalive: boolean
}

/** Answered by the port that listens; a client is closed by its port. */
export type Order = ServerOrder | ClientOrder | { readonly kind: 'close'; readonly port: number }

export interface Answer {
  /** Of the order. */
  readonly id: number
  readonly port: number
  readonly error?: string
}

export const PASSWORD = 'study'

/** Clients, by the port that each listens on. */
const clients = new Map<number, () => Promise<void>>()

process.on('message', ({ id, ...order }: Order & { readonly id: number }) => {
  void obey(order).then(
    (port) => process.send?.({ id, port }),
    (error: unknown) => process.send?.({ id, port: 0, error: String(error) }),
  )
})
// Whoever gave the orders has gone.
process.on('disconnect', () => process.exit())

/** Pings at the middle of what is drawn otherwise: after 15 s of silence. */
const inTheMiddle = { randomInt: (min: number, max: number) => (min + max - 1) >> 1 }
const drawn = { randomInt }

async function obey(order: Order): Promise<number> {
  if (order.kind === 'close') {
    await clients.get(order.port)?.()
    clients.delete(order.port)
    return 0
  }
  return order.kind === 'server' ? serve(order) : dial(order)
}

async function serve({ key, cert, up, down, fixedKeepalive }: ServerOrder): Promise<number> {
  const shapeDownlink = down === undefined ? false : parseScheme(down)
  const options = {
    ...{ key, cert, password: PASSWORD, scheme: parseScheme(up), shapeDownlink },
    ...(fixedKeepalive ? inTheMiddle : drawn),
  }
  const server = createServer({ ...options, autoAccept: false }, (stream) => {
    void serveProxyStream(stream)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

async function dial({ wire, port, ca, scheme, fixedKeepalive }: ClientOrder): Promise<number> {
  const schemeStore = new MemorySchemeStore()
  schemeStore.set(`127.0.0.1:${port}`, parseScheme(scheme))
  const options: ConnectOptions = {
    ...{ host: '127.0.0.1', port, password: PASSWORD, ca, wire },
    ...(fixedKeepalive ? inTheMiddle : drawn),
  }
  const pool = new SessionPool({
    connect: (signal) => connect({ ...options, servername: 'localhost', schemeStore, signal }),
    // All of a page on one connection, as of the browser itself.
    streamsPerSession: 1_000,
  })
  const inbound = createInbound({ openTunnel: createTunnelOpener(pool) })
  inbound.listen(0, '127.0.0.1')
  await once(inbound, 'listening')
  const listening = (inbound.address() as AddressInfo).port
  clients.set(listening, async () => {
    inbound.close()
    inbound.closeAllConnections()
    await pool.close()
  })
  return listening
}
