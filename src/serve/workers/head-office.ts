// The users and sessions of all workers of a server, as its primary process keeps them: it alone counts, and decides.
// Must never count what a worker reported twice, or wait for a worker without a bound.
import { AnyTlsError } from '../../errors.ts'
import type { FallbackCause, ServerState, ServerWatch, SessionView } from '../admin/observer.ts'
import { LocalLimiter } from '../limiter.ts'
import type { LimitedSession, UserLimiter } from '../limiter.ts'
import { usageIn, usedOf } from '../usage/ledger.ts'
import { StoreWriter } from '../usage/store-writer.ts'
import type { SessionsByUser, UserStore } from '../users/store.ts'
import type { User } from '../users/user.ts'
import type { UserTitle } from '../users/packed-users.ts'
import type { UserChange } from '../users/user-table.ts'
import type {
  FromWorker,
  Question,
  Report,
  ToWorker,
  UserBytes,
  UsersReport,
  UsersStart,
} from './messages.ts'
import { WorkerRates } from './worker-rates.ts'

/** How often rates are shared out and quotas looked at, in milliseconds. */
const TICK = 250

/** How many ticks pass between two writings of the counts. */
const WRITING = 8

/** Users whose quota is looked at in each tick although they have used nothing here: others may have counted. */
const LOOKED_AT = 1_000

/** How long a worker may take to answer, in milliseconds. One that does not is left out. */
const ANSWER_TIME = 2_000

/** A worker, as far as it has to be told things. */
export interface Desk {
  /** To a worker that is gone it does nothing. */
  send(message: Exclude<ToWorker<never>, { type: 'start' }>): void
}

export interface HeadOfficeOptions {
  /** Absent for a server with one password alone. */
  readonly store: UserStore | undefined
  /** Told of what could not be written, in one line, once until it could be. */
  readonly warn: (problem: string) => void
}

type Answer = Extract<FromWorker, { type: 'answer' }>

interface Entered {
  readonly user: User
  readonly session: LimitedSession
}

export class HeadOffice implements ServerWatch {
  readonly started = Date.now()
  readonly #store: UserStore | undefined
  readonly #limiter: UserLimiter
  readonly #writer: StoreWriter | undefined
  /** The sessions of users at each worker, by their ids. */
  readonly #desks = new Map<Desk, Map<string, Entered>>()
  readonly #rates: WorkerRates
  /** What the workers have been told of who has used how much. */
  readonly #used = new Map<string, UserBytes>()
  /** Ids of those of whom there is more to tell. */
  readonly #news = new Set<string>()
  readonly #carried = { up: 0, down: 0 }
  readonly #fallbacks = { 'auth-failed': 0, 'auth-timeout': 0, violation: 0 }
  readonly #questions = new Map<number, (answer: Answer | undefined) => void>()
  #asked = 0
  #looking: Promise<ServerState> | undefined
  #address = { address: '', port: 0 }
  readonly #unwatch: (() => void) | undefined
  readonly #timer: NodeJS.Timeout
  #ticks = 0
  #toLookAt: Iterator<UserTitle> | undefined

  constructor({ store, warn }: HeadOfficeOptions) {
    const limiter = store?.limiter ?? new LocalLimiter()
    this.#store = store
    this.#limiter = limiter
    this.#writer = store && new StoreWriter(store, warn)
    this.#rates = new WorkerRates((user) => limiter.paces(user))
    this.#lookAtSome()
    this.#tellUsed()
    this.#unwatch = store?.watch((changes) => this.#onChanges(changes))
    this.#timer = setInterval(() => this.#onTick(), TICK).unref()
  }

