// Users from a panel: known from what it told last, counted for it, held to its limits over all of its nodes.
// Must never let the panel's trouble become its users': who is known goes on, and what they use waits for it.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AnyTlsError, invalidOption } from '../../errors.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { readLargeFile, writePrivateFile } from '../files.ts'
import { LocalLimiter } from '../limiter.ts'
import { KnownUsers } from '../remote/known-users.ts'
import { Reserved } from '../remote/reserved.ts'
import { Trouble } from '../remote/trouble.ts'
import { WaitingCounts } from '../remote/waiting-counts.ts'
import type { Batch } from '../remote/waiting-counts.ts'
import { UsageJournal } from '../usage/journal.ts'
import type { UsageLedger } from '../usage/ledger.ts'
import { readEndpoint, writeEndpoint } from '../users/endpoint-file.ts'
import { Presence } from '../users/presence.ts'
import type {
  NodeControl,
  ServerEndpoint,
  SessionsByUser,
  StoreOptions,
  UserStore,
} from '../users/store.ts'
import type { User } from '../users/user.ts'
import { UserTable } from '../users/user-table.ts'
import type { UserChange } from '../users/user-table.ts'
import { LoadMeter } from './node-load.ts'
import { readConfig, readDevices, readUsers } from './panel-answers.ts'
import type { PanelConfig } from './panel-answers.ts'
import { PanelClient, PanelError } from './panel-client.ts'
import { parsePanelPlace, readPanelToken } from './panel-place.ts'
import type { PanelPlace } from './panel-place.ts'
import { isBlocked } from './panel-routes.ts'

/** How long a start waits for the panel where users are known from before, in milliseconds. */
const PATIENCE = 3_000

/** Users of a batch whose bytes stand in one line of the log. */
const LOGGED_AT_ONCE = 50

export class PanelStore implements UserStore {
  readonly place: string
  readonly users = new UserTable()
  readonly usage: UsageLedger
  readonly limiter = new LocalLimiter((user) => ({
    sessions: 0,
    addresses: this.#devicesElsewhere(user),
  }))
  readonly node: NodeControl

  readonly #place: PanelPlace
  readonly #options: StoreOptions
  readonly #base: string
  readonly #client: PanelClient
  readonly #trouble: Trouble
  readonly #known: KnownUsers
  readonly #counts: WaitingCounts
  readonly #journal: UsageJournal
  readonly #presence: Presence
  readonly #load: LoadMeter
  readonly #listeners = new Set<(changes: readonly UserChange[]) => void>()
  readonly #schemeListeners = new Set<() => void>()
  readonly #routesListeners = new Set<() => void>()
  readonly #etags = new Map<string, string>()
  #token: string
  #config: PanelConfig | undefined
  /** The last list threw more than half of the users out: the next one decides. */
  #isSuspect = false
  #sessions: SessionsByUser = new Map()
  #perUser: ReadonlyMap<string, number> = new Map()
  /** Devices at all nodes, and how many of them the panel has from here. */
  #devices: ReadonlyMap<string, number> = new Map()
  #reported: ReadonlyMap<string, number> = new Map()
  readonly #timers = new Map<string, NodeJS.Timeout>()
  /** One request after the other. */
  #turn: Promise<void> = Promise.resolve()

