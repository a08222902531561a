// Errors of sockets that come when everybody is done with them: on every socket that a session, the proxy or the
// fallback has made or accepted, from the moment it is given up to long after it has closed.
import { once } from 'node:events'
import net, { Socket } from 'node:net'
import type { AddressInfo } from 'node:net'
import { TLSSocket } from 'node:tls'
import { setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { encodeAddress } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import { startCapture } from '../support/capture.ts'
import { netMuxClient, netMuxServer } from '../../src/netmux.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { createInbound } from '../../src/proxy/inbound/inbound.ts'
import { dial } from '../../src/proxy/outbound/outbound.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import { closedPort, connectTo, echoServer, listen, readExactly } from '../proxy/support.ts'
import { startEchoServer, startTcpServer } from '../support/server.ts'
import { takeUncaught } from '../support/uncaught.ts'

type Destroy = (error: Error | null, callback: (error: Error | null) => void) => void

const prototype = Socket.prototype as unknown as { _destroy: Destroy }
const destroy = prototype._destroy

/** Sockets that have been given up, the test's own aside. */
const given = new Set<Socket>()
/** Those of them that nobody listened to any more. */
const unheard: string[] = []

beforeEach(() => {
  given.clear()
  unheard.length = 0
  prototype._destroy = function (this: Socket, ...args) {
    given.add(this)
    if (this.listenerCount('error') === 0) unheard.push(nameOf(this))
    destroy.apply(this, args)
  }
})

afterEach(() => {
  prototype._destroy = destroy
})

function nameOf(socket: Socket): string {
  const kind = socket instanceof TLSSocket ? 'TLS' : 'TCP'
  return `${kind} ${socket.localPort ?? '?'} to ${socket.remotePort ?? '?'}`
}

/** Has an error come on each socket that was given up: there are at least so many. */
async function errLate(sockets: number): Promise<void> {
  const uncaught = takeUncaught()
  await expect.poll(() => given.size, { timeout: 3_000 }).toBeGreaterThanOrEqual(sockets)
  await expect.poll(() => [...given].every(({ closed }) => closed)).toBe(true)
  for (const socket of given) {
    for (const message of ['late', 'later still']) {
      if (socket.listenerCount('error') > 0) socket.emit('error', new Error(message))
      else unheard.push(`${nameOf(socket)}, closed`)
    }
  }
  await setTimeout(10)
  expect(unheard).toEqual([])
  expect(uncaught).toEqual([])
}

describe('a late error ends no process', () => {
  it.each(['v1', 'legacy'] as const)(
    'on both ends of a session that was closed: %s',
    async (wire) => {
      const { connect, server } = await startEchoServer()
      const session = await connect({ wire })
      const stream = session.openStream()
      stream.write('hello')
      await once(stream, 'data')
      stream.destroy()
      await session.close()
      await server.shutdown(0)
      await errLate(2)
    },
  )

  it('on both ends of a session that was destroyed in the middle', async () => {
    const { connect, server } = await startEchoServer()
    const session = await connect()
    const stream = session.openStream().on('error', () => {})
    stream.write(Buffer.alloc(1_000_000))
    await once(stream, 'data')
    session.destroy()
    await server.shutdown(0)
    await errLate(2)
  })

  it.each(['close', 'destroy'] as const)('on a socket that carried net-mux: %s', async (end) => {
    const server = net.createServer((socket) => void netMuxServer(socket))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => void server.close())
    const session = netMuxClient(net.connect((server.address() as AddressInfo).port, '127.0.0.1'))
    session.openStream().on('error', () => {})
    await setTimeout(20)
    await session[end]()
    await errLate(2)
  })

  it('on dials that fail: refused, not trusted, aborted', async () => {
    const { connect } = await startEchoServer()
    const silent = await startTcpServer(() => {})
    await expect(connect({ port: await closedPort() })).rejects.toThrow()
    await expect(connect({ ca: [] })).rejects.toThrow()
    await expect(connect({ port: silent, signal: AbortSignal.timeout(30) })).rejects.toThrow()
    await errLate(4)
  })

  it.each([
    ['the built-in site', undefined],
    ['an endpoint', echoServer],
    ['an endpoint that refuses', 'refused'],
  ] as const)('on a connection that went to the fallback: %s', async (_name, to) => {
    const port = to === 'refused' ? await closedPort() : to && (await listen(to()))
    const http1 = port === undefined ? undefined : { host: '127.0.0.1', port }
    const fallback = createFallback(http1 && { http1 })
    const { connectRaw, server } = await startEchoServer({ fallback })
    for (const leave of ['end', 'destroy'] as const) {
      const visitor = await connectRaw()
      visitor.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      if (to !== 'refused') await once(visitor, 'data')
      visitor[leave]()
    }
    await server.shutdown(0)
    await errLate(4)
  })

  it('on connections that never become TLS', async () => {
    const { port, server } = await startEchoServer()
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const visitor = await connectTo(port)
      visitor.write('this is not TLS')
      await setTimeout(20)
      visitor[leave]()
    }
    await server.shutdown(0)
    await errLate(2)
  })

  it('on programs and targets of the proxy, served, refused and broken off', async () => {
    const { connect } = await startEchoServer({}, (stream) => void serveProxyStream(stream))
    const session = await connect()
    const inbound = createInbound({ openTunnel: createTunnelOpener(session) })
    onTestFinished(() => void inbound.close())
    inbound.listen(0, '127.0.0.1')
    await once(inbound, 'listening')
    const { port } = inbound.address() as AddressInfo
    const target = await listen(echoServer())
    for (const [to, leave] of [
      [target, 'end'],
      [target, 'resetAndDestroy'],
      [await closedPort(), 'destroy'],
    ] as const) {
      const program = await connectTo(port)
      const address = encodeAddress({ host: '127.0.0.1', port: to })
      program.write(concatBytes([Uint8Array.of(5, 1, 0, 5, 1, 0), address]))
      await readExactly(program, 12)
      program[leave]()
    }
    for (const request of [
      '\x05',
      '\x04nonsense',
      'CONNECT nowhere\r\n\r\n',
      'GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: a\r\n\r\n',
    ]) {
      const program = await connectTo(port)
      program.write(request)
      await setTimeout(20)
      program.resetAndDestroy()
    }
    await setTimeout(50)
    inbound.closeAllConnections()
    session.destroy()
    await errLate(16)
  })

  it('on attempts that lost the race to a target', async () => {
    const winner = net.createServer((socket) => socket.on('error', () => {}))
    const port = await listen(winner)
    const lookup = () =>
      Promise.resolve(
        ['127.0.0.2', '127.0.0.1'].map((address) => ({ address, family: 4 as const })),
      )
    const socket = await dial({ host: 'both.test', port }, { lookup, attemptDelay: 1 })
    socket.on('error', () => {}).destroy()
    await errLate(2)
  })

  it('on both sides of a capture', async () => {
    const target = net.createServer((socket) => socket.on('error', () => {}).resume())
    const to = { host: '127.0.0.1', port: await listen(target) }
    const listenAt = { host: '127.0.0.1', port: 0 }
    const capture = await startCapture({ listen: listenAt, to, sink: { write: () => undefined } })
    for (const leave of ['end', 'resetAndDestroy'] as const) {
      const program = await connectTo(capture.port)
      program.write('hello')
      await setTimeout(20)
      program[leave]()
    }
    await capture.stop(0)
    await errLate(4)
  })
})
