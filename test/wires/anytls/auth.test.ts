// The password hash and the decision on the first record, on their vectors.
import { describe, expect, it } from 'vitest'
import { hashPassword } from '../../../src/tls/session-options.ts'
import { AUTH_PREFIX_LENGTH, matchesAuth } from '../../../src/wires/anytls/auth.ts'
import { encodeAuth } from '../../../src/wires/anytls/frame-encoder.ts'
import { embedded, toHex } from '../../codec/vectors.ts'
import { readsOf } from './checks.ts'
import { fromRuns } from './support.ts'
import { authVectors } from './vectors.ts'

const { password, hashes, frames, firstRecords } = authVectors
const hash = hashPassword(password)

describe('AUTH', () => {
  it('D13: the hash is the SHA-256 of the password in UTF-8, neither trimmed nor normalised', () => {
    for (const vector of hashes) {
      expect(toHex(hashPassword(vector.password)), vector.name).toBe(vector.hash)
    }
  })

  it('draft, AUTH Frame: hash, padding length and padding stand where the vectors have them', () => {
    for (const { name, hex, password: secret, padding } of frames) {
      expect(toHex(encodeAuth(hashPassword(secret), padding)), name).toBe(toHex(fromRuns(hex)))
    }
  })

  it('D51: AUTH is the hash and padding: neither a version nor a scheme is in it', () => {
    expect(toHex(encodeAuth(hash, 3))).toBe(`0000${toHex(hash)}03000000`)
  })

  it('D14: the first record alone decides: fewer than 34 bytes or any wrong byte is a failure', () => {
    for (const { section, name, hex, matches } of firstRecords) {
      // In the middle of other bytes, so that reading behind a short record would show.
      const record = embedded(fromRuns(hex))
      expect(matchesAuth(record, hash), `${section}: ${name}`).toBe(matches)
    }
    expect(AUTH_PREFIX_LENGTH).toBe(34)
  })

  it('D14: each of the 272 bits of type, stream id and hash counts', () => {
    const good = encodeAuth(hash, 0)
    for (let bit = 0; bit < 8 * AUTH_PREFIX_LENGTH; bit += 1) {
      const record = good.slice()
      record[bit >> 3] = (record[bit >> 3] ?? 0) ^ (1 << (bit & 7))
      expect(matchesAuth(record, hash), `bit ${bit}`).toBe(false)
    }
  })

  it('D14: a near miss is looked at in full: every byte of the hash is read for every record', () => {
    const reads = (record: Uint8Array): number =>
      readsOf(hash, (counting) => matchesAuth(record, counting))
    const all = reads(encodeAuth(hash, 0))
    expect(all).toBeGreaterThanOrEqual(32)
    for (const { name, hex } of firstRecords) expect(reads(fromRuns(hex)), name).toBe(all)
  })
})
