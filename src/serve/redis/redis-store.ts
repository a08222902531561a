// Users in Redis, which servers on many machines share: the store that is made of its parts beside this file.
// Must never let the trouble of Redis become the users'.
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AnyTlsError } from '../../errors.ts'
import { KnownUsers } from '../remote/known-users.ts'
import { Reserved } from '../remote/reserved.ts'
import { Trouble } from '../remote/trouble.ts'
import { WaitingCounts } from '../remote/waiting-counts.ts'
import type { UsageLedger } from '../usage/ledger.ts'
import { Tally } from '../usage/tally.ts'
import { parseEndpoint } from '../users/endpoint-file.ts'
import type { ServerEndpoint, SessionsByUser, StoreOptions, UserStore } from '../users/store.ts'
import { changeUser, makeUser } from '../users/user.ts'
import type { NewUser, User, UserPatch } from '../users/user.ts'
import { requireUser } from '../users/user-table.ts'
import type { UserChange, UserTable } from '../users/user-table.ts'
import { formatUser, parseUser } from '../users/users-file.ts'
import { RedisCounts } from './redis-counts.ts'
import { RedisFeed } from './redis-feed.ts'
import { RedisLimiter } from './redis-limiter.ts'
import { asAnyTlsError, RedisError, RedisLink } from './redis-link.ts'
import { parseRedisPlace } from './redis-place.ts'
import { PUT_USER, RESET } from './redis-scripts.ts'
import { RedisSessions } from './redis-sessions.ts'
import { goneNow, ServedUsers } from './served-users.ts'

/** How often Redis is looked at, in milliseconds. */
const TICK = 500

/** Looks from one sign of life of this server, and look at the sessions of the others, to the next. */
const LIFE_EVERY = 2

/** How long a start waits for a Redis that says nothing, in milliseconds. */
const PATIENCE = 3_000

/** Attempts at a change that others get in between of. */
const ATTEMPTS = 10

export class RedisStore implements UserStore {
  readonly place: string
  readonly usage: UsageLedger
  readonly limiter: RedisLimiter

  readonly #server = randomBytes(9).toString('base64url')
  readonly #link: RedisLink
  readonly #trouble: Trouble
  readonly #kept: KnownUsers
  readonly #waiting: WaitingCounts
  readonly #counts: RedisCounts
  readonly #served: ServedUsers
  readonly #feed: RedisFeed
  readonly #sessions: RedisSessions
  readonly #listeners = new Set<(changes: readonly UserChange[]) => void>()
  #hasLoaded = false
  #endpoint: ServerEndpoint | undefined
  #ticks = 0
  #timer: NodeJS.Timeout | undefined
  /** One thing at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #onSettled = (): void => {}
  /** When something of what is read anew came last. */
  #heard = 0

