// Mux.Pro main connections over any Duplex: a socket, a TLSSocket, a stream of another session; and the pool
// of them that a client keeps.
// Must never open or listen on anything: the Duplex is given, and belongs to the session from then on.
import type { Duplex } from 'node:stream'
import { invalidOption } from '../errors.ts'
import { DEFAULT_PRIORITY } from '../engine/send-scheduler.ts'
import type { StreamRequest } from '../engine/machine.ts'
import { muxProClientMachine } from '../wires/muxpro/client.ts'
import { parseClientSettings, parseServerSettings } from '../wires/muxpro/config.ts'
import type { ClientConfig, ClientSettings, ServerSettings } from '../wires/muxpro/config.ts'
import { muxProServerMachine } from '../wires/muxpro/server.ts'
import { systemClock } from './clock.ts'
import type { Clock } from './clock.ts'
import { requireCount, SessionPool } from './pool.ts'
import { Session } from './session.ts'
import type { Stream } from './stream.ts'
import type { Address } from '../codec/address.ts'
import { prepareCarrier } from './carrier.ts'

/** Where a stream goes, and how. */
export interface MuxProTarget {
  /** Where the server is to connect to, or to send datagrams. */
  readonly target: Address
  /** Default `tcp`. With `udp` each write is one datagram, and so is each `data` event. */
  readonly network?: 'tcp' | 'udp' | undefined
  /** Whose data goes first, at either end: 0 is first, 255 last. Default 128. */
  readonly priority?: number | undefined
  /** Destroys the stream when it is aborted. */
  readonly signal?: AbortSignal | undefined
}

/** Settings of the end that opens streams. */
export interface MuxProClientOptions extends ClientSettings {
  /** Time, for tests. */
  readonly clock?: Clock | undefined
}

/** Settings of the end that streams are opened to. */
export interface MuxProServerOptions extends ServerSettings {
  /**
   * Whether a stream is accepted when the `stream` listeners have run. Default true; with false
   * `stream.accept()` does it, or the first write.
   */
  readonly autoAccept?: boolean | undefined
  /** Time, for tests. */
  readonly clock?: Clock | undefined
}

/** How a pool makes main connections, and how many streams each has. */
export interface MuxProPoolOptions extends MuxProClientOptions {
  /** Makes the Duplex of a main connection; must give up when the signal is aborted. */
  readonly connect: (signal: AbortSignal) => Promise<Duplex>
  /** Streams at once on one main connection, never more than `maxConnections`. Default 8. */
  readonly maxConcurrency?: number | undefined
  /** Streams in all on one main connection, after which it takes no more. Default 16. */
  readonly maxConnections?: number | undefined
  /** How long a main connection without streams is kept, in milliseconds. Default 30,000. */
  readonly idleTimeout?: number | undefined
}

/** The client's end of one main connection. */
export class MuxProClient {
  /** What carries the streams: its events, its `close` among them, tell how the connection is. */
  readonly session: Session

  /** Of a session whose streams are asked for with a target: clients come from {@link muxProClient}. */
  constructor(session: Session) {
    this.session = session
  }

  /**
   * Opens a stream; it may be written at once. There is no half-close on this wire: after `end()` the
   * stream waits for the rest of the answer, up to `timeouts.linger` of silence.
   *
   * @throws AnyTlsError `ERR_SESSION_CLOSED`, `ERR_SESSION_DRAINING` or `ERR_STREAM_LIMIT`;
   *   `ERR_OPTION_INVALID` or `ERR_ADDRESS_INVALID` for what cannot be asked for
   */
  openStream(where: MuxProTarget): Stream {
    return this.session.openStream({ request: requestOf(where), signal: where.signal })
  }

  /** Ends gracefully: no new streams, those that stand run to their end. Resolves when it is over. */
  close(): Promise<void> {
    return this.session.close()
  }

  /** Ends at once. */
  destroy(error?: Error): void {
    this.session.destroy(error)
  }

