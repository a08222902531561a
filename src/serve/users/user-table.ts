// Users in memory, found by name and by the hash of their password (D55).
// Must never compare a hash byte by byte before it was found under a key that no stranger knows.
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { AnyTlsError } from '../../errors.ts'
import type { User } from './user.ts'

/** One user before and after a change; `undefined` where it was not, or is no more. */
export interface UserChange {
  readonly before: User | undefined
  readonly after: User | undefined
}

interface Entry {
  readonly user: User
  readonly hash: Uint8Array
}

/**
 * The users of one store. {@link lookup} takes the same time whether there are none or 100,000, and whatever of a
 * hash is right: it is looked for by a digest under a random key.
 */
export class UserTable {
  readonly #key = randomBytes(32)
  readonly #names = new Map<string, User>()
  readonly #entries = new Map<string, Entry>()

  get size(): number {
    return this.#names.size
  }

  get(name: string): User | undefined {
    return this.#names.get(name.normalize('NFC'))
  }

  /** All users, in the order in which they were added. */
  [Symbol.iterator](): IterableIterator<User> {
    return this.#names.values()
  }

  /** @param hash SHA-256 of a password, 32 bytes */
  lookup(hash: Uint8Array): User | undefined {
    const entry = this.#entries.get(this.#digest(hash))
    return entry !== undefined && timingSafeEqual(entry.hash, hash) ? entry.user : undefined
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
      if (before !== undefined) this.#entries.delete(this.#digest(bytesOf(before)))
    }
    for (const { after } of changes) {
      if (after === undefined) continue
      const hash = bytesOf(after)
      this.#entries.set(this.#digest(hash), { user: after, hash })
    }
    this.#names.clear()
    for (const user of kept) this.#names.set(user.name, user)
    return changes
  }

  #digest(hash: Uint8Array): string {
    return createHmac('sha256', this.#key).update(hash).digest('base64')
  }
}

/** @throws AnyTlsError `ERR_USER_EXISTS` for two users that nothing tells apart */
export function requireDistinct(users: Iterable<User>): void {
  const [names, hashes] = [new Set<string>(), new Set<string>()]
  for (const { name, hash } of users) {
    if (names.has(name)) throw new AnyTlsError('ERR_USER_EXISTS')
    if (hashes.has(hash)) {
      throw new AnyTlsError('ERR_USER_EXISTS', 'another user has this password')
    }
    names.add(name)
    hashes.add(hash)
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
