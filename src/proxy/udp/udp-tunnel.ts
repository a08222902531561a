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
export interface UdpTunnelOptions {
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

/**
 * Carries datagrams to any number of targets and back over one stream of version 2 with isConnect = 0. When
 * the stream ends, the next datagram opens a new one. The request and the first datagram leave together
 * with the stream's target: servers may read them before they accept, and it saves a round trip.
 *
 * Datagrams are sent up to the 65,527 bytes of UDP, though some servers of the original wire end the
 * stream at more than 8 to 16 KiB: such a datagram is rare, and costs there what it would cost to drop it,
 * and one stream more.
 */
export class UdpTunnel {
  readonly #options: UdpTunnelOptions
  #stream: TunnelStream | undefined
  /** Datagrams that wait for the stream that is being opened. */
  #waiting: Uint8Array[] | undefined
  #waitingBytes = 0
  #notBefore = -Infinity
  #closed = false

  constructor(options: UdpTunnelOptions) {
    this.#options = options
  }

  /** Sends `data` to `target`, or drops it, which is counted. Never throws for what a decoder has let through. */
  send(target: Address, data: Uint8Array): void {
    if (this.#closed) return
    if (this.#stream !== undefined) this.#write(this.#stream, encodeUdpPacket(target, data))
    else if (this.#waiting !== undefined) this.#wait(this.#waiting, encodeUdpPacket(target, data))
    else if (performance.now() >= this.#notBefore) void this.#open(target, data)
    else this.#options.counts.dropped += 1
  }

  /** Ends the stream; nothing is sent or delivered any more. */
  close(): void {
    this.#closed = true
    this.#stream?.destroy()
    this.#stream = undefined
  }

  async #open(target: Address, data: Uint8Array): Promise<void> {
    const { counts, open } = this.#options
    const waiting: Uint8Array[] = []
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
    counts.sent += 1
    this.#use(stream)
    for (const packet of waiting) this.#write(stream, packet)
  }

  #use(stream: TunnelStream): void {
    const decoder = new UdpOverTcpDecoder('addressed')
    const onOver = () => {
      if (this.#stream === stream) this.#stream = undefined
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

  #write(stream: TunnelStream, packet: Uint8Array): void {
    const { counts } = this.#options
    if (stream.destroyed || stream.writableLength + packet.length > UDP_MAX_WAITING_BYTES) {
      counts.dropped += 1
      return
    }
    counts.sent += 1
    stream.write(packet)
  }

  #wait(waiting: Uint8Array[], packet: Uint8Array): void {
    if (
      waiting.length >= UDP_MAX_WAITING ||
      this.#waitingBytes + packet.length > UDP_MAX_WAITING_BYTES
    ) {
      this.#options.counts.dropped += 1
      return
    }
    this.#waitingBytes += packet.length
    waiting.push(packet)
  }
}
