// The relay against real sockets: what either side notices, and what is recorded.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as tcpConnect } from 'node:net'
import type { Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { startCapture } from '../../support/capture.ts'
import { encodeCaptureLine } from '../../../src/harness/capture/capture-event.ts'
import type {
  CaptureEvent,
  CloseEvent,
  RecordEvent,
} from '../../../src/harness/capture/capture-event.ts'
import { parseCapture } from '../../../src/harness/capture/capture-parser.ts'
import { connectTo, readAll, readExactly, sha256 } from '../../proxy/support.ts'
import { writeUntilHeld } from '../../support/back-pressure.ts'
import { startTlsServer } from '../../support/server.ts'
import { startTcpEndpoint } from '../../support/tcp-endpoint.ts'

const HOST = '127.0.0.1'

interface Options {
  readonly maxRecords?: number
  readonly write?: (event: CaptureEvent) => Promise<void> | undefined
}

/** A capture in front of `port`, and its events as they come. */
async function capture(port: number, { maxRecords, write }: Options = {}) {
  const events: CaptureEvent[] = []
  const sink = {
    write(event: CaptureEvent) {
      events.push(event)
      return write?.(event)
    },
  }
  const listen = { host: HOST, port: 0 }
  const limits = maxRecords === undefined ? {} : { maxRecords }
  const started = await startCapture({ listen, to: { host: HOST, port }, sink, ...limits })
  onTestFinished(() => started.stop(0))
  return { ...started, events }
}

/** program <-> capture <-> far. */
async function relayed(options?: Options) {
  const endpoint = await startTcpEndpoint()
  onTestFinished(() => endpoint.stop())
  const captured = await capture(endpoint.port, options)
  const program = await connectTo(captured.port)
  const far = await endpoint.accept()
  return { ...captured, program, far }
}

const records = (events: readonly CaptureEvent[]) =>
  events.filter((event): event is RecordEvent => event.event === 'record')
const closes = (events: readonly CaptureEvent[]) =>
  events.filter((event): event is CloseEvent => event.event === 'close')

async function closed(events: readonly CaptureEvent[], count = 1): Promise<CloseEvent> {
  while (closes(events).length < count) await setTimeout(5)
  return closes(events)[count - 1]!
}

const digest = async (socket: Socket) => sha256(await readAll(socket.resume()))
const read = async (socket: Socket, length: number) => String(await readExactly(socket, length))

/** A record of application data with `body` bytes. */
const record = (body: number) =>
  Buffer.concat([Buffer.from([23, 3, 3, body >> 8, body & 255]), Buffer.alloc(body, 7)])

describe('the capture relay', { timeout: 30_000 }, () => {
  it('carries 32 MiB each way at once, unchanged', async () => {
    const { program, far, events } = await relayed()
    const [up, down] = [randomBytes(32 << 20), randomBytes(32 << 20)]
    program.end(up)
    far.end(down)
    expect(await Promise.all([digest(far), digest(program)])).toEqual([sha256(up), sha256(down)])
    expect(await closed(events)).toMatchObject({ reason: 'end', up: up.length, down: down.length })
  })

  it('passes half-close on, from either side, and what the other side still says', async () => {
    const { program, far, events } = await relayed()
    program.end('question')
    expect(await digest(far)).toBe(sha256(Buffer.from('question')))
    far.write('first ')
    expect(await read(program, 6)).toBe('first ')
    far.end('last')
    expect(await digest(program)).toBe(sha256(Buffer.from('last')))
    expect(await closed(events)).toMatchObject({ reason: 'end', up: 8, down: 10 })

    const other = await relayed()
    other.far.end('banner')
    expect(await digest(other.program)).toBe(sha256(Buffer.from('banner')))
    other.program.end('answer')
    expect(await digest(other.far)).toBe(sha256(Buffer.from('answer')))
  })

  it.for(['program', 'far'] as const)('passes a reset by the %s side on', async (side) => {
    const ends = await relayed()
    const [near, other] = side === 'program' ? [ends.program, ends.far] : [ends.far, ends.program]
    near.write('x')
    await once(other.resume(), 'data')
    const failed = new Promise<NodeJS.ErrnoException>((done) => other.once('error', done))
    near.resetAndDestroy()
    expect((await failed).code).toBe('ECONNRESET')
    expect((await closed(ends.events)).reason).toBe('reset')
  })

  it('resets a connection whose server cannot be reached, and records that', async () => {
    const endpoint = await startTcpEndpoint()
    await endpoint.stop()
    const { port, events } = await capture(endpoint.port)
    const program = tcpConnect({ port, host: HOST })
    const [error] = (await once(program.resume(), 'close').then(
      () => [undefined],
      (error: unknown) => [error],
    )) as [NodeJS.ErrnoException | undefined]
    expect(error?.code).toBe('ECONNRESET')
    expect(await closed(events)).toMatchObject({ reason: 'refused', up: 0, down: 0 })
  })

  it('a slow reader holds its writer back, and memory stays bounded', async () => {
    const { program, far } = await relayed()
    // Kernel buffers of loopback take a few MiB; then nothing may be taken any more.
    const accepted = await writeUntilHeld(program)
    expect(accepted).toBeLessThan(32 << 20)
    // And it goes on once the reader does.
    let got = 0
    far.on('data', (bytes: Buffer) => (got += bytes.length)).resume()
    while (got < accepted && got < 64 << 20) await setTimeout(5)
  })

  it('a slow sink holds the connection back until it is ready', async () => {
    let ready: (() => void) | undefined
    const write = ({ event }: CaptureEvent) =>
      event === 'record' ? new Promise<void>((resolve) => (ready = resolve)) : undefined
    const { program, far, events } = await relayed({ write })
    program.write(record(10))
    await readExactly(far, 15)
    program.write(record(20))
    await setTimeout(50)
    expect(records(events).map(({ bytes }) => bytes)).toEqual([15])
    ready?.()
    await readExactly(far, 25)
    expect(records(events).map(({ bytes }) => bytes)).toEqual([15, 25])
  })

  it('records sizes, types, directions and times of real TLS, and changes nothing of it', async () => {
    const { port, certificate } = await startTlsServer({}, (socket) => {
      socket.once('data', () => socket.end(Buffer.alloc(20_000, 'y')))
    })
    const { port: relayPort, events } = await capture(port)
    const client = tlsConnect({
      port: relayPort,
      host: HOST,
      ca: certificate.cert,
      servername: 'localhost',
    })
    client.end('x'.repeat(100))
    let got = 0
    for await (const chunk of client) got += (chunk as Buffer).length
    expect(got).toBe(20_000)
    const { up, down } = await closed(events)
    const of = (direction: 'up' | 'down') =>
      records(events).filter((event) => event.direction === direction)
    expect(of('up')[0]).toMatchObject({ connection: 1, type: 22 })
    // ChangeCipherSpec, Finished; then what was written, with head, tag and inner type; close_notify.
    expect(
      of('up')
        .slice(1)
        .map(({ type }) => type),
    ).toEqual([20, 23, 23, 23])
    expect(of('up').at(-2)?.bytes).toBe(100 + 22)
    expect(
      of('down')
        .slice(-3)
        .map(({ bytes }) => bytes),
    ).toEqual([16_384 + 22, 20_000 - 16_384 + 22, 2 + 22])
    const sum = (list: readonly RecordEvent[]) =>
      list.reduce((total, { bytes }) => total + bytes, 0)
    expect([sum(of('up')), sum(of('down'))]).toEqual([up, down])
    const times = records(events).map(({ time }) => time)
    expect(times).toEqual(times.toSorted((a, b) => a - b))
    expect(times[0]).toBeGreaterThan(0)
    expect(times.at(-1)).toBeLessThan(10_000)
  })

  it('notes what is not TLS, each direction for itself, and relays it on', async () => {
    const { program, far, events } = await relayed()
    program.write(record(10))
    await readExactly(far, 15)
    far.write('HTTP/1.1 200 OK\r\n')
    expect(await read(program, 17)).toBe('HTTP/1.1 200 OK\r\n')
    program.write('plain now')
    expect(await read(far, 9)).toBe('plain now')
    expect(events.filter(({ event }) => event === 'not-tls')).toMatchObject([
      { connection: 1, direction: 'down', offset: 0 },
      { connection: 1, direction: 'up', offset: 15 },
    ])
    expect(records(events)).toHaveLength(1)
  })

  it('says that it has stopped recording at the limit, and relays on', async () => {
    const { program, far, events, port } = await relayed({ maxRecords: 2 })
    program.end(Buffer.concat([record(1), record(2), record(3)]))
    far.end()
    expect(await digest(far)).toBe(sha256(Buffer.concat([record(1), record(2), record(3)])))
    await digest(program)
    ;(await connectTo(port)).destroy()
    expect(events.map(({ event }) => event)).toEqual(['open', 'record', 'record', 'limit'])
    expect(events.at(-1)).toMatchObject({ of: 'records' })
  })

  it('numbers connections, and what it tells is a capture that can be read', async () => {
    const { program, far, events, port } = await relayed()
    program.end(record(5))
    far.end()
    await digest(far)
    await closed(events)
    tcpConnect({ port, host: HOST })
      .on('error', () => {})
      .end()
    while (events.at(-1)?.event !== 'open') await setTimeout(5)
    const header = { format: 'anytls-capture', version: 1, to: 'a:1', started: 'now' } as const
    const text = [header, ...events].map((line) => encodeCaptureLine(line)).join('')
    expect(parseCapture(text).connections).toMatchObject([
      {
        connection: 1,
        records: [{ direction: 'up', type: 23, bytes: 10 }],
        close: { reason: 'end' },
      },
      { connection: 2, records: [] },
    ])
  })

  it('stop: lets connections go on for as long as it is told, then cuts them and records that', async () => {
    const { program, far, events, ...captured } = await relayed()
    const stopped = captured.stop(150)
    program.write(record(5))
    await once(far.resume(), 'data')
    expect(closes(events)).toEqual([])
    await stopped
    expect(closes(events)).toMatchObject([{ connection: 1, reason: 'stopped', up: 10 }])
  })

  it('stop: does not wait when nothing is open', async () => {
    const { program, far, events, ...captured } = await relayed()
    program.end()
    far.end()
    far.resume()
    await closed(events)
    const begin = performance.now()
    await captured.stop(20_000)
    expect(performance.now() - begin).toBeLessThan(5_000)
  })
})
