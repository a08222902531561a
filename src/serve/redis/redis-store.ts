// Users in Redis, which servers on many machines share.
// Must never take what is missing in Redis for a revocation, or let its trouble become the users'.
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { AnyTlsError } from '../../errors.ts'
import { isAmount, isObject } from '../json.ts'
import { KnownUsers } from '../remote/known-users.ts'
import { Reserved } from '../remote/reserved.ts'
import { Trouble } from '../remote/trouble.ts'
import { WaitingCounts } from '../remote/waiting-counts.ts'
import type { Batch } from '../remote/waiting-counts.ts'
import { isUsedByDay } from '../usage/journal.ts'
import type { UsageLedger } from '../usage/ledger.ts'
import { Tally } from '../usage/tally.ts'
import { parseEndpoint } from '../users/endpoint-file.ts'
import type { ServerEndpoint, SessionsByUser, StoreOptions, UserStore } from '../users/store.ts'
import { changeUser, makeUser } from '../users/user.ts'
import type { NewUser, User, UserPatch } from '../users/user.ts'
import { UserTable } from '../users/user-table.ts'
import type { UserChange } from '../users/user-table.ts'
import { formatUser, parseUser } from '../users/users-file.ts'
import { RedisLimiter } from './redis-limiter.ts'
import { asAnyTlsError, RedisError, RedisLink } from './redis-link.ts'
import { UsageMirror } from './redis-mirror.ts'
import { parseRedisPlace } from './redis-place.ts'
import type { RedisPlace } from './redis-place.ts'
import { COUNT, LEASE, PUT_USER, RESET } from './redis-scripts.ts'

/** How often Redis is looked at, in milliseconds. */
const TICK = 500

/** Looks from one sign of life of this server, and look at the sessions of the others, to the next. */
const LIFE_EVERY = 2

/** How long a start waits for a Redis that says nothing, in milliseconds. */
const PATIENCE = 3_000

/** For how long a batch that Redis took is told again when the connection was lost, in milliseconds, and how many. */
const RECENT = 30_000
const MAX_RECENT = 10_000

/** What is asked for at once. */
const SCANNED = 1_000
const READ_AT_ONCE = 500
const FOLLOWED = 500

/** Counts in one step of Redis, and steps that a batch may have. */
const COUNTED_AT_ONCE = 200
const MAX_CHUNKS = 65_536

/** Sessions of a server that has gone are shown for so long, in seconds. */
const SHOWN = 60

/** Attempts at a change that others get in between of. */
const ATTEMPTS = 10

/** A part of a batch, as Redis was told it. */
interface Told {
  readonly time: number
  readonly args: readonly (string | number)[]
}

/**
 * Opens the users in a Redis; while it is away, those known last.
 *
 * @throws AnyTlsError rejects with `ERR_OPTION_INVALID` and `ERR_FILE` for a place that cannot be used,
 *   `ERR_CONNECT_FAILED` for a Redis that cannot be used while no users are known from before
 */
export async function openRedisStore(text: string, options: StoreOptions): Promise<UserStore> {
  const store = new RedisStore(parseRedisPlace(text), options)
  await store.open()
  return store
}

class RedisStore implements UserStore {
  readonly place: string
  readonly users = new UserTable()
  readonly usage: UsageLedger
  readonly limiter: RedisLimiter

  readonly #prefix: string
  readonly #server = randomBytes(9).toString('base64url')
  readonly #link: RedisLink
  readonly #trouble: Trouble
  readonly #kept: KnownUsers
  readonly #counts: WaitingCounts
  readonly #mirror = new UsageMirror()
  readonly #listeners = new Set<(changes: readonly UserChange[]) => void>()
  /** Who stands in Redis, and who was served last, whether he does or not; by id. */
  readonly #present = new Map<string, User>()
  #known = new Map<string, User>()
  /** Of those, who does not stand there. */
  #missing = 0
  readonly #recent: Told[] = []
  /** The number of the last entry of the feed that is in. */
  #position = 0
  /** Whether all has to be read anew. */
  #isStale = true
  #hasLoaded = false
  #endpoint: ServerEndpoint | undefined
  #ownSessions: SessionsByUser = new Map()
  #published = { text: '', time: -Infinity }
  #sessions: ReadonlyMap<string, number> = new Map()
  #ticks = 0
  #timer: NodeJS.Timeout | undefined
  /** One thing at a time. */
  #turn: Promise<unknown> = Promise.resolve()
  #onSettled = (): void => {}
  /** When something of what is read anew came last. */
  #heard = 0

