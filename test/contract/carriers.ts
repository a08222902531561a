// Everything that carries a stream of bytes, as one table: Node's own sockets and HTTP/2 beside the five of
// ours, each over real TCP or TLS on loopback, so that one suite can ask the same of all.
import { once } from 'node:events'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as connectTls, createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { connect, createServer } from '../../src/index.ts'
import type { ConnectOptions } from '../../src/index.ts'
import { muxProClient, muxProServer } from '../../src/muxpro.ts'
import { netMuxClient, netMuxServer } from '../../src/netmux.ts'
import { makeTestCertificate } from '../support/certificate.ts'

/** What a wire can say, and what a case must therefore not ask of it. */
export interface Caps {
  /** One direction can end while the other goes on. */
  readonly halfClose: boolean
  /** An end before its time can be told from one in order. */
  readonly reasons: boolean
  /** `destroy()` with nothing queued is an end to the peer, not an error. */
  readonly quietDestroy: boolean
  /** Several streams share one connection. */
  readonly shared: boolean
  /** A stream that is not read does not stop its siblings. */
  readonly credit: boolean
  /** It has the methods of a socket: setNoDelay, setKeepAlive, ref, unref. */
  readonly socket: boolean
  /** It is ours, and does what the project promises beyond what Node does. */
  readonly ours: boolean
}

/** The opener's end of a stream, and the end that was told of it. */
export interface Pair {
  readonly near: Duplex
  readonly far: Duplex
}

export interface Connection {
  /** Opens a stream, on a socket's carrier another connection. One at a time. */
  open(): Promise<Pair>
  /** Has `told` be called for every stream that the peer opens, as a listener of its own. */
  onStream(told: (far: Duplex) => void): void
  /** Opens a stream and waits for nobody. */
  openNear(): Duplex
  /** Ends the near side at once, as an application does that has no more use for it. */
  destroy(): void
  close(): Promise<void>
}

export interface Carrier {
  readonly name: string
  readonly caps: Caps
  connect(): Promise<Connection>
}

/** What a carrier's own code gives; the rest is the same for all. */
interface Parts {
  readonly openNear: () => Duplex
  readonly destroy: () => void
  readonly close: () => unknown
}

type Accept = (far: Duplex) => void

const PASSWORD = 'the same for all'
const LOOPBACK = '127.0.0.1'
const SOCKET: Caps = {
  halfClose: true,
  reasons: false,
  quietDestroy: true,
  shared: false,
  credit: true,
  socket: true,
  ours: false,
}
const OURS: Caps = {
  halfClose: true,
  reasons: true,
  quietDestroy: true,
  shared: true,
  credit: true,
  socket: true,
  ours: true,
}

const certificate = makeTestCertificate()

function carrier(name: string, caps: Caps, begin: (accept: Accept) => Promise<Parts>): Carrier {
  return {
    name,
    caps,
    async connect() {
      const listeners: Accept[] = []
      const taken: Duplex[] = []
      const waiting: Accept[] = []
      const parts = await begin((far) => {
        // Nobody's process ends because a stream that a case is done with is reset.
        far.on('error', () => {})
        for (const told of listeners) told(far)
        const taker = waiting.shift()
        if (taker === undefined) taken.push(far)
        else taker(far)
      })
      const nextFar = (): Promise<Duplex> => {
        const far = taken.shift()
        return far === undefined
          ? new Promise((resolve) => waiting.push(resolve))
          : Promise.resolve(far)
      }
      return {
        async open() {
          const near = parts.openNear()
          return { near, far: await nextFar() }
        },
        onStream: (told) => {
          listeners.push(told)
        },
        openNear: parts.openNear,
        destroy: parts.destroy,
        async close() {
          await parts.close()
        },
      }
    },
  }
}