  /** Closes it as {@link close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Streams over as many main connections as they need. */
export class MuxProPool {
  readonly #pool: SessionPool

  /** @throws AnyTlsError `ERR_OPTION_INVALID` */
  constructor(options: MuxProPoolOptions) {
    const { connect, maxConcurrency = 8, maxConnections = 16, idleTimeout, clock } = options
    if (typeof connect !== 'function') {
      throw invalidOption('connect must be a function that makes the Duplex of a main connection')
    }
    requireCount('maxConcurrency', maxConcurrency)
    requireCount('maxConnections', maxConnections)
    const config = parseClientSettings(options)
    this.#pool = new SessionPool({
      connect: async (signal) => makeClient(await connect(signal), config, clock),
      streamsPerSession: maxConcurrency,
      streamsInAll: maxConnections,
      idleTimeout,
      clock,
    })
  }

  /** Main connections that stand now. */
  get size(): number {
    return this.#pool.size
  }

  /**
   * Opens a stream on a main connection that has room, else on a new one.
   *
   * @throws AnyTlsError rejects with `ERR_POOL_CLOSED`, with what `connect` rejects with, with the signal's
   *   reason, or as {@link MuxProClient.openStream} throws
   */
  async openStream(where: MuxProTarget): Promise<Stream> {
    const request = requestOf(where)
    return this.#pool.openStream(where.signal, request)
  }

  /** Lets the process end while streams are open; main connections without streams never keep it up. */
  unref(): this {
    this.#pool.unref()
    return this
  }

  /** Undoes {@link unref}. */
  ref(): this {
    this.#pool.ref()
    return this
  }

  /** Closes every main connection gracefully; streams that are open run to their end. */
  close(): Promise<void> {
    return this.#pool.close()
  }

  /** Closes it as {@link close} does. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** Ends every main connection at once. */
  destroy(): void {
    this.#pool.destroy()
  }
}

/**
 * The client's end of a main connection. Negotiation begins at once; streams may be opened and written
 * without waiting for it. The wire itself has neither encryption nor authentication: give it a Duplex that
 * has, such as a TLSSocket or a stream of an ANYTLS session.
 *
 * @param duplex where the bytes go; the session reads it, writes it and ends it, and turns TCP_NODELAY on
 *   where it is a socket
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 * @example
 * const client = muxProClient(net.connect(9527))
 * const stream = client.openStream({ target: { host: 'example.com', port: 80 } })
 */
export function muxProClient(duplex: Duplex, options: MuxProClientOptions = {}): MuxProClient {
  return new MuxProClient(makeClient(duplex, parseClientSettings(options), options.clock))
}

/**
 * The server's end of a main connection. Each stream tells in `stream.request` what it is for: network,
 * target, priority. Refuse one with `stream.reset(CloseCode.Rejected)`.
 *
 * @param duplex where the bytes go; the session reads it, writes it and ends it, and turns TCP_NODELAY on
 *   where it is a socket
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 * @example
 * net.createServer((socket) => {
 *   muxProServer(socket).on('stream', (stream) => serve(stream, stream.request))
 * })
 */
export function muxProServer(duplex: Duplex, options: MuxProServerOptions = {}): Session {
  const { clock = systemClock, autoAccept } = options
  const machine = muxProServerMachine(parseServerSettings(options), clock.now())
  return new Session({ duplex: prepareCarrier(duplex), machine, clock, autoAccept })
}

function makeClient(duplex: Duplex, config: ClientConfig, clock: Clock = systemClock): Session {
  const machine = muxProClientMachine(config, clock.now())
  return new Session({ duplex: prepareCarrier(duplex), machine, clock })
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` without a target; what stands in it the machine looks at */
function requestOf(where: MuxProTarget | undefined): StreamRequest {
  if (where?.target === undefined) {
    throw invalidOption('a Mux.Pro stream needs a target: { target: { host, port } }')
  }
  const { target, network = 'tcp', priority = DEFAULT_PRIORITY } = where
  return { network, target, priority }
}
