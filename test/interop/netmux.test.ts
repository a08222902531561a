// Against the crate net-mux 1.0.1, by a program of ours that uses it: both roles, both directions.
// Its deviations from its own protocol notes stand in spec-notes.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { PeerCloseError } from '../../src/errors.ts'
import { makeFrameDecoder } from '../../src/wires/netmux/frame-decoder.ts'
import type { Frame } from '../../src/wires/netmux/frame.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { netMuxClient, netMuxServer } from '../../src/session/netmux.ts'
import type { NetMuxOptions } from '../../src/session/netmux.ts'
import { describeFrames, frame, write } from '../wires/netmux/frames.ts'
import { startPeer } from './netmux-peer.ts'
import type { Peer } from './netmux-peer.ts'
import { netmuxPeer } from './support/cargo-build.ts'

const MIB = 1_048_576
const BULK = 64 * MIB

describe.skipIf(netmuxPeer.isMissing)(`net-mux against its crate 1.0.1${netmuxPeer.note}`, () => {
  it('64 MiB go to the crate and come back the same', { timeout: 60_000 }, async () => {
    const session = client(await startPeer('server', 'echo'))
    const stream = session.openStream()
    const [sent, received] = await Promise.all([writeBulk(stream), hashOf(stream)])
    expect(received).toEqual(sent)
    await session.close()
  })

  it('64 MiB of the crate come here and go back the same', { timeout: 60_000 }, async () => {
    const peer = await startPeer('client', 'open', 1, BULK)
    const session = server(peer).on('stream', echo)
    expect(await peer.said('echoed')).toBe('echoed 1 of 1')
    await session.close()
  })

  it('half-close: the crate answers after our end with what it has read', async () => {
    const session = client(await startPeer('server', 'digest'))
    const stream = session.openStream()
    const data = randomBytes(3 * MIB)
    stream.end(data)
    const answer = Buffer.concat((await stream.toArray()) as Buffer[]).toString()
    expect(answer).toBe(`${data.length} ${fnv1a(data)}`)
    await session.close()
  })

  it('1,000 streams of ours at once are served by the crate', { timeout: 60_000 }, async () => {
    const session = client(await startPeer('server', 'echo'))
    const streams = Array.from({ length: 1_000 }, () => session.openStream())
    expect(session.streamCount).toBe(1_000)
    expect(streams.at(-1)?.id).toBe(1_999)
    await Promise.all(streams.map(async (stream) => await expectEcho(stream, 3_000)))
    expect(session.streamCount).toBe(0)
    await session.close()
  })

  it('1,000 streams of the crate at once are served here', { timeout: 60_000 }, async () => {
    const peer = await startPeer('client', 'open', 1_000, 3_000)
    const session = server(peer).on('stream', echo)
    expect(await peer.said('echoed')).toBe('echoed 1000 of 1000')
    expect(session.streamCount).toBe(0)
    await session.close()
  })

  it('our server opens streams to a client of the crate', async () => {
    const session = server(await startPeer('client', 'echo'))
    const streams = Array.from({ length: 20 }, () => session.openStream())
    expect(streams.map(({ id }) => id).slice(0, 3)).toEqual([2, 4, 6])
    await Promise.all(streams.map(async (stream) => await expectEcho(stream, 300_000)))
    await session.close()
  })

  it('a server of the crate opens streams to our client, which opens its own', async () => {
    const peer = await startPeer('server', 'open', 20, 300_000)
    const ids: number[] = []
    const session = client(peer).on('stream', (stream) => {
      ids.push(stream.id)
      echo(stream)
    })
    expect(await peer.said('echoed')).toBe('echoed 20 of 20')
    expect(ids.every((id) => id % 2 === 0)).toBe(true)
    await session.close()
  })

  it('reset by the crate: that stream fails, its sibling does not', async () => {
    const session = client(await startPeer('server', 'reset-after', 1_000))
    const [doomed, sibling] = [session.openStream(), session.openStream()]
    const failure = once(doomed, 'error')
    doomed.write(randomBytes(1_000))
    sibling.write(randomBytes(500))
    const [error] = (await failure) as [Error]
    expect(error).toMatchObject({ code: 'ERR_STREAM_RESET' })
    await sibling.accepted()
    expect(session.streamCount).toBe(1)
    session.destroy()
  })

  it('reset by us: the crate reads the reset, and a sibling goes on', async () => {
    const peer = await startPeer('server', 'echo')
    const session = client(peer)
    const [doomed, sibling] = [session.openStream(), session.openStream()]
    await doomed.accepted()
    doomed.destroy()
    expect(await peer.said('stream 1')).toContain('stream reset')
    await expectEcho(sibling, 100_000)
    await session.close()
  })

  it('ping: the crate answers ours, we answer those of its keepalive', async () => {
    const peer = await startPeer('server', 'echo', '--keepalive-interval', 10)
    const socket = peer.connect()
    const fivePings = new Promise<void>((resolve) => {
      let pings = 0
      onFrames(socket, (frame) => {
        // The crate sends the next one only when the one before was answered.
        if (frame.type === 'ping' && !frame.isAnswer) pings += 1
        if (pings === 5) resolve()
      })
    })
    const session = owned(netMuxClient(socket))
    expect(await session.ping()).toBeGreaterThanOrEqual(0)
    await fivePings
    await expectEcho(session.openStream(), 1_000)
    await session.close()
  })

  it('GoAway of the crate: no new streams, and the session ends without an error', async () => {
    const session = client(await startPeer('server', 'close-after', 3))
    const closed = once(session, 'close')
    const draining = once(session, 'draining')
    const streams = Array.from({ length: 3 }, () => session.openStream())
    await Promise.all(streams.map(async (stream) => await expectEcho(stream, 50_000)))
    await draining
    expect(session.mayOpen).toBe(false)
    expect(await closed).toEqual([undefined])
  })

  it('our close loses nothing that is under way, although the crate ends its streams at GoAway', async () => {
    const peer = await startPeer('server', 'echo')
    const session = client(peer)
    const echoes = Array.from({ length: 4 }, () => expectEcho(session.openStream(), 2 * MIB))
    const closed = session.close()
    expect(() => session.openStream()).toThrow('no new streams')
    await Promise.all(echoes)
    await closed
    await peer.said('session closed')
    expect(peer.lines.filter((line) => line.endsWith('ended'))).toHaveLength(4)
  })

  it('where the crate leaves its own notes: it cuts its streams at GoAway, and has no code for a version', async () => {
    const peer = await startPeer('server', 'echo')
    const goodbye = await answersOf(peer.connect(), write.syn(1), write.goaway(0))
    expect(goodbye.slice(0, 2)).toEqual(['DATA 1 ACK', 'GOAWAY 0'])
    const future = await answersOf(peer.connect(), frame(0, 1, 1, 0, '', 2))
    expect(future).toEqual(['GOAWAY 1'])
  })

  it('a GoAway with an error code names it', async () => {
    // A frame that the crate finds too large, and yet has read: what it closes upon unread resets the connection.
    const session = client(await startPeer('server', 'echo', '--max-frame-size', 10))
    session
      .openStream()
      .on('error', () => {})
      .end('eleven byte')
    const [error] = (await once(session, 'close')) as [unknown]
    expect(error).toBeInstanceOf(PeerCloseError)
    expect(error).toMatchObject({ closeCode: 1, reason: 'protocol error' })
  })

  it('a stream above the limit of the crate is reset, the others go on', async () => {
    const session = client(await startPeer('server', 'echo', '--max-streams', 4))
    const streams = Array.from({ length: 4 }, () => session.openStream())
    const [error] = (await once(session.openStream(), 'error')) as [unknown]
    expect(error).toMatchObject({ code: 'ERR_STREAM_RESET' })
    await Promise.all(streams.map(async (stream) => await expectEcho(stream, 10_000)))
    await session.close()
  })

  it('a stream of the crate above our limit is reset, the others go on', async () => {
    const peer = await startPeer('client', 'open', 5, 100_000)
    const session = server(peer, { maxStreams: 4 }).on('stream', echo)
    expect(await peer.said('failed')).toMatch(/was reset by peer$/)
    expect(await peer.said('echoed')).toBe('echoed 4 of 5')
    await session.close()
  })

  it(
    'other windows and frame sizes work when both ends have the same',
    { timeout: 60_000 },
    async () => {
      for (const [initialStreamWindow, maxFrameSize] of [
        [1_048_576, 16_384],
        [16_384, 1_048_576],
        [1_000, 999],
      ] as const) {
        const peer = await startPeer(
          ...['client', 'open', 8, 500_000],
          ...['--initial-stream-window', initialStreamWindow, '--max-frame-size', maxFrameSize],
        )
        const session = server(peer, { initialStreamWindow, maxFrameSize }).on('stream', echo)
        expect(await peer.said('echoed')).toBe('echoed 8 of 8')
        await session.close()
      }
    },
  )

  it('the window is not negotiated: a crate with a larger one overruns ours, and GoAway 3 ends the session', async () => {
    const words = ['--initial-stream-window', 1_048_576]
    const peer = await startPeer('client', 'open', 1, 1_048_576, ...words)
    // Accepted and never read.
    const session = server(peer).on('stream', () => {})
    const [error] = (await once(session, 'close')) as [unknown]
    expect(error).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    expect(String(error)).toContain('beyond the window')
  })

  it('the window is not negotiated: a crate with less than half of ours stands still', async () => {
    const words = ['--initial-stream-window', 65_536]
    const peer = await startPeer('client', 'open', 1, 200_000, ...words)
    let received = 0
    const session = server(peer)
    await new Promise<void>((resolve) => {
      session.on('stream', (stream) => {
        stream.on('data', (chunk: Buffer) => {
          received += chunk.length
          if (received === 65_536) resolve()
        })
      })
    })
    for (let round = 0; round < 3; round += 1) await session.ping()
    expect(received).toBe(65_536)
    session.destroy()
  })
})

