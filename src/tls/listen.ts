// The server's way to sessions: TLS 1.3, the server machine's decision on the first record, fallback for
// everybody else (draft, Authentication; D14 to D17).
import { EventEmitter } from 'node:events'
import type { AddressInfo, Server as TcpServer, Socket } from 'node:net'
import type { Server as TlsServer, TLSSocket } from 'node:tls'
import { ChurningMap, ChurningSet } from '../codec/churning.ts'
import type { ServerConfig } from '../wires/anytls/config.ts'
import { anyTlsServer } from '../wires/anytls/server.ts'
import { AnyTlsError } from '../errors.ts'
import type { LegacyServerConfig } from '../wires/legacy/config.ts'
import { legacyServer } from '../wires/legacy/server.ts'
import { unmappedHost } from '../codec/ip.ts'
import { holdsSecret } from '../codec/same-bytes.ts'
import type { Handover } from '../engine/machine.ts'
import { guarded, tell } from '../session/callbacks.ts'
import { MAX_DELAY, systemClock } from '../session/clock.ts'
import type { Clock } from '../session/clock.ts'
import { lendReads } from '../session/lent-reads.ts'
import { Session } from '../session/session.ts'
import type { SessionUser, Stream } from '../session/stream.ts'
import { createFallback } from '../fallback/fallback.ts'
import type { Fallback } from '../fallback/fallback.ts'
import {
  CHALLENGE_PROTOCOL,
  createEntrance,
  HANDSHAKE_TIMEOUT,
  parseBalancers,
} from './entrance.ts'
import type { Arrival } from './entrance.ts'
import { judgeFirstRecord } from './first-record.ts'
import type { Verdict } from './first-record.ts'
import {
  TICKET_KEYS_LENGTH,
  checkTicketKeys,
  parseConfig,
  requireCertificate,
} from './server-options.ts'
import type { ServerOptions, ServerUpdate } from './server-options.ts'

/** What a {@link Server} tells; `stream` comes for each stream of every session. */
export interface ServerEvents {
  /** The port is bound. */
  listening: []
  /** A client has authenticated and negotiated. */
  session: [session: Session]
  /** One of those is over, with its error if it had one. For all sessions, one listener. */
  sessionClose: [session: Session, error: Error | undefined]
  /** A client has opened a stream. Without a listener it is destroyed. */
  stream: [stream: Stream, session: Session]
  /** A connection went to the fallback. */
  fallback: [
    info: {
      /** Why it is not, or no longer, a session. */
      readonly cause: Handover['cause']
      /** Who the client is; empty where that is not known. */
      readonly remoteAddress: string
    },
  ]
  /**
   * With `onViolation: 'downgrade'`: the bare socket, paused, unread bytes put back. Without a listener it
   * is closed.
   */
  downgrade: [socket: TLSSocket, error: Error | undefined]
  /** A TLS handshake failed, or the PROXY protocol header before it (`ERR_PROXY_PROTOCOL`). */
  handshakeError: [error: Error, remoteAddress: string]
  /** The listening socket failed. */
  error: [error: Error]
  /** The server has stopped, and its last connection is gone. */
  close: []
}

/** How long a session ticket can be used, in seconds. */
const TICKET_LIFETIME = 300

/** How long who has connected to a server that stops has to log in, in milliseconds. */
const ARRIVAL_TIMEOUT = 1_000

/** Made by {@link createServer}. */
export class Server extends EventEmitter<ServerEvents> {
  #options: ServerOptions
  #config: ServerConfig & LegacyServerConfig
  readonly #clock: Clock
  /** Its own one lasts as long as it listens. */
  #fallback: Fallback
  /** Listens, and hands connections to the other, which shakes hands. */
  readonly #entrance: TcpServer
  readonly #tls: TlsServer
  readonly #sessions = new ChurningSet<Session>()
  /** The TCP sockets of all connections. */
  readonly #rawSockets = new ChurningSet<Socket>()
  /** What is beneath each TLS connection, by its addresses: a reset needs the TCP socket. */
  readonly #arrivals = new ChurningMap<string, Arrival>()
  /** Those of connections that have shaken hands. */
  readonly #secured = new WeakSet<Socket>()
  #ticketKeys: Buffer
  /** Who answers authorities, by the name that they look for. */
  readonly #challenges = new Map<string, TlsServer>()
  #stopping = false

