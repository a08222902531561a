// What the tests of this folder share: streams without a session, servers on loopback, curl.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import { Duplex } from 'node:stream'
import { onTestFinished } from 'vitest'
import { PeerCloseError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { createInbound } from '../../src/proxy/inbound/inbound.ts'
import type { InboundOptions } from '../../src/proxy/inbound/inbound.ts'
import type { InboundEvents } from '../../src/proxy/inbound/inbound-tunnel.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import type { ServeStreamOptions } from '../../src/proxy/outbound/serve-target.ts'
import type { OpenTunnel, StreamSource, TunnelStream } from '../../src/proxy/tunnel.ts'

/** One end of a stream in memory, with back-pressure, half-close and reset. */
export class PairedStream extends Duplex implements TunnelStream {
  /** Resets that this end sent, in order. */
  readonly resets: { code: CloseCode; reason: string }[] = []
  isAccepted = false
  peer!: PairedStream
  /** Without mux1 a reset arrives as the end of the data (D6), and before acceptance as a refusal. */
  readonly #plain: boolean
  #resume: (() => void) | undefined
  #settle!: { accept: () => void; refuse: (error: Error) => void }
  readonly #acceptance = new Promise<void>((accept, refuse) => (this.#settle = { accept, refuse }))

  constructor(plain: boolean) {
    super({ allowHalfOpen: true, highWaterMark: 65_536 })
    this.#plain = plain
    this.#acceptance.catch(() => {})
  }

  accepted(): Promise<void> {
    return this.#acceptance
  }

  accept(): void {
    this.isAccepted = true
    this.peer.#settle.accept()
  }

  reset(code: CloseCode, reason = ''): void {
    if (this.destroyed) return
    this.resets.push({ code, reason })
    this.destroy()
    this.peer.#wasReset(code, reason)
  }

  /** The session is gone. */
  lose(error: Error): void {
    this.#settle.refuse(error)
    this.destroy(error)
  }

  #wasReset(code: CloseCode, reason: string): void {
    const told = this.#plain ? CloseCode.Graceful : code
    const error = new PeerCloseError('ERR_STREAM_RESET', told, this.#plain ? '' : reason)
    this.#settle.refuse(error)
    if (!this.#plain) {
      this.destroy(error)
      return
    }
    this.push(null)
    if (this.readableEnded) this.destroy()
    else this.once('end', () => this.destroy())
  }

  override _read(): void {
    const resume = this.peer.#resume
    this.peer.#resume = undefined
    // May write again at once, and be held up again.
    resume?.()
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, callback: () => void): void {
    if (this.peer.readableEnded || this.peer.destroyed) callback()
    else if (this.peer.push(chunk)) callback()
    else this.#resume = callback
  }

  override _final(callback: () => void): void {
    if (!this.peer.destroyed) this.peer.push(null)
    callback()
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#resume = undefined
    if (!this.peer.destroyed && !(this.writableFinished && this.readableEnded)) {
      setImmediate(() => {
        if (!this.peer.destroyed) this.peer.#wasReset(CloseCode.RemoteDisconnect, '')
      })
    }
    callback(error)
  }
}

export function streamPair({ plain = false } = {}): [PairedStream, PairedStream] {
  const [client, server] = [new PairedStream(plain), new PairedStream(plain)]
  client.peer = server
  server.peer = client
  return [client, server]
}

/** Streams whose other ends are served in this process, as by a server without a session between. */
function localSource(
  options: ServeStreamOptions = {},
  kind: { plain?: boolean } = {},
): StreamSource {
  return {
    openStream: () => {
      const [client, server] = streamPair(kind)
      void serveProxyStream(server, options)
      return Promise.resolve(client)
    },
  }
}

export function localTunnels(options?: ServeStreamOptions, kind?: { plain?: boolean }): OpenTunnel {
  // The exact answer, however busy the machine is.
  return createTunnelOpener(localSource(options, kind), { replyWait: Infinity })
}

/** Binds `server` to a free port of loopback until the test is over. */
export async function listen(server: net.Server, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket: net.Socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => sockets.delete(socket))
  })
  server.listen(0, host)
  await once(server, 'listening')
  onTestFinished(async () => {
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    server.close()
    await once(server, 'close')
  })
  return (server.address() as net.AddressInfo).port
}

/** The local port, bound, and everything it has reported. */
export async function startInbound(options: Partial<InboundOptions> = {}) {
  const inbound = createInbound({ openTunnel: localTunnels(), ...options })
  const events = {
    tunnel: [] as InboundEvents['tunnel'][0][],
    refused: [] as InboundEvents['refused'][0][],
    invalid: [] as InboundEvents['invalid'][0][],
  }
  inbound.on('tunnel', (event) => events.tunnel.push(event))
  inbound.on('refused', (event) => events.refused.push(event))
  inbound.on('invalid', (event) => events.invalid.push(event))
  return { inbound, events, port: await listen(inbound) }
}

/** A server that sends back what it gets, end included. */
export function echoServer(): net.Server {
  return net.createServer({ allowHalfOpen: true }, (socket) => socket.pipe(socket))
}

/** A port of loopback where nobody listens. */
export async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A connection to `port` that half-close is possible on. */
export async function connectTo(port: number): Promise<net.Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  socket.on('error', () => {})
  onTestFinished(() => void socket.destroy())
  await once(socket, 'connect')
  return socket
}

/** Everything that is read until the end of `stream`. */
export async function readAll(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  if (!stream.readableEnded) await once(stream, 'end')
  return Buffer.concat(chunks)
}

/** Reads until there are `length` bytes; the rest stays in the stream. */
export function readExactly(stream: Duplex, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const onReadable = () => {
      if (stream.readableLength < length) return void stream.read(0)
      release()
      resolve(stream.read(length) as Buffer)
    }
    const onEnd = () => {
      release()
      reject(new Error(`the stream ended before ${length} bytes had come`))
    }
    const release = () => {
      stream.off('readable', onReadable)
      stream.off('end', onEnd)
      stream.off('close', onEnd)
    }
    stream.on('readable', onReadable)
    stream.on('end', onEnd)
    stream.on('close', onEnd)
    onReadable()
  })
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Resolves when the stream has closed, with or without an error. */
export function closing(stream: Duplex): Promise<void> {
  return new Promise((resolve) => stream.once('close', resolve))
}

/** Runs curl; never uses a proxy of the environment. */
export async function curl(...args: string[]) {
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/_proxy$/i.test(name)),
  )
  const child = spawn('curl', ['-q', '-sS', '--max-time', '10', '--noproxy', '', ...args], { env })
  const stdout: Buffer[] = []
  const stderr: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr).toString() }
}