  constructor(place: RedisPlace, { warn, folder, reserve }: StoreOptions) {
    this.place = place.shown
    this.#prefix = place.prefix
    this.#trouble = new Trouble(`the users in ${place.shown}`, warn)
    const key = createHash('sha256').update(place.shown).digest('hex').slice(0, 16)
    const base = join(folder, `redis-${key}`)
    this.#kept = new KnownUsers(`${base}.users`, warn)
    this.#counts = new WaitingCounts(base, warn)
    this.#link = new RedisLink({
      place,
      reserved: new Reserved(reserve),
      onReady: () => {
        this.#isStale = true
        void this.#inTurn(() => this.#look())
      },
      onProblem: (problem) => {
        this.#trouble.met('connection', problem)
        this.#onSettled()
      },
    })
    this.limiter = new RedisLimiter(this.#link, this.#prefix, this.#server)
    this.usage = this.#makeLedger()
  }

  get endpoint(): ServerEndpoint | undefined {
    return this.#endpoint
  }

  get trouble(): string | undefined {
    return this.#trouble.now
  }

  /** @throws AnyTlsError see {@link openRedisStore} */
  async open(): Promise<void> {
    const known = this.#kept.read()
    for (const user of known ?? []) this.#known.set(user.id, user)
    this.users.replace(this.#known.values())
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
    this.#counts.close()
    const problem = this.#trouble.now ?? 'it does not answer'
    throw new AnyTlsError(
      'ERR_CONNECT_FAILED',
      `${this.place}: ${problem}; no users are known from before`,
    )
  }

  sessionsOf(id: string): number {
    return this.#sessions.get(id) ?? 0
  }

  publishSessions(sessions: SessionsByUser): void {
    this.#ownSessions = sessions
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
      await this.#attempt('connection', () => this.#readSessions())
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
      this.#ownSessions = new Map()
      await this.usage.flush()
      if (this.#link.isReady) {
        await this.limiter.close()
        await this.#link.call('DEL', this.#key(`live:${this.#server}`)).catch(() => {})
      }
    }
    this.#kept.flush()
    this.#link.close()
    this.#counts.close()
  }

  #key(name: string): string {
    return this.#prefix + name
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
      if (isIdle || this.#isStale || !this.#link.isReady) return
      await this.#attempt('sessions', async () => {
        await this.limiter.signOfLife()
        await this.#publish()
        await this.#readSessions()
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
    await this.#attempt('connection', async () => {
      if (!this.#isStale) await this.#follow()
      if (this.#isStale) await this.#load()
    })
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

  /** Reads everything anew. */
  async #load(): Promise<void> {
    const [number, endpoint] = await this.#link.all([
      ['GET', this.#key('number')],
      ['GET', this.#key('endpoint')],
    ])
    const position = readNumber(number)
    const revoked = new Set<string>()
    this.#present.clear()
    let cursor = '0'
    do {
      const page = await this.#link.call('HSCAN', this.#key('users'), cursor, 'COUNT', SCANNED)
      const [next, fields] = readPage(page)
      for (let index = 0; index + 1 < fields.length; index += 2) {
        this.#take(fields[index] ?? '', fields[index + 1] ?? null, revoked)
      }
      cursor = next
      this.#heard = performance.now()
    } while (cursor !== '0')
    await this.#loadUsage([...this.#present.keys()])
    this.#endpoint ??= parseEndpoint(String(endpoint))
    this.#position = position
    await this.limiter.enterAgain()
    await this.#tellAgain()
    await this.#readSessions()
    this.#isStale = false
    this.#hasLoaded = true
    this.#settle(revoked)
  }

  async #loadUsage(ids: readonly string[]): Promise<void> {
    this.#mirror.clear()
    for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
      const some = ids.slice(at, at + READ_AT_ONCE)
      const used = await this.#link.all(some.map((id) => ['HGETALL', this.#key(`usage:${id}`)]))
      for (const [index, id] of some.entries()) this.#mirror.set(id, used[index])
      this.#heard = performance.now()
    }
  }

  /** Takes in what has changed since. */
  async #follow(): Promise<void> {
    for (;;) {
      const [last, entries] = await this.#link.all([
        ['GET', this.#key('number')],
        ['XRANGE', this.#key('feed'), `(${this.#position}-0`, '+', 'COUNT', FOLLOWED],
      ])
      const number = readNumber(last)
      const list = readEntries(entries)
      // It has lost something, or we have missed too much.
      const isCut = number < this.#position || (number > this.#position && list.length === 0)
      this.#isStale ||= isCut
      const changed = new Set<string>()
      for (const entry of list) {
        if (entry.number !== this.#position + 1) this.#isStale = true
        if (this.#isStale) break
        this.#position = entry.number
        if (entry.kind === 'user') changed.add(entry.value)
        else if (entry.kind === 'reset') this.#mirror.reset(entry.number, entry.value)
        else this.#addUsed(entry.number, entry.value)
      }
      if (changed.size > 0) await this.#takeChanged([...changed])
      if (this.#isStale || list.length < FOLLOWED) return
    }
  }

  #addUsed(number: number, text: string): void {
    let used: unknown
    try {
      used = JSON.parse(text)
    } catch {
      return
    }
    if (isUsedByDay(used)) this.#mirror.add(number, used)
  }

  async #takeChanged(ids: readonly string[]): Promise<void> {
    const records = await this.#link.call('HMGET', this.#key('users'), ...ids)
    const revoked = new Set<string>()
    for (const [index, id] of ids.entries()) {
      const record: unknown = Array.isArray(records) ? records[index] : null
      this.#take(id, typeof record === 'string' ? record : null, revoked)
    }
    const changes = this.#changesOf(ids, revoked)
    if (changes === undefined) this.#settle(revoked)
    else this.#tellChanges(this.users.change(changes))
  }

  /** What becomes of some; `undefined` where others have to do with it: then all are gone through. */
  #changesOf(
    ids: readonly string[],
    revoked: ReadonlySet<string>,
  ): readonly UserChange[] | undefined {
    if (this.#missing > 0) return undefined
    const changes: UserChange[] = []
    for (const id of ids) {
      const [before, after] = [this.#known.get(id), this.#present.get(id)]
      // One that cannot be read any more.
      if (after === undefined && !revoked.has(id)) return undefined
      const others =
        after === undefined
          ? []
          : [this.users.get(after.name), this.users.lookup(Buffer.from(after.hash, 'hex'))]
      if (others.some((other) => other !== undefined && other.id !== id)) return undefined
      changes.push({ before, after })
    }
    const after = changes.flatMap((change) => change.after ?? [])
    const isDistinct = (all: readonly string[]) => new Set(all).size === all.length
    if (!isDistinct(after.map(({ name }) => name.normalize('NFC')))) return undefined
    if (!isDistinct(after.map(({ hash }) => hash))) return undefined
    for (const change of changes) {
      if (change.after !== undefined) this.#known.set(change.after.id, change.after)
      else if (change.before !== undefined) this.#known.delete(change.before.id)
    }
    return changes
  }

  #tellChanges(changes: readonly UserChange[]): void {
    if (changes.length === 0) return
    this.#kept.keep(() => this.#known.values())
    for (const listener of this.#listeners) listener(changes)
  }

  /** @param revoked takes the ids of those who are */
  #take(id: string, record: string | null, revoked: Set<string>): void {
    this.#present.delete(id)
    if (record?.startsWith(GONE) === true) {
      revoked.add(id)
      this.#mirror.tally.delete(id)
      return
    }
    const user = record === null ? undefined : parseUser(record)
    if (user?.id === id) this.#present.set(id, user)
  }

  /** Whoever was known and is neither there nor revoked stays. */
  #settle(revoked: ReadonlySet<string>): void {
    const users = new Map<string, User>()
    const [names, hashes] = [new Set<string>(), new Set<string>()]
    let missing = 0
    const add = (user: User): boolean => {
      if (names.has(user.name) || hashes.has(user.hash)) return false
      names.add(user.name)
      hashes.add(user.hash)
      users.set(user.id, user)
      return true
    }
    for (const user of this.#present.values()) add(user)
    for (const user of this.#known.values()) {
      if (this.#present.has(user.id) || revoked.has(user.id)) continue
      if (add(user)) missing += 1
    }
    this.#missing = missing
    if (missing === 0) this.#trouble.over('users')
    else
      this.#trouble.met(
        'users',
        `${missing} users that were known are missing there, or cannot be read: they go on`,
      )
    this.#known = users
    this.#tellChanges(this.users.replace(users.values()))
  }

  async #find(name: string): Promise<{ readonly text: string; readonly user: User }> {
    const id = await this.#link.call('HGET', this.#key('names'), name.normalize('NFC'))
    const text =
      typeof id === 'string' ? await this.#link.call('HGET', this.#key('users'), id) : null
    const user = typeof text === 'string' ? parseUser(text) : undefined
    if (user !== undefined) return { text: String(text), user }
    // Redis may have lost him: a change puts him there again.
    const known = this.users.get(name)
    if (known !== undefined) return { text: '', user: known }
    throw new AnyTlsError('ERR_USER_UNKNOWN', `there is no user ${JSON.stringify(name)}`)
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
    return this.#link.run(
      PUT_USER,
      names.map((name) => this.#key(name)),
      [
        id,
        text,
        after === undefined ? `${GONE}${Date.now()}}` : formatUser(after),
        before?.name ?? '',
        after?.name ?? '',
        before?.hash ?? '',
        after?.hash ?? '',
        this.#server,
      ],
    )
  }

  async #writeEndpoint(endpoint: ServerEndpoint): Promise<void> {
    if (!this.#link.isReady) return
    await this.#link.call('SET', this.#key('endpoint'), JSON.stringify(endpoint))
  }

  #makeLedger(): UsageLedger {
    const merged = (id: string): Tally => {
      const sum = new Tally()
      sum.set(id, this.#mirror.tally.record(id))
      for (const { day, up, down } of this.#counts.days(id)) sum.add(id, day, up, down)
      return sum
    }
    return {
      of: (id) => merged(id).of(id),
      days: (id) => merged(id).days(id),
      add: (id, up, down) => this.#counts.add(id, up, down),
      flush: () => this.#inTurn(() => this.#deliver()),
      refresh: () => this.#inTurn(() => this.#look()),
      reset: async (id) => {
        try {
          const names = ['number', 'feed', `usage:${id}`]
          await this.#inTurn(() => this.#deliver())
          await this.#link.run(
            RESET,
            names.map((name) => this.#key(name)),
            [id],
          )
          await this.#inTurn(() => this.#look())
        } catch (error) {
          throw asAnyTlsError(error, this.place)
        }
      },
    }
  }

  /** @throws AnyTlsError `ERR_FILE` */
  async #deliver(): Promise<void> {
    if (!this.#link.isReady || this.#isStale) {
      this.#counts.save()
      return
    }
    await this.#counts.deliver((batch) => this.#tell(batch))
  }

  /** A batch is told until Redis has said that it has it: it takes it once. */
  async #tell(batch: Batch): Promise<'told' | 'again'> {
    try {
      for (const args of chunksOf(batch, this.#key('usage:'), this.#server)) {
        await this.#count(args)
        this.#recent.push({ time: performance.now(), args })
      }
      this.#forgetTold()
      this.#trouble.over('counts')
    } catch (error) {
      if (!(error instanceof RedisError)) throw error
      this.#trouble.met('counts', error.message)
      return 'again'
    }
    // So that what does not wait any more is known at once.
    await this.#attempt('connection', () => this.#follow())
    return 'told'
  }

  #count(args: readonly (string | number)[]): Promise<unknown> {
    const names = ['number', 'feed', 'epoch', 'users', 'taken', 'writers']
    return this.#link.run(
      COUNT,
      names.map((name) => this.#key(name)),
      args,
    )
  }

  /** What Redis took it may have lost, with a connection: another has taken its place, or it was restarted. */
  async #tellAgain(): Promise<void> {
    this.#forgetTold()
    for (const { args } of [...this.#recent]) await this.#count(args)
  }

  #forgetTold(): void {
    const oldest = performance.now() - RECENT
    const kept = this.#recent.filter(({ time }) => time >= oldest).slice(-MAX_RECENT)
    this.#recent.splice(0, this.#recent.length, ...kept)
  }

  async #publish(): Promise<void> {
    const counts = Array.from(this.#ownSessions, ([id, { length }]) => [id, length] as const)
    const text = JSON.stringify(Object.fromEntries(counts))
    const now = performance.now()
    if (text === this.#published.text && now - this.#published.time < (SHOWN * 1_000) / 4) return
    await this.#link.call('SET', this.#key(`live:${this.#server}`), text, 'EX', SHOWN)
    this.#published = { text, time: now }
  }

  async #readSessions(): Promise<void> {
    if (!this.#link.isReady) return
    const [time] = (await this.#link.call('TIME')) as readonly string[]
    const since = Number(time) - LEASE
    const servers = await this.#link.call('ZRANGEBYSCORE', this.#key('servers'), since, '+inf')
    if (!Array.isArray(servers) || servers.length === 0) {
      this.#sessions = new Map()
      return
    }
    const keys = servers.map((server) => this.#key(`live:${String(server)}`))
    const texts = await this.#link.call('MGET', ...keys)
    const sums = new Map<string, number>()
    for (const text of Array.isArray(texts) ? (texts as unknown[]) : []) {
      for (const [id, count] of readCounts(text)) sums.set(id, (sums.get(id) ?? 0) + count)
    }
    this.#sessions = sums
  }
}

/** How the record of somebody begins who was removed. */
const GONE = '{"gone":'

/** The same parts whenever a batch is told: each has a number of its own. */
function* chunksOf(
  { writer, number, tally }: Batch,
  prefix: string,
  epoch: string,
): Iterable<readonly (string | number)[]> {
  const all = [...tally.ids]
    .sort()
    .flatMap((id) => tally.days(id).map(({ day, up, down }) => ({ id, day, up, down })))
  for (let chunk = 0; chunk * COUNTED_AT_ONCE < all.length; chunk += 1) {
    const used: Record<string, Record<string, readonly [number, number]>> = {}
    const some = all.slice(chunk * COUNTED_AT_ONCE, (chunk + 1) * COUNTED_AT_ONCE)
    for (const { id, day, up, down } of some) (used[day] ??= {})[id] = [up, down]
    yield [writer, number * MAX_CHUNKS + chunk, JSON.stringify(used), prefix, epoch]
  }
}

/** @throws RedisError */
function readNumber(value: unknown): number {
  const number = value === null ? 0 : Number(value)
  if (isAmount(number)) return number
  throw new RedisError(
    'its keys that begin as ours hold something else: another program`s? (&prefix=)',
  )
}

function readPage(page: unknown): readonly [cursor: string, fields: readonly string[]] {
  if (!Array.isArray(page) || !Array.isArray(page[1])) return ['0', []]
  return [String(page[0]), (page[1] as unknown[]).map(String)]
}

interface FeedEntry {
  readonly number: number
  readonly kind: string
  readonly value: string
}

function readEntries(entries: unknown): readonly FeedEntry[] {
  if (!Array.isArray(entries)) return []
  return (entries as unknown[]).flatMap((entry) => {
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) return []
    const [kind, value] = entry[1] as unknown[]
    return {
      number: Number(String(entry[0]).split('-', 1)[0]),
      kind: String(kind),
      value: String(value),
    }
  })
}

function readCounts(text: unknown): readonly (readonly [id: string, count: number])[] {
  if (typeof text !== 'string') return []
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json)
      ? Object.entries(json).flatMap(([id, count]) =>
          isAmount(count) ? [[id, count] as const] : [],
        )
      : []
  } catch {
    return []
  }
}
