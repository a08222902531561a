// What a server listens with: TCP connections, and what has to be read of each before TLS begins: the PROXY
// protocol of a balancer in front, and whether an authority looks for the answer to a challenge (RFC 8737).
// Must never let a connection wait here without a bound in time and bytes, or lose a byte of what TLS must see.
import type { Server as TcpServer, Socket } from 'node:net'
import type { Server as TlsServer } from 'node:tls'
import { readClientHello } from '../codec/client-hello.ts'
import type { ClientHello } from '../codec/client-hello.ts'
import { isInNetworks, parseNetwork } from '../codec/network.ts'
import type { Network } from '../codec/network.ts'
import { decodeProxyProtocol } from '../codec/proxy-protocol.ts'
import type { ProxyProtocolEnds } from '../codec/proxy-protocol.ts'
import { AnyTlsError, invalidOption } from '../errors.ts'
import { endsOf } from '../fallback/fallback-connection.ts'
import type { Clock } from '../session/clock.ts'

/** How long a header may take, in milliseconds: the balancer sends it as soon as it is connected. */
export const HEADER_TIMEOUT = 5_000

/** How long a TLS handshake may take, in milliseconds. */
export const HANDSHAKE_TIMEOUT = 60_000

/** The protocol that an authority asks for in its look (RFC 8737, section 3). */
export const CHALLENGE_PROTOCOL = 'acme-tls/1'

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
  /** Who answers an authority, by the name that it looks for. No ClientHello is looked at without one. */
  readonly challenges: ReadonlyMap<string, TlsServer>
  /** One that did not begin as it must; it is closed. */
  readonly onRefused: (error: AnyTlsError, remoteAddress: string) => void
}

/** Makes the listening server. */
export function createEntrance(options: EntranceOptions): TcpServer {
  return process.getBuiltinModule('node:net').createServer({ noDelay: true }, (raw) => {
    options.onConnection(raw)
    const arrival = { raw, ends: endsOf(raw) }
    if (isInNetworks(options.balancers, hostOf(arrival))) readHeader(arrival, options)
    else lookAtHello(arrival, options)
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
    throw invalidOption(`acceptProxyProtocol: ${cause.message}`, { cause })
  }
}

/** Where it came from; nothing when it is already gone. */
function hostOf({ ends }: Arrival): string {
  return ends.source?.host ?? ''
}

/** What a balancer sends first, and whose connection it is then. */
function readHeader(arrival: Arrival, options: EntranceOptions): void {
  const { raw } = arrival
  const refuse = (error: AnyTlsError): void => {
    raw.destroy()
    options.onRefused(error, hostOf(arrival))
  }
  readStart(raw, options.clock, HEADER_TIMEOUT, {
    onBytes(bytes) {
      try {
        const header = decodeProxyProtocol(bytes)
        if (header === undefined) return undefined
        const ends = header.ends.source === undefined ? arrival.ends : header.ends
        return { taken: header.length, next: () => lookAtHello({ raw, ends }, options) }
      } catch (error) {
        return { taken: bytes.length, next: () => refuse(error as AnyTlsError) }
      }
    },
    // A balancer's look whether somebody listens is no fault.
    onEnd: (count) => count > 0 && refuse(missing('it is cut off')),
    onLate: () => refuse(missing('it did not come in time')),
  })
}

/** To everybody but the authority TLS begins as it always does, with every byte that came. */
function lookAtHello(arrival: Arrival, options: EntranceOptions): void {
  const { raw } = arrival
  if (options.challenges.size === 0) {
    options.onArrival(arrival)
    return
  }
  const giveUp = (): void => void raw.destroy()
  readStart(raw, options.clock, HANDSHAKE_TIMEOUT, {
    onBytes(bytes) {
      const hello = readClientHello(bytes)
      if (hello === 'more') return undefined
      const answer = hello === 'none' ? undefined : challengeFor(hello, options.challenges)
      if (answer === undefined) return { taken: 0, next: () => options.onArrival(arrival) }
      return { taken: 0, next: () => void answer.emit('connection', raw) }
    },
    onEnd: giveUp,
    onLate: giveUp,
  })
}

function challengeFor(
  { serverName = '', protocols }: ClientHello,
  challenges: ReadonlyMap<string, TlsServer>,
): TlsServer | undefined {
  if (protocols.length !== 1 || protocols[0] !== CHALLENGE_PROTOCOL) return undefined
  return challenges.get(serverName.toLowerCase())
}

interface StartReader {
  /** All bytes so far; how many of them are done with and what comes next, once that is known. */
  readonly onBytes: (bytes: Buffer) => { taken: number; next: () => void } | undefined
  /** The peer has ended before. @param count bytes that came */
  readonly onEnd: (count: number) => void
  readonly onLate: () => void
}

/** Reads what a connection begins with, and puts back what is not taken of it. */
function readStart(raw: Socket, clock: Clock, patience: number, reader: StartReader): void {
  let bytes: Buffer = Buffer.alloc(0)
  const onData = (chunk: Buffer): void => {
    bytes = bytes.length === 0 ? chunk : Buffer.concat([bytes, chunk])
    const result = reader.onBytes(bytes)
    if (result === undefined) return
    leave()
    const rest = bytes.subarray(result.taken)
    if (rest.length > 0) raw.unshift(rest)
    result.next()
  }
  const onEnd = (): void => {
    leave()
    reader.onEnd(bytes.length)
  }
  const leave = (): void => {
    timer.cancel()
    raw.off('data', onData).off('end', onEnd).off('close', leave).pause()
  }
  const timer = clock.schedule(patience, () => {
    leave()
    reader.onLate()
  })
  raw.on('data', onData).on('end', onEnd).on('close', leave).resume()
}

function missing(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_PROXY_PROTOCOL', `no valid PROXY protocol header: ${problem}`)
}
