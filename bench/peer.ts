// What a benchmark needs of anything that carries streams, so that every peer runs the same workloads.
import type { Duplex } from 'node:stream'

/** Key and certificate of the bench server, PEM. */
export interface Credentials {
  readonly key: string
  readonly cert: string
}

/** A connection of a peer, on the client's side. */
export interface Link {
  openStream(): Duplex
  close(): Promise<void>
}

export interface Peer {
  readonly name: string
  /** The wire can end one direction of a stream and leave the other open. */
  readonly halfClose: boolean
  /** Serves each incoming stream with `serve`; resolves with the port. */
  listen(credentials: Credentials, serve: (stream: Duplex) => void): Promise<number>
  connect(port: number): Promise<Link>
}

/** What the first byte of a stream asks the server to do with the rest. */
export const Service = {
  /** Send everything back. */
  Echo: 0x65,
  /** Send as many bytes as the next six bytes say, big endian, and end. */
  Source: 0x64,
  /** Swallow as many bytes as the next six bytes say, big endian, then answer one byte. */
  Sink: 0x73,
} as const

/** Length of the request to a sink or a source, in bytes. */
const HEAD_LENGTH = 7

/** The first bytes to send to a sink or a source, for as many bytes. */
export function request(service: number, bytes: number): Buffer {
  const head = Buffer.alloc(HEAD_LENGTH)
  head[0] = service
  head.writeUIntBE(bytes, 1, 6)
  return head
}

export function serveStream(stream: Duplex): void {
  stream.on('error', () => {})
  let head: Buffer = Buffer.alloc(0)
  const onData = (data: Buffer): void => {
    // Shaping may cut even the head.
    head = head.length === 0 ? data : Buffer.concat([head, data])
    if (head[0] !== Service.Echo && head.length < HEAD_LENGTH) return
    stream.off('data', onData)
    serve(stream, head)
  }
  stream.on('data', onData)
}

function serve(stream: Duplex, first: Buffer): void {
  if (first[0] === Service.Echo) {
    if (first.length > 1) stream.write(first.subarray(1))
    stream.pipe(stream)
  } else if (first[0] === Service.Source) {
    supply(stream, first.readUIntBE(1, 6))
  } else {
    let missing = first.readUIntBE(1, 6) - (first.length - HEAD_LENGTH)
    stream.on('data', (data: Buffer) => {
      missing -= data.length
      if (missing === 0) stream.end('.')
    })
  }
}

const CHUNK = Buffer.alloc(65_536, 0x61)

/** Writes `bytes` bytes, as fast as they are taken, and ends. */
export function supply(stream: Duplex, bytes: number): void {
  let remaining = bytes
  const send = (): void => {
    while (remaining > 0) {
      const chunk = remaining < CHUNK.length ? CHUNK.subarray(0, remaining) : CHUNK
      remaining -= chunk.length
      if (!stream.write(chunk)) return
    }
    stream.off('drain', send)
    stream.end()
  }
  stream.on('drain', send)
  send()
}
