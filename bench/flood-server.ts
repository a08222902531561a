// The server that is flooded: a proxy as `anytls server` is one, and the other multiplexers beside it, in a
// process with a small heap. It watches its own loop, and answers questions about it.
import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import type { AddressInfo } from 'node:net'
import { createServer } from '../src/index.ts'
import { muxProServer } from '../src/muxpro.ts'
import type { Stream } from '../src/muxpro.ts'
import { netMuxServer } from '../src/netmux.ts'
import { CloseCode, dial, relay, serveProxyStream } from '../src/proxy.ts'
import { makeTestCertificate } from '../test/support/certificate.ts'
import { FLOOD_PASSWORD } from './flood-wires.ts'
import type { WireKey } from './flood-wires.ts'

export type Ports = Readonly<Record<WireKey, number>>

export interface ServerState {
  /** The longest time between two turns that a timer could run in, since it was last asked for, in ms. */
  readonly longestTurn: number
  /** The most processor time that was used in one, in ms: other processes do not count in it. */
  readonly longestWork: number
  /** Bytes of heap and of external memory after a collection. */
  readonly memory: number
  /** The peak of resident memory, in bytes. */
  readonly peak: number
}

const TICK = 5

const { key, cert } = await makeTestCertificate()

/** Names are asked for and never answered: what goes to one hangs. */
const hang = { lookup: () => new Promise<never>(() => {}) }

const proxy = createServer({ key, cert, password: FLOOD_PASSWORD, autoAccept: false }, (stream) => {
  void serveProxyStream(stream, { dial: hang })
})
proxy.listen(0, '127.0.0.1')
await once(proxy, 'listening')
const { port } = proxy.address()

/** As the proxy serves a sub-connection. */
async function serveRequest(stream: Stream): Promise<void> {
  stream.on('error', () => {})
  const gone = new AbortController()
  stream.once('close', () => gone.abort())
  try {
    const socket = await dial(stream.request!.target, { ...hang, signal: gone.signal })
    stream.accept()
    await relay(stream, socket)
  } catch {
    stream.reset(CloseCode.DestinationUnreachable)
  }
}

async function overTls(serve: (socket: TLSSocket) => void): Promise<number> {
  const server = createTlsServer({ key, cert, minVersion: 'TLSv1.3' }, serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const muxPro = await overTls((socket) => {
  muxProServer(socket, { autoAccept: false }).on('stream', (stream) => void serveRequest(stream))
})
const netMux = await overTls((socket) => {
  netMuxServer(socket, { autoAccept: false }).on('stream', (stream) => {
    void serveProxyStream(stream, { dial: hang })
  })
})

let last = performance.now()
let lastWork = process.cpuUsage()
let longestTurn = 0
let longestWork = 0
setInterval(() => {
  const now = performance.now()
  const work = process.cpuUsage(lastWork)
  longestTurn = Math.max(longestTurn, now - last - TICK)
  longestWork = Math.max(longestWork, Math.min(now - last, (work.user + work.system) / 1_000))
  last = now
  lastWork = process.cpuUsage()
}, TICK)

function peak(): number {
  const [, kilobytes = '0'] = /VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8')) ?? []
  return Number(kilobytes) * 1_024
}

process.on('message', () => {
  const turns = { longestTurn, longestWork }
  globalThis.gc?.()
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  const state: ServerState = { ...turns, memory: heapUsed + external, peak: peak() }
  process.send?.(state)
  // The collection is no work of the flood's.
  last = performance.now()
  lastWork = process.cpuUsage()
  longestTurn = 0
  longestWork = 0
})
process.on('disconnect', () => process.exit(0))
const ports: Ports = { v1: port, draft: port, legacy: port, muxPro, netMux }
process.send?.(ports)
