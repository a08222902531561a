// What is sent through a pair of programs: files, many streams at once, streams that are cut.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import net from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { folder, serve, serveBytes, serveHttp, until } from '../../e2e/support.ts'
import type { Origin } from '../../e2e/support.ts'
import { closing, curl, readAll, readExactly, sha256 } from '../../proxy/support.ts'

const MIB = 1 << 20

/** A local proxy: of our client, or of the Go one. */
export interface Proxy {
  readonly proxy: string
  readonly port: number
}

/** 64 MiB and an origin that gives any part of them. */
export interface FileOrigin {
  readonly origin: Origin
  readonly file: Buffer
  /** Path of the whole file on disk, for uploads. */
  readonly path: string
  readonly url: (length: number) => string
}

export async function startFileOrigin(): Promise<FileOrigin> {
  const file = randomBytes(64 * MIB)
  const path = join(folder, 'file')
  writeFileSync(path, file)
  const origin = await serveHttp(serveBytes(file))
  return { origin, file, path, url: (length) => `http://127.0.0.1:${origin.port}/${length}` }
}

/** Whether `length` bytes come down through the proxy as they are. */
export async function fetches(
  { proxy }: Proxy,
  { file, url }: FileOrigin,
  length: number,
  how = '--socks5-hostname',
): Promise<boolean> {
  const { code, stdout } = await curl('-f', '-m', '50', how, proxy, url(length))
  return code === 0 && stdout.equals(file.subarray(0, length))
}

/** What the origin says of the whole file when curl sends it, and what it must say. */
export async function upload(
  { proxy }: Proxy,
  { file, path, origin }: FileOrigin,
): Promise<{ answer: string; expected: string }> {
  const to = `127.0.0.1:${origin.port}`
  const { stdout } = await curl(
    ...['-m', '50', '--socks5-hostname', proxy, '-T', path, `http://${to}/`],
  )
  return { answer: String(stdout), expected: `PUT ${to} /file ${file.length} ${sha256(file)}\n` }
}

/** A TCP server of this process with what has come to it. */
export interface TcpOrigin extends Origin {
  readonly sockets: readonly Socket[]
  /** How many of them are open. */
  live(): number
}

/** Serves connections with `onSocket`; half-open ones stay so. */
export async function startTcpOrigin(onSocket: (socket: Socket) => void): Promise<TcpOrigin> {
  const sockets: Socket[] = []
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    onSocket(socket)
  })
  const origin = await serve(server)
  return { ...origin, sockets, live: () => sockets.filter(({ destroyed }) => !destroyed).length }
}

/** A tunnel to `target` on loopback, as the proxy gives it after its SOCKS5 reply. */
export async function openTunnel({ port }: Proxy, target: number): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  await once(socket, 'connect')
  socket.write(Uint8Array.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, target >> 8, target & 0xff))
  // The method, and a reply with an IPv4 address.
  const reply = await readExactly(socket, 12)
  if (reply[3] !== 0) throw new Error(`SOCKS5 reply ${reply[3]}`)
  return socket
}

/** Opens `count` tunnels to an echo, all there at once, and sends through each something of its own. */
export async function manyStreams(proxy: Proxy, count: number): Promise<void> {
  const echo = await startTcpOrigin((socket) => socket.pipe(socket))
  const tunnels = await Promise.all(
    Array.from({ length: count }, () => openTunnel(proxy, echo.port)),
  )
  const exchange = async (tunnel: Socket, length: number) => {
    const sent = randomBytes(length)
    tunnel.write(sent)
    return sent.equals(await readExactly(tunnel, length))
  }
  // The reply may come before the target is reached, so the live ones are counted after the first echo.
  for (const length of [100, 5_000]) {
    const right = await Promise.all(tunnels.map((tunnel) => exchange(tunnel, length)))
    if (!right.every(Boolean)) throw new Error('an echo was not what had been sent')
    if (echo.live() !== count) throw new Error(`${echo.live()} of ${count} streams are there`)
  }
  // With a reset: after a mere end the answer may still be wanted.
  for (const tunnel of tunnels) tunnel.resetAndDestroy()
  await until(() => echo.live() === 0, 'the targets are left')
}

/** Sends `bytes` through a tunnel and ends at once; resolves with what came to the target. */
export async function sendAndEnd(proxy: Proxy, bytes: Buffer): Promise<Buffer> {
  const chunks: Buffer[] = []
  let missing = bytes.length
  const sink = await startTcpOrigin((socket) => {
    socket.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      missing -= chunk.length
      // A client may hold back the end: on this wire it would cut off an answer.
      if (missing === 0) socket.end()
    })
    socket.on('end', () => socket.end())
  })
  const connected = once(sink.server, 'connection')
  const tunnel = await openTunnel(proxy, sink.port)
  tunnel.resume().end(bytes)
  const [socket] = (await connected) as [Socket]
  if (!socket.destroyed) await closing(socket)
  return Buffer.concat(chunks)
}

/** Has a target send `bytes` and close at once; resolves with what came out of the tunnel. */
export async function receiveToEnd(proxy: Proxy, bytes: Buffer): Promise<Buffer> {
  const source = await startTcpOrigin((socket) => socket.resume().end(bytes))
  const tunnel = await openTunnel(proxy, source.port)
  const received = await readAll(tunnel)
  tunnel.end()
  return received
}
