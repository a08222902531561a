// What an onlooker sees of the programs: the sizes of the TLS records on the wire, held against the scheme.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createServer } from 'node:net'
import type { Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodeClientNegoBlock, encodeServerNegoBlock } from '../../src/wires/anytls/nego.ts'
import { DEFAULT_WINDOW } from '../../src/wires/anytls/config.ts'
import { NAMED_SCHEMES } from '../../src/shaping/named-schemes.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { IMPLEMENTATION } from '../../src/version.ts'
import { connectTo, readExactly } from '../proxy/support.ts'
import { applicationRecords, carriedBytes, startRecordTap } from '../support/record-tap.ts'
import type { RecordTap, TappedConnection } from '../support/record-tap.ts'
import { write } from '../support/v1-frames.ts'
import { folder, serve, startClient, startServer, until } from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

/** Fixed sizes, so that every record can be told beforehand; one entry for each rule. */
const SCHEME_TEXT = `stop=6
0=40-40
1=300-300
2=100-100,c,500-500,c,600-600
3=77-77,88-88
4=14-14,c
5=60-60,67-67`
const SCHEME = parseScheme(SCHEME_TEXT)

/** What the program writes, one after the other; the last bytes are the shortest there are. */
const MESSAGES = [250, 400, 10]

/**
 * The Delivers of a session with one tunnel, by the bytes of their frames: the target, the messages, the
 * end. OPEN is part of Deliver 0.
 */
const UPLINK = [
  // 1: 3 + 7 bytes, one target of 300: filled up.
  300,
  // 2: 4 + 250 bytes: 100, more to send, so on: the rest filled up to 500; nothing left, so no 600.
  ...[100, 500],
  // 3: 4 + 400 bytes: 77, 88, and what is left unshaped.
  ...[77, 88, 239],
  // 4: 3 + 10 bytes, a target of 14: one byte cannot be added (D22).
  13,
  // 5: FIN, 2 bytes, filled up to 60; nothing left, so PADDING alone, of exactly 67 (D22).
  ...[60, 67],
]

/** The server's: ACK, the echoed messages, the end. NEGO is its Deliver 0. */
const DOWNLINK = [300, 100, 500, 77, 88, 239, 13, 60, 67]

