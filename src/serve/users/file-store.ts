// Users in a file of this machine, which several servers and commands may use at once.
// Must never lose a change that somebody else made.
import { realpathSync, statSync } from 'node:fs'
import { AnyTlsError } from '../../errors.ts'
import { fileError, systemCode, writePrivateFile } from '../files.ts'
import { withLock } from '../file-lock.ts'
import { UsageJournal } from '../usage/journal.ts'
import { Presence } from './presence.ts'
import { readEndpoint, writeEndpoint } from './endpoint-file.ts'
import type { ServerEndpoint, SessionsByUser, StoreOptions, UserStore } from './store.ts'
import { changeUser, makeUser } from './user.ts'
import type { NewUser, User, UserPatch } from './user.ts'
import { requireUser, UserTable } from './user-table.ts'
import type { UserClash, UserChange } from './user-table.ts'
import { formatPieces, readUsers } from './users-file.ts'

/** How often the file is looked at, in milliseconds. */
const POLL_INTERVAL = 500

export class FileStore implements UserStore {
  readonly place: string
  readonly users = new UserTable()
  readonly usage: UsageJournal

  readonly #warn: StoreOptions['warn']
  readonly #presence: Presence
  #sessions: ReadonlyMap<string, number> = new Map()
  readonly #listeners = new Set<(changes: readonly UserChange[]) => void>()
  /** The file as it was when it was last read, whether it could be used or not. */
  #stamp = ''
  #trouble: string | undefined
  #poll: NodeJS.Timeout | undefined

  constructor(path: string, { warn }: StoreOptions) {
    this.place = realPath(path)
    this.#warn = warn
    this.#presence = new Presence(this.place)
    this.usage = new UsageJournal(`${this.place}.usage`, warn)
  }

  get endpoint(): ServerEndpoint | undefined {
    return readEndpoint(this.place)
  }

  get trouble(): string | undefined {
    return this.#trouble
  }

  /**
   * Reads the file; one that is not there is one without users.
   *
   * @throws AnyTlsError rejects with `ERR_FILE`, with line and column for a fault
   */
  async open(): Promise<void> {
    this.#load()
    await this.refresh()
  }

  sessionsOf(id: string): number {
    return this.#sessions.get(id) ?? 0
  }

  publishSessions(sessions: SessionsByUser): void {
    this.#presence.publish(sessions)
    this.#sessions = this.#presence.read()
  }

  async add(added: NewUser): Promise<User> {
    const user = makeUser(added, Date.now())
    await this.#change((users) => refuseClash(users.add(user)))
    return user
  }

  async update(name: string, patch: UserPatch): Promise<User> {
    return this.#change((users) => {
      const before = requireUser(users, name)
      const after = changeUser(before, patch)
      const isOther = (user: User | undefined) => user !== undefined && user.id !== before.id
      if (isOther(users.lookup(Buffer.from(after.hash, 'hex')))) refuseClash('password')
      if (isOther(users.subscriber(after.subscription ?? ''))) refuseClash('subscription')
      users.change([{ before, after }])
      return after
    })
  }

  async remove(name: string): Promise<User> {
    const user = await this.#change((users) => {
      const before = requireUser(users, name)
      users.change([{ before, after: undefined }])
      return before
    })
    // Also what others have counted until now.
    await this.usage.reset(user.id)
    return user
  }

  refresh(): Promise<void> {
    this.#look()
    this.#sessions = this.#presence.read()
    return this.usage.refresh()
  }

  recordEndpoint(endpoint: ServerEndpoint): Promise<void> {
    writeEndpoint(this.place, endpoint)
    return Promise.resolve()
  }

  watch(listener: (changes: readonly UserChange[]) => void): () => void {
    this.#listeners.add(listener)
    this.#poll ??= setInterval(() => this.#look(), POLL_INTERVAL).unref()
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size === 0) this.#stop()
    }
  }

  async close(): Promise<void> {
    this.#stop()
    this.#presence.withdraw()
    await this.usage.flush()
  }

  /** @throws AnyTlsError `ERR_FILE`; the users stay as they were */
  #load(): void {
    this.#stamp = stampOf(this.place)
    const users = readUsers(this.place) ?? new UserTable()
    this.#trouble = undefined
    const changes = this.#listeners.size > 0 ? this.users.changesTo(users) : []
    this.users.become(users)
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }

  #stop(): void {
    clearInterval(this.#poll)
    this.#poll = undefined
  }

  #look(): void {
    const stamp = stampOf(this.place)
    if (stamp === this.#stamp) return
    try {
      if (stamp === 'ENOENT') {
        this.#stamp = stamp
        throw fileError(`users file '${this.place}' is gone`)
      }
      this.#load()
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      this.#trouble = error.message
      this.#warn(`${error.message}; the users stay as they were`)
    }
  }

  /** Changes what stands in the file now, whoever wrote it. */
  async #change<T>(make: (users: UserTable) => T): Promise<T> {
    const made = await withLock(this.place, (held) => {
      const users = readUsers(this.place) ?? new UserTable()
      const result = make(users)
      writePrivateFile(this.place, formatPieces(users), held)
      return result
    })
    this.#load()
    return made
  }
}

/** @throws AnyTlsError `ERR_USER_EXISTS`, where another user has something in common */
function refuseClash(shared: UserClash | undefined): void {
  if (shared === undefined) return
  if (shared === 'name' || shared === 'id') throw new AnyTlsError('ERR_USER_EXISTS')
  throw new AnyTlsError('ERR_USER_EXISTS', `another user has this ${shared}`)
}

function stampOf(path: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(path, { bigint: true })
    return `${ino} ${size} ${mtimeNs}`
  } catch (error) {
    return systemCode(error)
  }
}

/** Where a link leads to, so that the file is written and not the link. */
function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
