// What is timed. Each returns a rate: bytes or operations a second.
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { Service, sinkRequest } from './peer.ts'
import type { Link } from './peer.ts'

const CHUNK = Buffer.alloc(65_536, 0x61)
const SMALL = Buffer.alloc(64, 0x62)

/** Sends `bytes` over `streams` streams at once into the server's sink: bytes a second. */
export async function bulk(links: readonly Link[], bytes: number): Promise<number> {
  const streams = links.map((link) => link.openStream())
  const start = performance.now()
  await Promise.all(streams.map((stream) => upload(stream, bytes / streams.length)))
  return bytes / seconds(start)
}

/** 64 bytes there and back, one after the other, on one stream: round trips a second. */
export async function roundTrips(link: Link, count: number): Promise<number> {
  const stream = link.openStream()
  stream.write(Buffer.from([Service.Echo]))
  let remaining = count
  const start = performance.now()
  await new Promise<void>((resolve) => {
    let received = 0
    stream.on('data', (data: Buffer) => {
      received += data.length
      if (received < SMALL.length) return
      received = 0
      remaining -= 1
      if (remaining > 0) stream.write(SMALL)
      else resolve()
    })
    stream.write(SMALL)
  })
  const rate = count / seconds(start)
  stream.removeAllListeners('data')
  return rate
}

/** Open a stream, send 64 bytes, read them back, both ends close; one after the other: times a second. */
export async function openEchoClose(link: Link, count: number): Promise<number> {
  const start = performance.now()
  for (let index = 0; index < count; index += 1) {
    const stream = link.openStream()
    let received = 0
    stream.on('data', (data: Buffer) => (received += data.length))
    stream.write(Buffer.concat([Buffer.from([Service.Echo]), SMALL]))
    stream.end()
    await once(stream, 'close')
    if (received !== SMALL.length) throw new Error(`echo of ${received} bytes`)
  }
  return count / seconds(start)
}

function upload(stream: Duplex, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let remaining = bytes
    const send = (): void => {
      while (remaining > 0) {
        remaining -= CHUNK.length
        if (!stream.write(CHUNK)) return
      }
      stream.off('drain', send)
      stream.end()
    }
    stream.on('drain', send)
    stream.once('error', reject)
    stream.once('data', () => resolve())
    stream.write(sinkRequest(bytes))
    send()
  })
}

function seconds(start: number): number {
  return (performance.now() - start) / 1_000
}