function client(peer: Peer, options?: NetMuxOptions): Session {
  return owned(netMuxClient(peer.connect(), options))
}

function server(peer: Peer, options?: NetMuxOptions): Session {
  return owned(netMuxServer(peer.connect(), options))
}

function owned(session: Session): Session {
  onTestFinished(() => session.destroy())
  return session
}

function onFrames(socket: Socket, listener: (frame: Frame) => void): void {
  const decoder = makeFrameDecoder(65_536)
  socket.on('data', (chunk: Buffer) => {
    decoder.push(chunk)
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) listener(next)
  })
}

/** Sends each of the frames when the one before was answered; what the peer says until it ends. */
async function answersOf(socket: Socket, ...frames: readonly Uint8Array[]): Promise<string[]> {
  const chunks: Buffer[] = []
  const ended = once(socket, 'end')
  for (const bytes of frames) {
    socket.write(bytes)
    const [chunk] = (await once(socket, 'data')) as [Buffer]
    chunks.push(chunk)
  }
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  await ended
  return describeFrames(Buffer.concat(chunks))
}

function echo(stream: Stream): void {
  pipeline(stream, stream).catch(() => {})
}

async function expectEcho(stream: Stream, bytes: number): Promise<void> {
  const data = randomBytes(bytes)
  stream.end(data)
  const echoed = Buffer.concat((await stream.toArray()) as Buffer[])
  expect(echoed.length).toBe(bytes)
  expect(echoed.equals(data)).toBe(true)
}

/** Writes 64 MiB in writes larger than a frame; returns what {@link hashOf} must find. */
async function writeBulk(stream: Stream): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256')
  const data = randomBytes(MIB)
  for (let sent = 0; sent < BULK; sent += data.length) {
    data.writeUInt32BE(sent)
    hash.update(data)
    if (!stream.write(Buffer.from(data))) await once(stream, 'drain')
  }
  stream.end()
  return { bytes: BULK, hash: hash.digest('hex') }
}

async function hashOf(stream: Stream): Promise<{ bytes: number; hash: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  for await (const chunk of stream) {
    bytes += (chunk as Buffer).length
    hash.update(chunk as Buffer)
  }
  return { bytes, hash: hash.digest('hex') }
}

/** The checksum that the program answers with. */
function fnv1a(data: Uint8Array): string {
  let hash = 0x811c_9dc5
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x0100_0193)
  return (hash >>> 0).toString(16).padStart(8, '0')
}
