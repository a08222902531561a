// AUTH: the decision on the first record (draft, Authentication; D13, D14).
// Must never answer sooner for a near miss: every byte of the hash is looked at, always.
import { holdsSecret, PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'

/** Fewest bytes of a first record that can authenticate: type, stream id, hash (D14). */
export const AUTH_PREFIX_LENGTH = 2 + PASSWORD_HASH_LENGTH

/**
 * Whether the first record's plaintext begins with an AUTH frame for `passwordHash`. Decided on this
 * record alone; the time taken depends on neither the content of the record nor where it differs.
 */
export function matchesAuth(firstRecord: Uint8Array, passwordHash: Uint8Array): boolean {
  const holds = holdsSecret(firstRecord, 2, passwordHash, PASSWORD_HASH_LENGTH)
  // Type and stream id are zero bytes.
  return holds && firstRecord[0] === 0 && firstRecord[1] === 0
}
