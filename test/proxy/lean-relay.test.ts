// A stream of a session and a socket, joined without pipe: what the relay must do for any two, on both kinds of sockets
// and with and without credit, and what only it does.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Duplex } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { CloseCode } from '../../src/engine/close-code.ts'
import { Engine } from '../../src/engine/engine.ts'
import { dialForRelay } from '../../src/proxy/outbound/outbound.ts'
import { relay } from '../../src/proxy/relay.ts'
import type { RelayOptions } from '../../src/proxy/relay.ts'
import { RECORDS_LIMIT, WIDE_JOIN } from '../../src/session/join-buffers.ts'
import { READ_SIZE } from '../../src/session/lent-reads.ts'
import { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { anyTlsServer } from '../../src/wires/anytls/server.ts'
import { writeUntilHeld } from '../support/back-pressure.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { makeClient, makeServerConfig, makeSessionPair } from '../support/session-pair.ts'
import { connectTo, listen, readAll, readExactly, sha256 } from './support.ts'

const KINDS = [
  { socket: 'accepted', mux1: true },
  { socket: 'dialled', mux1: true },
  { socket: 'accepted', mux1: false },
  { socket: 'dialled', mux1: false },
] as const
type Kind = (typeof KINDS)[number]

/** The other end, and the socket that is to be relayed. */
async function socketPair(kind: Kind['socket']): Promise<[net.Socket, net.Socket]> {
  const pair = await connectPair(kind)
  // What waits in a relay counts for those of other tests.
  onTestFinished(() => {
    for (const socket of pair) socket.destroy()
  })
  return pair
}

async function connectPair(kind: Kind['socket']): Promise<[net.Socket, net.Socket]> {
  const server = net.createServer({ allowHalfOpen: true })
  const port = await listen(server)
  const connection = once(server, 'connection') as Promise<[net.Socket]>
  if (kind === 'dialled') {
    const near = await dialForRelay({ host: '127.0.0.1', port })
    const [program] = await connection
    program.on('error', () => {})
    return [program, near]
  }
  const program = await connectTo(port)
  const [near] = await connection
  return [program, near]
}

/** program <-> near =relay= stream <-> far */
async function joined({ socket, mux1 }: Kind, window?: number) {
  const [program, near] = await socketPair(socket)
  const { open, clientEnd, serverEnd } = makeSessionPair({
    mux1,
    ...(window !== undefined && { window }),
  })
  const [stream, far] = await open()
  for (const end of [stream, far]) end.on('error', () => {})
  far.accept()
  await stream.accepted()
  return { program, near, stream, far, open, clientEnd, serverEnd }
}

async function relayed(kind: Kind, options?: RelayOptions) {
  const ends = await joined(kind)
  return { ...ends, over: relay(ends.near, ends.stream, options) }
}

async function closed(end: Duplex): Promise<void> {
  if (!end.closed) await once(end, 'close').catch(() => {})
}

describe.for(KINDS)('a stream and a socket that was $socket, mux1 $mux1', (kind) => {
  it('carries 4 MiB in both directions at once, unchanged', async () => {
    const { program, far, over, stream } = await relayed(kind)
    const [up, down] = [randomBytes(4 << 20), randomBytes(4 << 20)]
    const got = [readAll(program), readAll(far)]
    program.write(up)
    far.write(down)
    if (kind.mux1) {
      program.end()
      far.end()
    } else {
      // Without half-close the end of either direction is that of both.
      await Promise.all([received(program, down.length), received(far, up.length)])
      program.end()
      far.end()
    }
    const [gotDown, gotUp] = await Promise.all(got)
    expect(sha256(gotUp!)).toBe(sha256(up))
    expect(sha256(gotDown!)).toBe(sha256(down))
    await over
    expect(stream.closed).toBe(true)
    expect(stream.errored).toBeNull()
  })

  it('what both sides had to say before it began comes first', async () => {
    const { program, near, stream, far } = await joined(kind)
    const [up, down] = [randomBytes(100_000), randomBytes(100_000)]
    program.write(up.subarray(0, 50_000))
    far.write(down.subarray(0, 50_000))
    await setTimeout(20)
    const over = relay(near, stream)
    program.write(up.subarray(50_000))
    far.write(down.subarray(50_000))
    const [gotUp, gotDown] = await Promise.all([received(far, 100_000), received(program, 100_000)])
    expect(gotUp.equals(up)).toBe(true)
    expect(gotDown.equals(down)).toBe(true)
    program.resetAndDestroy()
    await over
  })

  it('D21: a reset of the TCP side becomes a stream reset with code 1', async () => {
    const { program, far, over } = await relayed(kind)
    program.resetAndDestroy()
    far.resume()
    await closed(far)
    if (kind.mux1) expect(far.errored).toMatchObject({ closeCode: CloseCode.RemoteDisconnect })
    await over
  })

  it('a session that is lost resets the TCP side', async () => {
    const { program, stream, over } = await relayed(kind)
    const failed = once(program, 'error') as Promise<[NodeJS.ErrnoException]>
    stream.session.destroy(new Error('lost'))
    expect((await failed)[0].code).toBe('ECONNRESET')
    await over
  })

  it('what came before the end is delivered to a slow reader, and then an end', async () => {
    const { program, far, over } = await relayed(kind)
    const data = randomBytes(4 << 20)
    far.end(data)
    await setTimeout(50)
    expect(sha256(await readAll(program))).toBe(sha256(data))
    program.end()
    await over
  })

  it('a slow reader holds the writer back and memory stays bounded', async () => {
    const { program, near, stream, far, over } = await relayed(kind)
    program.pause()
    expect(await writeUntilHeld(far)).toBeLessThan(32 << 20)
    expect(near.writableLength).toBeLessThan(256 << 10)
    program.resetAndDestroy()
    await over
    expect(stream.closed).toBe(true)
  })

  it('a slow taker of the stream holds the program back', async () => {
    const { program, far } = await relayed(kind)
    expect(await writeUntilHeld(program)).toBeLessThan(32 << 20)
    expect(far.readableLength).toBeLessThan(8 << 20)
    program.destroy()
  })

  it('resets at every point lose nothing but what they cut off, and leave nothing behind', async () => {
    for (const who of ['program', 'far', 'session'] as const) {
      // Without half-close each of them lingers for a second.
      for (const after of kind.mux1 ? [0, 1, 60_000, 1_000_000] : [60_000]) {
        const { program, near, stream, far, over } = await relayed(kind)
        const data = randomBytes(2 << 20)
        const chunks: Buffer[] = []
        let got = 0
        const cut = () => {
          if (who === 'program') program.resetAndDestroy()
          else if (who === 'far') far.destroy(new Error('cut'))
          else stream.session.destroy()
        }
        const [source, sink] = who === 'program' ? [far, program] : [program, far]
        sink.on('data', (chunk: Buffer) => {
          chunks.push(chunk)
          got += chunk.length
          if (got >= after) cut()
        })
        source.write(data)
        if (after === 0) cut()
        await over
        const received = Buffer.concat(chunks)
        expect(received.equals(data.subarray(0, received.length))).toBe(true)
        expect(near.destroyed).toBe(true)
        expect(stream.destroyed).toBe(true)
        expect(near.listenerCount('data')).toBeLessThanOrEqual(1)
      }
    }
  })
})

// Only these have half-close, and resets that are told from ends.
const MUX1 = KINDS.filter(({ mux1 }) => mux1)

describe.for(MUX1)('a stream with mux1 and a socket that was $socket', (kind) => {
  it('a reset of the stream becomes a reset of the TCP side', async () => {
    const { program, far, over } = await relayed(kind)
    const failed = once(program, 'error') as Promise<[NodeJS.ErrnoException]>
    far.reset(CloseCode.Timeout)
    const [error] = await failed
    expect(error.code).toBe('ECONNRESET')
    await over
  })

  it('what came before a reset of the stream is delivered', async () => {
    const { program, far, over } = await relayed(kind)
    // As much as the kernel takes at once: the reset empties its queue. (To Node both in one look like an end.)
    const data = randomBytes(20_000)
    const got = received(program, data.length)
    far.write(data, () => far.reset(CloseCode.RemoteDisconnect))
    expect((await got).equals(data)).toBe(true)
    program.end()
    await over
  })

  it('what came whole before a reset of the stream is whole for a program that still sends', async () => {
    const { program, far, over } = await relayed(kind)
    const data = randomBytes(200_000)
    const upload = () => {
      while (program.writable && program.write(Buffer.alloc(65_536)));
    }
    program.on('drain', upload)
    upload()
    const answer = readAll(program)
    far.end(data, () => far.reset(CloseCode.RemoteDisconnect))
    expect((await answer).equals(data)).toBe(true)
    program.destroy()
    await over
  })

  it('a direction that stays silent after half-close is ended, and the peer told: timeout', async () => {
    const { program, far, over } = await relayed(kind, { halfOpenTimeout: 50 })
    program.end('only question')
    far.resume()
    await over
    await closed(far)
    expect(far.errored).toMatchObject({ closeCode: CloseCode.Timeout })
  })

  it('a direction may be silent after half-close without a limit', async () => {
    const { program, far, over } = await relayed(kind, { halfOpenTimeout: Infinity })
    program.end('question')
    expect((await readAll(far)).toString()).toBe('question')
    far.end('answer')
    expect((await readAll(program)).toString()).toBe('answer')
    await over
  })

  it('half-close: the end of one direction leaves the other open, both ways', async () => {
    const question = await relayed(kind)
    question.program.end('question')
    expect(String(await readAll(question.far))).toBe('question')
    question.far.write('first ')
    expect(String(await readExactly(question.program, 6))).toBe('first ')
    question.far.end('last')
    expect(String(await readAll(question.program))).toBe('last')
    await question.over

    const banner = await relayed(kind)
    banner.far.end('banner')
    expect(String(await readAll(banner.program))).toBe('banner')
    banner.program.end('answer')
    expect(String(await readAll(banner.far))).toBe('answer')
    await banner.over
  })
})

it('who listens for the data of the socket already goes on hearing all of it', async () => {
  const { program, near, stream, far } = await joined({ socket: 'accepted', mux1: true })
  const heard: Buffer[] = []
  near.on('data', (chunk: Buffer) => heard.push(chunk))
  const over = relay(near, stream)
  const data = randomBytes(1 << 20)
  program.end(data)
  const got = await readAll(far)
  expect(got.equals(data)).toBe(true)
  expect(Buffer.concat(heard).equals(data)).toBe(true)
  far.end()
  program.resume()
  await over
})

describe('64 MiB through a relay', () => {
  it.for([
    ['up', 'slow reader'],
    ['up', 'slow writer'],
    ['down', 'slow reader'],
    ['down', 'slow writer'],
  ] as const)('%s, a %s: the checksum is right', async ([way, how]) => {
    const { program, far } = await relayed({ socket: 'dialled', mux1: true })
    const [from, to] = way === 'up' ? [program, far] : [far, program]
    const block = randomBytes(1 << 20)
    const sent = createHash('sha256')
    const taken = createHash('sha256')
    let bytes = 0
    to.on('data', (chunk: Buffer) => {
      taken.update(chunk)
      bytes += chunk.length
      // Now and then it takes its time.
      if (how === 'slow reader' && bytes % 37 === 0) {
        to.pause()
        setImmediate(() => to.resume())
      }
    })
    for (let index = 0; index < 64; index += 1) {
      const piece = Buffer.from(block)
      piece.writeUInt32BE(index)
      sent.update(piece)
      if (how === 'slow writer') {
        for (let at = 0; at < piece.length; at += 50_001) {
          if (!from.write(piece.subarray(at, at + 50_001))) await once(from, 'drain')
          if (at % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
        }
      } else if (!from.write(piece)) {
        await once(from, 'drain')
      }
    }
    from.end()
    await once(to, 'end')
    expect(bytes).toBe(64 << 20)
    expect(taken.digest('hex')).toBe(sent.digest('hex'))
  })
})

describe.for(['accepted', 'dialled'] as const)('a socket that was %s', (socket) => {
  const SOON = { timeout: 10_000 }

  /** @returns once it is read no more, and has not been for a while */
  async function stopped(near: net.Socket): Promise<void> {
    await vi.waitFor(() => expect(near.isPaused()).toBe(true), SOON)
    await setTimeout(50)
    expect(near.isPaused()).toBe(true)
  }

  it('is read no more while a read of 64 KiB waits for the connection', async () => {
    const { program, near, far, serverEnd, over } = await relayed({ socket, mux1: true })
    serverEnd.pause()
    const data = randomBytes(1 << 20)
    program.end(data)
    await stopped(near)
    expect(near.bytesRead).toBeLessThan(2 * READ_SIZE)
    serverEnd.resume()
    expect(sha256(await readAll(far))).toBe(sha256(data))
    far.end()
    program.resume()
    await over
  })

  it('is read no more while a part of what was read has no credit', async () => {
    const { program, near, stream, far, serverEnd } = await joined({ socket, mux1: true }, 100_000)
    void relay(near, stream)
    serverEnd.pause()
    program.write(Buffer.alloc(60_000))
    await vi.waitFor(() => expect(near.bytesRead).toBe(60_000), SOON)
    program.write(Buffer.alloc(200_000))
    await stopped(near)
    // All for which there is credit leaves, first what was read first.
    serverEnd.resume()
    await vi.waitFor(() => expect(far.readableLength).toBe(100_000), SOON)
    await stopped(near)
    expect(near.bytesRead).toBeLessThanOrEqual(60_000 + READ_SIZE)
    await received(far, 260_000)
  })

  it('is read no more while what came first waits behind another stream', async () => {
    const { program, near, stream, far, open, serverEnd } = await joined({ socket, mux1: true })
    const [sibling, itsFar] = await open()
    for (const end of [sibling, itsFar]) end.on('error', () => {})
    serverEnd.pause()
    sibling.write(Buffer.alloc(300_000))
    program.write('what it says first')
    await vi.waitFor(() => expect(near.bytesRead).toBeGreaterThan(0), SOON)
    void relay(near, stream)
    program.write(Buffer.alloc(8 << 20))
    await stopped(near)
    expect(near.bytesRead).toBeLessThan(2 * READ_SIZE)
    serverEnd.resume()
    itsFar.resume()
    await received(far, 8 << 20)
  })

  it.for([
    ['nothing', 0],
    ['a write of the stream', 1_000],
  ] as const)('has one read under way behind %s', async ([, before]) => {
    const { program, near, stream, far, clientEnd } = await joined({ socket, mux1: false })
    const sizes = [1_000, 20_000, 4 << 20]
    const all = received(
      far,
      sizes.reduce((sum, size) => sum + size, before),
    )
    // Read, and not taken by the connection, as each write of it ends; the heads of frames are not worth counting.
    const underWay: number[] = []
    let taken = -before
    const write = clientEnd._write.bind(clientEnd)
    clientEnd._write = (chunk, encoding, callback) => {
      write(chunk, encoding, (error) => {
        void setTimeout(5).then(() => {
          underWay.push(near.bytesRead - taken)
          taken += chunk.length
          callback(error)
        })
      })
    }
    if (before > 0) stream.write(Buffer.alloc(before))
    // It is on its way by then, and has not left.
    await setTimeout(1)
    void relay(near, stream)
    for (const size of sizes) {
      program.write(Buffer.alloc(size))
      await setTimeout(3)
    }
    await all
    expect(Math.min(...underWay.slice(10, 50))).toBeLessThan(1.2 * READ_SIZE)
  })

  it('is read on once nobody takes what it says, while its program does not read', async () => {
    const { program, near, stream, far, open, serverEnd } = await joined(
      { socket, mux1: true },
      32 << 20,
    )
    void relay(near, stream)
    program.pause()
    far.write(Buffer.alloc(32 << 20))
    await vi.waitFor(() => expect(near.writableLength).toBeGreaterThan(0), SOON)
    const [sibling, itsFar] = await open()
    for (const end of [sibling, itsFar]) end.on('error', () => {})
    serverEnd.pause()
    sibling.write(Buffer.alloc(300_000))
    program.write(Buffer.alloc(8 << 20))
    await stopped(near)
    far.reset(CloseCode.Graceful)
    await vi.waitFor(() => expect(near.bytesRead).toBe(8 << 20), SOON)
  })

  it('is not stopped for what is less', async () => {
    const { program, near, far, serverEnd } = await relayed({ socket, mux1: true })
    serverEnd.pause()
    const pause = vi.spyOn(near, 'pause')
    for (let index = 0; index < 60; index += 1) {
      program.write(Buffer.alloc(1_000, index))
      await setTimeout(2)
    }
    await vi.waitFor(() => expect(near.bytesRead).toBe(60_000), SOON)
    expect(pause).not.toHaveBeenCalled()
    serverEnd.resume()
    await received(far, 60_000)
  })
})

describe.for(['accepted', 'dialled'] as const)('a wide read of a socket that was %s', (socket) => {
  const BYTES = 4 << 20
  /** What must have left promptly before, and enough for it: what is read behind the last piece is no whole one. */
  const PROVEN = 8 << 20
  const ENOUGH = PROVEN + (4 << 20)
  /** More than leaves as one write otherwise: what waits of a read, and the next. */
  const WIDE = 2 * RECORDS_LIMIT

  /** What relays take for the time, which passes where a test says so. */
  const time = { now: 0 }
  beforeEach(() => void vi.spyOn(performance, 'now').mockImplementation(() => time.now))
  afterEach(() => void vi.restoreAllMocks())

  /** program <-> near =relay= stream <-> far, over TCP, whose writes can be said to take a while, or made to take for ever */
  async function overTcp() {
    const [[serverEnd, clientEnd], [program, near]] = await Promise.all([
      socketPair('accepted'),
      socketPair(socket),
    ])
    const sizes: number[] = []
    const carrier = { takes: 0, held: [] as (() => void)[] }
    const write = clientEnd._write.bind(clientEnd)
    clientEnd._write = (chunk: Buffer, encoding, callback) => {
      sizes.push(chunk.length)
      const { takes } = carrier
      write(chunk, encoding, (error) => {
        if (takes === 0) callback(error)
        if (takes === Infinity) carrier.held.push(() => callback(error))
        if (takes === 0 || takes === Infinity) return
        setImmediate(() => {
          time.now += takes
          callback(error)
        })
      })
    }
    const clock = new FakeClock()
    const options = { mux1: true, window: BYTES, clock }
    const machine = anyTlsServer(makeServerConfig(options), clock.now())
    const server = new Session({ duplex: serverEnd, machine, clock })
    const client = makeClient(clientEnd, options)
    onTestFinished(() => {
      client.destroy()
      server.destroy()
      program.destroy()
    })
    const open = async (): Promise<[Stream, Stream]> => {
      const arrival = once(server, 'stream') as Promise<[Stream]>
      const stream = client.openStream()
      const [far] = await arrival
      for (const end of [stream, far]) end.on('error', () => {})
      far.accept()
      await stream.accepted()
      return [stream, far]
    }
    const [stream, far] = await open()
    void relay(near, stream)
    /** @returns the bytes of each write that carried it */
    const carry = async (bytes: number): Promise<readonly number[]> => {
      sizes.length = 0
      const data = Buffer.alloc(bytes, randomBytes(1_000))
      program.write(data)
      expect((await received(far, bytes)).equals(data)).toBe(true)
      return [...sizes]
    }
    return { program, near, carrier, open, carry, clock }
  }

  const wideOnes = (sizes: readonly number[]): readonly number[] =>
    sizes.filter((bytes) => bytes > WIDE)

  it('follows when 8 MiB have left at once, and leaves as one write', async () => {
    const { carry } = await overTcp()
    expect(wideOnes(await carry(PROVEN - 100_000))).toEqual([])
    await carry(ENOUGH - PROVEN)
    const wide = wideOnes(await carry(BYTES))
    expect(wide).not.toEqual([])
    expect(Math.max(...wide)).toBeLessThanOrEqual(WIDE_JOIN)
  })

  it('N23: is not needed for what is under way to say, as it leaves, that the peer takes something', async () => {
    const { program, near, carrier, clock } = await overTcp()
    const progress = vi.spyOn(Engine.prototype, 'progress')
    carrier.takes = Infinity
    while (!near.isPaused()) {
      program.write(Buffer.alloc(1_000))
      await setTimeout(1)
    }
    await clock.advance(200)
    expect(progress).not.toHaveBeenCalled()
    for (const takeIt of carrier.held.splice(0)) takeIt()
    await vi.waitFor(() => expect(progress).toHaveBeenCalledOnce())
  })

  it('does not follow where each is held up', async () => {
    const { carrier, carry } = await overTcp()
    carrier.takes = 30
    expect(wideOnes(await carry(PROVEN + BYTES))).toEqual([])
  })

  it('follows once more at most behind one that is held up, and then not before 8 MiB have left at once again', async () => {
    const { carrier, carry } = await overTcp()
    await carry(ENOUGH)
    carrier.takes = 30
    expect(wideOnes(await carry(BYTES)).length).toBeLessThanOrEqual(2)
    carrier.takes = 0
    expect(wideOnes(await carry(PROVEN - 100_000))).toEqual([])
    await carry(ENOUGH - PROVEN)
    expect(wideOnes(await carry(BYTES))).not.toEqual([])
  })

  it('no longer follows once another stream shares the connection', async () => {
    const { open, carry } = await overTcp()
    await carry(ENOUGH)
    expect(wideOnes(await carry(BYTES))).not.toEqual([])
    await open()
    await carry(READ_SIZE)
    expect(wideOnes(await carry(BYTES))).toEqual([])
  })

  it('does not follow while many that were prompt have one under way, and does when those are over', async () => {
    const ours = await overTcp()
    await ours.carry(ENOUGH)
    expect(wideOnes(await ours.carry(BYTES))).not.toEqual([])
    await ours.carry(10)
    const others = await Promise.all(Array.from({ length: 18 }, overTcp))
    for (const { carry } of others) await carry(ENOUGH)
    for (const { carrier, program } of others) {
      carrier.takes = Infinity
      program.write(Buffer.alloc(1 << 20))
    }
    for (const { near } of others) {
      await vi.waitFor(() => expect(near.isPaused()).toBe(true), { timeout: 10_000 })
    }
    expect(wideOnes(await ours.carry(BYTES))).toEqual([])
    for (const { program } of others) program.resetAndDestroy()
    for (const { near } of others) near.destroy()
    await ours.carry(READ_SIZE)
    expect(wideOnes(await ours.carry(BYTES))).not.toEqual([])
  })
})

it('what one turn brings to the socket leaves in one write of at most 64 KiB', async () => {
  const { near, stream, far, program } = await joined({ socket: 'dialled', mux1: true })
  const sizes: number[] = []
  const write = near.write.bind(near) as (...args: unknown[]) => boolean
  near.write = (bytes: Uint8Array, ...rest: unknown[]) => {
    sizes.push(bytes.length)
    return write(bytes, ...rest)
  }
  void relay(near, stream)
  for (let index = 0; index < 10; index += 1) far.write(Buffer.alloc(100, index))
  await received(program, 1_000)
  expect(sizes).toEqual([1_000])
  far.write(Buffer.alloc(1 << 20))
  await received(program, 1 << 20)
  expect(Math.max(...sizes)).toBeLessThanOrEqual(65_536)
})

/** The next `bytes` bytes, or more, that come. */
function received(end: Duplex, bytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let got = 0
  return new Promise((resolve) => {
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      got += chunk.length
      if (got < bytes) return
      end.off('data', onData)
      resolve(Buffer.concat(chunks))
    }
    end.on('data', onData)
  })
}
