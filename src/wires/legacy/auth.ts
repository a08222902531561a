// The decision on the first record, on the original wire (D14, D18).
// Must never answer sooner for a near miss: every byte of the hash is looked at, always.
import { holdsSecret, PASSWORD_HASH_LENGTH } from '../../codec/same-bytes.ts'
import { AUTH_HEAD_LENGTH } from './frame.ts'

/**
 * Whether the first record's plaintext begins with an authentication block for `passwordHash`: 34 bytes
 * at least, the padding may still be missing. Decided on this record alone; the time taken depends on
 * neither the content of the record nor where it differs.
 */
export function matchesLegacyAuth(firstRecord: Uint8Array, passwordHash: Uint8Array): boolean {
  const holds = holdsSecret(firstRecord, 0, passwordHash, PASSWORD_HASH_LENGTH)
  return holds && firstRecord.length >= AUTH_HEAD_LENGTH
}
