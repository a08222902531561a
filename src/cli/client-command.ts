// `anytls client`: a local SOCKS5 and HTTP proxy whose tunnels go through the server.

import type { Logger } from 'pino'
import { invalidOption } from '../errors.ts'
import { createBypass } from '../proxy/bypass.ts'
import { isServerFailure } from '../proxy/servers.ts'
import type { Credentials } from '../proxy/inbound/credentials.ts'
import { createInbound } from '../proxy/inbound/inbound.ts'
import type { Inbound } from '../proxy/inbound/inbound.ts'
import type { InboundEvents } from '../proxy/inbound/inbound-tunnel.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { openServers } from './client-servers.ts'
import type { ClientServers } from './client-servers.ts'
import { begin, DRAIN_TIMEOUT, drained, listen } from './lifecycle.ts'
import type { OpenLog } from './logger.ts'
import type { ClientCommandOptions } from './options.ts'
import { readSecretFile } from '../serve/files.ts'

/** Where `user:password` for this proxy stands, unless `--proxy-auth-file` names a file. */
const PROXY_AUTH_VARIABLE = 'ANYTLS_PROXY_AUTH'

/**
 * Runs the client; resolves when it has been told to stop and has stopped.
 *
 * @throws AnyTlsError for options and files that cannot be used; `ERR_LISTEN_FAILED`
 */
export async function runClient(options: ClientCommandOptions, openLog: OpenLog): Promise<void> {
  const { stopped, log, logger } = begin(options, openLog)
  const auth = readProxyAuth(options.proxyAuthFile)
  const servers = openServers(options, logger)
  const openTunnel = createBypass(options.bypass ?? [], servers.openTunnel)
  const inbound = createInbound({ openTunnel, ...(auth && { auth }) })
  logInbound(inbound, logger)

  const address = await listen(inbound, options.listen)
  log.announce(`listening on ${formatHostPort(address)}`)
  servers.start()

  logger.info(`${await stopped}: stopping`)
  await drained(stop(inbound, servers))
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
    throw invalidOption(`${where} does not have the form user:password`)
  }
  return { username: secret.slice(0, colon), password: secret.slice(colon + 1) }
}

/** Tunnels may run to their end, as long as the drain timeout allows. */
async function stop(inbound: Inbound, servers: ClientServers): Promise<void> {
  const limit = setTimeout(() => {
    inbound.closeAllConnections()
    servers.destroy()
  }, DRAIN_TIMEOUT)
  await new Promise((resolve) => inbound.close(resolve))
  await servers.close()
  clearTimeout(limit)
}

function logInbound(inbound: Inbound, logger: Logger): void {
  inbound.on('tunnel', ({ source, target, protocol }: InboundEvents['tunnel'][0]) => {
    logger.debug({ source, target: formatHostPort(target), protocol }, 'a tunnel stands')
  })
  inbound.on('refused', ({ source, target, protocol, error }: InboundEvents['refused'][0]) => {
    const fields = { source, target: formatHostPort(target), protocol, err: error }
    // What is wrong with a server is told once a minute, not for each request.
    logger[isServerFailure(error) ? 'debug' : 'warn'](fields, 'a tunnel could not be opened')
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
