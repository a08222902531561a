// Whose connection it is, by the plaintext of its first record (D14, D18).
// Must never answer sooner for one wire than for the other: both are compared, each in constant time.
import { matchesAuth } from '../wires/anytls/auth.ts'
import { matchesLegacyAuth } from '../wires/legacy/auth.ts'

/** The wire that the client has authenticated on, or that it has not. */
export type Verdict = 'v1' | 'legacy' | 'stranger'

export function judgeFirstRecord(firstRecord: Uint8Array, passwordHash: Uint8Array): Verdict {
  const isV1 = matchesAuth(firstRecord, passwordHash)
  const isLegacy = matchesLegacyAuth(firstRecord, passwordHash)
  if (isV1) return 'v1'
  return isLegacy ? 'legacy' : 'stranger'
}
