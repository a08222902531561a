// What a server finds missing in a first record, where the hash of a real password would never show it.
import { expect, it } from 'vitest'
import { AUTH_PREFIX_LENGTH, matchesAuth } from '../../src/wires/anytls/auth.ts'
import { PASSWORD_HASH_LENGTH } from '../../src/codec/same-bytes.ts'

it('draft, Authentication: AUTH MUST be there in full: a byte that is missing is no zero (D14)', () => {
  const hash = new Uint8Array(PASSWORD_HASH_LENGTH)
  const record = new Uint8Array(AUTH_PREFIX_LENGTH)
  expect(matchesAuth(record, hash)).toBe(true)
  for (let length = 0; length < AUTH_PREFIX_LENGTH; length += 1) {
    expect(matchesAuth(record.subarray(0, length), hash), `${length} bytes`).toBe(false)
  }
})
