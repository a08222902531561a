// What `anytls server` serves with: here a server in this process; workers.ts has many.

import type { Logger } from 'pino'
import type { Address } from '../codec/address.ts'
import { createFallback } from '../fallback/fallback.ts'
import type { Fallback } from '../fallback/fallback.ts'
import { serveProxyStream } from '../proxy/outbound/serve-stream.ts'
import { Accounts } from '../serve/accounts.ts'
import { Observer } from '../serve/admin/observer.ts'
import type { ServerWatch } from '../serve/admin/observer.ts'
import type { ServerCertificate } from '../serve/certificate.ts'
import type { KeyAndCertificate } from '../serve/self-signed.ts'
import { TargetPolicy } from '../serve/targets.ts'
import { Subscriptions } from '../serve/subscriptions/subscriptions.ts'
import type { SubscriptionsOptions } from '../serve/subscriptions/subscriptions.ts'
import type { NodeControl, ServerEndpoint, UserStore } from '../serve/users/store.ts'
import { createServer } from '../tls/listen.ts'
import type { Server } from '../tls/listen.ts'
import type { ServerUpdate } from '../tls/server-options.ts'
import { drained, listen } from './lifecycle.ts'
import type { ServerCommandOptions } from './options.ts'
import type { CertificateUser } from './server-acme.ts'
import { ServerLog } from './server-log.ts'

/** A server, in one process or many. */
export interface Serving extends CertificateUser {
  readonly watch: ServerWatch
  /** What links to it say now that it listens. */
  readonly links: Links
  /** Puts to use what of the options can be changed at any time. */
  tune(options: Pick<ServingOptions, 'block' | 'logLevel'>): void
  /** @throws AnyTlsError `ERR_OPTION_INVALID`; the old ones stay */
  update(settings: ServerUpdate): void
  /**
   * @param endpointAt where links lead, once it is known where it is, and with what certificate
   * @throws AnyTlsError rejects with `ERR_LISTEN_FAILED`
   */
  listen(
    endpointAt: (address: Address, certificate: ServerCertificate) => ServerEndpoint,
  ): Promise<Address>
  /** Drains for as long as it may, in milliseconds. */
  drain(grace: number): Promise<void>
  /** Writes what was counted. */
  close(): Promise<void>
}

/** What links to a server say: another certificate may be pinned another way. */
export interface Links {
  readonly endpoint: ServerEndpoint
  /** PEM. */
  readonly certificate: string
}

/** What they name of passwords is in the settings. */
export type ServingOptions = Omit<ServerCommandOptions, 'password' | 'passwordFile'>

/** What a server is made of, beside the options. */
export interface ServingSettings {
  readonly options: ServingOptions
  readonly settings: ServerUpdate
  readonly certificate: ServerCertificate
  readonly logger: Logger
  readonly listen: Address
  readonly reservations: Reservations
}

/** Addresses that are dialled for nobody, from before there is a server that has to know them. */
export class Reservations {
  readonly #all = new Map<Address, () => void>()
  #tell: ((address: Address) => () => void) | undefined

  get all(): Iterable<Address> {
    return this.#all.keys()
  }

  /** @returns gives it free again */
  reserve(address: Address): () => void {
    this.#all.set(address, this.#tell?.(address) ?? (() => {}))
    return () => {
      this.#all.get(address)?.()
      this.#all.delete(address)
    }
  }

