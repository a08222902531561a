// The server's side of UDP over TCP on one stream: datagrams out of it are sent, answers go back into it.
// Must never queue without a bound, or end an association for the failure of one datagram.
import type { RemoteInfo, Socket } from 'node:dgram'
import { AnyTlsError, ERROR_TEXT } from '../../errors.ts'
import { CloseCode } from '../../engine/close-code.ts'
import type { Address } from '../../codec/address.ts'
import { encodeUdpPacket, UdpOverTcpDecoder, UdpOverTcpHost } from '../../codec/udp-over-tcp.ts'
import type { UdpOverTcpEvent } from '../../codec/udp-over-tcp.ts'
import { guarded } from '../../session/callbacks.ts'
import { MAX_DELAY } from '../../session/clock.ts'
import type { Lookup } from '../outbound/outbound.ts'
import type { AllowAddress, AllowTarget } from '../outbound/policy.ts'
import type { Traffic } from '../traffic.ts'
import type { TunnelStream } from '../tunnel.ts'
import type { UdpCounts, UdpEndpoint, UdpTraffic } from './udp-socket.ts'
import {
  createSender,
  createUdpSocket,
  noCounts,
  UDP_IDLE_TIMEOUT,
  UDP_MAX_WAITING_BYTES,
  withoutZone,
} from './udp-socket.ts'
import { UdpTargets } from './udp-targets.ts'

/** Options of the server for datagrams. */
export interface ServeUdpOptions {
  /**
   * How long an association may be without a datagram in either direction, in ms, before its stream is
   * reset with code 2. Default 300,000.
   */
  readonly idleTimeout?: number
}

/** What happened on a stream that carries datagrams. Names in targets come from the peer. */
export type UdpStreamEvent =
  | {
      /** The stream was accepted. */
      readonly type: 'udp-open'
      /** Counts on. */
      readonly traffic: Traffic
    }
  | {
      /**
       * Datagrams to `target` are dropped. Reported once while the target is remembered, and for the first 16
       * targets of an association.
       */
      readonly type: 'udp-refused'
      /** As the client named it. */
      readonly target: Address
      /** It is not allowed, or its name was not found. */
      readonly error: AnyTlsError
    }
  | {
      /** The stream is over. */
      readonly type: 'udp-closed'
      /** Datagrams, by what became of them. */
      readonly counts: Readonly<UdpCounts>
      /** All that was carried. */
      readonly traffic: Traffic
      /** Why it was cut, where it was. */
      readonly error: AnyTlsError | undefined
    }

/** What an association is served with. */
interface UdpService extends ServeUdpOptions {
  readonly allowTarget: AllowTarget | undefined
  readonly allowAddress: AllowAddress | undefined
  readonly lookup: Lookup | undefined
  readonly observe: ((event: UdpStreamEvent) => void) | undefined
}

/** Whether a stream to `target` is one for datagrams. The port is of no importance. */
export function isUdpOverTcp({ host }: Address): boolean {
  return host === UdpOverTcpHost.Version1 || host === UdpOverTcpHost.Version2
}

/**
 * Serves a stream whose target is a name of UDP over TCP, to its end. It is accepted before anything else
 * is read, for clients may wait for that. Never rejects.
 *
 * Limits: datagrams of at most 65,527 bytes, a longer one is a malformed stream; 128 KiB wait for a slow
 * stream, for a slow network, and for names and policy, the rest is dropped; 256 targets are remembered,
 * 16 names looked up at once; names and verdicts of policy hold for 60 s and while they are used. The end
 * of the stream in one direction ends the association.
 *
 * Answers: with isConnect = 1 only from the target, else from anywhere (endpoint-independent filtering,
 * RFC 4787 REQ-8), so that peer-to-peer programs work; each carries the address that it came from.
 */
export function serveUdp(
  stream: TunnelStream,
  target: Address,
  service: UdpService,
): Promise<void> {
  return new Promise((resolve) => {
    stream.accept()
    const version1 = target.host === UdpOverTcpHost.Version1
    const association = new UdpAssociation(stream, version1, service, resolve)
    guarded(() => service.observe?.({ type: 'udp-open', traffic: association.traffic }))
    association.start()
  })
}

// Targets that are reported for each association: a client must not fill a log.
const MAX_REPORTED = 16

