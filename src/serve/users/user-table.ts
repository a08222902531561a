// Users in memory, found by id, by name, by the hash of their password and by the path of their subscription (D55).
// Must never compare a secret byte by byte before it was found under a key that no stranger knows.
import { AnyTlsError } from '../../errors.ts'
import { PackedUsers, unpackUsers } from './packed-users.ts'
import type { UserTitle } from './packed-users.ts'
import { secretIndex, textIndex } from './tag-index.ts'
import type { KeyIndex } from './tag-index.ts'
import type { User } from './user.ts'

/** One user before and after a change; `undefined` where it was not, or is no more. */
export interface UserChange {
  /** `undefined` for a user that was added. */
  readonly before: User | undefined
  /** `undefined` for a user that was removed. */
  readonly after: User | undefined
}

/** Bytes of a user as they are packed, about. */
const MEAN_SIZE = 66

/** What no two users of a table have in common. */
export type UserClash = 'name' | 'id' | 'password' | 'subscription'

/** The users of a table, and the ways to find them; places are those of `all`. */
class Shelf {
  readonly all: PackedUsers
  readonly ids: KeyIndex
  readonly names: KeyIndex
  readonly hashes: KeyIndex
  readonly subscriptions: KeyIndex

  /** @param expected how many there will be, about */
  constructor(expected: number) {
    const all = new PackedUsers(expected)
    this.all = all
    this.ids = textIndex((place) => all.titleAt(place).id, expected)
    this.names = textIndex((place) => all.titleAt(place).name, expected)
    this.hashes = secretIndex((place) => all.secretsAt(place).hash, expected)
    this.subscriptions = secretIndex((place) => all.secretsAt(place).subscription, expected)
  }

  /** @returns what somebody who is there has of a user: then it was not added */
  addDistinct(user: User): UserClash | undefined {
    const tags = this.#tagsOf(user)
    const { id, name, hash, subscription: path } = user
    if (this.names.find(name, tags.name) !== undefined) return 'name'
    if (this.ids.find(id, tags.id) !== undefined) return 'id'
    if (this.hashes.find(hash, tags.hash) !== undefined) return 'password'
    if (path !== undefined && this.subscriptions.find(path, tags.path) !== undefined) {
      return 'subscription'
    }
    this.#enter(user, this.all.add(user), tags)
    return undefined
  }

  /** Whatever somebody who is there has of the user. */
  add(user: User): void {
    this.#enter(user, this.all.add(user))
  }

  /** Puts somebody in the place of another, of whom nothing is to be found any more: {@link leave}. */
  set(place: number, user: User): void {
    this.all.set(place, user)
    this.#enter(user, place)
  }

  /** From now on nobody is found in this place. */
  leave(place: number): void {
    const user = this.all.at(place)
    const { subscription: path } = user
    this.ids.delete(user.id, place)
    this.names.delete(user.name, place)
    this.hashes.delete(user.hash, place)
    if (path !== undefined) this.subscriptions.delete(path, place)
  }

  #enter(user: User, place: number, tags = this.#tagsOf(user)): void {
    const { subscription: path } = user
    this.ids.add(user.id, place, tags.id)
    this.names.add(user.name, place, tags.name)
    this.hashes.add(user.hash, place, tags.hash)
    if (path !== undefined) this.subscriptions.add(path, place, tags.path)
  }

  /** Those of secrets are digests, most of what adding a user takes. */
  #tagsOf({ id, name, hash, subscription: path }: User) {
    return {
      id: this.ids.tagOf(id),
      name: this.names.tagOf(name),
      hash: this.hashes.tagOf(hash),
      path: path === undefined ? undefined : this.subscriptions.tagOf(path),
    }
  }
}

/**
 * The users of one store. {@link lookup} and {@link subscriber} take the same time whether there are none or 100,000,
 * and whatever of a secret is right. Users are kept as bytes: what is given out is equal to what was put in, and
 * another object each time.
 */
export class UserTable {
  #shelf: Shelf

  /** @param expected how many there will be, about */
  constructor(expected = 0) {
    this.#shelf = new Shelf(expected)
  }

  /** How many users there are. */
  get size(): number {
    return this.#shelf.all.size
  }

  /** The user of that name, in whatever form of Unicode it is written. */
  get(name: string): User | undefined {
    return this.#at(this.#shelf.names.find(name.normalize('NFC')))
  }