  /** @param tell told of each, also of those that there are. @returns gives it free again */
  follow(tell: (address: Address) => () => void): void {
    this.#tell = tell
    for (const address of this.#all.keys()) this.#all.set(address, tell(address))
  }
}

/** What one process serves with. */
export interface ProxySettings {
  readonly options: ServingOptions
  readonly settings: ServerUpdate
  readonly certificate: KeyAndCertificate
  readonly logger: Logger
  readonly ticketKeys?: Buffer
  /** Absent for a server without users. */
  readonly people?: People | undefined
}

/** The users of a process. */
interface People {
  readonly accounts: Accounts
  readonly store: SubscriptionsOptions['store']
  /** Asked once it listens. */
  readonly links: () => Links
  /** Whether a panel keeps everybody from a target; absent where there is none. */
  readonly blocks: NodeControl['blocks'] | undefined
}

/** A server that dials out for its clients, and what belongs to it. */
export interface ProxyServer {
  readonly server: Server
  readonly fallback: Fallback
  readonly targets: TargetPolicy
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function createProxyServer({
  options,
  settings,
  certificate: { key, cert },
  logger,
  ticketKeys,
  people,
}: ProxySettings): ProxyServer {
  const targets = new TargetPolicy({ block: options.block })
  const serverLog = new ServerLog(logger)
  const { accounts, blocks } = people ?? {}
  const subscriptions =
    people &&
    new Subscriptions({
      store: people.store,
      endpoint: () => people.links().endpoint,
      certificate: () => people.links().certificate,
      count: () => people.accounts.count(),
    })
  const fallback = createFallback({
    ...(options.fallback && { http1: options.fallback }),
    ...(options.fallbackH2 && { h2: options.fallbackH2 }),
    ...(options.fallbackProxyProtocol && { proxyProtocol: options.fallbackProxyProtocol }),
    ...(subscriptions && { privatePages: subscriptions }),
  })
  const { onViolation, legacy, legacyTls12, acceptProxyProtocol } = options
  const server = createServer(
    {
      ...settings,
      ...{ key, cert, users: accounts, fallback, acceptProxyProtocol },
      ...{ onViolation, legacy, legacyTls12, ticketKeys, autoAccept: false },
    },
    (stream, session) => {
      void serveProxyStream(stream, {
        ...(blocks && { allowTarget: (target, transport) => !blocks(target, transport) }),
        allowAddress: (target, port) =>
          targets.allows(accounts?.rightsOf(session), target, port) &&
          blocks?.({ host: target, port }) !== true,
        observe(event) {
          accounts?.observe(session, event)
          serverLog.observe(session, event)
        },
      })
    },
  )
  serverLog.attach(server)
  accounts?.attach(server)
  return { server, fallback, targets }
}

/** Ends it as gently as it can in so many milliseconds. */
export function drainProxyServer({ server, fallback }: ProxyServer, grace: number): Promise<void> {
  return drained(Promise.all([server.shutdown(grace), fallback.close(grace)]), grace)
}

/** One server in this process. */
export function serveHere(
  { reservations, listen: place, ...settings }: ServingSettings,
  store: UserStore | undefined,
): Serving {
  const warn = (problem: string): void => settings.logger.warn(problem)
  let { certificate } = settings
  let endpoint: () => ServerEndpoint
  const links = (): Links => ({ endpoint: endpoint(), certificate: certificate.cert })
  const people = store && {
    accounts: new Accounts({ store, limiter: store.limiter, warn }),
    store,
    links,
    blocks: store.node && store.node.blocks.bind(store.node),
  }
  const proxy = createProxyServer({ ...settings, people })
  const { server, targets } = proxy
  reservations.follow((address) => targets.reserve(address))
  return {
    watch: new Observer(server, people?.accounts),
    get links() {
      return links()
    },
    tune({ block = [], logLevel }) {
      targets.block(block)
      settings.logger.level = logLevel
    },
    update: (update) => server.update(update),
    setCertificate(renewed) {
      server.setCertificate(renewed.key, renewed.cert)
      certificate = renewed
    },
    setChallenge: (name, answer) => server.setChallenge(name, answer),
    async listen(endpointAt) {
      const address = await listen(server, place)
      endpoint = () => endpointAt(address, certificate)
      return address
    },
    drain: (grace) => drainProxyServer(proxy, grace),
    close: async () => people?.accounts.close(),
  }
}
