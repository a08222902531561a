// How many round trips a tunnel takes until the first byte of its target is there: counted, not timed.
import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import { encodeAddress } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { SessionPool } from '../../src/session/pool.ts'
import { connect } from '../../src/tls/dial.ts'
import { MemoryWireStore } from '../../src/tls/wire-store.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import { PASSWORD, startEchoServer } from '../support/server.ts'
import { startFlightRelay } from '../support/flight-relay.ts'
import { closedPort, connectTo, listen, readExactly, startInbound } from './support.ts'

/** Everything of ours in one process, an origin behind it, and a relay that counts between client and server. */
async function startFar(options: Partial<ConnectOptions> = {}, replyWait = 10) {
  const { port, certificate } = await startEchoServer({ autoAccept: false }, (stream) => {
    void serveProxyStream(stream)
  })
  const relay = await startFlightRelay(port)
  const pool = new SessionPool({
    // Connections are counted here, and a busy machine makes every server look far.
    spread: 1,
    connect: (signal) =>
      connect({
        ...{ host: '127.0.0.1', port: relay.port, servername: 'localhost', ca: certificate.cert },
        ...{ password: PASSWORD, signal, ...options },
      }),
  })
  onTestFinished(() => pool.destroy())
  const openTunnel = createTunnelOpener(pool, { replyWait })
  const { port: proxy, events } = await startInbound({ openTunnel })
  const origin = net.createServer()
  let asked = () => {}
  origin.on('connection', (socket) => {
    socket.on('data', (bytes: Buffer) => {
      socket.write(String(bytes).toUpperCase())
      asked()
    })
  })
  const target = { host: '127.0.0.1', port: await listen(origin) }
  return {
    relay,
    proxy,
    target,
    events,
    /** When the origin has been asked next. */
    asking: () => new Promise<void>((resolve) => (asked = resolve)),
  }
}

/** A program that asks for a tunnel, and speaks as soon as it may. */
const PROGRAMS = {
  SOCKS5: async (proxy: number, { host, port }: { host: string; port: number }) => {
    const program = await connectTo(proxy)
    program.write(concatBytes([Uint8Array.of(5, 1, 0, 5, 1, 0), encodeAddress({ host, port })]))
    await readExactly(program, 12)
    program.write('question')
    return program
  },
  CONNECT: async (proxy: number, { host, port }: { host: string; port: number }) => {
    const program = await connectTo(proxy)
    program.write(`CONNECT ${host}:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)
    await readExactly(program, 'HTTP/1.1 200 Connection Established\r\n\r\n'.length)
    program.write('question')
    return program
  },
}

const WIRES = ['v1', 'legacy'] as const

describe.for(WIRES)('round trips of a tunnel, on %s', (wire) => {
  it.for(['SOCKS5', 'CONNECT'] as const)(
    'behind TCP, two for the first on a fresh connection and one for the next, with %s',
    { timeout: 10_000 },
    async (how) => {
      const { relay, proxy, target, asking } = await startFar({ wire })
      const fresh = asking()
      const opening = PROGRAMS[how](proxy, target)
      // The handshake of TLS: the server's part is one flight, though perhaps not one packet.
      await until(() => relay.flights === 1)
      relay.release()
      await fresh
      relay.release()
      const first = await opening
      expect(String(await readExactly(first, 8))).toBe('QUESTION')
      expect(relay.flights).toBe(2)

      const before = relay.flights
      const standing = asking()
      const second = await PROGRAMS[how](proxy, target)
      await standing
      expect(relay.flights - before).toBe(1)
      relay.release()
      expect(String(await readExactly(second, 8))).toBe('QUESTION')
    },
  )

  it('a plain request over HTTP takes one as well', { timeout: 10_000 }, async () => {
    const { relay, proxy, target, asking } = await startFar({ wire })
    const origin = asking()
    const program = await connectTo(proxy)
    program.write(`GET http://127.0.0.1:${target.port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    await until(() => relay.flights === 1)
    relay.release()
    await origin
    expect(relay.flights).toBe(2)
  })

  it('a refusal that comes late resets the program, and is told', async () => {
    const { relay, proxy, events } = await startFar({ wire })
    const target = { host: '127.0.0.1', port: await closedPort() }
    const opening = PROGRAMS.SOCKS5(proxy, target)
    await until(() => relay.flights === 1)
    relay.release()
    const program = await opening
    const failed = once(program, 'error')
    expect(events.refused).toEqual([])
    relay.release()
    expect(await failed).toMatchObject([{ code: 'ECONNRESET' }])
    expect(events.refused).toMatchObject([{ target, error: { code: 'ERR_STREAM_RESET' } }])
    expect(events.tunnel).toEqual([])
  })

  it('a refusal that comes late is the status of a plain request over HTTP all the same', async () => {
    const { relay, proxy, events } = await startFar({ wire })
    const program = await connectTo(proxy)
    const port = await closedPort()
    program.write(`GET http://127.0.0.1:${port}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    await until(() => relay.flights === 1)
    relay.release()
    await until(() => relay.flights === 2)
    await new Promise((resolve) => setTimeout(resolve, 50))
    relay.release()
    const [answer] = (await once(program, 'data')) as [Buffer]
    expect(String(answer)).toMatch(/^HTTP\/1\.1 502 [^]*connection refused/)
    expect(events.refused).toHaveLength(1)
  })

  it('exact: the program hears nothing before the server has answered', async () => {
    const { relay, proxy } = await startFar({ wire }, Infinity)
    const target = { host: '127.0.0.1', port: await closedPort() }
    const program = await connectTo(proxy)
    program.write(concatBytes([Uint8Array.of(5, 1, 0, 5, 1, 0), encodeAddress(target)]))
    await readExactly(program, 2)
    await until(() => relay.flights === 1)
    relay.release()
    await until(() => relay.flights === 2)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(program.readableLength).toBe(0)
    relay.release()
    expect([...(await readExactly(program, 2))]).toEqual([5, 5])
  })
})

it(
  'auto asks a server once, and remembers: three round trips the first time',
  { timeout: 10_000 },
  async () => {
    const { relay, proxy, target, asking } = await startFar({
      wire: 'auto',
      wireStore: new MemoryWireStore(),
    })
    const origin = asking()
    const opening = PROGRAMS.SOCKS5(proxy, target)
    for (const flight of [1, 2]) {
      await until(() => relay.flights === flight)
      // The end of the handshake and what is said behind it are one flight, though perhaps not one packet.
      await new Promise((resolve) => setTimeout(resolve, 50))
      relay.release()
    }
    await opening
    await origin
    expect(relay.flights).toBe(3)
  },
)

/** Waits for something that is sure to come; the test's own time limit ends it otherwise. */
async function until(isThere: () => boolean): Promise<void> {
  while (!isThere()) await new Promise((resolve) => setTimeout(resolve, 2))
}
