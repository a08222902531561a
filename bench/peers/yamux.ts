// @libp2p/yamux on a socket, its streams behind a thin Duplex, so that it runs the same workloads.
import { once } from 'node:events'
import { Duplex } from 'node:stream'
import { yamux } from '@libp2p/yamux'
import type { Stream } from '@libp2p/interface'
import { defaultLogger } from '@libp2p/logger'
import { AbstractMessageStream } from '@libp2p/utils'
import type { SendResult } from '@libp2p/utils'
import type { Uint8ArrayList } from 'uint8arraylist'
import type { Link } from '../peer.ts'

// The package wants a method that Node 20 lacks.
const constructor = Promise as { withResolvers?: unknown }
constructor.withResolvers ??= function withResolvers<T>() {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (reason?: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}

const log = defaultLogger().forComponent('bench')

class SocketMessages extends AbstractMessageStream {
  readonly #socket: Duplex

  constructor(socket: Duplex, direction: 'inbound' | 'outbound') {
    super({ log, direction, maxReadBufferLength: 16_777_216 })
    this.#socket = socket
    socket.on('data', (data: Buffer) => this.onData(data))
    socket.on('drain', () => this.safeDispatchEvent('drain'))
    socket.on('close', () => this.onTransportClosed())
    socket.on('error', () => {})
  }

  override sendData(data: Uint8ArrayList): SendResult {
    this.#socket.cork()
    let canSendMore = true
    for (const part of data) canSendMore = this.#socket.write(part)
    this.#socket.uncork()
    return { sentBytes: data.byteLength, canSendMore }
  }

  override sendReset(): void {
    this.#socket.destroy()
  }

  override sendPause(): void {
    this.#socket.pause()
  }

  override sendResume(): void {
    this.#socket.resume()
  }

  override async close(): Promise<void> {
    this.#socket.end()
    await once(this.#socket, 'close')
  }
}

class YamuxDuplex extends Duplex {
  readonly #stream: Promise<Stream>

  constructor(stream: Promise<Stream>) {
    super({ highWaterMark: 65_536 })
    this.#stream = stream
  }

  override _construct(callback: (error?: Error) => void): void {
    this.#stream.then((stream) => {
      stream.addEventListener('message', ({ data }) => {
        const bytes = data instanceof Uint8Array ? data : data.subarray()
        if (!this.push(bytes)) stream.pause()
      })
      stream.addEventListener('remoteCloseWrite', () => this.push(null))
      stream.addEventListener('close', () => this.destroy())
      callback()
    }, callback)
  }

  override _read(): void {
    void this.#stream.then((stream) => stream.resume())
  }

  override _write(chunk: Buffer, _encoding: string, callback: (error?: Error) => void): void {
    void this.#stream.then((stream) => {
      if (stream.send(chunk)) callback()
      else stream.onDrain().then(() => callback(), callback)
    })
  }

  override _final(callback: (error?: Error) => void): void {
    this.#stream.then((stream) => stream.close()).then(() => callback(), callback)
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    void this.#stream.then((stream) => stream.abort(error ?? new Error('closed')))
    callback(error)
  }
}

export function makeYamux(
  socket: Duplex,
  direction: 'inbound' | 'outbound',
  maxStreams: number,
  serve: (stream: Duplex) => void,
): Link {
  const limits = {
    maxInboundStreams: maxStreams,
    maxOutboundStreams: maxStreams,
    maxEarlyStreams: maxStreams,
    enableKeepAlive: false,
  }
  const muxer = yamux(limits)().createStreamMuxer(new SocketMessages(socket, direction))
  muxer.addEventListener('stream', ({ detail }) => serve(new YamuxDuplex(Promise.resolve(detail))))
  return {
    openStream: () => new YamuxDuplex(Promise.resolve(muxer.createStream())),
    close: () => Promise.resolve(void socket.destroy()),
  }
}
