// `anytls server`: accepts clients and dials out for them, until it is told to stop.
// Must never show the share link, which holds a password, when --no-link says no.

import type { Logger } from 'pino'
import { reportFailure } from '../proxy/failure.ts'
import { dial } from '../proxy/outbound/outbound.ts'
import { DEFAULT_SCHEME } from '../shaping/scheme.ts'
import { Reloader } from '../serve/reload.ts'
import type { ReloadPart } from '../serve/reload.ts'
import type { FallbackEndpoint } from '../fallback/fallback-endpoint.ts'
import type { Address } from '../codec/address.ts'
import { formatHostPort } from '../codec/host-port.ts'
import { keptCertificate, readCertificate } from '../serve/certificate.ts'
import type { ServerCertificate } from '../serve/certificate.ts'
import { LiveOptions } from './live-options.ts'
import { begin, onHangUp } from './lifecycle.ts'
import type { OpenLog, ProgramLog } from './logger.ts'
import { DEFAULT_LISTEN, parseListen } from './options.ts'
import type { ServerCommandOptions } from './options.ts'
import { findPassword, PASSWORD_VARIABLE, resolvePassword } from './password.ts'
import { endpointOfName, prepareAcme } from './server-acme.ts'
import { endpointOfServer } from './server-link.ts'
import { formatShareLink } from '../serve/share-link.ts'
import { formatAdminPlace } from '../serve/admin/place.ts'
import type { AdminSettings, RunningAdmin } from './admin.ts'
import { linkTo } from '../serve/users/user-link.ts'
import type { NodeControl, UserStore } from '../serve/users/store.ts'
import { openUserStore } from '../serve/users/open-store.ts'
import { Reservations, serveHere } from './serving.ts'
import type { Serving, ServingSettings } from './serving.ts'
import { namedScheme, readPaddingScheme } from './scheme-source.ts'
import { stateFolder } from './state-folder.ts'

/**
 * Runs the server; resolves when it has been told to stop and has stopped.
 *
 * @param readAnew the options as command line and configuration file have them now
 * @throws AnyTlsError for options and files that cannot be used; `ERR_LISTEN_FAILED`
 */
export async function runServer(
  options: ServerCommandOptions,
  openLog: OpenLog,
  readAnew: () => Promise<ServerCommandOptions>,
): Promise<void> {
  const { stopped, log, logger } = begin(options, openLog)
  const reloader = new Reloader({
    reloaded: (name) => logger.info(`${name}: read anew`),
    refused: (name, error) =>
      logger.error({ err: error }, `${name}: not usable, the old one stays`),
  })
  const live = new LiveOptions(options, readAnew)
  const hangUp = onHangUp(() => reloader.all())
  const warn = (problem: string) => logger.warn(problem)
  const reservations = new Reservations()
  const folder = stateFolder(options.stateDir)
  const reserve = (address: Address) => reservations.reserve(address)
  const store =
    options.users === undefined
      ? undefined
      : await openUserStore(options.users, { warn, folder, reserve })
  const node = store?.node
  const settings = readSettings(options, node)
  const acme = prepareAcme(
    options,
    {
      setCertificate: (renewed) => serving.setCertificate(renewed),
      setChallenge: (name, answer) => serving.setChallenge(name, answer),
    },
    logger,
  )
  const listenOn = options.listen ?? listenOfNode(node) ?? DEFAULT_LISTEN
  const names = [...namedHosts(listenOn), ...(node?.serverName ? [node.serverName] : [])]
  const certificate = acme?.kept ?? (await chooseCertificate(options, names))
  const serving = await openServing(
    { options, settings, certificate, logger, listen: listenOn, reservations },
    store,
    log,
  )
  // Before whatever it names files for.
  if (options.config !== undefined) await reloader.add(configPart(serving, live, logger))
  await reloader.add(settingsPart(serving, live, node))
  node?.onScheme(() => serving.update(readSettings(live.now, node)))
  // Its file is followed anyhow; this is for whoever does not want to wait.
  if (store) await reloader.add({ name: 'users', files: [], reload: () => store.refresh() })

  const address = await serving.listen((bound, served) =>
    options.acme === undefined
      ? endpointOfServer(bound, served, options.publicHost)
      : endpointOfName(bound, options.acme, options.publicHost),
  )
  const { password } = settings
  if (options.link && password !== undefined && logger.isLevelEnabled('info')) {
    log.announce(`share link: ${formatShareLink(linkTo(serving.links.endpoint, password))}`)
  }
  const record = async () => store?.recordEndpoint(serving.links.endpoint)
  await record()
  if (options.cert !== undefined) {
    const renewed = () =>
      record().catch((error: unknown) => {
        logger.warn({ err: error }, 'what links say now could not be written')
      })
    await reloader.add(ownCertificatePart(serving, live, renewed))
  }
  const admin = await openAdmin(options, {
    observer: serving.watch,
    store,
    reserve,
    endpoint: () => serving.links.endpoint,
    certificate: () => serving.links.certificate,
    failed: (error) => logger.error({ err: error }, 'the admin server could not answer'),
  })
  if (admin !== undefined) {
    await reloader.add({
      name: 'admin token',
      files: [],
      reload: () => admin.reload(live.now.adminTokenFile),
    })
    log.announce(`admin on ${formatAdminPlace(admin.place)}`)
  }
  log.announce(`listening on ${formatHostPort(address)}`)
  void warnOfDeadFallbacks([options.fallback, options.fallbackH2], logger)
  hangUp.ready()
  await acme?.start()

  logger.info(`${await stopped}: stopping`)
  admin?.drain()
  reloader.stop()
  acme?.stop()
  await serving.drain(live.now.drainTime)
  await admin?.close()
  await serving.close()
}

