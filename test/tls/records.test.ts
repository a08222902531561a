// What leaves on the wire, record by record, read off it by a tap without a key and compared with the
// scheme (D28 to D35).
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import {
  encodeAuth,
  encodeClientNego,
  encodeDataHead,
  encodeStream,
} from '../../src/wires/anytls/frame-encoder.ts'
import { MAX_PAYLOAD, StreamFlag } from '../../src/wires/anytls/frame.ts'
import { encodeClientNegoBlock } from '../../src/wires/anytls/nego.ts'
import { PADDING_FORMAT } from '../../src/wires/anytls/frame-encoder.ts'
import { DEFAULT_WINDOW } from '../../src/wires/anytls/config.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { Shaper } from '../../src/shaping/shaper.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import type { ServerOptions } from '../../src/tls/server-options.ts'
import { IMPLEMENTATION } from '../../src/version.ts'
import { applicationRecords, carriedBytes, startRecordTap } from '../support/record-tap.ts'
import type { TappedConnection } from '../support/record-tap.ts'
import { steadyRandomInt } from '../support/seeded-random.ts'
import { PASSWORD, startEchoServer } from '../support/server.ts'

/** Bytes of plaintext in a full TLS record. */
const FULL = 16_384

interface Tapped {
  /** Bytes that each record of application data carried so far, and how to hold the client up. */
  readonly tap: {
    readonly up: number[]
    readonly down: number[]
    readonly connection: TappedConnection
  }
  readonly session: Session
}

/** A session through a tap, to a server that echoes or does what it is told. */
async function connectTapped(
  options: Partial<ConnectOptions> = {},
  server: Partial<ServerOptions> = {},
  onStream?: (stream: Stream) => void,
): Promise<Tapped> {
  const { scheme } = options
  const target = await startEchoServer({ scheme, ...server }, onStream)
  const tap = await startRecordTap(target.port)
  onTestFinished(() => tap.stop())
  const session = await target.connect({ port: tap.port, ...options })
  const connection = tap.connections[0]!
  return {
    session,
    tap: {
      connection,
      get up() {
        return carriedBytes(applicationRecords(connection).up)
      },
      get down() {
        return carriedBytes(applicationRecords(connection).down)
      },
    },
  }
}

/** Waits until a direction has `count` records, and a moment longer for those too many. */
async function untilRecords(records: () => number[], count: number): Promise<number[]> {
  const patience = performance.now() + 3_000
  while (records().length < count && performance.now() < patience) await sleep(5)
  await sleep(20)
  return records()
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, number) => sum + number, 0)
}

/** AUTH, NEGO and, with a stream, OPEN, as they have to be (D28). */
function deliver0(scheme: Scheme, authPadding: number, stream = true): Buffer {
  const nego = encodeClientNegoBlock({
    versions: [1],
    client: IMPLEMENTATION,
    schemeDigest: scheme.digest,
    mux1Window: DEFAULT_WINDOW,
  })
  return Buffer.concat([
    encodeAuth(hashPassword(PASSWORD), authPadding),
    encodeClientNego(nego),
    ...(stream ? [encodeStream(1, StreamFlag.Open)] : []),
  ])
}

function dataFrame(stream: number, data: Uint8Array): Buffer {
  return Buffer.concat([encodeDataHead(stream, data.length), data])
}

/** A scheme with the same entry for every index from 1 to below stop. */
function uniformScheme(stop: number, entry: string): Scheme {
  const lines = [`stop=${stop}`, '0=30-30']
  for (let index = 1; index < stop; index += 1) lines.push(`${index}=${entry}`)
  return parseScheme(lines.join('\n'))
}

