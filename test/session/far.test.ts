// A long way between the two ends, counted in flights: no window, and no question, may hold what could be under way
// already (mux1; N43).
import { describe, expect, it, onTestFinished } from 'vitest'
import { anyTlsServer } from '../../src/wires/anytls/server.ts'
import { SessionPool } from '../../src/session/pool.ts'
import { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { OPEN_WINDOW } from '../../src/engine/receive-window.ts'
import { steadyRandomInt } from '../support/seeded-random.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FarWay } from '../support/far-pair.ts'
import type { FarEnd } from '../support/far-pair.ts'
import { makeClient, makeServerConfig } from '../support/session-pair.ts'

const MIB = 1_048_576
/** Milliseconds in each direction. */
const DELAY = 50

interface Far {
  readonly way: FarWay
  readonly client: Session
  readonly server: Session
  readonly ends: [FarEnd, FarEnd]
  /** Streams that have reached the server. */
  readonly served: Stream[]
}

function makeFar(window = OPEN_WINDOW): Far {
  const clock = new FakeClock()
  const way = new FarWay(clock, DELAY)
  const ends = way.makeEnds()
  const now = clock.now()
  const options = { window }
  const server = new Session({
    duplex: ends[1],
    clock,
    machine: anyTlsServer(makeServerConfig(options), now),
  })
  const client = makeClient(ends[0], { ...options, clock })
  const served: Stream[] = []
  server.on('stream', (stream) => served.push(stream))
  onTestFinished(() => {
    client.destroy()
    server.destroy()
  })
  return { way, client, server, ends, served }
}

/** A connection that has negotiated, with `count` streams on it. */
async function standing(count: number, window?: number) {
  const far = makeFar(window)
  const streams = Array.from({ length: count }, () => far.client.openStream())
  await far.way.flightsUntil(() => far.client.established && far.served.length === count)
  return { ...far, streams }
}

/** Writes `bytes` bytes, as fast as they are taken. */
function send(stream: Stream, bytes: number): void {
  const chunk = Buffer.alloc(65_536)
  let left = bytes
  const more = (): void => {
    while (left > 0) {
      left -= chunk.length
      if (!stream.write(chunk)) break
    }
    if (left > 0) stream.once('drain', more)
  }
  more()
}

/** Reads all that comes. */
class Reader {
  received = 0

  constructor(stream: Stream) {
    stream.on('data', (chunk: Buffer) => (this.received += chunk.length))
  }
}

describe('a transfer far away', () => {
  it('down: a question and 32 MiB of answer are one round trip', async () => {
    const { way, streams, served } = await standing(1)
    const reader = new Reader(streams[0]!)
    served[0]!.once('data', () => send(served[0]!, 32 * MIB))
    streams[0]!.write('?')
    expect(await way.flightsUntil(() => reader.received === 32 * MIB)).toBe(2)
  })

  it('up: 32 MiB arrive with the first flight of a standing connection', async () => {
    const { way, streams, served } = await standing(1)
    const reader = new Reader(served[0]!)
    send(streams[0]!, 32 * MIB)
    expect(await way.flightsUntil(() => reader.received === 32 * MIB)).toBe(1)
  })

  it('up: 32 MiB arrive with the first flight of all, before the server has said a word', async () => {
    const { way, client, server } = makeFar()
    let reader: Reader | undefined
    server.on('stream', (stream) => (reader = new Reader(stream)))
    send(client.openStream(), 32 * MIB)
    expect(await way.flightsUntil(() => reader?.received === 32 * MIB)).toBe(1)
  })

  it('both ways on eight streams: each as if it were alone', async () => {
    const { way, streams, served } = await standing(8)
    const readers = [...streams, ...served].map((stream) => new Reader(stream))
    for (const stream of [...streams, ...served]) send(stream, 8 * MIB)
    const over = () => readers.every(({ received }) => received === 8 * MIB)
    expect(await way.flightsUntil(over)).toBe(1)
  })

  it('a window that was set holds it: so the flights of the others count something', async () => {
    const { way, streams, served } = await standing(1, 262_144)
    const reader = new Reader(served[0]!)
    send(streams[0]!, 4 * MIB)
    expect(await way.flightsUntil(() => reader.received === 4 * MIB)).toBeGreaterThan(20)
  })
})

describe('the question whether a session is still there', () => {
  /** How many flights pass before the server has the first byte of a new stream. */
  async function flightsToServer(pool: SessionPool, { way, served }: Far): Promise<number> {
    const before = served.length
    let stream: Stream | undefined
    void pool.openStream().then((opened) => (stream = opened))
    const flights = await way.flightsUntil(() => served.length > before)
    stream?.resume().end()
    served.at(-1)?.resume().end()
    await way.flightsUntil(() => stream?.closed === true)
    return flights
  }

  it('costs no flight on a session that is idle, however long', async () => {
    const far = makeFar()
    const { clock } = far.way
    const connect = () => Promise.resolve(far.client)
    const pool = new SessionPool({
      ...{ clock, connect, minIdle: 1, idleTimeout: 20_000 },
      randomInt: steadyRandomInt(1),
    })
    onTestFinished(() => pool.destroy())
    const counts: number[] = []
    for (const pause of [0, 5_000, 11_000, 14_900, 29_000, 100_000, 61_234]) {
      await clock.advance(pause)
      counts.push(await flightsToServer(pool, far))
    }
    expect(counts).toEqual([1, 1, 1, 1, 1, 1, 1])
  })

  it('is asked of one that was not heard of for longer than its keepalive, and costs two', async () => {
    const far = makeFar()
    const { clock } = far.way
    const pool = new SessionPool({
      clock,
      connect: () => Promise.resolve(far.client),
      randomInt: steadyRandomInt(1),
      probeAfter: 4_000,
    })
    onTestFinished(() => pool.destroy())
    expect(await flightsToServer(pool, far)).toBe(1)
    await clock.advance(3_900)
    expect(await flightsToServer(pool, far)).toBe(1)
    await clock.advance(4_100)
    expect(await flightsToServer(pool, far)).toBe(3)
  })
})

describe('a reader that is behind, far away', () => {
  it('is held once it is heard of, and its siblings go on', async () => {
    const { way, streams, served } = await standing(2)
    const [slow, fast] = streams as [Stream, Stream]
    const reader = new Reader(fast)
    // As on a line that carries 4 MiB in a flight.
    for (let flight = 0; flight < 10; flight += 1) {
      if (served[0]!.writableLength === 0) send(served[0]!, 2 * MIB)
      send(served[1]!, 2 * MIB)
      await way.flight()
    }
    expect(slow.readableLength).toBeLessThanOrEqual(16 * MIB)
    expect(served[0]!.writableLength).toBeGreaterThan(0)
    await way.flight()
    expect(reader.received).toBe(20 * MIB)
    // Once it reads, all the rest comes.
    const late = new Reader(slow)
    const before = slow.readableLength
    await way.flightsUntil(() => served[0]!.writableLength === 0)
    await way.flight()
    expect(late.received).toBeGreaterThan(before)
    expect(slow.readableLength).toBe(0)
  })

  it('stops the whole connection at 64 MiB unread, and after 20 s it is ended', async () => {
    const { way, ends, streams, served, client } = await standing(5)
    for (const stream of served) send(stream, 16 * MIB)
    await way.flight()
    const held = () => streams.reduce((sum, { readableLength }) => sum + readableLength, 0)
    expect(held()).toBeGreaterThanOrEqual(64 * MIB)
    expect(held()).toBeLessThan(65 * MIB)
    expect(ends[0].waiting).toBeGreaterThan(0)
    for (const stream of streams) stream.on('error', () => {})
    await way.clock.advance(20_000)
    await way.rest()
    const ended = streams.filter(({ errored }) => errored !== null)
    expect(ended.map(({ errored }) => errored)).toContainEqual(
      expect.objectContaining({ code: 'ERR_STREAM_STALLED' }),
    )
    expect(ended.length).toBeLessThan(5)
    expect(client.closed).toBe(false)
  })
})
