// AUTH: the password hash, and the decision on the first record (draft, Authentication; D13, D14).
// Must never answer sooner for a near miss: every byte of the hash is looked at, always.
import { sha256 } from '@noble/hashes/sha2.js'
import { PASSWORD_HASH_LENGTH } from './frame.ts'

/** Fewest bytes of a first record that can authenticate: type, stream id, hash (D14). */
export const AUTH_PREFIX_LENGTH = 2 + PASSWORD_HASH_LENGTH

/** SHA-256 of the UTF-8 password, 32 bytes (D13). */
export function hashPassword(password: string): Uint8Array {
  return sha256(new TextEncoder().encode(password))
}

/**
 * Whether the first record's plaintext begins with an AUTH frame for `passwordHash`. Decided on this
 * record alone; the time taken depends on neither the content of the record nor where it differs.
 */
export function matchesAuth(firstRecord: Uint8Array, passwordHash: Uint8Array): boolean {
  let difference = firstRecord.length < AUTH_PREFIX_LENGTH ? 1 : 0
  // Type and stream id are zero bytes. Missing bytes read as zero and still fail by the length.
  difference |= (firstRecord[0] ?? 0) | (firstRecord[1] ?? 0)
  for (let index = 0; index < PASSWORD_HASH_LENGTH; index += 1) {
    difference |= (firstRecord[2 + index] ?? 0) ^ (passwordHash[index] ?? 0)
  }
  return difference === 0
}