describe('records from the client', () => {
  it('D28: Deliver 0 is AUTH, NEGO and OPEN in one record', async () => {
    const scheme = parseScheme('stop=1\n0=77-77')
    const { tap, session } = await connectTapped({ scheme })
    session.openStream()
    expect(await untilRecords(() => tap.up, 1)).toEqual([deliver0(scheme, 77).length])
  })

  it('D28: Deliver 0 is one record also when data is written in the same tick', async () => {
    const scheme = parseScheme('stop=1\n0=30-30')
    const { tap, session } = await connectTapped({ scheme })
    session.openStream().write('x'.repeat(100))
    expect(await untilRecords(() => tap.up, 2)).toEqual([deliver0(scheme, 30).length, 104])
  })

  it('D25: Deliver 0 leaves alone when no stream comes in time', async () => {
    const scheme = parseScheme('stop=2\n0=30-30\n1=90-90')
    const { tap, session } = await connectTapped({ scheme, timeouts: { hold: 1 } })
    expect(await untilRecords(() => tap.up, 1)).toEqual([deliver0(scheme, 30, false).length])
    session.openStream()
    // OPEN is then a Deliver of its own.
    expect((await untilRecords(() => tap.up, 2)).slice(1)).toEqual([90])
  })

  it('D32, D33: every shaped Write is a record of exactly its target size', async () => {
    const scheme = uniformScheme(5, '300-300,400-400,c,500-500')
    const { tap, session } = await connectTapped({ scheme })
    const stream = session.openStream()
    for (const length of [100, 300, 1000, 2000]) {
      stream.write(Buffer.alloc(length))
      // One at a time, so that nothing but the Deliver itself decides.
      const before = tap.up.length
      while (tap.up.length === before) await sleep(2)
      await sleep(10)
    }
    stream.write(Buffer.alloc(50))
    const measured = await untilRecords(() => tap.up, 1 + 2 + 2 + 3 + 4 + 1)
    expect(measured).toEqual([
      deliver0(scheme, 30).length,
      // 104 bytes: the first target is padded, the second is padding alone, c ends it.
      ...[300, 400],
      // 304 bytes
      ...[300, 400],
      // 1,004 bytes
      ...[300, 400, 500],
      // 2,004 bytes: the rest is one unshaped Write.
      ...[300, 400, 500, 804],
      // The quota is used up.
      53,
    ])
  })

  it('D29: writes of one tick are Delivers of their own while shaping lasts', async () => {
    const scheme = uniformScheme(5, '300-300,400-400,c,500-500')
    const { tap, session } = await connectTapped({ scheme })
    const stream = session.openStream()
    for (const length of [100, 300, 1000, 2000]) stream.write(Buffer.alloc(length))
    expect((await untilRecords(() => tap.up, 12)).slice(1)).toEqual([
      ...[300, 400],
      ...[300, 400],
      ...[300, 400, 500],
      ...[300, 400, 500, 804],
    ])
  })

  it('D33: keeps every size when many streams write at once', async () => {
    const scheme = uniformScheme(40, '200-200,300-300')
    const { tap, session } = await connectTapped({ scheme })
    const streams = Array.from({ length: 12 }, () => session.openStream())
    for (const stream of streams) {
      stream.resume()
      stream.write(Buffer.alloc(50))
      stream.cork()
      stream.write(Buffer.alloc(60))
      stream.write(Buffer.alloc(70))
      process.nextTick(() => stream.uncork())
    }
    // Deliver 0, 11 OPENs, then data: 1 + 11 + 28 of the 36 writes make up the quota of 40.
    const measured = (await untilRecords(() => tap.up, 79)).slice(1, 79)
    expect(measured).toEqual(
      Array.from({ length: 78 }, (_, index) => (index % 2 === 0 ? 200 : 300)),
    )
  })

  it('D33: keeps every size under back-pressure', async () => {
    const scheme = uniformScheme(601, '16000-16000')
    const { tap, session } = await connectTapped({ scheme, mux1: false }, {}, (stream) => {
      stream.resume()
    })
    const stream = session.openStream()
    await stream.accepted()
    tap.connection.hold()
    let blocked = 0
    let sent = 0
    for (; sent < 600; sent += 1) {
      if (stream.write(Buffer.alloc(15_000))) continue
      const drained = once(stream, 'drain')
      if (blocked === 0) {
        const first = await Promise.race([drained.then(() => 'drained'), sleep(50, 'blocked')])
        if (first === 'blocked') {
          blocked = sent
          tap.connection.release()
        }
      }
      await drained
    }
    expect(blocked).toBeGreaterThan(0)
    const measured = (await untilRecords(() => tap.up, 601)).slice(1)
    expect(measured).toHaveLength(600)
    expect(new Set(measured)).toEqual(new Set([16_000]))
  })

  it('D30, D32: the built-in scheme leaves as the shaper draws it, write by write', async () => {
    for (const seed of [1, 2, 3]) {
      const { tap, session } = await connectTapped({ randomInt: steadyRandomInt(seed) })
      const stream = session.openStream()
      const writes = [10, 517, 3000, 1, 200, 999, 5000, 64, 100].map((length) =>
        randomBytes(length),
      )
      for (const data of writes) stream.write(data)
      const shaper = new Shaper(DEFAULT_SCHEME, steadyRandomInt(seed), PADDING_FORMAT)
      const expected = shaper.deliver(deliver0(DEFAULT_SCHEME, shaper.authPadding()))
      const shaped = writes.slice(0, DEFAULT_SCHEME.stop - 1)
      for (const data of shaped) expected.push(...shaper.deliver(dataFrame(stream.id, data)))
      const measured = await untilRecords(() => tap.up, expected.length + 1)
      expect(measured.slice(0, expected.length)).toEqual(expected.map(({ length }) => length))
      stream.end()
      expect((await buffer(stream)).equals(Buffer.concat(writes))).toBe(true)
    }
  })

  it('after the quota, bulk leaves in full records', async () => {
    const { tap, session } = await connectTapped({}, {}, (stream) => stream.resume())
    const stream = session.openStream()
    await stream.accepted()
    for (let count = 0; count < 8; count += 1) stream.write('x')
    await untilRecords(() => tap.up, 9)
    const before = tap.up.length
    const bytes = 8 * 1024 * 1024
    for (let sent = 0; sent < bytes; sent += 65_536) {
      if (!stream.write(Buffer.alloc(65_536))) await once(stream, 'drain')
    }
    const bulk = await untilTotal(() => tap.up.slice(before), bytes)
    const full = bulk.filter((size) => size === FULL)
    expect(total(full) / total(bulk)).toBeGreaterThan(0.9)
  })

  it('a write of 1 MiB leaves in about 64 records', async () => {
    for (const mux1 of [true, false]) {
      const scheme = parseScheme('stop=1\n0=30-30')
      const { tap, session } = await connectTapped({ scheme, mux1 }, {}, (stream) =>
        stream.resume(),
      )
      const stream = session.openStream()
      await stream.accepted()
      const before = tap.up.length
      const bytes = 1024 * 1024
      stream.write(Buffer.alloc(bytes))
      const measured = await untilTotal(() => tap.up.slice(before), bytes)
      const frames = Math.ceil(bytes / MAX_PAYLOAD)
      expect(total(measured)).toBeGreaterThan(bytes)
      expect(total(measured)).toBeLessThan(bytes + frames * 20)
      expect(measured.length).toBeGreaterThanOrEqual(64)
      expect(measured.length).toBeLessThanOrEqual(80)
    }
  })

  it('small writes of one tick share a record once shaping is over', async () => {
    const scheme = parseScheme('stop=1\n0=30-30')
    const { tap, session } = await connectTapped({ scheme })
    const stream = session.openStream()
    await stream.accepted()
    const before = tap.up.length
    for (let count = 0; count < 100; count += 1) stream.write('twelve bytes')
    await untilTotal(() => tap.up.slice(before), 1200)
    expect(tap.up.length - before).toBeLessThanOrEqual(3)
  })
})

