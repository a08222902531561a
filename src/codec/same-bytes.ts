// Comparing what a stranger sent with a secret.
// Must never take a time that depends on the bytes: all of them are looked at, always.

/** Length of the hash of a password, in bytes: SHA-256 (D13). */
export const PASSWORD_HASH_LENGTH = 32

/**
 * Whether `bytes` holds the first `length` bytes of `secret` at `offset`. Where bytes are missing the
 * answer is no, after the same number of steps.
 */
export function holdsSecret(
  bytes: Uint8Array,
  offset: number,
  secret: Uint8Array,
  length: number,
): boolean {
  let difference = bytes.length < offset + length ? 1 : 0
  for (let index = 0; index < length; index += 1) {
    difference |= (bytes[offset + index] ?? 0) ^ (secret[index] ?? 0)
  }
  return difference === 0
}
