// The client's side of UDP over TCP: one stream for the datagrams of one association, opened when it is needed.
// Must never queue without a bound, open streams faster than one a second, or resolve a name.
import { AnyTlsError } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Address } from '../../codec/address.ts'
import { concatBytes } from '../../codec/bytes.ts'
import {
  encodeUdpPacket,
  encodeUdpRequest,
  UdpOverTcpDecoder,
  UdpOverTcpHost,
} from '../../codec/udp-over-tcp.ts'
import type { TunnelStream } from '../tunnel.ts'
import type { UdpCounts } from './udp-socket.ts'
import { UDP_MAX_WAITING, UDP_MAX_WAITING_BYTES } from './udp-socket.ts'

/** The target that asks a server for datagrams: version 2. */
export const UDP_TARGET: Address = { host: UdpOverTcpHost.Version2, port: 0 }

/** What a tunnel for datagrams needs of its association. */
interface UdpTunnelOptions {
  /**
   * Opens a stream to {@link UDP_TARGET}. `early` goes with it, and `first` is where its datagram goes. The
   * stream has an `error` listener.
   */
  readonly open: (first: Address, early: Uint8Array) => Promise<TunnelStream>
  /** Given each datagram that comes back. */
  readonly deliver: (source: Address, data: Uint8Array) => void
  readonly counts: UdpCounts
}

// Least time between two openings of the stream, in ms. What comes meanwhile is dropped.
const REOPEN_DELAY = 1_000

// Every server takes a datagram of this size, in bytes.
const SURELY_TAKEN = 8_000

// A server that takes no such datagram ends the stream at once: one round trip, with much to spare, in ms.
const VERDICT_TIME = 2_000

/** A datagram as it is sent, with its head. */
interface Packet {
  readonly bytes: Uint8Array
  /** Of its data alone. */
  readonly size: number
}

/**
 * Carries datagrams to any number of targets and back over one stream of version 2 with isConnect = 0. When
 * the stream ends, the next datagram opens a new one. The request and the first datagram leave together
 * with the stream's target: servers may read them before they accept, and it saves a round trip.
 *
 * Datagrams are sent up to the 65,527 bytes of UDP, though some servers of the original wire end the stream at more
 * than 8 to 16 KiB. When that happens right behind a large one, the next datagram opens a stream at once, and datagrams
 * of that size are dropped from then on.
 */
export class UdpTunnel {
  readonly #options: UdpTunnelOptions
  #stream: TunnelStream | undefined
  /** Datagrams that wait for the stream that is being opened. */
  #waiting: Packet[] | undefined
  #waitingBytes = 0
  #notBefore = -Infinity
  #closed = false
  /** Datagrams of this size and above are known to be too much for the server. */
  #tooLarge = Infinity
  /** The largest datagram above {@link SURELY_TAKEN} that was sent last, and when. */
  #large = { size: 0, sent: -Infinity }

  constructor(options: UdpTunnelOptions) {
    this.#options = options
  }

  /** Sends `data` to `target`, or drops it, which is counted. Never throws for what a decoder has let through. */
  send(target: Address, data: Uint8Array): void {
    if (this.#closed) return
    if (data.length >= this.#tooLarge) {
      this.#options.counts.dropped += 1
      return
    }
    if (this.#stream !== undefined) this.#write(this.#stream, packetOf(target, data))
    else if (this.#waiting !== undefined) this.#wait(this.#waiting, packetOf(target, data))
    else if (performance.now() >= this.#notBefore) void this.#open(target, data)
    else this.#options.counts.dropped += 1
  }

  /** Ends the stream; nothing is sent or delivered any more. */
  close(): void {
    this.#closed = true
    this.#stream?.destroy()
    this.#stream = undefined
  }

  #onSent(size: number): void {
    this.#options.counts.sent += 1
    const now = performance.now()
    const isOver = now - this.#large.sent > VERDICT_TIME
    if (size > SURELY_TAKEN && (isOver || size >= this.#large.size))
      this.#large = { size, sent: now }
  }

  /** The server has ended the stream: perhaps for a datagram that was too large for it. */
  #judge(): void {
    if (this.#closed || performance.now() - this.#large.sent > VERDICT_TIME) return
    this.#tooLarge = this.#large.size
    this.#large = { size: 0, sent: -Infinity }
    this.#notBefore = -Infinity
  }

  async #open(target: Address, data: Uint8Array): Promise<void> {
    const { counts, open } = this.#options
    const waiting: Packet[] = []
    this.#waiting = waiting
    this.#notBefore = performance.now() + REOPEN_DELAY
    let stream
    try {
      const request = encodeUdpRequest({ isConnect: false, target })
      stream = await open(target, concatBytes([request, encodeUdpPacket(target, data)]))
    } catch {
      counts.dropped += 1 + waiting.length
    }
    this.#waiting = undefined
    this.#waitingBytes = 0
    if (stream === undefined) return
    if (this.#closed) {
      stream.destroy()
      return
    }
    this.#onSent(data.length)
    this.#use(stream)
    for (const packet of waiting) this.#write(stream, packet)
  }

  #use(stream: TunnelStream): void {
    const decoder = new UdpOverTcpDecoder('addressed')
    const onOver = () => {
      if (this.#stream === stream) {
        this.#stream = undefined
        this.#judge()
      }
      stream.destroy()
    }
    this.#stream = stream
    stream.on('data', (chunk: Uint8Array) => {
      try {
        decoder.receive(chunk, (event) => {
          if (event.type === 'misnamed') this.#options.counts.refused += 1
          if (event.type !== 'packet' || event.address === undefined) return
          this.#options.deliver(event.address, event.data)
        })
      } catch (error) {
        if (!(error instanceof AnyTlsError)) throw error
        stream.reset(CloseCode.ProtocolError)
      }
    })
    stream.on('end', onOver)
    stream.on('close', onOver)
    if (stream.destroyed) onOver()
  }

  #write(stream: TunnelStream, { bytes, size }: Packet): void {
    if (stream.destroyed || stream.writableLength + bytes.length > UDP_MAX_WAITING_BYTES) {
      this.#options.counts.dropped += 1
      return
    }
    this.#onSent(size)
    stream.write(bytes)
  }

  #wait(waiting: Packet[], packet: Packet): void {
    const { length } = packet.bytes
    if (waiting.length >= UDP_MAX_WAITING || this.#waitingBytes + length > UDP_MAX_WAITING_BYTES) {
      this.#options.counts.dropped += 1
      return
    }
    this.#waitingBytes += length
    waiting.push(packet)
  }
}

function packetOf(target: Address, data: Uint8Array): Packet {
  return { bytes: encodeUdpPacket(target, data), size: data.length }
}
