// UDP ASSOCIATE on the local port (RFC 1928 section 7): a UDP socket for each control connection.
// Must never outlive the control connection, or take a datagram from anybody but its program.
import type { RemoteInfo, Socket as UdpSocket } from 'node:dgram'
import type { Socket } from 'node:net'
import { isIPv4 } from 'node:net'
import type { Address } from '../../codec/address.ts'
import { formatHostPort } from '../../codec/host-port.ts'
import { MAX_DELAY } from '../../session/clock.ts'
import { closeGently } from '../close-gently.ts'
import { unmappedHost } from '../../codec/ip.ts'
import type { InboundContext } from '../inbound/inbound-tunnel.ts'
import { openForProgram, sourceOf } from '../inbound/inbound-tunnel.ts'
import { encodeSocks5Reply, Socks5Reply } from '../inbound/socks5.ts'
import { decodeSocks5Datagram, encodeSocks5Datagram } from './socks5-datagram.ts'
import {
  createSender,
  createUdpSocket,
  noCounts,
  UDP_IDLE_TIMEOUT,
  withoutZone,
} from './udp-socket.ts'
import { UDP_TARGET, UdpTunnel } from './udp-tunnel.ts'

/** Options of the local port for datagrams. */
export interface UdpInboundOptions {
  /**
   * How long an association may be without a datagram in either direction, in ms, before it is closed
   * together with its control connection. Default 300,000.
   */
  readonly idleTimeout?: number
  /** Associations that may be open at once; the next one gets reply 1. Default 1,024. */
  readonly maxAssociations?: number
}

const DEFAULT_MAX_ASSOCIATIONS = 1_024

/** All associations of one local port. */
export class UdpAssociations {
  readonly #idleTimeout: number
  readonly #maxAssociations: number
  #open = 0

  constructor(options: UdpInboundOptions = {}) {
    const { idleTimeout = UDP_IDLE_TIMEOUT, maxAssociations = DEFAULT_MAX_ASSOCIATIONS } = options
    this.#idleTimeout = idleTimeout
    this.#maxAssociations = maxAssociations
  }

  /**
   * Serves the request on `control`, whose handshake is over, as long as that connection stands. Datagrams
   * are taken from its IP address alone, and from one port: that of `source`, or where it says none, that
   * of the first datagram. A `source` with another host is not heeded: there are programs that name their
   * target there, and others do not know what a NAT makes of their address.
   *
   * Limits: 128 KiB, or 128 datagrams, wait while the stream to the server is being opened, and 128 KiB
   * while it is slow; what comes beyond that is dropped. An answer that is longer than a datagram can be
   * with the head of SOCKS5 before it (10 bytes, 22 with IPv6) is lost.
   */
  associate(control: Socket, source: Address, context: InboundContext): void {
    const { localAddress, remoteAddress } = control
    if (localAddress === undefined || remoteAddress === undefined) {
      control.destroy()
      return
    }
    if (this.#open >= this.#maxAssociations) {
      const reason = `SOCKS5: ${this.#maxAssociations} UDP associations are open already`
      context.emit('invalid', { source: sourceOf(control), reason })
      refuse(control)
      return
    }
    this.#open += 1
    const address = unmappedHost(remoteAddress)
    const isItsOwn = [address, '0.0.0.0', '::'].includes(source.host)
    const program = { address, port: isItsOwn ? source.port : 0 }
    const association = new Association(control, program, context, this.#idleTimeout, () => {
      this.#open -= 1
    })
    association.start(unmappedHost(localAddress))
  }
}

class Association {
  readonly #control: Socket
  /** Where datagrams are taken from; port 0 until it is known. */
  readonly #program: { readonly address: string; port: number }
  readonly #context: InboundContext
  readonly #idleTimeout: number
  readonly #onOver: () => void
  readonly #source: string
  readonly #counts = noCounts()
  readonly #send = createSender(this.#counts, 'received')
  readonly #gone = new AbortController()
  readonly #udp: UdpSocket
  readonly #tunnel: UdpTunnel
  #idle: NodeJS.Timeout | undefined

  constructor(
    control: Socket,
    program: { address: string; port: number },
    context: InboundContext,
    idleTimeout: number,
    onOver: () => void,
  ) {
    this.#control = control
    this.#program = program
    this.#context = context
    this.#idleTimeout = idleTimeout
    this.#onOver = onOver
    this.#source = sourceOf(control)
    this.#udp = createUdpSocket(isIPv4(program.address) ? 4 : 6)
    this.#tunnel = new UdpTunnel({
      open: (first, early) => this.#openStream(first, early),
      deliver: (source, data) => this.#deliver(source, data),
      counts: this.#counts,
    })
  }

  start(address: string): void {
    const close = () => this.#close()
    // What a program says on the control connection has no meaning; that it ends has.
    this.#control.on('end', close)
    this.#control.on('close', close)
    this.#control.resume()
    const onBindError = (error: Error) => {
      refuse(this.#control)
      this.#close(error)
    }
    this.#udp.once('error', onBindError)
    this.#udp.bind({ address, port: 0, exclusive: true }, () => {
      this.#udp.off('error', onBindError)
      this.#onBound()
    })
  }

  #onBound(): void {
    this.#udp.on('error', () => (this.#counts.failed += 1))
    this.#udp.on('message', (bytes, from) => this.#receive(bytes, from))
    this.#idle = setTimeout(() => this.#close(), Math.min(this.#idleTimeout, MAX_DELAY))
    const { address, port } = this.#udp.address()
    const bound = { host: withoutZone(address), port }
    const told = { source: this.#source, address: formatHostPort(bound) }
    this.#context.emit('association', told)
    this.#control.write(encodeSocks5Reply(Socks5Reply.Succeeded, bound))
  }

  #receive(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const program = this.#program
    const datagram =
      address === program.address && (program.port === 0 || port === program.port)
        ? decodeSocks5Datagram(bytes)
        : undefined
    if (datagram === undefined) {
      this.#counts.refused += 1
      return
    }
    program.port = port
    this.#idle?.refresh()
    this.#tunnel.send(datagram.address, datagram.data)
  }

  #openStream(first: Address, early: Uint8Array) {
    const { signal } = this.#gone
    const request = { source: this.#source, target: first, protocol: 'socks5-udp' } as const
    const opening = this.#context.openTunnel(UDP_TARGET, signal, early)
    return openForProgram(this.#context, request, signal, opening)
  }

  #deliver(address: Address, data: Uint8Array): void {
    this.#idle?.refresh()
    this.#send(this.#udp, encodeSocks5Datagram({ address, data }), this.#program)
  }

  #close(error?: Error): void {
    if (this.#gone.signal.aborted) return
    this.#gone.abort()
    clearTimeout(this.#idle)
    this.#tunnel.close()
    this.#udp.close()
    if (!this.#control.destroyed) closeGently(this.#control)
    this.#context.emit('associationOver', { source: this.#source, counts: this.#counts, error })
    this.#onOver()
  }
}

function refuse(control: Socket): void {
  closeGently(control, encodeSocks5Reply(Socks5Reply.GeneralFailure))
}
