// A user of a server: who it is, what lets it in, what it may do.
import { hash, randomBytes } from 'node:crypto'
import { invalidOption } from '../../errors.ts'
import type { Quota } from './amounts.ts'

/** What may be said of a user. Absent limits limit nothing. */
export interface UserSettings {
  /** Whether the user may log in. */
  readonly enabled: boolean
  /** When it ends, in milliseconds since 1970. */
  readonly expires: number | undefined
  /** How much the user may use; `undefined` for any amount. */
  readonly quota: Quota | undefined
  /** Bytes a second from the client, over all sessions; `undefined` for any number. */
  readonly maxUp: number | undefined
  /** Bytes a second to the client, over all sessions; `undefined` for any number. */
  readonly maxDown: number | undefined
  /** Most sessions at once; `undefined` for any number. */
  readonly maxSessions: number | undefined
  /** Most client addresses at once; `undefined` for any number. */
  readonly maxAddresses: number | undefined
  /** May reach private addresses, too. */
  readonly allowPrivate: boolean
  /** The operator's own words. */
  readonly note: string | undefined
}

export interface User extends UserSettings {
  /** Stays the same whatever changes; another one for a user that is added again under the same name. */
  readonly id: string
  /** No two of a store have the same. Odd characters in it are its owner's right: escape it where it is shown. */
  readonly name: string
  /** SHA-256 of the password, 64 lower-case hexadecimal digits. Logs in, so it is as secret. */
  readonly hash: string
  /** Absent where the hash alone is kept: then there are no links. */
  readonly password: string | undefined
  /** The path of the user's subscription, without its slash. As secret as the password, which it gives away. */
  readonly subscription: string | undefined
  /** When it was added, in milliseconds since 1970, where that is known: a whole second, as a rule. */
  readonly created: number | undefined
}

/** What a user is added with. A password is made where none is given. */
export interface NewUser extends Partial<UserSettings> {
  /** 1 to 64 characters, of which no other user has the same. */
  readonly name: string
  /** Default: a random one. */
  readonly password?: string | undefined
  /** Keeps the hash of the password alone. */
  readonly hashOnly?: boolean | undefined
}

/** What is changed of a user; a limit that is `undefined` is taken away. */
export interface UserPatch extends Partial<UserSettings> {
  /** Another password: sessions that run end. */
  readonly password?: string
  /** Keeps the hash of the password alone. */
  readonly hashOnly?: boolean | undefined
  /** Another path for the subscription. */
  readonly subscription?: string
}

export const DEFAULT_SETTINGS: UserSettings = Object.freeze({
  enabled: true,
  expires: undefined,
  quota: undefined,
  maxUp: undefined,
  maxDown: undefined,
  maxSessions: undefined,
  maxAddresses: undefined,
  allowPrivate: false,
  note: undefined,
})

/** Most characters of a name, a note and a password. */
export const MAX_NAME = 64
export const MAX_NOTE = 1_000
export const MAX_PASSWORD = 1_000

/** What moves a cursor, starts a new line, reorders what is read, or is half a character. */
const UNSHOWABLE = /[\p{Cc}\p{Bidi_Control}\p{Zl}\p{Zp}\p{Cs}]/u

/** @throws AnyTlsError `ERR_OPTION_INVALID` for a name, password or note that cannot be */
export function makeUser(added: NewUser, now: number): User {
  const { name, password = makePassword(), hashOnly = false, ...settings } = added
  if (settings.note !== undefined) checkNote(settings.note)
  return Object.freeze({
    ...DEFAULT_SETTINGS,
    ...settings,
    id: randomBytes(9).toString('base64url'),
    name: checkName(name),
    hash: hashOf(checkPassword(password)),
    password: hashOnly ? undefined : password,
    subscription: hashOnly ? undefined : makePassword(),
    created: Math.floor(now / 1_000) * 1_000,
  })
}

/**
 * @throws AnyTlsError `ERR_OPTION_INVALID` for a password or note that cannot be, or a subscription of who has no
 * password in the store
 */
export function changeUser(user: User, patch: UserPatch): User {
  const { password: renewed, hashOnly = user.password === undefined, ...settings } = patch
  if (settings.note !== undefined) checkNote(settings.note)
  const hash = renewed === undefined ? user.hash : hashOf(checkPassword(renewed))
  const password = hashOnly ? undefined : (renewed ?? user.password)
  if (password !== undefined) return Object.freeze({ ...user, ...settings, hash, password })
  if (settings.subscription !== undefined) {
    throw invalidOption('the hash of the password alone is kept: there is no subscription')
  }
  return Object.freeze({ ...user, ...settings, hash, password, subscription: undefined })
}

/** 22 characters that need no escape anywhere: 128 bits. Paths of subscriptions are made in the same way. */
export function makePassword(): string {
  return randomBytes(16).toString('base64url')
}

/** SHA-256 of a password, as {@link User.hash} has it (D13). */
export function hashOf(password: string): string {
  return hash('sha256', password)
}

/** Whether the user may log in at `now`, its quota aside. */
export function isActive(
  { enabled, expires }: Pick<User, 'enabled' | 'expires'>,
  now: number,
): boolean {
  return enabled && (expires === undefined || now <= expires)
}

/**
 * The one form of a name.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function checkName(name: string): string {
  const normal = name.normalize('NFC')
  if (normal.trim() !== normal || normal === '') {
    throw invalidOption('a name neither is empty nor begins or ends with a space')
  }
  // A path of a request would lose it.
  if (normal === '.' || normal === '..') throw invalidOption('a name is not . or ..')
  if (lengthOf(normal) > MAX_NAME) throw invalidOption(`a name has at most ${MAX_NAME} characters`)
  if (UNSHOWABLE.test(normal)) throw invalidOption('a name has no characters that cannot be shown')
  return normal
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function checkPassword(password: string): string {
  if (password === '') throw invalidOption('the password is empty')
  // A link could not say it.
  if (/\p{Cs}/u.test(password)) throw invalidOption('the password has half a character')
  if (lengthOf(password) > MAX_PASSWORD) {
    throw invalidOption(`the password has more than ${MAX_PASSWORD} characters`)
  }
  return password
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` for one that could be guessed, or is none */
export function checkSubscription(path: string): string {
  if (/^[\w-]{22,64}$/.test(path)) return path
  throw invalidOption(
    'the path of a subscription has 22 to 64 characters, letters, digits, - and _',
  )
}

/** @throws AnyTlsError `ERR_OPTION_INVALID` */
export function checkNote(note: string): string {
  if (lengthOf(note) > MAX_NOTE) throw invalidOption(`a note has at most ${MAX_NOTE} characters`)
  return note
}

/** In characters as people count them, near enough: not in halves of them. */
function lengthOf(text: string): number {
  return Array.from(text).length
}