/** What runs many processes is loaded for `--workers` alone. */
async function openServing(
  settings: ServingSettings,
  store: UserStore | undefined,
  log: ProgramLog,
): Promise<Serving> {
  const { workers } = settings.options
  if (workers === undefined) return serveHere(settings, store)
  return (await import('./workers.ts')).serveByWorkers(settings, store, { size: workers, log })
}

/** What it is made of is loaded for `--admin` alone. */
async function openAdmin(
  { admin, adminTokenFile, publicHost }: ServerCommandOptions,
  settings: Omit<AdminSettings, 'place' | 'tokenFile' | 'publicName'>,
): Promise<RunningAdmin | undefined> {
  if (admin === undefined) return undefined
  const { startAdmin } = await import('./admin.ts')
  const more = { place: admin, tokenFile: adminTokenFile, publicName: publicHost?.host }
  return startAdmin({ ...settings, ...more })
}

/** How long an endpoint may take to let itself be connected to, in ms, before it is warned of. */
const FALLBACK_PATIENCE = 5_000

/** D54: what visitors get meanwhile is an error page. */
async function warnOfDeadFallbacks(
  endpoints: readonly (FallbackEndpoint | undefined)[],
  logger: Logger,
): Promise<void> {
  for (const endpoint of endpoints) {
    if (endpoint === undefined) continue
    try {
      const socket = await dial(endpoint, { timeout: FALLBACK_PATIENCE })
      socket.destroy()
    } catch (error) {
      const problem = reportFailure(error).reason
      const server = formatHostPort(endpoint)
      logger.warn(
        `the fallback ${server} cannot be reached (${problem}): visitors get an error page`,
      )
    }
  }
}

/** `::` means every address, also where there is no IPv6. */
function listenOfNode(node: NodeControl | undefined): Address | undefined {
  return node?.listen.host === '::' ? parseListen(String(node.listen.port)) : node?.listen
}

function namedHosts({ host }: Address): readonly string[] {
  return host === '0.0.0.0' || host === '::' ? [] : [host]
}

/** What the files and variables that the options name say now. */
function readSettings(options: ServerCommandOptions, node: NodeControl | undefined) {
  const { paddingScheme, shapeDownlink } = options
  const sources = {
    option: options.password,
    file: options.passwordFile,
    environment: process.env[PASSWORD_VARIABLE],
  }
  // Users have passwords of their own: there need not be another.
  const password = options.users === undefined ? resolvePassword(sources) : findPassword(sources)
  return {
    ...(password !== undefined && { password }),
    scheme:
      paddingScheme === undefined
        ? (node?.scheme ?? DEFAULT_SCHEME)
        : readPaddingScheme(paddingScheme, 'up'),
    shapeDownlink: downlinkScheme(shapeDownlink, paddingScheme),
  }
}

/** Without a value of its own it is that of the named scheme for clients, or whatever clients have. */
function downlinkScheme(place: string | boolean = false, forClients: string | undefined) {
  if (typeof place === 'string') return readPaddingScheme(place, 'down')
  const named = place && forClients !== undefined ? namedScheme(forClients) : undefined
  return named?.down ?? place
}

function configPart(serving: Serving, live: LiveOptions, logger: Logger): ReloadPart {
  return {
    name: 'configuration file',
    files: [],
    async reload() {
      const waiting = await live.reload()
      serving.tune(live.now)
      if (waiting.length === 0) return
      logger.warn(`configuration file: a restart is needed for ${waiting.join(', ')}`)
    },
  }
}

function settingsPart(
  serving: Serving,
  live: LiveOptions,
  node: NodeControl | undefined,
): ReloadPart {
  return {
    name: 'password and padding schemes',
    files: [],
    reload: () => serving.update(readSettings(live.now, node)),
  }
}

/** Of `--cert` and `--key`, wherever they lead now. */
function ownCertificatePart(
  serving: Serving,
  live: LiveOptions,
  renewed: () => Promise<void>,
): ReloadPart {
  return {
    name: 'certificate',
    get files() {
      return [live.now.cert, live.now.key].filter((file) => file !== undefined)
    },
    async reload() {
      const { cert, key } = live.now
      if (cert === undefined || key === undefined) return
      serving.setCertificate(readCertificate(cert, key))
      // Links pin one that nobody vouches for.
      await renewed()
    },
  }
}

/** @throws what reading them throws */
async function chooseCertificate(
  options: ServerCommandOptions,
  names: readonly string[],
): Promise<ServerCertificate> {
  const { cert, key, stateDir } = options
  if (cert !== undefined && key !== undefined) return readCertificate(cert, key)
  return keptCertificate(stateFolder(stateDir), names)
}