class UdpAssociation {
  readonly traffic: UdpTraffic = { up: 0, down: 0 }
  readonly #stream: TunnelStream
  readonly #service: UdpService
  readonly #onOver: () => void
  readonly #decoder: UdpOverTcpDecoder
  readonly #targets: UdpTargets
  readonly #counts = noCounts()
  readonly #send = createSender(this.#counts, 'sent', this.traffic)
  readonly #sockets = new Map<4 | 6, Socket>()
  readonly #idle: NodeJS.Timeout
  /** Where all datagrams go with isConnect = 1. */
  #target: Address | undefined
  #refusals = 0
  #over = false

  constructor(stream: TunnelStream, version1: boolean, service: UdpService, onOver: () => void) {
    const { allowTarget, allowAddress, lookup, observe, idleTimeout = UDP_IDLE_TIMEOUT } = service
    this.#stream = stream
    this.#service = service
    this.#onOver = onOver
    this.#decoder = new UdpOverTcpDecoder(version1 ? 'addressed' : 'request')
    this.#targets = new UdpTargets({
      allowTarget,
      allowAddress,
      lookup,
      counts: this.#counts,
      transmit: (endpoint, data) => this.#transmit(endpoint, data),
      onRefused: (target, error) => {
        this.#refusals += 1
        if (this.#refusals > MAX_REPORTED) return
        guarded(() => observe?.({ type: 'udp-refused', target, error }))
      },
    })
    this.#idle = setTimeout(
      () => this.#cut(CloseCode.Timeout, new AnyTlsError('ERR_STREAM_TIMEOUT')),
      Math.min(idleTimeout, MAX_DELAY),
    )
  }

  start(): void {
    const close = () => this.#close()
    this.#stream.on('data', (chunk: Uint8Array) => this.#receive(chunk))
    this.#stream.on('end', close)
    this.#stream.on('close', close)
    // The end may have come right behind the target.
    if (this.#stream.destroyed || this.#stream.readableEnded) close()
  }

  #receive(chunk: Uint8Array): void {
    if (this.#over) return
    try {
      this.#decoder.receive(chunk, this.#onEvent)
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      this.#cut(CloseCode.ProtocolError, error)
    }
  }

  readonly #onEvent = (event: UdpOverTcpEvent): void => {
    if (event.type === 'request') {
      if (event.request.isConnect) this.#target = event.request.target
      return
    }
    if (event.type === 'misnamed') {
      this.#counts.refused += 1
      return
    }
    const target = event.address ?? this.#target
    if (target === undefined || this.#over) return
    this.#idle.refresh()
    this.#targets.send(target, event.data)
  }

  #transmit(endpoint: UdpEndpoint, data: Uint8Array): void {
    const { port, family } = endpoint
    // Port 0 is no destination, and Node throws for it.
    if (port === 0) {
      this.#counts.failed += 1
      return
    }
    this.#send(this.#sockets.get(family) ?? this.#openSocket(family), data, endpoint)
  }

  #openSocket(family: 4 | 6): Socket {
    const socket = createUdpSocket(family)
    // It cannot be bound, or the system tells of an earlier datagram: the next may fare better.
    socket.on('error', () => (this.#counts.failed += 1))
    socket.on('message', (data, source) => this.#answer(data, source))
    this.#sockets.set(family, socket)
    return socket
  }

  #answer(data: Uint8Array, source: RemoteInfo): void {
    if (!this.#targets.isAnswer(source) && this.#target !== undefined) {
      this.#counts.refused += 1
    } else if (this.#stream.writableLength + data.length > UDP_MAX_WAITING_BYTES) {
      this.#counts.dropped += 1
    } else {
      this.#idle.refresh()
      this.#counts.received += 1
      this.traffic.down += data.length
      const from = { host: withoutZone(source.address), port: source.port }
      this.#stream.write(encodeUdpPacket(this.#target ? undefined : from, data))
    }
  }

  #cut(code: CloseCode, error: AnyTlsError): void {
    if (!this.#stream.destroyed) this.#stream.reset(code, ERROR_TEXT[error.code])
    this.#close(error)
  }

  #close(error?: AnyTlsError): void {
    if (this.#over) return
    this.#over = true
    clearTimeout(this.#idle)
    for (const socket of this.#sockets.values()) socket.close()
    this.#sockets.clear()
    this.#targets.clear()
    this.#stream.destroy()
    const { traffic } = this
    guarded(() =>
      this.#service.observe?.({ type: 'udp-closed', counts: this.#counts, traffic, error }),
    )
    this.#onOver()
  }
}
