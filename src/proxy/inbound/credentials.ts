// The username and password that a program must give to use the local proxy.
// Must never compare them byte by byte: the time taken must not depend on how much was right.
import { createHash, timingSafeEqual } from 'node:crypto'
import { invalidOption } from '../../errors.ts'

/** What a program must give (RFC 1929 on SOCKS5, Basic on HTTP). Text is UTF-8 on the wire. */
export interface Credentials {
  /** 1 to 255 bytes, no colon: Basic could not carry one (RFC 7617 section 2). */
  readonly username: string
  /** 0 to 255 bytes. */
  readonly password: string
}

/** Whether the bytes that a program gave are the right ones. */
export type CheckCredentials = (username: Uint8Array, password: Uint8Array) => boolean

// One length byte on the wire of RFC 1929.
const MAX_LENGTH = 255

/**
 * Makes the check for `credentials`.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID` when no client could ever give them
 */
export function credentialsCheck({ username, password }: Credentials): CheckCredentials {
  if (username === '' || username.includes(':') || Buffer.byteLength(username) > MAX_LENGTH) {
    throw invalidOption(`a username for the local proxy has 1 to ${MAX_LENGTH} bytes and no colon`)
  }
  if (Buffer.byteLength(password) > MAX_LENGTH) {
    throw invalidOption(`a password for the local proxy has at most ${MAX_LENGTH} bytes`)
  }
  const [rightUsername, rightPassword] = [digest(username), digest(password)]
  return (givenUsername, givenPassword) => {
    const usernameFits = timingSafeEqual(digest(givenUsername), rightUsername)
    const passwordFits = timingSafeEqual(digest(givenPassword), rightPassword)
    return usernameFits && passwordFits
  }
}

function digest(value: Uint8Array | string): Buffer {
  return createHash('sha256').update(value).digest()
}
