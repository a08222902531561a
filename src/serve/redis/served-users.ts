// Who is served of the users in Redis: those who stand there, and those known from before who are merely missing.
// Must never take what is missing in Redis for a revocation.
import type { Trouble } from '../remote/trouble.ts'
import type { User } from '../users/user.ts'
import { UserTable } from '../users/user-table.ts'
import type { UserChange } from '../users/user-table.ts'
import { parseUser } from '../users/users-file.ts'

/** How the record of somebody begins who was removed. */
const GONE = '{"gone":'

/** The record of somebody who is removed now. */
export function goneNow(): string {
  return `${GONE}${Date.now()}}`
}

export class ServedUsers {
  readonly users = new UserTable()
  readonly #trouble: Trouble
  /** Who stands in Redis, by id. */
  readonly #present = new Map<string, User>()
  /** Of those who are served, who does not stand there. */
  #missing = 0

  constructor(trouble: Trouble) {
    this.#trouble = trouble
  }

  /** Ids of who stands in Redis. */
  get present(): Iterable<string> {
    return this.#present.keys()
  }

  /** Serves those known from before, until it is known who stands in Redis. */
  start(known: Iterable<User>): void {
    this.users.replace(known)
  }

  /** All are going to be {@link take}n anew. */
  begin(): void {
    this.#present.clear()
  }

  /**
   * Takes in the record of somebody.
   *
   * @param record as it stands in Redis; `null` for none
   * @param revoked takes the ids of those who are
   */
  take(id: string, record: string | null, revoked: Set<string>): void {
    this.#present.delete(id)
    if (record?.startsWith(GONE) === true) {
      revoked.add(id)
      return
    }
    const user = record === null ? undefined : parseUser(record)
    if (user?.id === id) this.#present.set(id, user)
  }

  /** Serves those of `ids` as they were taken in last. @returns what that changes */
  settleSome(ids: readonly string[], revoked: ReadonlySet<string>): readonly UserChange[] {
    const changes = this.#changesOf(ids, revoked)
    return changes === undefined ? this.settle(revoked) : this.users.change(changes)
  }

  /** Whoever was known and is neither there nor revoked stays. @returns what that changes */
  settle(revoked: ReadonlySet<string>): readonly UserChange[] {
    const users: User[] = []
    const [names, hashes] = [new Set<string>(), new Set<string>()]
    let missing = 0
    const add = (user: User): boolean => {
      if (names.has(user.name) || hashes.has(user.hash)) return false
      names.add(user.name)
      hashes.add(user.hash)
      users.push(user)
      return true
    }
    for (const user of this.#present.values()) add(user)
    for (const user of this.users) {
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
    return this.users.replace(users)
  }

  /** What becomes of some; `undefined` where others have to do with it: then all are gone through. */
  #changesOf(
    ids: readonly string[],
    revoked: ReadonlySet<string>,
  ): readonly UserChange[] | undefined {
    if (this.#missing > 0) return undefined
    const changes: UserChange[] = []
    for (const id of ids) {
      const [before, after] = [this.users.byId(id), this.#present.get(id)]
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
    return changes
  }
}