  /** A worker has come. @returns what it has to know of the users */
  join(desk: Desk): UsersStart | undefined {
    this.#desks.set(desk, new Map())
    if (this.#store === undefined) return undefined
    return { known: this.#store.users.pack(), used: [...this.#used.values()] }
  }

  /** A worker has gone, and its sessions with it. */
  leave(desk: Desk): void {
    for (const session of this.#desks.get(desk)?.keys() ?? []) this.#onLeave(desk, session)
    this.#desks.delete(desk)
  }

  /** Takes in what a worker says. */
  receive(desk: Desk, message: UsersReport | Report | Answer): void {
    switch (message.type) {
      case 'enter':
        void this.#onEnter(desk, message)
        return
      case 'leave':
        this.#onLeave(desk, message.session)
        return
      case 'report':
        this.#onReport(desk, message)
        return
      case 'answer':
        this.#questions.get(message.number)?.(message)
    }
  }

  listening(address: string, port: number): void {
    this.#address = { address, port }
  }

  address(): { readonly address: string; readonly port: number } {
    return this.#address
  }

  /** Who asks while others are waiting gets their answer. */
  state(): Promise<ServerState> {
    return (this.#looking ??= this.#look().finally(() => (this.#looking = undefined)))
  }

  async sessions(): Promise<readonly SessionView[]> {
    const answers = await this.#askAll({ about: 'sessions' })
    const all = answers.flatMap(({ sessions = [] }) => sessions)
    return all.sort((one, other) => one.started - other.started)
  }

  async end(session: string): Promise<SessionView | undefined> {
    const answers = await this.#askAll({ about: 'end', session })
    return answers.flatMap(({ sessions = [] }) => sessions)[0]
  }

  /** Writes what is left; the workers are gone by then. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#unwatch?.()
    await this.#writer?.close()
  }

  async #look(): Promise<ServerState> {
    const answers = await this.#askAll({ about: 'state' })
    const states = answers.flatMap(({ state }) => state ?? [])
    const sum = (key: 'sessions' | 'streams' | 'memory'): number =>
      states.reduce((total, state) => total + state[key], 0)
    return {
      sessions: sum('sessions'),
      streams: sum('streams'),
      carried: { ...this.#carried },
      fallbacks: { ...this.#fallbacks },
      memory: sum('memory') + process.memoryUsage.rss(),
    }
  }

  async #askAll(question: Question): Promise<readonly Answer[]> {
    const answers = [...this.#desks.keys()].map((desk) => this.#ask(desk, question))
    return (await Promise.all(answers)).filter((answer) => answer !== undefined)
  }

  #ask(desk: Desk, question: Question): Promise<Answer | undefined> {
    this.#asked += 1
    const number = this.#asked
    return new Promise((resolve) => {
      const settle = (answer: Answer | undefined): void => {
        clearTimeout(timer)
        this.#questions.delete(number)
        resolve(answer)
      }
      const timer = setTimeout(() => settle(undefined), ANSWER_TIME)
      this.#questions.set(number, settle)
      desk.send({ type: 'ask', number, question })
    })
  }

  async #onEnter(
    desk: Desk,
    { user: name, session: id, remoteAddress }: Extract<UsersReport, { type: 'enter' }>,
  ): Promise<void> {
    const user = this.#store?.users.get(name)
    // Removed a moment ago: its worker is about to hear of it.
    if (user === undefined) return
    const session = { id, remoteAddress }
    const verdict = this.#hasUsedUp(user)
      ? new AnyTlsError('ERR_USER_QUOTA')
      : this.#limiter.enter(user, session)
    const entered = { user, session }
    this.#desks.get(desk)?.set(id, entered)
    if (this.#rates.enter(user, desk)) this.#rates.share(user)
    const refusal = verdict instanceof Promise ? await verdict : verdict
    // Whoever is refused holds no place until its worker has said that it has gone.
    if (refusal !== undefined) this.#onLeave(desk, id)
    const told = refusal && { code: refusal.code, message: refusal.message }
    desk.send({ type: 'verdict', session: id, refusal: told })
  }

  #onLeave(desk: Desk, id: string): void {
    const sessions = this.#desks.get(desk)
    const entered = sessions?.get(id)
    if (sessions === undefined || entered === undefined) return
    const { user, session } = entered
    sessions.delete(id)
    this.#limiter.leave(user, session)
    this.#rates.leave(user, desk)
  }

  #onReport(desk: Desk, { counts, taken, fallbacks }: Report): void {
    for (const [id, up, down] of counts) {
      this.#carried.up += up
      this.#carried.down += down
      this.#store?.usage.add(id, up, down)
      this.#news.add(id)
      const user = this.#store?.users.byId(id)
      if (user !== undefined && this.#hasUsedUp(user)) this.#tellUsed()
    }
    for (const rates of taken) this.#rates.taken(rates, desk)
    for (const cause of Object.keys(this.#fallbacks) as FallbackCause[]) {
      this.#fallbacks[cause] += fallbacks[cause] ?? 0
    }
  }

  #hasUsedUp({ id, quota }: User): boolean {
    const ledger = this.#store?.usage
    return (
      quota !== undefined &&
      ledger !== undefined &&
      usedOf(ledger, id, quota, Date.now()) >= quota.bytes
    )
  }

  /** Tells the workers what has been used by those of whom there may be news. */
  #tellUsed(): void {
    if (this.#store === undefined) return
    const { users, usage } = this.#store
    const told: UserBytes[] = []
    for (const id of this.#news) {
      const user = users.byId(id)
      if (user === undefined) continue
      const { up, down } = usageIn(usage, id, user.quota?.per ?? 'all', Date.now())
      const [, upBefore = 0, downBefore = 0] = this.#used.get(id) ?? []
      if (up === upBefore && down === downBefore) continue
      this.#used.set(id, [id, up, down])
      told.push([id, up, down])
    }
    this.#news.clear()
    if (told.length > 0) this.#tell({ type: 'used', used: told })
  }

  #onChanges(changes: readonly UserChange[]): void {
    const gone: string[] = []
    const now: User[] = []
    for (const { before, after } of changes) {
      if (before !== undefined && after?.id !== before.id) {
        gone.push(before.id)
        this.#used.delete(before.id)
      }
      if (after === undefined) continue
      now.push(after)
      this.#news.add(after.id)
    }
    // First what counts for another quota, then the quota.
    this.#tellUsed()
    this.#tell({ type: 'users', gone, now })
    for (const { after } of changes) if (after !== undefined) this.#rates.share(after)
  }

  #onTick(): void {
    this.#lookAtSome()
    this.#tellUsed()
    this.#rates.shareAll((id) => this.#store?.users.byId(id))
    this.#ticks += 1
    if (this.#ticks % WRITING !== 0) return
    this.#writer?.write(() => this.#sessionsByUser())
  }

  /** Also those who are not here: their quota may be used at other servers, reset, or begin anew with the month. */
  #lookAtSome(): void {
    if (this.#store === undefined) return
    for (let count = 0; count < LOOKED_AT; count += 1) {
      this.#toLookAt ??= this.#store.users.titles()
      const next = this.#toLookAt.next()
      if (next.done === true) {
        this.#toLookAt = undefined
        return
      }
      this.#news.add(next.value.id)
    }
  }

  #sessionsByUser(): SessionsByUser {
    const here = new Map<string, string[]>()
    for (const sessions of this.#desks.values()) {
      for (const { user, session } of sessions.values()) {
        const addresses = here.get(user.id) ?? []
        addresses.push(session.remoteAddress ?? '')
        here.set(user.id, addresses)
      }
    }
    return here
  }

  #tell(message: Parameters<Desk['send']>[0]): void {
    for (const desk of this.#desks.keys()) desk.send(message)
  }
}