describe('record sizes on the wire', { timeout: 30_000 }, () => {
  let server: ServerProgram
  let tap: RecordTap
  let echo: Origin
  const scheme = join(folder, 'scheme.txt')

  beforeAll(async () => {
    writeFileSync(scheme, `${SCHEME_TEXT}\n`)
    echo = await serve(createServer({ allowHalfOpen: true }, (socket) => void answer(socket)))
    server = await startServer(['--padding-scheme', scheme])
    tap = await startRecordTap(server.port)
  })
  afterAll(() => tap.stop())

  /** The link with the port of the tap in it. */
  const linkThrough = ({ link, port }: ServerProgram, { port: tapPort }: RecordTap) =>
    link.replace(`:${port}/`, `:${tapPort}/`)

  it('D23: the first connection has the built-in scheme, every later one that of the server, also after a restart', async () => {
    const link = linkThrough(server, tap)
    // With `auto` the first connection asks what the server speaks before there is a stream.
    const client = await startClient(link, ['--wire', 'v1'])
    await talk(client, echo)
    await client.program.said(/the server sent a padding scheme/)
    const [first] = tap.connections
    expect(fromClient(first)[0]).toBe(deliver0(DEFAULT_SCHEME, 30))
    const [, target = 0] = fromClient(first)
    expect(target).toBeGreaterThanOrEqual(100)
    expect(target).toBeLessThan(400)

    first?.cut()
    await client.program.said(/a connection to the server has ended/)
    await talk(client, echo)
    client.program.child.kill('SIGTERM')
    await client.program.ended
    await talk(await startClient(link, ['--wire', 'v1']), echo)
    expect(tap.connections).toHaveLength(3)
    for (const connection of tap.connections.slice(1)) {
      await until(() => fromClient(connection).length > UPLINK.length, 'every record has passed')
      const sizes = fromClient(connection)
      expect(sizes.slice(0, 1 + UPLINK.length)).toEqual([deliver0(SCHEME, 40), ...UPLINK])
      // CLOSE, and the alert with which TLS ends, of the client that was stopped.
      expect([[], [write.close(0).length, 2]]).toContainEqual(sizes.slice(1 + UPLINK.length))
    }
  })

  it('D29: past the stop of the scheme, data leaves as it is', async () => {
    const flags = ['--wire', 'v1', '--padding-scheme', scheme]
    const client = await startClient(linkThrough(server, tap), flags, { state: 'stop' })
    await talk(client, echo)
    await talk(client, echo)
    const connection = tap.connections.at(-1)
    const frames =
      // OPEN and the target, the messages, FIN.
      write.open(2).length +
      write.data(2, new Uint8Array(7)).length +
      MESSAGES.reduce((sum, size) => sum + write.data(2, new Uint8Array(size)).length, 0) +
      write.fin(2).length
    const unshaped = () => fromClient(connection).slice(1 + UPLINK.length)
    const sum = () => unshaped().reduce((total, size) => total + size, 0)
    await until(() => sum() >= frames, 'every record has passed')
    expect(sum()).toBe(frames)
  })

  it('D34: the direction of the server is shaped with --shape-downlink and not without', async () => {
    const shaping = await startServer(['--padding-scheme', scheme, '--shape-downlink'])
    const shapingTap = await startRecordTap(shaping.port)
    const link = linkThrough(shaping, shapingTap)
    // The first connection is told the scheme, which is a Deliver, too.
    for (let round = 0; round < 2; round += 1) {
      const client = await startClient(link, ['--wire', 'v1'], { state: 'downlink' })
      await talk(client, echo)
      client.program.child.kill('SIGTERM')
      await client.program.ended
    }
    const nego = write.serverNego(
      encodeServerNegoBlock({ version: 1, server: IMPLEMENTATION, mux1Window: DEFAULT_WINDOW }),
    ).length
    const expected = [nego, ...DOWNLINK]
    const shaped = fromServer(shapingTap.connections[1])
    expect(shaped.slice(0, expected.length)).toEqual(expected)
    expect(fromServer(tap.connections.at(-1)).slice(0, 2)).toEqual([nego, write.ack(1).length])
    await shapingTap.stop()
  })

  it('builtin:NAME shapes both directions, from the first connection on where the client has it, too', async () => {
    const { up, down } = NAMED_SCHEMES.flights
    const named = await startServer(['--padding-scheme', 'builtin:flights', '--shape-downlink'])
    const namedTap = await startRecordTap(named.port)
    const options = ['--wire', 'v1', '--padding-scheme', 'builtin:flights']
    const client = await startClient(linkThrough(named, namedTap), options, { state: 'named' })
    await talk(client, echo)
    client.program.child.kill('SIGTERM')
    await client.program.ended
    expect(client.program.stderr()).not.toMatch(/the server sent a padding scheme/)
    const [connection] = namedTap.connections
    for (const [sizes, scheme] of [
      [fromClient(connection), up],
      [fromServer(connection), down],
    ] as const) {
      for (let index = 1; index < scheme.stop; index += 1) {
        const [range] = scheme.entries.get(index) ?? []
        if (range?.kind !== 'size') throw new Error('no range')
        expect(sizes[index], `record ${index}`).toBeGreaterThanOrEqual(range.min)
        expect(sizes[index], `record ${index}`).toBeLessThanOrEqual(range.max)
      }
    }
    await namedTap.stop()
  })
})

/** Uses one tunnel to the echo server: sends each message and waits for it to come back, then ends. */
async function talk(client: ClientProgram, echo: Origin): Promise<void> {
  const socket = await connectTo(client.port)
  socket.write(Uint8Array.of(5, 1, 0))
  await readExactly(socket, 2)
  socket.write(Uint8Array.of(5, 1, 0, 1, 127, 0, 0, 1, echo.port >> 8, echo.port & 0xff))
  await readExactly(socket, 10)
  for (const size of MESSAGES) {
    socket.write(Buffer.alloc(size, 'x'))
    await readExactly(socket, size)
  }
  const ended = new Promise((resolve) => socket.once('end', resolve))
  socket.end().resume()
  await ended
}

/** The origin: gives each message back once it is whole, so that its pieces on the way do not show. */
async function answer(socket: Socket): Promise<void> {
  for (const size of MESSAGES) socket.write(await readExactly(socket, size))
  socket.once('end', () => socket.end()).resume()
}

/** Bytes of Deliver 0: AUTH with its padding, NEGO, OPEN (D28). */
function deliver0({ digest }: Scheme, padding: number): number {
  const nego = encodeClientNegoBlock({
    versions: [1],
    client: IMPLEMENTATION,
    schemeDigest: digest,
    mux1Window: DEFAULT_WINDOW,
  })
  const frames = [write.auth(new Uint8Array(32), padding), write.clientNego(nego), write.open(1)]
  return frames.reduce((sum, { length }) => sum + length, 0)
}

/** What the client's records carry, in bytes. */
function fromClient(connection: TappedConnection | undefined): number[] {
  return connection === undefined ? [] : carriedBytes(applicationRecords(connection).up)
}

/** What the server's records carry, in bytes. */
function fromServer(connection: TappedConnection | undefined): number[] {
  return connection === undefined ? [] : carriedBytes(applicationRecords(connection).down)
}
