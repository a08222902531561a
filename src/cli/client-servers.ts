// The servers of the client: how each is reached, its sessions, and what the log is told of it.

import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import type { Logger } from 'pino'
import { AnyTlsError } from '../errors.ts'
import { createTunnelOpener } from '../proxy/client.ts'
import { Servers } from '../proxy/servers.ts'
import type { ServerEvent } from '../proxy/servers.ts'
import type { OpenTunnel } from '../proxy/tunnel.ts'
import type { Scheme } from '../shaping/scheme.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import { SessionPool } from '../session/pool.ts'
import type { Session } from '../session/session.ts'
import { connect } from '../tls/dial.ts'
import type { ConnectOptions } from '../tls/dial.ts'
import type { KnownWire, WireStore } from '../tls/wire-store.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { fileError, readTextFile } from '../serve/files.ts'
import type { ClientCommandOptions } from './options.ts'
import { PASSWORD_VARIABLE, resolvePassword } from './password.ts'
import { readPaddingScheme } from './scheme-source.ts'
import { openSchemeStore, openWireStore } from './server-stores.ts'
import { serverTrouble } from './server-trouble.ts'
import type { ShareLink } from '../serve/share-link.ts'
import { stateFolder } from './state-folder.ts'

/** A line that comes in floods is said once in so many milliseconds; of so many lines it is known when they were said. */
const INTERVAL = 60_000
const MAX_KEYS = 256

/**
 * Streams at once on one session, and on one to a server that is near by. On the original wire, where a slow stream holds
 * up its siblings, one, as everybody has it.
 */
const [STREAMS_PER_SESSION, STREAMS_NEARBY] = [8, 64]

/**
 * With several servers, how long one may be silent on a new stream before it is asked for a sign of life, and how long
 * that may take, in ms: at least this, longer where the server is far, and at most as long as with one server.
 */
const SILENCE = { least: 300, roundTrips: 1.5, most: 2_500 }
const PROBE = { least: 300, roundTrips: 1.5, most: 2_000 }

/** The way through the servers, and its end. */
export interface ClientServers {
  readonly openTunnel: OpenTunnel
  /** Finds out which server is the quickest. */
  start(): void
  /** Streams run to their end. */
  close(): Promise<void>
  destroy(): void
}

/** @throws AnyTlsError for options and files that cannot be used */
export function openServers(options: ClientCommandOptions, logger: Logger): ClientServers {
  const folder = stateFolder(options.stateDir)
  const warn = (problem: string): void => logger.warn(problem)
  const shared = {
    wireStore: openWireStore(folder, warn),
    schemeStore: logged(openSchemeStore(folder, warn), logger),
    ca: options.ca === undefined ? undefined : readAuthorities(options.ca),
    scheme:
      options.paddingScheme === undefined
        ? undefined
        : readPaddingScheme(options.paddingScheme, 'up'),
  }
  const several = options.server.length > 1
  const entries = options.server.map((link) => {
    const connection = connectOptions(link, options, shared, logger)
    return openServer(connection, { minIdle: options.minIdle, several }, logger)
  })
  const limit = new RateLimit()
  const servers = new Servers({
    servers: entries,
    makeOpener: (source) => createTunnelOpener(source, { replyWait: options.replyWait }),
    observe: (event) => logServer(event, limit, logger),
  })
  return {
    openTunnel: servers.openTunnel,
    start: () => servers.start(),
    async close() {
      servers.close()
      await Promise.all(entries.map(({ pool }) => pool.close()))
    },
    destroy() {
      servers.close()
      for (const { pool } of entries) pool.destroy()
    },
  }
}

function openServer(
  connection: ConnectOptions,
  { minIdle, several }: { readonly minIdle: number; readonly several: boolean },
  logger: Logger,
) {
  let roundTrip = 0
  const within =
    ({ least, roundTrips, most }: typeof SILENCE) =>
    (): number =>
      several ? Math.min(Math.max(least, roundTrips * roundTrip), most) : most
  const name = formatHostPort(connection)
  const { wire, wireStore } = connection
  /** Of the server, as far as it is known. */
  const known = (): KnownWire | undefined => (wire === 'auto' ? wireStore?.get(name) : wire)
  const atMost = (streams: number) => () => (known()?.startsWith('legacy') ? 1 : streams)
  const pool = new SessionPool({
    minIdle,
    streamsPerSession: atMost(STREAMS_PER_SESSION),
    streamsNearby: atMost(STREAMS_NEARBY),
    silence: within(SILENCE),
    probeTimeout: within(PROBE),
    connect: async (signal) => {
      const session = await connect({ ...connection, signal })
      logSession(session, logger)
      return session
    },
  })
  const source = {
    openStream: (signal?: AbortSignal) => pool.openStream(signal),
    ping: async (signal: AbortSignal) => (roundTrip = await pool.ping(signal)),
  }
  return { name, source, pool }
}

