// What idle streams and idle sessions cost in memory, asked of both processes after a collection.
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Link, Peer } from './peer.ts'

const STREAMS = 10_000
// Enough for what the heap grows by once and for all to count little.
const SESSIONS = 2_000

/** Heap of one idle stream, in bytes, on each side. */
export async function measureIdleStreams(
  peer: Peer,
  port: number,
  server: ChildProcess,
): Promise<{ client: number; server: number }> {
  const link = await peer.connect(port)
  link.openStream()
  await delay(200)
  const before = await usage(server)
  const clientBefore = ownHeap()
  const streams = []
  for (let index = 0; index < STREAMS; index += 1) streams.push(link.openStream())
  await delay(500)
  const client = (ownHeap() - clientBefore) / streams.length
  const after = await usage(server)
  await link.close()
  await delay(200)
  return { client, server: (after.heapUsed - before.heapUsed) / STREAMS }
}

/** Resident memory of the server for one idle session, in bytes. */
export async function measureIdleSessions(
  peer: Peer,
  port: number,
  server: ChildProcess,
): Promise<number> {
  // A few first: what the first session loads is no cost of the others.
  const first = await Promise.all(Array.from({ length: 10 }, () => peer.connect(port)))
  await delay(500)
  const before = await usage(server)
  const links = await connectMany(peer, port)
  await delay(500)
  const after = await usage(server)
  await closeAll([...first, ...links])
  return (after.rss - before.rss) / SESSIONS
}

async function connectMany(peer: Peer, port: number): Promise<Link[]> {
  const links: Link[] = []
  for (let index = 0; index < SESSIONS; index += 1) links.push(await peer.connect(port))
  return links
}

async function closeAll(links: readonly Link[]): Promise<void> {
  await Promise.all(links.map((link) => link.close()))
}

async function usage(server: ChildProcess): Promise<NodeJS.MemoryUsage> {
  server.send('usage')
  const [answer] = (await once(server, 'message')) as [NodeJS.MemoryUsage]
  return answer
}

function ownHeap(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed
}
