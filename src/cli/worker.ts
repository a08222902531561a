// What a process does that is a worker of `anytls server --workers`: it serves, and tells the primary process all.

import type { Logger } from 'pino'
import { AnyTlsError } from '../errors.ts'
import { Accounts } from '../serve/accounts.ts'
import { Observer } from '../serve/admin/observer.ts'
import type { FallbackCause } from '../serve/admin/observer.ts'
import { isBlocked } from '../serve/panel/panel-routes.ts'
import type { PanelRoutes } from '../serve/panel/panel-routes.ts'
import type { NodeControl } from '../serve/users/store.ts'
import type {
  FromWorker,
  Question,
  ServerNews,
  ToWorker,
  WorkerStart,
} from '../serve/workers/messages.ts'
import { WorkerUsers } from '../serve/workers/worker-users.ts'
import { describeError } from './failure.ts'
import { listen } from './lifecycle.ts'
import type { OpenLog } from './logger.ts'
import { createProxyServer, drainProxyServer } from './serving.ts'
import type { Links, ProxyServer } from './serving.ts'
import type { WorkerSetup } from './workers.ts'
import { boundYoungGeneration } from './young-generation.ts'

/** How often a worker reports, in milliseconds. */
const REPORT_INTERVAL = 250

/** Resolves when it has been told to stop and has stopped. It ends at once when the primary process is gone. */
export async function runWorker(openLog: OpenLog): Promise<void> {
  boundYoungGeneration()
  // They are for the primary process, also where a terminal or systemd sends them to all.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
  const primary = new Primary()
  const { setup, users: known } = await primary.start()
  const { options, settings, certificate, colorize } = setup
  const { logger } = openLog({ level: options.logLevel, format: options.logFormat, colorize })
  const users = known && new WorkerUsers(known, setup.workers, (report) => void tell(report))
  const accounts =
    users &&
    new Accounts({
      store: users.store,
      limiter: users.limiter,
      warn: (problem) => logger.warn(problem),
    })
  const routes = new Routes(setup.routes)
  const people = users &&
    accounts && {
      accounts,
      store: users.store,
      links: () => news.links,
      blocks: routes.blocks,
    }
  const ticketKeys = Buffer.from(setup.ticketKeys)
  const proxy = createProxyServer({ options, settings, certificate, logger, ticketKeys, people })
  for (const [name, answer] of setup.challenges) proxy.server.setChallenge(name, answer)
  const news = new NewsReader(proxy, routes, logger, setup.links)
  for (const address of setup.reserved) news.receive({ type: 'reserve', address, reserved: true })
  const reporter = new Reporter(new Observer(proxy.server, accounts), users, accounts)
  const draining = new Promise<number>((resolve) => {
    primary.onMessage((message) => {
      switch (message.type) {
        case 'drain':
          resolve(message.grace)
          return
        case 'ask':
          void reporter.answer(message.number, message.question)
          return
        case 'users':
        case 'used':
        case 'rates':
        case 'verdict':
          users?.receive(message)
          if (message.type !== 'rates') accounts?.check()
          return
        default:
          news.receive(message)
      }
    })
  })
  const interval = setInterval(() => void reporter.report(), REPORT_INTERVAL)
  try {
    await listen(proxy.server, setup.listen)
    void tell({ type: 'listening' })
    await drainProxyServer(proxy, await draining)
    await accounts?.close()
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    void tell({ type: 'failed', problem: { code: error.code, message: describeError(error) } })
  }
  clearInterval(interval)
  await reporter.report()
}

type Told = Exclude<ToWorker<WorkerSetup>, { type: 'start' }>

/** What the primary process tells: nothing is lost until somebody listens. The process ends with it. */
class Primary {
  readonly #early: Told[] = []
  #receive = (message: Told): void => void this.#early.push(message)

