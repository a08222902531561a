// `anytls server --workers`: the server in several processes, as the primary one runs them.
// Must never let a password get into the arguments of a process.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Address } from '../codec/address.ts'
import type { PanelRoutes } from '../serve/panel/panel-routes.ts'
import type { KeyAndCertificate } from '../serve/self-signed.ts'
import type { ServerEndpoint, UserStore } from '../serve/users/store.ts'
import { Crew } from '../serve/workers/crew.ts'
import { HeadOffice } from '../serve/workers/head-office.ts'
import { requireCertificate, TICKET_KEYS_LENGTH } from '../tls/server-options.ts'
import type { ServerUpdate } from '../tls/server-options.ts'
import { listen } from './lifecycle.ts'
import type { ProgramLog } from './logger.ts'
import type { Links, Serving, ServingOptions, ServingSettings } from './serving.ts'
import { WORKER_ARGUMENT } from './worker-argument.ts'

/** How long ticket keys are used, in milliseconds. Tickets live for 5 minutes. */
const TICKET_KEYS_LIFETIME = 86_400_000

/** What a worker makes its server of. */
export interface WorkerSetup {
  readonly workers: number
  readonly options: ServingOptions
  readonly settings: ServerUpdate
  readonly certificate: KeyAndCertificate
  readonly links: Links
  readonly ticketKeys: Uint8Array
  readonly challenges: ReadonlyMap<string, KeyAndCertificate>
  readonly reserved: readonly Address[]
  readonly listen: Address
  /** Of a panel. */
  readonly routes: PanelRoutes | undefined
  readonly colorize: boolean
}

/** As many servers as `size` says, in processes of their own. */
export function serveByWorkers(
  { options: started, settings, certificate, logger, listen: place, reservations }: ServingSettings,
  store: UserStore | undefined,
  { size, log }: { readonly size: number; readonly log: ProgramLog },
): Serving {
  requireCertificate(certificate.key, certificate.cert)
  let [options, currentSettings, currentCertificate] = [started, settings, certificate]
  let ticketKeys = randomBytes(TICKET_KEYS_LENGTH)
  const challenges = new Map<string, KeyAndCertificate>()
  const office = new HeadOffice({ store, warn: (problem) => logger.warn(problem) })
  let address = place
  let endpoint: () => ServerEndpoint
  const links = (): Links => ({ endpoint: endpoint(), certificate: currentCertificate.cert })
  const node = store?.node
  const crew = new Crew<WorkerSetup>({
    size,
    args: [WORKER_ARGUMENT],
    // Passwords and tokens stand there, which nobody but the primary process needs.
    withoutVariables: Object.keys(process.env).filter((name) => name.startsWith('ANYTLS_')),
    office,
    setup: () => ({
      workers: size,
      // What they named is in the settings.
      options: { ...options, password: undefined, passwordFile: undefined },
      settings: currentSettings,
      certificate: currentCertificate,
      ticketKeys,
      challenges,
      reserved: [...reservations.all],
      listen: address,
      links: links(),
      routes: node?.routes,
      colorize: log.colorize,
    }),
    log: (line) => log.pass(line),
    died: ({ pid, cause }, wait) =>
      logger.error({ pid, cause, wait }, 'a worker has ended; another takes its place'),
  })
  const renewal = setInterval(() => {
    ticketKeys = randomBytes(TICKET_KEYS_LENGTH)
    crew.tell({ type: 'ticketKeys', keys: ticketKeys })
  }, TICKET_KEYS_LIFETIME).unref()
  node?.onRoutes(() => crew.tell({ type: 'routes', routes: node.routes }))
  reservations.follow((reserved) => {
    crew.tell({ type: 'reserve', address: reserved, reserved: true })
    return () => crew.tell({ type: 'reserve', address: reserved, reserved: false })
  })
  return {
    watch: office,
    get links() {
      return links()
    },
    tune({ block = [], logLevel }) {
      options = { ...options, block, logLevel }
      logger.level = logLevel
      crew.tell({ type: 'tune', block, logLevel })
    },
    update(update) {
      currentSettings = { ...currentSettings, ...update }
      crew.tell({ type: 'update', settings: update })
    },
    setCertificate(renewed) {
      const { key, cert } = renewed
      requireCertificate(key, cert)
      currentCertificate = renewed
      crew.tell({ type: 'certificate', certificate: { key, cert }, links: links() })
    },
    setChallenge(name, answer) {
      if (answer === undefined) challenges.delete(name)
      else challenges.set(name, answer)
      crew.tell({ type: 'challenge', name, answer })
    },
    async listen(endpointAt) {
      address = await chosen(place)
      endpoint = () => endpointAt(address, currentCertificate)
      await crew.start()
      office.listening(address.host, address.port)
      return address
    },
    async drain(grace) {
      clearInterval(renewal)
      await crew.drain(grace)
    },
    close: () => office.close(),
  }
}

/** Where the system is to choose the port, it chooses once: a worker that comes later has to listen there, too. */
async function chosen({ host, port }: Address): Promise<Address> {
  if (port !== 0) return { host, port }
  const server = createServer()
  const address = await listen(server, { host, port })
  server.close()
  await once(server, 'close')
  return address
}
