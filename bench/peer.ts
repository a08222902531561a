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
  /** Serves each incoming stream with `serve`; resolves with the port. */
  listen(credentials: Credentials, serve: (stream: Duplex) => void): Promise<number>
  connect(port: number): Promise<Link>
}

/** What the first byte of a stream asks the server to do with the rest. */
export const Service = {
  /** Send everything back. */
  Echo: 0x65,
  /** Swallow as many bytes as the next six bytes say, big endian, then answer one byte. */
  Sink: 0x73,
} as const

/** Length of a sink's request, in bytes. */
const SINK_HEAD = 7

/** The first bytes to send to a sink that is to swallow `bytes` bytes. */
export function sinkRequest(bytes: number): Buffer {
  const head = Buffer.alloc(SINK_HEAD)
  head[0] = Service.Sink
  head.writeUIntBE(bytes, 1, 6)
  return head
}

export function serveStream(stream: Duplex): void {
  stream.on('error', () => {})
  stream.once('data', (first: Buffer) => {
    if (first[0] === Service.Echo) {
      if (first.length > 1) stream.write(first.subarray(1))
      stream.pipe(stream)
    } else {
      let missing = first.readUIntBE(1, 6) - (first.length - SINK_HEAD)
      stream.on('data', (data: Buffer) => {
        missing -= data.length
        if (missing === 0) stream.end('.')
      })
    }
  })
}
