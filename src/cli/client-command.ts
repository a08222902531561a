// `anytls client`: a local SOCKS5 and HTTP proxy whose tunnels go through the server.
// Must never log a password, nor what programs send.

import { isIP } from 'node:net'
import type { Logger } from 'pino'
import { AnyTlsError } from '../errors.ts'
import { createTunnelOpener } from '../proxy/client.ts'
import type { Credentials } from '../proxy/inbound/credentials.ts'
import { createInbound } from '../proxy/inbound/inbound.ts'
import type { Inbound } from '../proxy/inbound/inbound.ts'
import type { InboundEvents } from '../proxy/inbound/inbound-tunnel.ts'
import type { SchemeStore } from '../shaping/scheme-store.ts'
import { SessionPool } from '../session/pool.ts'
import { connect } from '../tls/dial.ts'
import type { ConnectOptions } from '../tls/dial.ts'
import type { KnownWire } from '../tls/wire-store.ts'
import type { Session } from '../session/session.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { DRAIN_TIMEOUT, drained, listen, stopSignal } from './lifecycle.ts'
import type { LogOptions, ProgramLog } from './logger.ts'
import type { ClientCommandOptions } from './options.ts'
import { PASSWORD_VARIABLE, readSecretFile, resolvePassword } from './password.ts'
import { openSchemeStore, openWireStore } from './server-stores.ts'
import { stateFolder } from './state-folder.ts'

/**
 * Streams at once on one session. On the original wire, where a slow stream holds up its siblings, one, as
 * everybody has it.
 */
const STREAMS_PER_SESSION = 8

/** Where `user:password` for this proxy stands, unless `--proxy-auth-file` names a file. */
const PROXY_AUTH_VARIABLE = 'ANYTLS_PROXY_AUTH'

/**
 * Runs the client; resolves when it has been told to stop and has stopped.
 *
 * @throws AnyTlsError for options and files that cannot be used; `ERR_LISTEN_FAILED`
 */
export async function runClient(
  options: ClientCommandOptions,
  openLog: (options: LogOptions) => ProgramLog,
): Promise<void> {
  const stopped = stopSignal()
  const log = openLog({ level: options.logLevel, format: options.logFormat })
  const { logger } = log
  const connection = connectOptions(options, logger)
  const auth = readProxyAuth(options.proxyAuthFile)
  const pool = new SessionPool({
    minIdle: options.minIdle,
    streamsPerSession: () => (speaks(connection)?.startsWith('legacy') ? 1 : STREAMS_PER_SESSION),
    connect: async (signal) => {
      const session = await connect({ ...connection, signal })
      logSession(session, logger)
      return session
    },
  })
  const openTunnel = createTunnelOpener(pool, { replyWait: options.replyWait })
  const inbound = createInbound({ openTunnel, ...(auth && { auth }) })
  logInbound(inbound, logger)

  const address = await listen(inbound, options.listen)
  log.announce(`listening on ${formatHostPort(address)}`)

  logger.info(`${await stopped}: stopping`)
  await drained(stop(inbound, pool))
}

/** Options say it before the link does. */
function connectOptions(options: ClientCommandOptions, logger: Logger): ConnectOptions {
  const { server: link, insecure = false } = options
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
  const folder = stateFolder(options.stateDir)
  const warn = (problem: string): void => logger.warn(problem)
  return {
    wire: options.wire,
    wireStore: openWireStore(folder, warn),
    schemeStore: logged(openSchemeStore(folder, warn), logger),
    host: link.host,
    port: link.port,
    password,
    // The empty name is none: an IP address cannot be asked for.
    servername: sni !== undefined && isIP(sni) !== 0 ? '' : sni,
    pin: options.pin ?? (insecure ? undefined : link.pin),
    insecure: insecure || link.insecure,
    ALPNProtocols: link.alpn,
  }
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

/** The wire of the server, as far as it is known. */
function speaks({ wire, wireStore, ...server }: ConnectOptions): KnownWire | undefined {
  return wire === 'auto' ? wireStore?.get(formatHostPort(server)) : wire
}

/** @throws AnyTlsError `ERR_FILE` or `ERR_OPTION_INVALID`, without a word of the secret */
function readProxyAuth(file: string | undefined): Credentials | undefined {
  const secret =
    file === undefined
      ? process.env[PROXY_AUTH_VARIABLE]
      : readSecretFile(file, 'proxy authentication file')
  if (!secret) return undefined
  const colon = secret.indexOf(':')
  if (colon < 1) {
    const where = file === undefined ? PROXY_AUTH_VARIABLE : `proxy authentication file '${file}'`
    throw new AnyTlsError('ERR_OPTION_INVALID', `${where} does not have the form user:password`)
  }
  return { username: secret.slice(0, colon), password: secret.slice(colon + 1) }
}

/** Tunnels may run to their end, as long as the drain timeout allows. */
async function stop(inbound: Inbound, pool: SessionPool): Promise<void> {
  const limit = setTimeout(() => {
    inbound.closeAllConnections()
    pool.destroy()
  }, DRAIN_TIMEOUT)
  await new Promise((resolve) => inbound.close(resolve))
  await pool.close()
  clearTimeout(limit)
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
    if (error === undefined) logger.debug('a connection to the server has ended')
    else logger.warn({ err: error }, 'a connection to the server has ended')
  })
}

function logInbound(inbound: Inbound, logger: Logger): void {
  inbound.on('tunnel', ({ source, target, protocol }: InboundEvents['tunnel'][0]) => {
    logger.debug({ source, target: formatHostPort(target), protocol }, 'a tunnel stands')
  })
  inbound.on('refused', ({ source, target, protocol, error }: InboundEvents['refused'][0]) => {
    const fields = { source, target: formatHostPort(target), protocol, err: error }
    logger.warn(fields, 'a tunnel could not be opened')
  })
  inbound.on('failed', ({ source, target, protocol, reason }: InboundEvents['failed'][0]) => {
    logger.warn({ source, target: formatHostPort(target), protocol, reason }, 'a request failed')
  })
  inbound.on('invalid', ({ source, reason }: InboundEvents['invalid'][0]) => {
    logger.info({ source, reason }, 'a program did not ask properly')
  })
  inbound.on('association', ({ source, address }: InboundEvents['association'][0]) => {
    logger.debug({ source, address }, 'a program may send datagrams')
  })
  inbound.on('associationOver', (event: InboundEvents['associationOver'][0]) => {
    const { source, counts, error } = event
    if (error !== undefined) logger.warn({ source, err: error }, 'no socket for datagrams')
    else logger.debug({ source, datagrams: counts }, 'done with the datagrams of a program')
  })
}
