// What a byte and a request cost through both ends of the proxy, in numbers that do not depend on how busy the machine
// is: writes to sockets, and reads that made a buffer of their own. Each bound is near what it takes today.
import { once } from 'node:events'
import net from 'node:net'
import { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import { encodeAddress } from '../../src/codec/address.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { SessionPool } from '../../src/session/pool.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { startEchoServer } from '../support/server.ts'
import { connectTo, listen, readExactly, startInbound } from './support.ts'

const MIB = 1_048_576
const BYTES = 8 * MIB

/** Writes of ours, to TLS connections and to the sockets of programs and targets; reads of ours that Node made a buffer for. */
const counts = { tls: 0, plain: 0, kept: 0 }
/** Sockets of the test itself. */
const own = new WeakSet<net.Socket>()
// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the socket that it is called on
const { write, push } = net.Socket.prototype

beforeEach(() => {
  Object.assign(counts, { tls: 0, plain: 0, kept: 0 })
  net.Socket.prototype.write = function (this: net.Socket, ...args: unknown[]) {
    if (!own.has(this)) counts[this instanceof TLSSocket ? 'tls' : 'plain'] += 1
    return Reflect.apply(write, this, args) as boolean
  }
  net.Socket.prototype.push = function (this: net.Socket, ...args: unknown[]) {
    if (!own.has(this) && args[0] !== null) counts.kept += 1
    return Reflect.apply(push, this, args) as boolean
  }
})

afterEach(() => {
  net.Socket.prototype.write = write
  net.Socket.prototype.push = push
})

type Connect = Awaited<ReturnType<typeof startEchoServer>>['connect']

/** @param sourceOf opens streams at the server that is connected to */
async function startProxy(
  wire: 'v1' | 'legacy',
  onConnection: (socket: net.Socket) => void,
  sourceOf: (connect: Connect) => Promise<Session> | SessionPool = (connect) => connect({ wire }),
) {
  const { connect } = await startEchoServer({ autoAccept: false }, (stream) => {
    void serveProxyStream(stream)
  })
  const source = await sourceOf(connect)
  const { port } = await startInbound({
    openTunnel: createTunnelOpener(source, { replyWait: Infinity }),
  })
  const origin = net.createServer((socket) => {
    own.add(socket)
    onConnection(socket)
  })
  const target = { host: '127.0.0.1', port: await listen(origin) }
  return async () => {
    const program = await connectTo(port)
    own.add(program)
    onTestFinished(() => void program.destroy())
    program.write(concatBytes([Uint8Array.of(5, 1, 0, 5, 1, 0), encodeAddress(target)]))
    await readExactly(program, 12)
    return program
  }
}

function drained(socket: net.Socket, bytes: number): Promise<void> {
  let got = 0
  return new Promise((resolve) => {
    socket.on('data', (chunk: Buffer) => {
      got += chunk.length
      if (got >= bytes) resolve()
    })
  })
}

function answerOnce(socket: net.Socket): void {
  socket.once('data', () => socket.end('answer'))
}

/** Makes a request, from a program that comes to one that has gone, of {@link answerOnce}. */
function asking(open: () => Promise<net.Socket>): () => Promise<void> {
  return async () => {
    const program = await open()
    program.write('question')
    expect(String(await readExactly(program, 6))).toBe('answer')
    program.end()
    await once(program, 'close')
  }
}

describe.for(['v1', 'legacy'] as const)('on the wire %s', (wire) => {
  it('a download takes at most 32 writes a MiB to TLS and 48 to the program', async () => {
    const open = await startProxy(wire, (socket) => {
      socket.once('data', () => socket.write(Buffer.alloc(BYTES)))
    })
    const program = await open()
    Object.assign(counts, { tls: 0, plain: 0, kept: 0 })
    program.write('go')
    await drained(program, BYTES)
    // Among those to TLS is the credit that goes the other way.
    expect(counts.tls).toBeLessThan((32 * BYTES) / MIB)
    expect(counts.plain).toBeLessThan((48 * BYTES) / MIB)
    expect(counts.kept).toBe(0)
  })

  it('an upload takes at most 32 writes a MiB to TLS and 48 to the target', async () => {
    let done = () => {}
    const over = new Promise<void>((resolve) => (done = resolve))
    const open = await startProxy(wire, (socket) => void drained(socket, BYTES).then(done))
    const program = await open()
    Object.assign(counts, { tls: 0, plain: 0, kept: 0 })
    program.write(Buffer.alloc(BYTES))
    await over
    expect(counts.tls).toBeLessThan((32 * BYTES) / MIB)
    expect(counts.plain).toBeLessThan((48 * BYTES) / MIB)
    expect(counts.kept).toBe(0)
  })

  it('what waits of sixteen downloads at once, and of sixteen uploads, does so in buffers that serve again, and arrives as it was sent', async () => {
    const bytes = Buffer.from(Uint8Array.from({ length: MIB }, (_, index) => (index * 131) >> 5))
    const arrived = (socket: net.Socket) =>
      new Promise<void>((resolve) => {
        const got: Buffer[] = []
        let missing = MIB
        socket.on('data', (chunk: Buffer) => {
          got.push(chunk)
          missing -= chunk.length
          if (missing > 0) return
          expect(Buffer.concat(got).equals(bytes)).toBe(true)
          resolve()
        })
      })
    const uploads: Promise<void>[] = []
    const open = await startProxy(wire, (socket) => {
      uploads.push(arrived(socket))
      socket.write(bytes)
    })
    const round = async () => {
      const programs = await Promise.all(Array.from({ length: 16 }, open))
      const downloads = programs.map(arrived)
      for (const program of programs) program.write(bytes)
      await Promise.all([...downloads, ...uploads.splice(0)])
      for (const program of programs) program.destroy()
    }
    await round()
    const fresh = vi.spyOn(Buffer, 'allocUnsafeSlow')
    onTestFinished(() => {
      fresh.mockRestore()
    })
    for (let rounds = 0; rounds < 4; rounds += 1) await round()
    // 32 transfers, four rounds: a buffer for each that waits once would be 128 and more.
    expect(fresh.mock.calls.length).toBeLessThan(64)
  })

  it('a request on a standing session takes four writes to plain sockets and at most six to TLS', async () => {
    const ask = asking(await startProxy(wire, answerOnce))
    for (let warm = 0; warm < 5; warm += 1) await ask()
    Object.assign(counts, { tls: 0, plain: 0, kept: 0 })
    for (let request = 0; request < 20; request += 1) await ask()
    // Both replies of SOCKS, the question, the answer.
    expect(counts.plain / 20).toBeLessThanOrEqual(4)
    // Opening and target, the question, the end; that it stands, the answer, the end.
    expect(counts.tls / 20).toBeLessThanOrEqual(6)
  })
})

describe('small writes of several streams', () => {
  it('in one turn of the loop leave as one; that of a stream that is alone waits for nobody', async () => {
    const { connect } = await startEchoServer()
    const session = await connect()
    const one = session.openStream()
    // Until nothing is shaped any more.
    for (let count = 0; count < 20; count += 1) {
      one.write('x')
      await once(one, 'data')
    }
    const writes = async (...streams: Stream[]) => {
      Object.assign(counts, { tls: 0 })
      for (const stream of streams) stream.write('x')
      await Promise.resolve()
      await new Promise((resolve) => process.nextTick(resolve))
      return counts.tls
    }
    expect(await writes(one)).toBe(1)
    await once(one, 'data')
    const other = session.openStream()
    other.write('x')
    await once(other, 'data')
    expect(await writes(one)).toBe(0)
    expect(await writes(other)).toBe(0)
    await new Promise(setImmediate)
    expect(counts.tls).toBe(1)
    await Promise.all([once(one, 'data'), once(other, 'data')])
  })

  it.each(['close', 'destroy'] as const)(
    'that wait for the turn to be over leave before the %s of their session',
    async (how) => {
      const got: string[] = []
      const { connect } = await startEchoServer({}, (stream) => {
        stream.on('error', () => {}).on('data', (chunk) => got.push(String(chunk)))
      })
      const session = await connect()
      const streams = [session.openStream(), session.openStream()]
      // Until nothing is shaped any more.
      for (let count = 0; count < 20; count += 1) {
        for (const stream of streams) stream.on('error', () => {}).write('x')
        await vi.waitFor(() => expect(got.join('')).toHaveLength(2 * (count + 1)))
      }
      Object.assign(counts, { tls: 0 })
      for (const stream of streams) stream.write('y')
      await Promise.resolve()
      await new Promise((resolve) => process.nextTick(resolve))
      expect(counts.tls).toBe(0)
      void session[how]()
      await vi.waitFor(() => expect(got.filter((text) => text === 'y')).toHaveLength(2))
    },
  )
})

describe('of 64 requests at once to a server near by', () => {
  it('each takes at most 4.5 writes to TLS, for they share a session', async () => {
    let pool!: SessionPool
    const ask = asking(
      await startProxy('v1', answerOnce, (connect) => {
        pool = new SessionPool({ connect: () => connect({ wire: 'v1' }), streamsNearby: 64 })
        onTestFinished(() => pool.destroy())
        return pool
      }),
    )
    // Until one was answered within 5 ms, on a machine however busy.
    for (let warm = 0; warm < 30; warm += 1) await ask()
    Object.assign(counts, { tls: 0, plain: 0, kept: 0 })
    await Promise.all(Array.from({ length: 64 }, ask))
    expect(pool.size).toBe(1)
    expect(counts.plain / 64).toBeLessThanOrEqual(4)
    // Each on a session of its own takes six.
    expect(counts.tls / 64).toBeLessThanOrEqual(4.5)
  })
})
