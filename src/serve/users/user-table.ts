// Users in memory, found by name, by the hash of their password and by the path of their subscription (D55).
// Must never compare a secret byte by byte before it was found under a key that no stranger knows.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { AnyTlsError } from '../../errors.ts'
import type { User } from './user.ts'

/** One user before and after a change; `undefined` where it was not, or is no more. */
export interface UserChange {
  readonly before: User | undefined
  readonly after: User | undefined
}

/** Users by a secret of theirs, which is looked for by a digest under a random key. */
class SecretIndex {
  readonly #key = randomBytes(32)
  readonly #entries = new Map<string, { readonly user: User; readonly secret: Uint8Array }>()

  find(secret: Uint8Array): User | undefined {
    const entry = this.#entries.get(this.#digest(secret))
    return entry !== undefined && timingSafeEqual(entry.secret, secret) ? entry.user : undefined
  }

  set(secret: Uint8Array, user: User): void {
    this.#entries.set(this.#digest(secret), { user, secret })
  }

  delete(secret: Uint8Array): void {
    this.#entries.delete(this.#digest(secret))
  }

  #digest(secret: Uint8Array): string {
    return createHmac('sha256', this.#key).update(secret).digest('base64')
  }
}

/**
 * The users of one store. {@link lookup} and {@link subscriber} take the same time whether there are none or 100,000,
 * and whatever of a secret is right.
 */
export class UserTable {
  readonly #names = new Map<string, User>()
  readonly #hashes = new SecretIndex()
  readonly #subscriptions = new SecretIndex()

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
    for (const { before } of changes) {
      if (before === undefined) continue
      this.#hashes.delete(bytesOf(before))
      if (before.subscription) this.#subscriptions.delete(Buffer.from(before.subscription))
    }
    for (const { after } of changes) {
      if (after === undefined) continue
      this.#hashes.set(bytesOf(after), after)
      if (after.subscription) this.#subscriptions.set(Buffer.from(after.subscription), after)
    }
    this.#names.clear()
    for (const user of kept) this.#names.set(user.name, user)
    return changes
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

/** The hash of a user as it comes over the wire, 32 bytes. */
function bytesOf({ hash }: User): Uint8Array {
  return Buffer.from(hash, 'hex')
}

function isSame(one: User, other: User): boolean {
  const keys = Object.keys(one) as (keyof User)[]
  return keys.every((key) => {
    if (key !== 'quota') return one[key] === other[key]
    return one.quota?.bytes === other.quota?.bytes && one.quota?.per === other.quota?.per
  })
}
