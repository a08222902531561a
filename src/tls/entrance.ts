// What a server listens with: TCP connections, and what has to be read of each before TLS begins (the PROXY
// protocol of a balancer in front).
// Must never let a connection wait here without a bound in time and bytes, or lose a byte of what TLS must see.
import { createServer } from 'node:net'
import type { Server as TcpServer, Socket } from 'node:net'
import { isInNetworks, parseNetwork } from '../codec/network.ts'
import type { Network } from '../codec/network.ts'
import { decodeProxyProtocol } from '../codec/proxy-protocol.ts'
import type { ProxyProtocolEnds } from '../codec/proxy-protocol.ts'
import { AnyTlsError } from '../errors.ts'
import { endsOf } from '../fallback/fallback-connection.ts'
import type { Clock } from '../session/clock.ts'

/** How long a header may take, in milliseconds: the balancer sends it as soon as it is connected. */
export const HEADER_TIMEOUT = 5_000

/** A TCP connection for TLS to begin on. */
export interface Arrival {
  readonly raw: Socket
  /** Who connects to whom; of the TCP connection itself unless a balancer in front said otherwise. */
  readonly ends: ProxyProtocolEnds
}

export interface EntranceOptions {
  /** Networks of balancers: their connections must begin with a PROXY protocol header, those of nobody else. */
  readonly balancers: readonly Network[]
  readonly clock: Clock
  /** Every connection, before a byte of it is read. */
  readonly onConnection: (raw: Socket) => void
  readonly onArrival: (arrival: Arrival) => void
  /** One that did not begin as it must; it is closed. */
  readonly onRefused: (error: AnyTlsError, remoteAddress: string) => void
}

/** Makes the listening server. */
export function createEntrance(options: EntranceOptions): TcpServer {
  return createServer({ noDelay: true }, (raw) => {
    options.onConnection(raw)
    const { remoteAddress = '' } = raw
    if (isInNetworks(options.balancers, remoteAddress)) readHeader(raw, remoteAddress, options)
    else options.onArrival({ raw, ends: endsOf(raw) })
  })
}

/**
 * Reads the networks of balancers.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseBalancers(texts: readonly string[]): readonly Network[] {
  try {
    return texts.map(parseNetwork)
  } catch (cause) {
    if (!(cause instanceof AnyTlsError)) throw cause
    throw new AnyTlsError('ERR_OPTION_INVALID', `acceptProxyProtocol: ${cause.message}`, { cause })
  }
}

function readHeader(raw: Socket, remoteAddress: string, options: EntranceOptions): void {
  let bytes: Buffer = Buffer.alloc(0)
  const timer = options.clock.schedule(HEADER_TIMEOUT, () =>
    refuse(missing('it did not come in time')),
  )
  const onData = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    let header
    try {
      header = decodeProxyProtocol(bytes)
    } catch (error) {
      refuse(error as AnyTlsError)
      return
    }
    if (header === undefined) return
    leave()
    const rest = bytes.subarray(header.length)
    if (rest.length > 0) raw.unshift(rest)
    options.onArrival({ raw, ends: header.ends.source === undefined ? endsOf(raw) : header.ends })
  }
  // A balancer's look whether somebody listens is no fault.
  const onEnd = (): void => (bytes.length === 0 ? leave() : refuse(missing('it is cut off')))
  const leave = (): void => {
    timer.cancel()
    raw.off('data', onData).off('end', onEnd).off('close', leave).pause()
  }
  const refuse = (error: AnyTlsError): void => {
    leave()
    raw.destroy()
    options.onRefused(error, remoteAddress)
  }
  raw.on('data', onData).on('end', onEnd).on('close', leave)
}

function missing(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_PROXY_PROTOCOL', `no valid PROXY protocol header: ${problem}`)
}