  /** Says that it is there. */
  start(): Promise<WorkerStart<WorkerSetup>> {
    return new Promise((resolve) => {
      process.on('message', (message: ToWorker<WorkerSetup>) => {
        if (message.type === 'start') resolve(message)
        else this.#receive(message)
      })
      void tell({ type: 'hello' })
    })
  }

  onMessage(receive: (message: Told) => void): void {
    this.#receive = receive
    for (const message of this.#early) receive(message)
  }
}

/** Resolves when the system has it. */
function tell(message: FromWorker): Promise<void> {
  return new Promise((resolve) => {
    if (process.connected) process.send?.(message, undefined, undefined, () => resolve())
    else resolve()
  })
}

/** Puts to use what the operator or a file has changed. */
class NewsReader {
  readonly #proxy: ProxyServer
  readonly #routes: Routes
  readonly #logger: Logger
  links: Links
  /** How addresses that are kept from clients are given free. */
  readonly #releases = new Map<string, () => void>()

  constructor(proxy: ProxyServer, routes: Routes, logger: Logger, links: Links) {
    this.#proxy = proxy
    this.#routes = routes
    this.#logger = logger
    this.links = links
  }

  receive(news: Exclude<ServerNews, { type: 'drain' }>): void {
    const { server, targets } = this.#proxy
    switch (news.type) {
      case 'close':
        server.close()
        void tell({ type: 'closed' })
        return
      case 'tune':
        targets.block(news.block)
        this.#logger.level = news.logLevel
        return
      case 'update':
        server.update(news.settings)
        return
      case 'certificate':
        server.setCertificate(news.certificate.key, news.certificate.cert)
        this.links = news.links
        return
      case 'ticketKeys':
        server.setTicketKeys(Buffer.from(news.keys))
        return
      case 'challenge':
        server.setChallenge(news.name, news.answer)
        return
      case 'routes':
        this.#routes.now = news.routes
        return
      case 'reserve': {
        const { host, port } = news.address
        const key = `${host} ${port}`
        this.#releases.get(key)?.()
        this.#releases.delete(key)
        if (news.reserved) this.#releases.set(key, targets.reserve(news.address))
      }
    }
  }
}

/** Targets that a panel keeps everybody from. */
class Routes {
  now: PanelRoutes | undefined

  constructor(now: PanelRoutes | undefined) {
    this.now = now
  }

  readonly blocks: NodeControl['blocks'] = (target, transport) =>
    this.now !== undefined && isBlocked(this.now, target, transport)
}

/** Tells what there was, and what there is when it is asked. */
class Reporter {
  readonly #observer: Observer
  readonly #users: WorkerUsers | undefined
  readonly #accounts: Accounts | undefined
  #told: Readonly<Record<FallbackCause, number>>

  constructor(observer: Observer, users: WorkerUsers | undefined, accounts: Accounts | undefined) {
    this.#observer = observer
    this.#users = users
    this.#accounts = accounts
    this.#told = observer.fallbacks
  }

  /** Resolves when the system has it, and everything that was told before. */
  report(): Promise<void> {
    this.#accounts?.count()
    const now = this.#observer.fallbacks
    const told = this.#told
    this.#told = now
    return tell({
      type: 'report',
      counts: this.#users?.takeCounts() ?? [],
      taken: this.#users?.takeRates() ?? [],
      fallbacks: {
        'auth-failed': now['auth-failed'] - told['auth-failed'],
        'auth-timeout': now['auth-timeout'] - told['auth-timeout'],
        violation: now.violation - told.violation,
      },
    })
  }

  async answer(number: number, question: Question): Promise<void> {
    void this.report()
    switch (question.about) {
      case 'state': {
        const { sessions, streams, memory } = await this.#observer.state()
        void tell({ type: 'answer', number, state: { sessions, streams, memory } })
        return
      }
      case 'sessions':
        void tell({ type: 'answer', number, sessions: await this.#observer.sessions() })
        return
      case 'end': {
        const was = await this.#observer.end(question.session)
        void tell({ type: 'answer', number, sessions: was === undefined ? [] : [was] })
      }
    }
  }
}