/** Listens on a free port; `end` stops that and ends the connections. */
async function listen(server: TcpServer): Promise<{ port: number; end: () => Promise<void> }> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, LOOPBACK)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    async end() {
      const closed = once(server, 'close')
      server.close()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

/** A socket for each stream. */
function sockets(dial: () => Socket, end: () => Promise<void>): Parts {
  const opened: Socket[] = []
  const destroy = (): void => {
    for (const socket of opened) socket.destroy()
  }
  return {
    openNear() {
      const socket = dial()
      opened.push(socket)
      return socket
    },
    destroy,
    async close() {
      destroy()
      await end()
    },
  }
}

const net = carrier('net.Socket', SOCKET, async (accept) => {
  const { port, end } = await listen(
    createTcpServer({ allowHalfOpen: true, noDelay: true }, accept),
  )
  const options = { host: LOOPBACK, port, allowHalfOpen: true, noDelay: true }
  return sockets(() => connectTcp(options), end)
})

const tls = carrier('tls.TLSSocket', SOCKET, async (accept) => {
  const { port, end } = await listen(
    createTlsServer({ ...(await certificate), allowHalfOpen: true, noDelay: true }, accept),
  )
  const options = { host: LOOPBACK, port, rejectUnauthorized: false, allowHalfOpen: true }
  return sockets(() => connectTls(options), end)
})

// A stream that is not read must not use up what the connection may carry.
const HTTP2_STREAM_WINDOW = 262_144
const HTTP2_WINDOW = 16 * HTTP2_STREAM_WINDOW

// Its streams have no setNoDelay, setKeepAlive, ref and unref, and `destroy()` is told as `aborted`.
const http2 = carrier(
  'node:http2',
  { ...OURS, reasons: false, quietDestroy: false, socket: false, ours: false },
  async (accept) => {
    const settings = { initialWindowSize: HTTP2_STREAM_WINDOW }
    const server = createSecureServer({ ...(await certificate), settings })
    server.on('session', (session) => session.setLocalWindowSize(HTTP2_WINDOW))
    server.on('sessionError', () => {})
    server.on('stream', (stream) => {
      stream.respond({ ':status': 200 })
      accept(stream)
    })
    const { port, end } = await listen(server)
    const client = connectHttp2(`https://${LOOPBACK}:${port}`, {
      rejectUnauthorized: false,
      settings,
    })
    client.on('error', () => {})
    await once(client, 'connect')
    client.setLocalWindowSize(HTTP2_WINDOW)
    return {
      openNear: () => client.request({ ':method': 'POST' }, { endStream: false }),
      destroy: () => client.destroy(),
      async close() {
        client.destroy()
        await end()
      },
    }
  },
)

function anytls(name: string, caps: Caps, options: Partial<ConnectOptions>): Carrier {
  return carrier(name, caps, async (accept) => {
    const server = createServer({ ...(await certificate), password: PASSWORD }, accept)
    server.listen(0, LOOPBACK)
    await once(server, 'listening')
    const { port } = server.address()
    const where = { host: LOOPBACK, port, password: PASSWORD, insecure: true }
    const session = await connect({ ...where, ...options })
    return {
      openNear: () => session.openStream(),
      destroy: () => session.destroy(),
      async close() {
        session.destroy()
        await server.shutdown(0)
      },
    }
  })
}

/** A multiplexer over a TLSSocket. */
function overTls(
  name: string,
  caps: Caps,
  client: (socket: TLSSocket) => { openNear: () => Duplex; destroy: () => void },
  serve: (socket: TLSSocket, accept: Accept) => void,
): Carrier {
  return carrier(name, caps, async (accept) => {
    const { port, end } = await listen(
      createTlsServer({ ...(await certificate) }, (socket) => serve(socket, accept)),
    )
    const socket = connectTls({ host: LOOPBACK, port, rejectUnauthorized: false })
    await once(socket, 'secureConnect')
    const { openNear, destroy } = client(socket)
    return {
      openNear,
      destroy,
      async close() {
        destroy()
        await end()
      },
    }
  })
}

const TARGET = { host: 'contract.invalid', port: 1 }

const muxPro = overTls(
  'Mux.Pro',
  { ...OURS, halfClose: false },
  (socket) => {
    const client = muxProClient(socket)
    return {
      openNear: () => client.openStream({ target: TARGET }),
      destroy: () => client.destroy(),
    }
  },
  (socket, accept) => void muxProServer(socket).on('stream', accept),
)

const netMux = overTls(
  'net-mux',
  // Its one word for the end of both directions is RST.
  { ...OURS, quietDestroy: false },
  (socket) => {
    const session = netMuxClient(socket)
    return { openNear: () => session.openStream(), destroy: () => session.destroy() }
  },
  (socket, accept) => void netMuxServer(socket).on('stream', accept),
)

const BARE: Caps = { ...OURS, halfClose: false, reasons: false, credit: false }

/** Node's own first: they say what the answer is. */
export const CARRIERS: readonly Carrier[] = [
  net,
  tls,
  http2,
  anytls('ANYTLS v1', OURS, {}),
  anytls('ANYTLS v1 without mux1', BARE, { mux1: false }),
  anytls('original AnyTLS', BARE, { wire: 'legacy' }),
  muxPro,
  netMux,
]

/** Those whose wire can say what a case asks for, as rows for `it.each`. */
export function carriersWith(...caps: readonly (keyof Caps)[]): [string, Carrier][] {
  return CARRIERS.filter((one) => caps.every((cap) => one.caps[cap])).map((one) => [one.name, one])
}

export function carrierNamed(name: string): Carrier {
  const found = CARRIERS.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no carrier is called ${name}`)
  return found
}