  /** @throws AnyTlsError `ERR_OPTION_INVALID` and `ERR_FILE` for a place or token that cannot be used */
  constructor(text: string, options: StoreOptions) {
    const place = parsePanelPlace(text)
    this.#place = place
    this.place = place.shown
    this.#options = options
    const { warn, folder, reserve } = options
    this.#token = readPanelToken(place)
    this.#client = new PanelClient({
      place,
      token: () => this.#token,
      reserved: new Reserved(reserve),
    })
    this.#trouble = new Trouble(`the panel ${place.base.host}`, warn)
    const key = createHash('sha256').update(place.shown).digest('hex').slice(0, 16)
    this.#base = join(folder, `panel-${key}`)
    this.#known = new KnownUsers(`${this.#base}.users`, warn)
    this.#counts = new WaitingCounts(this.#base, warn)
    this.#journal = new UsageJournal(`${this.#base}.usage`, warn)
    this.#presence = new Presence(this.#base)
    this.#load = new LoadMeter(folder)
    this.usage = makeLedger(this.#journal, this.#counts)
    this.node = this.#makeNode()
  }

  get endpoint(): ServerEndpoint | undefined {
    return readEndpoint(this.#base)
  }

  get trouble(): string | undefined {
    return this.#trouble.now
  }

  sessionsOf(id: string): number {
    return this.#perUser.get(id) ?? 0
  }

  publishSessions(sessions: SessionsByUser): void {
    this.#sessions = sessions
    this.#presence.publish(sessions)
    this.#perUser = this.#presence.read()
  }

  add(): Promise<never> {
    return refuse()
  }

  update(): Promise<never> {
    return refuse()
  }

  remove(): Promise<never> {
    return refuse()
  }

  /**
   * Asks the panel; while it is away, the users are those of before.
   *
   * @throws AnyTlsError rejects with `ERR_CONNECT_FAILED` for a panel that has never been reached
   */
  async open(): Promise<void> {
    const known = this.#known.read()
    if (known !== undefined) this.users.become(known)
    const kept = this.#readKeptConfig()
    if (kept !== undefined) this.#config = kept
    const refreshed = this.refresh()
    if (known !== undefined && kept !== undefined) {
      const waited = new AbortController()
      await Promise.race([refreshed, sleep(PATIENCE, undefined, { signal: waited.signal })])
      waited.abort()
      return
    }
    await refreshed
    const problem = this.#trouble.now
    if (problem === undefined) return
    this.#counts.close()
    const message = `the panel ${this.#place.base.host}: ${problem}; no users are known from before`
    throw new AnyTlsError('ERR_CONNECT_FAILED', message)
  }

  async refresh(): Promise<void> {
    this.#token = readPanelToken(this.#place)
    await this.#inTurn(() => this.#pull())
    this.#perUser = this.#presence.read()
    await this.usage.refresh()
  }

  recordEndpoint(endpoint: ServerEndpoint): Promise<void> {
    writeEndpoint(this.#base, endpoint)
    return Promise.resolve()
  }

  watch(listener: (changes: readonly UserChange[]) => void): () => void {
    this.#listeners.add(listener)
    this.#every(
      'pull',
      () => this.#config?.pullInterval,
      () => this.#pull(),
    )
    this.#every(
      'push',
      () => this.#config?.pushInterval,
      () => this.#push(),
    )
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    const isServing = this.#timers.size > 0
    for (const timer of this.#timers.values()) clearTimeout(timer)
    this.#timers.clear()
    this.#presence.withdraw()
    this.#sessions = new Map()
    await this.usage.flush()
    // What has found no ear yet is not told in a hurry: it waits for the next start.
    if (isServing && this.#trouble.now === undefined) await this.#inTurn(() => this.#push())
    else await this.#turn
    this.#counts.close()
  }

  #makeNode(): NodeControl {
    const config = () => this.#config
    const [schemeListeners, routesListeners] = [this.#schemeListeners, this.#routesListeners]
    return {
      get listen() {
        return config()?.listen ?? { host: '::', port: 0 }
      },
      get serverName() {
        return config()?.serverName
      },
      get scheme(): Scheme | undefined {
        return config()?.scheme
      },
      get routes() {
        return config()?.routes
      },
      blocks(target, transport) {
        const routes = config()?.routes
        return routes !== undefined && isBlocked(routes, target, transport)
      },
      onScheme: (listener) => void schemeListeners.add(listener),
      onRoutes: (listener) => void routesListeners.add(listener),
    }
  }

  #every(name: string, interval: () => number | undefined, task: () => Promise<void>): void {
    if (this.#timers.has(name)) return
    const start = (): void => {
      const timer = setTimeout(() => {
        void this.#inTurn(task).finally(() => {
          if (this.#timers.get(name) === timer) start()
        })
      }, interval())
      this.#timers.set(name, timer.unref())
    }
    start()
  }

  #inTurn(task: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(task)
    this.#turn = turn.catch(() => {})
    return turn
  }

  async #pull(): Promise<void> {
    const isThere = await this.#attempt('config', async () => {
      const answer = await this.#get('config')
      if (answer === undefined) return
      this.#takeConfig(readConfig(answer.json))
      this.#etags.set('config', answer.etag ?? '')
      writePrivateFile(`${this.#base}.config`, `${JSON.stringify(answer.json)}\n`)
    })
    if (!isThere) return
    await this.#attempt('users', async () => {
      const answer = await this.#get('user')
      if (answer === undefined) return
      if (this.#takeUsers(readUsers(answer.json, this.#place.allowPrivate))) {
        this.#etags.set('user', answer.etag ?? '')
      }
    })
    await this.#readDevices()
  }

  async #push(): Promise<void> {
    const isThere = await this.#attempt('counts', async () => {
      let failure: PanelError | undefined
      await this.#counts.deliver(async (batch) => {
        failure = await this.#tell(batch)
        return failure === undefined || failure.mayHaveTaken ? 'told' : 'kept'
      })
      if (failure !== undefined) throw failure
    })
    if (!isThere) return
    const online = addressesOf(this.#sessions)
    if (online.size > 0 || this.#reported.size > 0) {
      await this.#attempt('who is online', async () => {
        await this.#client.post('alive', Object.fromEntries(online))
        this.#reported = new Map(Array.from(online, ([id, { length }]) => [id, length] as const))
      })
    }
    await this.#readDevices()
    const load = await this.#load.read()
    // Older panels do not ask for it.
    await this.#client.post('status', load).catch(() => {})
  }

  #get(
    path: string,
  ): Promise<{ readonly json: unknown; readonly etag: string | undefined } | undefined> {
    return this.#client.get(path, this.#etags.get(path) || undefined)
  }

  /**
   * What goes wrong with the panel is told, and holds nobody up.
   *
   * @returns whether the panel is there at all
   */
  async #attempt(name: string, task: () => Promise<void>): Promise<boolean> {
    try {
      await task()
      this.#trouble.over(name)
      return true
    } catch (error) {
      if (!(error instanceof PanelError || error instanceof AnyTlsError)) throw error
      this.#trouble.met(name, error.message)
      return !(error instanceof PanelError) || error.status !== 0
    }
  }

  async #readDevices(): Promise<void> {
    await this.#attempt('devices', async () => {
      try {
        const answer = await this.#client.get('alivelist')
        if (answer !== undefined) this.#devices = readDevices(answer.json)
      } catch (error) {
        // Older panels count none.
        if (!(error instanceof PanelError) || error.status !== 404) throw error
      }
    })
  }

  /** Devices of a user at other nodes. */
  #devicesElsewhere({ id }: User): number {
    return Math.max(0, (this.#devices.get(id) ?? 0) - (this.#reported.get(id) ?? 0))
  }

  #takeConfig(config: PanelConfig): void {
    const before = this.#config
    this.#config = config
    for (const problem of config.problems)
      this.#options.warn(`the panel's configuration: ${problem}`)
    if (before !== undefined && before.listen.port !== config.listen.port) {
      this.#options.warn('the panel names another port: it is used after a restart')
    }
    for (const listener of this.#routesListeners) listener()
    if (before?.scheme?.text === config.scheme?.text) return
    for (const listener of this.#schemeListeners) listener()
  }

  #readKeptConfig(): PanelConfig | undefined {
    try {
      return readConfig(JSON.parse(readLargeFile(`${this.#base}.config`, 'configuration') ?? ''))
    } catch {
      return undefined
    }
  }

  /** @returns whether the list is taken @throws PanelError for one that needs another to be believed */
  #takeUsers(list: UserTable): boolean {
    let gone = 0
    for (const { id } of this.users.titles()) if (!list.has(id)) gone += 1
    if (gone > this.users.size / 2 && !this.#isSuspect) {
      this.#isSuspect = true
      throw new PanelError(
        `${gone} of ${this.users.size} users are missing in its list: they stay until the next list says so, too`,
        { status: 200 },
      )
    }
    this.#isSuspect = false
    const changes = this.users.changesTo(list)
    this.users.become(list)
    if (changes.length > 0 || this.users.size === 0) this.#known.write(this.users)
    if (changes.length > 0) for (const listener of this.#listeners) listener(changes)
    return true
  }

  /**
   * Tells the panel what was used, once: nothing in it tells a repeat from what is new.
   *
   * @returns why it has not said that it took it
   */
  async #tell(batch: Batch): Promise<PanelError | undefined> {
    const used = usedIn(batch)
    if (batch.again) {
      this.#logLost(used)
      return undefined
    }
    try {
      await this.#client.post('push', Object.fromEntries(used))
      return undefined
    } catch (error) {
      if (!(error instanceof PanelError)) throw error
      if (error.mayHaveTaken) this.#logLost(used)
      return error
    }
  }

  #logLost(used: readonly (readonly [id: string, used: readonly number[]])[]): void {
    for (let at = 0; at < used.length; at += LOGGED_AT_ONCE) {
      const some = JSON.stringify(Object.fromEntries(used.slice(at, at + LOGGED_AT_ONCE)))
      this.#options.warn(
        `the panel has not said whether it took these bytes [up, down] of users; they are not told again: ${some}`,
      )
    }
  }
}

function makeLedger(journal: UsageJournal, counts: WaitingCounts): UsageLedger {
  return {
    of: (id) => journal.of(id),
    days: (id) => journal.days(id),
    add(id, up, down) {
      journal.add(id, up, down)
      counts.add(id, up, down)
    },
    reset: refuse,
    refresh: () => journal.refresh(),
    async flush() {
      counts.save()
      await journal.flush()
    },
  }
}

function usedIn({ tally }: Batch): readonly (readonly [id: string, used: readonly number[]])[] {
  return Array.from(tally.ids, (id) => {
    const { up, down } = tally.of(id)
    return [id, [up, down]] as const
  })
}

/** Each once. */
function addressesOf(sessions: SessionsByUser): ReadonlyMap<string, readonly string[]> {
  return new Map(
    Array.from(sessions, ([id, addresses]) => {
      return [id, [...new Set(addresses.filter((address) => address !== ''))]] as const
    }),
  )
}

function refuse(): Promise<never> {
  const problem = "these users are the panel's: they are added, changed and reset there"
  return Promise.reject(invalidOption(problem))
}
