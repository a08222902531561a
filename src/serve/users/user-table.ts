// Users in memory, found by name, by the hash of their password and by the path of their subscription (D55).
// Must never compare a secret byte by byte before it was found under a key that no stranger knows.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { AnyTlsError } from '../../errors.ts'
import type { User } from './user.ts'

/** One user before and after a change; `undefined` where it was not, or is no more. */
export interface UserChange {
  /** `undefined` for a user that was added. */
  readonly before: User | undefined
  /** `undefined` for a user that was removed. */
  readonly after: User | undefined
}

/** Of a digest as much is kept as makes it that of one secret; each byte is there 100,000 times. */
const DIGEST_LENGTH = 16

/** Users by a secret of theirs, which is looked for by a digest under a random key. */
class SecretIndex {
  readonly #key = randomBytes(32)
  readonly #users = new Map<string, User>()
  readonly #secretOf: (user: User) => Uint8Array | undefined

  constructor(secretOf: (user: User) => Uint8Array | undefined) {
    this.#secretOf = secretOf
  }

  find(secret: Uint8Array): User | undefined {
    const user = this.#users.get(this.#digest(secret))
    const found = user && this.#secretOf(user)
    if (found?.length !== secret.length) return undefined
    return timingSafeEqual(found, secret) ? user : undefined
  }

  add(user: User): void {
    const secret = this.#secretOf(user)
    if (secret !== undefined) this.#users.set(this.#digest(secret), user)
  }

  remove(user: User): void {
    const secret = this.#secretOf(user)
    if (secret !== undefined) this.#users.delete(this.#digest(secret))
  }

  #digest(secret: Uint8Array): string {
    const digest = createHmac('sha256', this.#key).update(secret).digest()
    return digest.toString('latin1', 0, DIGEST_LENGTH)
  }
}

/**
 * The users of one store. {@link lookup} and {@link subscriber} take the same time whether there are none or 100,000,
 * and whatever of a secret is right.
 */
export class UserTable {
  readonly #names = new Map<string, User>()
  readonly #hashes = new SecretIndex(({ hash }) => Buffer.from(hash, 'hex'))
  readonly #subscriptions = new SecretIndex(({ subscription }) => {
    return subscription === undefined ? undefined : Buffer.from(subscription)
  })

  /** How many users there are. */
  get size(): number {
    return this.#names.size
  }

  /** The user of that name, in whatever form of Unicode it is written. */
  get(name: string): User | undefined {
    return this.#names.get(name.normalize('NFC'))
  }

  /** All users, in the order in which they were added. */
  [Symbol.iterator](): IterableIterator<User> {
    return this.#names.values()
  }

  /**
   * Whose password it is.
   *
   * @param hash SHA-256 of a password, 32 bytes
   */
  lookup(hash: Uint8Array): User | undefined {
    return this.#hashes.find(hash)
  }

  /**
   * Whose subscription it is.
   *
   * @param path of a subscription, without its slash; the time that it takes depends on its length
   */
  subscriber(path: string): User | undefined {
    return this.#subscriptions.find(Buffer.from(path))
  }

  /** Takes all of `users` for what was there, and tells what that changes. */
  replace(users: Iterable<User>): readonly UserChange[] {
    const gone = new Map([...this.#names.values()].map((user) => [user.id, user]))
    const changes: UserChange[] = []
    const kept: User[] = []
    for (const user of users) {
      const before = gone.get(user.id)
      gone.delete(user.id)
      const same = before !== undefined && isSame(before, user)
      kept.push(same ? before : user)
      if (!same) changes.push({ before, after: user })
    }
    for (const before of gone.values()) changes.push({ before, after: undefined })
    this.#moveSecrets(changes)
    this.#names.clear()
    for (const user of kept) this.#names.set(user.name, user)
    return changes
  }

  /**
   * Changes some of them and leaves the others alone, however many there are: `before` is whom the table has, and nobody
   * who stays has name or password of one who comes. Tells what that changes.
   */
  change(some: readonly UserChange[]): readonly UserChange[] {
    const changes = some.filter(({ before, after }) =>
      before === undefined || after === undefined ? before !== after : !isSame(before, after),
    )
    this.#moveSecrets(changes)
    for (const { before, after } of changes) {
      if (before !== undefined && before.name !== after?.name) this.#names.delete(before.name)
    }
    for (const { after } of changes) if (after !== undefined) this.#names.set(after.name, after)
    return changes
  }

  #moveSecrets(changes: readonly UserChange[]): void {
    for (const { before } of changes) {
      if (before === undefined) continue
      this.#hashes.remove(before)
      this.#subscriptions.remove(before)
    }
    for (const { after } of changes) {
      if (after === undefined) continue
      this.#hashes.add(after)
      this.#subscriptions.add(after)
    }
  }
}

/** @throws AnyTlsError `ERR_USER_EXISTS` for two users that nothing tells apart */
export function requireDistinct(users: Iterable<User>): void {
  const [names, hashes, subscriptions] = [new Set<string>(), new Set<string>(), new Set<string>()]
  for (const { name, hash, subscription } of users) {
    if (names.has(name)) throw new AnyTlsError('ERR_USER_EXISTS')
    if (hashes.has(hash)) {
      throw new AnyTlsError('ERR_USER_EXISTS', 'another user has this password')
    }
    if (subscription !== undefined && subscriptions.has(subscription)) {
      throw new AnyTlsError('ERR_USER_EXISTS', 'another user has this subscription')
    }
    names.add(name)
    hashes.add(hash)
    if (subscription !== undefined) subscriptions.add(subscription)
  }
}

function isSame(one: User, other: User): boolean {
  const keys = Object.keys(one) as (keyof User)[]
  return keys.every((key) => {
    if (key !== 'quota') return one[key] === other[key]
    return one.quota?.bytes === other.quota?.bytes && one.quota?.per === other.quota?.per
  })
}