interface SharedOptions {
  readonly wireStore: WireStore
  readonly schemeStore: SchemeStore
  readonly ca: string | undefined
  readonly scheme: Scheme | undefined
}

/** Options say it before the link does. */
function connectOptions(
  link: ShareLink,
  options: ClientCommandOptions,
  shared: SharedOptions,
  logger: Logger,
): ConnectOptions {
  const { insecure = false } = options
  const password = resolvePassword({
    option: options.password,
    file: options.passwordFile,
    link: link.password,
    environment: process.env[PASSWORD_VARIABLE],
  })
  if (link.ignored !== undefined) {
    logger.info({ keys: link.ignored }, 'keys of the share link that change nothing here')
  }
  const sni = options.sni ?? link.sni
  return {
    ...shared,
    wire: options.wire,
    host: link.host,
    port: link.port,
    password,
    // The empty name is none: an IP address cannot be asked for.
    servername: sni !== undefined && isIP(sni) !== 0 ? '' : sni,
    pin: options.pin ?? (insecure || shared.ca !== undefined ? undefined : link.pin),
    insecure: insecure || (link.insecure && shared.ca === undefined),
    ALPNProtocols: link.alpn,
  }
}

/** @throws AnyTlsError `ERR_FILE` for a file that cannot be read or holds no certificate */
function readAuthorities(file: string): string {
  const text = readTextFile(file, 'certificate file')
  try {
    new X509Certificate(text)
  } catch (cause) {
    throw fileError(`certificate file '${file}' holds no usable certificate`, cause)
  }
  return text
}

/** A session may be handed over when its server has long said which scheme to use. */
function logged(store: SchemeStore, logger: Logger): SchemeStore {
  return {
    get: (server) => store.get(server),
    set(server, scheme) {
      const { digest } = scheme
      logger.info({ digest }, 'the server sent a padding scheme for later connections')
      store.set(server, scheme)
    },
  }
}

function logSession(session: Session, logger: Logger): void {
  const logConnected = (peer?: string): void => {
    logger.info({ peer, wire: session.wire }, 'connected to the server')
  }
  if (session.established) logConnected()
  else session.once('established', logConnected)
  session.on('schemeRefused', (error) => {
    logger.warn({ err: error }, 'the server sent a padding scheme that is not acceptable')
  })
  session.once('close', (error) => {
    // Of one that never came about the server's line tells.
    const level = error === undefined || !session.established ? 'debug' : 'warn'
    logger[level]({ err: error }, 'a connection to the server has ended')
  })
}

function logServer(event: ServerEvent, limit: RateLimit, logger: Logger): void {
  const { server } = event
  switch (event.type) {
    case 'failed': {
      const problem = serverTrouble(event.error)
      limit.tell(`${server} ${problem}`, (heldBack) => {
        const code = event.error instanceof AnyTlsError ? event.error.code : undefined
        const again = heldBack === 0 ? undefined : heldBack
        logger.warn({ server, code, again }, `the server cannot be used: ${problem}`)
      })
      break
    }
    case 'back':
      logger.info({ server }, 'the server answers again')
      break
    case 'preferred': {
      const milliseconds = event.roundTrip === undefined ? undefined : Math.round(event.roundTrip)
      logger.info({ server, milliseconds }, 'new streams go to this server first')
      break
    }
  }
}

interface Said {
  readonly at: number
  /** How often it was held back since. */
  heldBack: number
}

/** Decides what of lines that may come in floods is said. */
class RateLimit {
  readonly #said = new Map<string, Said>()

  /** Calls `say` unless it was called for `key` within the last minute; `heldBack` is how often it was not, since. */
  tell(key: string, say: (heldBack: number) => void): void {
    const now = performance.now()
    const said = this.#said.get(key)
    if (said !== undefined && now - said.at < INTERVAL) {
      said.heldBack += 1
      return
    }
    this.#said.delete(key)
    this.#said.set(key, { at: now, heldBack: 0 })
    const oldest = this.#said.keys().next()
    if (this.#said.size > MAX_KEYS && oldest.done !== true) this.#said.delete(oldest.value)
    say(said?.heldBack ?? 0)
  }
}