describe('records from the server', () => {
  it('are those of the application, without the session tickets of TLS', async () => {
    const scheme = parseScheme('stop=1\n0=30-30')
    const { tap, session } = await connectTapped({ scheme }, {}, (stream) => {
      stream.end(Buffer.alloc(1000))
      stream.resume()
    })
    const stream = session.openStream()
    await stream.accepted()
    stream.end()
    await buffer(stream)
    const measured = await untilTotal(() => tap.down, 1004)
    // NEGO, ACK and data with its end; how many of them share a record is open.
    expect(measured.length).toBeLessThanOrEqual(4)
    expect(total(measured)).toBeLessThan(1004 + 200)
    const { fromServer } = tap.connection
    expect(fromServer.filter(({ type }) => type === 23).length).toBeGreaterThan(measured.length + 2)
  })

  it('D34: are shaped with shapeDownlink, Write by Write', async () => {
    const scheme = uniformScheme(6, '200-200,300-300')
    const { tap, session } = await connectTapped({ scheme }, { shapeDownlink: true })
    const stream = session.openStream()
    for (const text of ['one', 'two']) {
      stream.write(text)
      expect(String((await once(stream, 'data'))[0])).toBe(text)
    }
    // NEGO is Deliver 0; ACK and two echoes follow.
    const measured = await untilRecords(() => tap.down, 7)
    expect(measured.slice(1, 7)).toEqual([200, 300, 200, 300, 200, 300])
  })

  it('D34: are not shaped without it, and the client is served all the same', async () => {
    const scheme = uniformScheme(6, '200-200,300-300')
    const { tap, session } = await connectTapped({ scheme })
    const stream = session.openStream()
    stream.write('one')
    expect(String((await once(stream, 'data'))[0])).toBe('one')
    await sleep(20)
    expect(tap.down.filter((size) => size >= 200)).toEqual([])
  })
})

/** Waits until a direction has carried that many bytes, and a moment longer. */
async function untilTotal(measure: () => number[], bytes: number): Promise<number[]> {
  const patience = performance.now() + 5_000
  while (total(measure()) < bytes && performance.now() < patience) await sleep(5)
  await sleep(20)
  return measure()
}
