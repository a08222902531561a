// Who is served of the users in Redis: those who stand there, and those known from before who are merely missing.
// Must never take what is missing in Redis for a revocation.
import type { Trouble } from '../remote/trouble.ts'
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
  /** Who stands in Redis; two of them may have something in common. */
  #present = new UserTable()
  /** Of those who are served, who does not stand there. */
  #missing = 0

  constructor(trouble: Trouble) {
    this.#trouble = trouble
  }

  /** Ids of who stands in Redis. */
  *present(): Iterable<string> {
    for (const { id } of this.#present.titles()) yield id
  }

  /** Serves those known from before, until it is known who stands in Redis. */
  start(known: UserTable): void {
    this.users.become(known)
  }

  /** All are going to be {@link take}n anew. */
  begin(): void {
    this.#present = new UserTable(this.users.size)
  }

  /**
   * Takes in the record of somebody.
   *
   * @param record as it stands in Redis; `null` for none
   * @param revoked takes the ids of those who are
   */
  take(id: string, record: string | null, revoked: Set<string>): void {
    const isRevoked = record?.startsWith(GONE) === true
    if (isRevoked) revoked.add(id)
    const user = record === null || isRevoked ? undefined : parseUser(record)
    const after = user?.id === id ? user : undefined
    this.#present.change([{ before: this.#present.byId(id), after }])
  }

  /** Serves those of `ids` as they were taken in last. @returns what that changes */
  settleSome(ids: readonly string[], revoked: ReadonlySet<string>): readonly UserChange[] {
    const changes = this.#changesOf(ids, revoked)
    return changes === undefined ? this.settle(revoked) : this.users.change(changes)
  }

  /** Whoever was known and is neither there nor revoked stays. @returns what that changes */
  settle(revoked: ReadonlySet<string>): readonly UserChange[] {
    const users = new UserTable(this.#present.size)
    let missing = 0
    for (const user of this.#present) users.add(user)
    for (const user of this.users) {
      if (this.#present.has(user.id) || revoked.has(user.id)) continue
      if (users.add(user) === undefined) missing += 1
    }
    this.#missing = missing
    if (missing === 0) this.#trouble.over('users')
    else
      this.#trouble.met(
        'users',
        `${missing} users that were known are missing there, or cannot be read: they go on`,
      )
    const changes = this.users.changesTo(users)
    this.users.become(users)
    return changes
  }

  /** What becomes of some; `undefined` where others have to do with it: then all are gone through. */
  #changesOf(
    ids: readonly string[],
    revoked: ReadonlySet<string>,
  ): readonly UserChange[] | undefined {
    if (this.#missing > 0) return undefined
    const changes: UserChange[] = []
    for (const id of ids) {
      const [before, after] = [this.users.byId(id), this.#present.byId(id)]
      // One that cannot be read any more.
      if (after === undefined && !revoked.has(id)) return undefined
      const others =
        after === undefined
          ? []
          : [
              this.users.get(after.name),
              this.users.lookup(Buffer.from(after.hash, 'hex')),
              after.subscription === undefined
                ? undefined
                : this.users.subscriber(after.subscription),
            ]
      if (others.some((other) => other !== undefined && other.id !== id)) return undefined
      changes.push({ before, after })
    }
    const after = changes.flatMap((change) => change.after ?? [])
    const isDistinct = (all: readonly string[]) => new Set(all).size === all.length
    if (!isDistinct(after.map(({ name }) => name.normalize('NFC')))) return undefined
    if (!isDistinct(after.map(({ hash }) => hash))) return undefined
    if (!isDistinct(after.flatMap(({ subscription = [] }) => subscription))) return undefined
    return changes
  }
}