  /** @throws AnyTlsError `ERR_OPTION_INVALID` and `ERR_FILE` for a place that cannot be used */
  constructor(text: string, { warn, folder, reserve }: StoreOptions) {
    const place = parseRedisPlace(text)
    this.place = place.shown
    this.#trouble = new Trouble(`the users in ${place.shown}`, warn)
    const key = createHash('sha256').update(place.shown).digest('hex').slice(0, 16)
    const base = join(folder, `redis-${key}`)
    this.#kept = new KnownUsers(`${base}.users`, warn)
    this.#waiting = new WaitingCounts(base, warn)
    this.#served = new ServedUsers(this.#trouble)
    this.#link = new RedisLink({
      place,
      reserved: new Reserved(reserve),
      onReady: () => {
        this.#feed.distrust()
        void this.#inTurn(() => this.#look())
      },
      onProblem: (problem) => {
        this.#trouble.met('connection', problem)
        this.#onSettled()
      },
    })
    const [link, server] = [this.#link, this.#server]
    this.#feed = new RedisFeed({
      ...{ link, served: this.#served },
      heard: () => (this.#heard = performance.now()),
      beforeUse: async (endpoint) => {
        this.#endpoint ??= parseEndpoint(String(endpoint))
        await this.limiter.enterAgain()
        await this.#counts.tellAgain()
        await this.#sessions.read()
      },
      changed: (changes) => this.#tellChanges(changes),
    })
    this.#counts = new RedisCounts({
      ...{ link, server, waiting: this.#waiting, trouble: this.#trouble },
    })
    this.#sessions = new RedisSessions(link, server)
    this.limiter = new RedisLimiter(link, server)
    this.usage = this.#makeLedger()
  }

  get users(): UserTable {
    return this.#served.users
  }

  get endpoint(): ServerEndpoint | undefined {
    return this.#endpoint
  }

  get trouble(): string | undefined {
    return this.#trouble.now
  }

  /**
   * Asks Redis; while it is away, the users are those known last.
   *
   * @throws AnyTlsError rejects with `ERR_CONNECT_FAILED` where it cannot be used while no users are known from before
   */
  async open(): Promise<void> {
    const known = this.#kept.read()
    if (known !== undefined) this.#served.start(known)
    const waited = new AbortController()
    const settled = new Promise<void>((resolve) => (this.#onSettled = resolve))
    void settled.then(() => waited.abort())
    await this.#link.open()
    this.#heard = performance.now()
    // Many users take long, and come all the same.
    while (!waited.signal.aborted && performance.now() - this.#heard < PATIENCE) {
      const rest = this.#heard + PATIENCE - performance.now()
      await sleep(Math.max(1, rest), undefined, { signal: waited.signal }).catch(() => {})
    }
    if (this.#hasLoaded || known !== undefined) return
    this.#link.close()
    this.#waiting.close()
    const problem = this.#trouble.now ?? 'it does not answer'
    throw new AnyTlsError(
      'ERR_CONNECT_FAILED',
      `${this.place}: ${problem}; no users are known from before`,
    )
  }

  sessionsOf(id: string): number {
    return this.#sessions.of(id)
  }

  publishSessions(sessions: SessionsByUser): void {
    this.#sessions.own = sessions
  }

  async add(added: NewUser): Promise<User> {
    const user = makeUser(added, Date.now())
    await this.#change(() => Promise.resolve({ text: '', before: undefined, after: user }))
    return user
  }

  async update(name: string, patch: UserPatch): Promise<User> {
    const { after } = await this.#change(async () => {
      const { text, user } = await this.#find(name)
      return { text, before: user, after: changeUser(user, patch) }
    })
    return after
  }

  async remove(name: string): Promise<User> {
    const { before } = await this.#change(async () => {
      const { text, user } = await this.#find(name)
      return { text, before: user, after: undefined }
    })
    return before
  }

  async refresh(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#look()
      await this.#attempt('connection', () => this.#sessions.read())
    })
  }

  async recordEndpoint(endpoint: ServerEndpoint): Promise<void> {
    this.#endpoint = endpoint
    await this.#inTurn(() => this.#attempt('connection', () => this.#writeEndpoint(endpoint)))
  }

  watch(listener: (changes: readonly UserChange[]) => void): () => void {
    this.#listeners.add(listener)
    this.#timer ??= setTimeout(() => this.#tick(), TICK).unref()
    return () => void this.#listeners.delete(listener)
  }

  async close(): Promise<void> {
    const isServing = this.#timer !== undefined
    clearTimeout(this.#timer)
    this.#timer = undefined
    await this.#turn
    if (isServing) {
      this.#sessions.own = new Map()
      await this.usage.flush()
      if (this.#link.isReady) {
        await this.limiter.close()
        await this.#sessions.withdraw()
      }
    }
    this.#kept.flush()
    this.#link.close()
    this.#waiting.close()
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const turn = this.#turn.then(task)
    this.#turn = turn.catch(() => {})
    return turn
  }

  #tick(): void {
    this.#ticks += 1
    const work = this.#inTurn(async () => {
      await this.#look()
      const isIdle = this.#ticks % LIFE_EVERY !== 0
      if (isIdle || this.#feed.isStale || !this.#link.isReady) return
      await this.#attempt('sessions', async () => {
        await this.limiter.signOfLife()
        await this.#sessions.publish()
        await this.#sessions.read()
      })
    })
    void work.finally(() => {
      if (this.#timer !== undefined) this.#timer = setTimeout(() => this.#tick(), TICK).unref()
    })
  }

  /** Brings what is known up to what Redis says. */
  async #look(): Promise<void> {
    this.#link.look()
    if (!this.#link.isReady) return
    await this.#attempt('connection', () => this.#feed.catchUp())
    this.#hasLoaded ||= !this.#feed.isStale
    this.#onSettled()
  }

  /** What goes wrong with Redis is told, and holds nobody up. */
  async #attempt(name: string, task: () => Promise<void>): Promise<void> {
    try {
      await task()
      this.#trouble.over(name)
    } catch (error) {
      if (!(error instanceof RedisError)) throw error
      this.#trouble.met(name, error.message)
    }
  }

  #tellChanges(changes: readonly UserChange[]): void {
    if (changes.length === 0) return
    this.#kept.keep(() => this.users)
    for (const listener of this.#listeners) listener(changes)
  }

  async #find(name: string): Promise<{ readonly text: string; readonly user: User }> {
    const id = await this.#link.call('HGET', this.#link.key('names'), name.normalize('NFC'))
    const text =
      typeof id === 'string' ? await this.#link.call('HGET', this.#link.key('users'), id) : null
    const user = typeof text === 'string' ? parseUser(text) : undefined
    if (user !== undefined) return { text: String(text), user }
    // Redis may have lost him: a change puts him there again.
    return { text: '', user: requireUser(this.users, name) }
  }

  /** Changes what stands in Redis now, whoever put it there. */
  async #change<A extends User | undefined, B extends User | undefined>(
    make: () => Promise<{ readonly text: string; readonly before: B; readonly after: A }>,
  ): Promise<{ readonly before: B; readonly after: A }> {
    try {
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const { text, before, after } = await make()
        const answer = await this.#put(text, before, after)
        if (answer === 'NAME') throw new AnyTlsError('ERR_USER_EXISTS')
        if (answer === 'HASH') {
          throw new AnyTlsError('ERR_USER_EXISTS', 'another user has this password')
        }
        if (answer !== 'OK') continue
        await this.#inTurn(() => this.#look())
        return { before, after }
      }
      throw new RedisError('others change this user all the time')
    } catch (error) {
      throw asAnyTlsError(error, this.place)
    }
  }

  #put(text: string, before: User | undefined, after: User | undefined): Promise<unknown> {
    const { id } = after ?? before ?? { id: '' }
    const names = ['number', 'feed', 'epoch', 'users', 'names', 'hashes', `usage:${id}`]
    return this.#link.run(PUT_USER, names, [
      id,
      text,
      after === undefined ? goneNow() : formatUser(after),
      before?.name ?? '',
      after?.name ?? '',
      before?.hash ?? '',
      after?.hash ?? '',
      this.#server,
    ])
  }

  async #writeEndpoint(endpoint: ServerEndpoint): Promise<void> {
    if (!this.#link.isReady) return
    await this.#link.call('SET', this.#link.key('endpoint'), JSON.stringify(endpoint))
  }

  #makeLedger(): UsageLedger {
    const merged = (id: string): Tally => {
      const sum = new Tally()
      sum.set(id, this.#feed.mirror.tally.record(id))
      for (const { day, up, down } of this.#waiting.days(id)) sum.add(id, day, up, down)
      return sum
    }
    return {
      of: (id) => merged(id).of(id),
      days: (id) => merged(id).days(id),
      add: (id, up, down) => this.#waiting.add(id, up, down),
      flush: () => this.#inTurn(() => this.#deliver()),
      refresh: () => this.#inTurn(() => this.#look()),
      reset: async (id) => {
        try {
          const names = ['number', 'feed', `usage:${id}`]
          await this.#inTurn(() => this.#deliver())
          await this.#link.run(RESET, names, [id])
          await this.#inTurn(() => this.#look())
        } catch (error) {
          throw asAnyTlsError(error, this.place)
        }
      },
    }
  }

  /** @throws AnyTlsError `ERR_FILE` */
  async #deliver(): Promise<void> {
    if (!this.#link.isReady || this.#feed.isStale) {
      this.#waiting.save()
      return
    }
    // So that what does not wait any more is known at once.
    const follow = () => this.#attempt('connection', () => this.#feed.follow())
    await this.#counts.deliver(follow)
  }
}
