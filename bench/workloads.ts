// What is timed. Each returns a rate: bytes or operations a second.
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import { Service, request, supply } from './peer.ts'
import type { Link } from './peer.ts'

const SMALL = Buffer.alloc(64, 0x62)

/** How long {@link sevenOfEight} waits for what a slow reader holds up, in milliseconds. */
const SLOW_LIMIT = 3_000

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

/** The same on wires that know no end of one direction: the client ends the stream once it has the answer. */
export async function openEchoDestroy(link: Link, count: number): Promise<number> {
  const start = performance.now()
  for (let index = 0; index < count; index += 1) {
    const stream = link.openStream()
    await new Promise<void>((resolve) => {
      let received = 0
      stream.on('data', (data: Buffer) => {
        received += data.length
        if (received >= SMALL.length) resolve()
      })
      stream.write(Buffer.concat([Buffer.from([Service.Echo]), SMALL]))
    })
    stream.destroy()
    await once(stream, 'close')
  }
  return count / seconds(start)
}

/**
 * Eight downloads on one link, of which one is never read when `slow`: what the seven others get together,
 * in bytes a second, until they have `bytes` each or the time is up.
 */
export async function sevenOfEight(link: Link, bytes: number, slow: boolean): Promise<number> {
  const streams = Array.from({ length: 8 }, () => link.openStream())
  for (const stream of streams) {
    stream.on('error', () => {})
    stream.write(request(Service.Source, bytes))
  }
  const eighth = streams.pop()
  if (!slow) eighth?.resume()
  const start = performance.now()
  let received = 0
  const downloads = streams.map(async (stream) => {
    stream.on('data', (data: Buffer) => (received += data.length))
    await once(stream, 'end')
  })
  await Promise.race([Promise.all(downloads), delay(SLOW_LIMIT, undefined, { ref: false })])
  const rate = received / seconds(start)
  for (const stream of streams) stream.destroy()
  eighth?.destroy()
  return rate
}

function upload(stream: Duplex, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.once('error', reject)
    stream.once('data', () => resolve())
    stream.write(request(Service.Sink, bytes))
    supply(stream, bytes)
  })
}

function seconds(start: number): number {
  return (performance.now() - start) / 1_000
}
