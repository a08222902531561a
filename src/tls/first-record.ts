// Whose connection it is, by the plaintext of its first record (D14, D18, D55).
// Must never answer sooner for one wire than for the other, or for a near miss: both wires are tried, always.
import { guarded } from '../session/callbacks.ts'
import type { SessionUser } from '../session/stream.ts'
import { AUTH_PREFIX_LENGTH, matchesAuth } from '../wires/anytls/auth.ts'
import { PASSWORD_HASH_LENGTH } from '../codec/same-bytes.ts'
import { matchesLegacyAuth } from '../wires/legacy/auth.ts'

/** The wire that the client has authenticated on, or that it has not; and who it is, where that is known. */
export type Verdict =
  | { readonly wire: 'v1' | 'legacy'; readonly user: SessionUser | undefined }
  | { readonly wire: 'stranger' }

/** Who may log in. */
export interface ServerUsers {
  /**
   * The user whose password has this hash; `undefined` when there is none who may log in now. Whoever connects can
   * have it called, with what it likes: to find a user must take no longer than to find none, and must not depend
   * on how much of the hash is right. `UserTable` does that.
   *
   * @param hash SHA-256 of the password, 32 bytes
   */
  lookup(hash: Uint8Array): SessionUser | undefined
}

const STRANGER: Verdict = Object.freeze({ wire: 'stranger' })

export function judgeFirstRecord(
  firstRecord: Uint8Array,
  passwordHash: Uint8Array,
  users?: ServerUsers,
): Verdict {
  const [v1, legacy] = [
    matchesAuth(firstRecord, passwordHash),
    matchesLegacyAuth(firstRecord, passwordHash),
  ]
  const found = users && findUser(firstRecord, users)
  if (found !== undefined) return found
  if (v1) return { wire: 'v1', user: undefined }
  return legacy ? { wire: 'legacy', user: undefined } : STRANGER
}

/** Both wires are looked up, in records that are too short as well. */
function findUser(firstRecord: Uint8Array, users: ServerUsers): Verdict | undefined {
  const head = new Uint8Array(AUTH_PREFIX_LENGTH)
  head.set(firstRecord.subarray(0, AUTH_PREFIX_LENGTH))
  const onV1 = ask(users, head.slice(2))
  const onLegacy = ask(users, head.slice(0, PASSWORD_HASH_LENGTH))
  // Both wires want 34 bytes; on v1 type and stream id are zero.
  if (firstRecord.length < AUTH_PREFIX_LENGTH) return undefined
  if (onV1 !== undefined && head[0] === 0 && head[1] === 0) return { wire: 'v1', user: onV1 }
  return onLegacy && { wire: 'legacy', user: onLegacy }
}

/** What an application's lookup throws, or anything but a user that it returns, lets nobody in. */
function ask(users: ServerUsers, hash: Uint8Array): SessionUser | undefined {
  const user: unknown = guarded(() => users.lookup(hash))
  return isUser(user) ? user : undefined
}

function isUser(value: unknown): value is SessionUser {
  return typeof (value as Partial<SessionUser> | null | undefined)?.name === 'string'
}