  /** As {@link createServer}, without a listener. */
  constructor(options: ServerOptions) {
    super()
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#config = parseConfig(options)
    requireCertificate(options.key, options.cert)
    this.#fallback = options.fallback ?? createFallback()
    const { alpnProtocols } = this.#fallback
    const { randomBytes } = process.getBuiltinModule('node:crypto')
    this.#ticketKeys = checkTicketKeys(options.ticketKeys ?? randomBytes(TICKET_KEYS_LENGTH))
    this.#tls = process.getBuiltinModule('node:tls').createServer({
      ...this.#contextOptions(options.key, options.cert),
      handshakeTimeout: HANDSHAKE_TIMEOUT,
      ...(alpnProtocols.length > 0 ? { ALPNProtocols: [...alpnProtocols] } : {}),
    })
    this.#tls.on('secureConnection', (socket) => this.#accept(socket))
    this.#tls.on('tlsClientError', (error, socket) => {
      socket.on('error', ignore)
      const arrival = this.#arrivals.get(addressesOf(socket))
      const client = arrival?.ends.source?.host ?? unmappedHost(socket.remoteAddress ?? '')
      // Node itself ends what goes wrong, but not what takes too long.
      if ('code' in error && error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT') arrival?.raw.destroy()
      this.#tell('handshakeError', error, client)
    })
    this.#entrance = createEntrance({
      balancers: parseBalancers(options.acceptProxyProtocol ?? []),
      clock: this.#clock,
      onConnection: (raw) => this.#remember(raw),
      onArrival: (arrival) => this.#secure(arrival),
      challenges: this.#challenges,
      onRefused: (error, remoteAddress) => this.#tell('handshakeError', error, remoteAddress),
    })
    this.#entrance.on('error', (error: Error) => this.emit('error', error))
    this.#entrance.on('listening', () => this.emit('listening'))
    this.#entrance.on('close', () => {
      this.#renewOwnFallback()
      this.emit('close')
    })
  }

  /** Listens. Port 0 takes a free one, see {@link address}. */
  listen(port: number, host?: string, callback?: () => void): this {
    if (callback !== undefined) this.once('listening', callback)
    this.#entrance.listen(port, host)
    return this
  }

  /** Where the server listens. @throws Error when it does not */
  address(): AddressInfo {
    const address = this.#entrance.address()
    if (address === null || typeof address === 'string')
      throw new Error('the server is not listening')
    return address
  }

  /** Sessions that are open now, authenticated ones and those that have still to show; another set each time. */
  get sessions(): ReadonlySet<Session> {
    return new Set(this.#sessions.list())
  }

  /**
   * Uses another certificate for connections from now on.
   *
   * @throws AnyTlsError `ERR_OPTION_INVALID`; the old certificate stays
   */
  setCertificate(key: string | Buffer, cert: string | Buffer): void {
    requireCertificate(key, cert)
    this.#tls.setSecureContext(this.#contextOptions(key, cert))
  }

  /** D53: order of ciphers and life of tickets are those of nginx. */
  #contextOptions(key: string | Buffer, cert: string | Buffer) {
    return {
      key,
      cert,
      ticketKeys: this.#ticketKeys,
      honorCipherOrder: false,
      sessionTimeout: TICKET_LIFETIME,
      minVersion: this.#allowsTls12 ? ('TLSv1.2' as const) : ('TLSv1.3' as const),
    }
  }

  /** Who serves no clients of the original wire has nobody to let in that way. */
  get #allowsTls12(): boolean {
    const { legacyTls12 = false, legacy = true } = this.#options
    return legacyTls12 && legacy
  }

  /**
   * Seals session tickets with other keys from now on. Tickets of the old ones are not taken any more: their
   * clients shake hands in full, once.
   *
   * @param keys 48 bytes
   * @throws AnyTlsError `ERR_OPTION_INVALID`; the old keys stay
   */
  setTicketKeys(keys: Buffer): void {
    this.#ticketKeys = checkTicketKeys(keys)
    this.#tls.setTicketKeys(this.#ticketKeys)
  }

  /**
   * Answers an authority that looks whether this server has a name (ACME, TLS-ALPN-01, RFC 8737): with a
   * certificate that nobody else gets. What others get stays as it is.
   *
   * @param answer key and certificate, PEM; without one the name is answered no more
   * @throws AnyTlsError `ERR_OPTION_INVALID`
   */
  setChallenge(name: string, answer?: { readonly key: string; readonly cert: string }): void {
    const lower = name.toLowerCase()
    this.#challenges.delete(lower)
    if (answer === undefined) return
    requireCertificate(answer.key, answer.cert)
    const { key, cert } = answer
    const server = process
      .getBuiltinModule('node:tls')
      .createServer(
        { key, cert, ALPNProtocols: [CHALLENGE_PROTOCOL], handshakeTimeout: HANDSHAKE_TIMEOUT },
        (socket) => void socket.on('error', ignore).end(),
      )
    server.on('tlsClientError', (_error, socket) => void socket.on('error', ignore).destroy())
    this.#challenges.set(lower, server)
  }

  /**
   * Uses other settings for connections from now on. What stands goes on, but for the sessions of a password
   * that has been replaced: they end.
   *
   * @throws AnyTlsError `ERR_OPTION_INVALID`; the old settings stay
   */
  update(settings: ServerUpdate): void {
    const options = { ...this.#options, ...settings }
    const config = parseConfig(options)
    const { passwordHash } = this.#config
    this.#options = options
    this.#config = config
    if (holdsSecret(config.passwordHash, 0, passwordHash, passwordHash.length)) return
    for (const session of this.#sessions.list()) {
      if (session.established && session.user === undefined) session.destroy()
    }
  }

  /**
   * Ends all sessions of a user at once, and tells their clients why where the wire has words for it. Whoever is not
   * to come back is not to be found by `users.lookup` any more, first.
   *
   * @param revoked by `id` where there is one, else by name
   * @param error what the sessions and their streams end with. Default `ERR_USER_REVOKED`
   * @returns how many there were
   */
  revoke({ name, id }: SessionUser, error = new AnyTlsError('ERR_USER_REVOKED')): number {
    const revoked = this.#sessions.list().filter(({ user }) => {
      return id === undefined || user?.id === undefined ? user?.name === name : user.id === id
    })
    for (const session of revoked) session.dismiss(error)
    return revoked.length
  }

  /** Lets the process end although the server listens; connections are not affected, as with `net.Server`. */
  unref(): this {
    this.#entrance.unref()
    return this
  }

  /** Undoes {@link unref}. */
  ref(): this {
    this.#entrance.ref()
    return this
  }

  /** Stops listening; connections go on. `close` follows when the last is gone. */
  close(callback?: () => void): this {
    this.#entrance.close(callback)
    return this
  }

  /**
   * Stops gracefully: no new connections, sessions drain, then what is left is destroyed. Who has connected and not
   * yet logged in has a second of that: a stream may be on its way. Connections that were handed to a fallback of the
   * caller's have as long as streams, unless the caller closes that at the same time.
   *
   * @param grace milliseconds that streams have to come to their end. Default 5,000
   */
  async shutdown(grace = 5_000): Promise<void> {
    this.#stopping = true
    const closed = new Promise<void>((resolve) => this.#entrance.close(() => resolve()))
    const arrived = setTimeout(() => this.#dropArriving(), ARRIVAL_TIMEOUT)
    const limit = Math.min(grace, MAX_DELAY)
    const deadline = setTimeout(() => {
      for (const session of this.#sessions.list()) session.destroy()
      for (const raw of this.#rawSockets.list()) raw.destroy()
    }, limit)
    for (const session of this.#sessions.list()) drain(session)
    if (this.#options.fallback === undefined) await this.#fallback.close(grace)
    await closed
    // Their sockets are; they hear of it in a moment.
    await Promise.all(this.#sessions.list().map((session) => session.close()))
    clearTimeout(arrived)
    clearTimeout(deadline)
  }

  #dropArriving(): void {
    for (const session of this.#sessions.list()) if (!session.established) void session.close()
    for (const raw of this.#rawSockets.list()) if (!this.#secured.has(raw)) raw.destroy()
  }

  /** As {@link shutdown} does it. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.shutdown()
  }

  /** Closes a fallback that nobody else has; another one serves if the server listens again. */
  #renewOwnFallback(): void {
    if (this.#options.fallback !== undefined) return
    void this.#fallback.close()
    this.#fallback = createFallback()
  }

  /** Whatever a listener throws, every other one is told and the connection goes its way. */
  #tell<E extends keyof ServerEvents>(event: E, ...args: ServerEvents[E]): boolean {
    return tell(this, event, ...args)
  }

  #remember(raw: Socket): void {
    // What goes wrong shows in the TLS connection; a reset of ours may fail here.
    raw.on('error', ignore)
    this.#rawSockets.add(raw)
    raw.once('close', () => this.#rawSockets.delete(raw))
  }

  #secure(arrival: Arrival): void {
    const { raw } = arrival
    const key = addressesOf(raw)
    this.#arrivals.set(key, arrival)
    raw.once('close', () => this.#arrivals.delete(key))
    this.#tls.emit('connection', raw)
  }

  #accept(socket: TLSSocket): void {
    const arrival = this.#arrivals.get(addressesOf(socket))
    // Already reset by the peer.
    if (arrival === undefined) {
      socket.on('error', ignore).destroy()
      return
    }
    // Not before: who hangs up during the handshake is hung up on, as by any server.
    socket.allowHalfOpen = true
    lendReads(socket, 'tls')
    const started = this.#clock.now()
    // The first record is judged once, before either machine sees it.
    let verdict: Verdict = { wire: 'stranger' }
    const session = new Session({
      duplex: socket,
      machine: anyTlsServer(this.#config, started, () => verdict.wire === 'v1'),
      chooseMachine: (firstRecord) => {
        verdict = judgeFirstRecord(firstRecord, this.#config.passwordHash, this.#options.users)
        const isRefused =
          verdict.wire === 'legacy'
            ? this.#options.legacy === false
            : // Version 1 has never been spoken over anything older.
              socket.getProtocol() !== 'TLSv1.3'
        if (isRefused) verdict = { wire: 'stranger' }
        if (verdict.wire !== 'stranger' && verdict.user) session.logIn(verdict.user)
        return verdict.wire === 'legacy'
          ? legacyServer(this.#config, started, () => true)
          : undefined
      },
      clock: this.#clock,
      autoAccept: this.#options.autoAccept,
      stallTimeout: this.#options.stallTimeout,
      remoteAddress: arrival.ends.source?.host,
      onHandover: (handover) => this.#handOver(handover, socket, arrival),
    })
    this.#secured.add(arrival.raw)
    this.#sessions.add(session)
    session.once('established', () => this.#tell('session', session))
    if (this.#stopping) drain(session)
    session.on('stream', (stream) => {
      if (!this.#tell('stream', stream, session)) stream.destroy()
    })
    session.on('close', (error) => {
      this.#sessions.delete(session)
      if (session.established) this.#tell('sessionClose', session, error)
    })
  }

  #handOver(handover: Handover, socket: TLSSocket, { raw, ends }: Arrival): void {
    if (handover.cause === 'violation' && this.#options.onViolation === 'downgrade') {
      // An application that has not come to listening yet must not be ended by a reset.
      socket.on('error', ignore)
      socket.unshift(Buffer.concat(handover.unread))
      if (!this.#tell('downgrade', socket, handover.error)) socket.destroy()
      return
    }
    this.#tell('fallback', { cause: handover.cause, remoteAddress: ends.source?.host ?? '' })
    guarded(() => this.#fallback.handle({ socket, rawSocket: raw, unread: handover.unread, ends }))
  }
}

/**
 * Makes an ANYTLS server. To whoever has no password it is an ordinary web server.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 * @example
 * const server = createServer({ key, cert, password }, (stream) => stream.pipe(stream))
 * server.listen(8443)
 */
export function createServer(
  options: ServerOptions,
  onStream?: (stream: Stream, session: Session) => void,
): Server {
  const server = new Server(options)
  if (onStream !== undefined) server.on('stream', onStream)
  return server
}

/** As soon as it has logged in: what it opens with that is served. */
function drain(session: Session): void {
  if (session.established) void session.close()
  else session.once('established', () => void session.close())
}

function addressesOf(socket: Socket): string {
  const { remoteAddress, remotePort, localAddress, localPort } = socket
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`
}

function ignore(): void {}