  /** The user of that id. */
  byId(id: string): User | undefined {
    return this.#at(this.#shelf.ids.find(id))
  }

  /** Whether there is a user of that id. */
  has(id: string): boolean {
    return this.#shelf.ids.find(id) !== undefined
  }

  /** All users, in the order in which they were added. */
  *[Symbol.iterator](): IterableIterator<User> {
    const { all } = this.#shelf
    for (const place of all.places()) yield all.at(place)
  }

  /** Ids, names and notes of all users, in the same order, for less than whole users take. */
  *titles(): IterableIterator<UserTitle> {
    const { all } = this.#shelf
    for (const place of all.places()) yield all.titleAt(place)
  }

  /**
   * Whose password it is.
   *
   * @param hash SHA-256 of a password, 32 bytes
   */
  lookup(hash: Uint8Array): User | undefined {
    const { buffer, byteOffset, length } = hash
    const text = Buffer.from(buffer, byteOffset, length).toString('hex')
    return this.#at(this.#shelf.hashes.find(text))
  }

  /**
   * Whose subscription it is.
   *
   * @param path of a subscription, without its slash; the time that it takes depends on its length
   */
  subscriber(path: string): User | undefined {
    return this.#at(this.#shelf.subscriptions.find(path))
  }

  /**
   * Adds a user.
   *
   * @returns what another has in common with it: then it was not added
   */
  add(user: User): UserClash | undefined {
    return this.#shelf.addDistinct(user)
  }

  /** All users as bytes, for {@link unpack} in another process of the same version. */
  pack(): Uint8Array {
    return this.#shelf.all.pack()
  }

  /** The users of another process, which has {@link pack}ed them. */
  static unpack(packed: Uint8Array): UserTable {
    const users = new UserTable(packed.length / MEAN_SIZE)
    for (const user of unpackUsers(packed)) users.add(user)
    return users
  }

  /** What {@link become} would change. */
  changesTo(table: UserTable): readonly UserChange[] {
    const { all, ids } = this.#shelf
    const others = table.#shelf
    const changes: UserChange[] = []
    for (const place of others.all.places()) {
      const before = ids.find(others.all.titleAt(place).id)
      if (before !== undefined && all.isSame(before, others.all, place)) continue
      changes.push({ before: this.#at(before), after: others.all.at(place) })
    }
    for (const place of all.places()) {
      if (others.ids.find(all.titleAt(place).id) !== undefined) continue
      changes.push({ before: all.at(place), after: undefined })
    }
    return changes
  }

  /** Has from now on the users of another table, which is to be used no more. */
  become(others: UserTable): void {
    this.#shelf = others.#shelf
  }

  /**
   * Changes some of them and leaves the others alone, however many there are: `before` is whom the table has, and nobody
   * who stays has name or password of one who comes. Tells what that changes.
   */
  change(some: readonly UserChange[]): readonly UserChange[] {
    const { all, ids } = this.#shelf
    const changes = some.filter(({ before, after }) =>
      before === undefined || after === undefined ? before !== after : !isSame(before, after),
    )
    const places = changes.map(({ before }) => before && ids.find(before.id))
    for (const place of places) if (place !== undefined) this.#shelf.leave(place)
    for (const [index, { after }] of changes.entries()) {
      const place = places[index]
      if (after === undefined && place !== undefined) all.delete(place)
      else if (after !== undefined && place !== undefined) this.#shelf.set(place, after)
      else if (after !== undefined) this.#shelf.add(after)
    }
    if (all.isSparse) this.#moveTogether()
    return changes
  }

  #moveTogether(): void {
    const shelf = new Shelf(this.size)
    for (const user of this) shelf.add(user)
    this.#shelf = shelf
  }

  #at(place: number | undefined): User | undefined {
    return place === undefined ? undefined : this.#shelf.all.at(place)
  }
}

/** @throws AnyTlsError `ERR_USER_UNKNOWN` for a name that no user has */
export function requireUser(users: UserTable, name: string): User {
  const user = users.get(name)
  if (user !== undefined) return user
  throw new AnyTlsError('ERR_USER_UNKNOWN', `there is no user ${JSON.stringify(name)}`)
}

function isSame(one: User, other: User): boolean {
  const keys = Object.keys(one) as (keyof User)[]
  return keys.every((key) => {
    if (key !== 'quota') return one[key] === other[key]
    return one.quota?.bytes === other.quota?.bytes && one.quota?.per === other.quota?.per
  })
}
