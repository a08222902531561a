// How many sessions and addresses a user has at once, and how fast they are: asked by whoever serves them.
// Must never refuse a session that runs for one that comes.
import { ChurningMap } from '../codec/churning.ts'
import { AnyTlsError } from '../errors.ts'
import { Pace } from '../session/pace.ts'
import type { SessionPaces } from '../session/pace.ts'
import type { User } from './users/user.ts'

/** A session, as far as limits go. */
export interface LimitedSession {
  /** `Session.id`: of no two sessions the same. */
  readonly id: string
  /** Where it comes from; `undefined` where that is not known. */
  readonly remoteAddress: string | undefined
}

/** Keeps the limits of users: here of one process, or for many of them together. */
export interface UserLimiter {
  /**
   * A session has come.
   *
   * @returns why it is one too many, if it is; a promise, which never rejects, where others must be asked: until it
   *   resolves the session runs
   */
  enter(
    user: User,
    session: LimitedSession,
  ): AnyTlsError | undefined | Promise<AnyTlsError | undefined>
  /** A session that was let in has gone. */
  leave(user: Pick<User, 'id'>, session: LimitedSession): void
  /** What each session of the user keeps to; the same for all of them. Asked again when the user was changed. */
  paces(user: User): SessionPaces
}

/** What a user has at other servers, as far as that is known. */
export interface Elsewhere {
  /** How many sessions the user has there. */
  readonly sessions: number
  /** How many addresses those come from. */
  readonly addresses: number
}

const NOTHING: Elsewhere = Object.freeze({ sessions: 0, addresses: 0 })

interface Guest {
  readonly sessions: LimitedSession[]
  /** Of who has or had a rate. */
  up?: Pace
  down?: Pace
}

/** The limits of users at one process, and what others are known to have. */
export class LocalLimiter implements UserLimiter {
  readonly #guests = new ChurningMap<string, Guest>()
  readonly #elsewhere: (user: User) => Elsewhere

  /** @param elsewhere what counts beside the sessions here */
  constructor(elsewhere: (user: User) => Elsewhere = () => NOTHING) {
    this.#elsewhere = elsewhere
  }

  enter(user: User, session: LimitedSession): AnyTlsError | undefined {
    const guest = this.#guests.get(user.id)
    const refusal = limitReached(user, guest?.sessions ?? [], session, this.#elsewhere(user))
    if (refusal !== undefined) return refusal
    if (guest === undefined) this.#guests.set(user.id, { sessions: [session] })
    else guest.sessions.push(session)
    return undefined
  }

  leave({ id }: Pick<User, 'id'>, session: LimitedSession): void {
    const guest = this.#guests.get(id)
    if (guest === undefined) return
    const place = guest.sessions.findIndex((other) => other.id === session.id)
    if (place !== -1) guest.sessions.splice(place, 1)
    if (guest.sessions.length === 0) this.#guests.delete(id)
  }

  paces({ id, maxUp, maxDown }: User): SessionPaces {
    const guest: Partial<Guest> = this.#guests.get(id) ?? {}
    if (maxUp !== undefined) (guest.up ??= new Pace(maxUp)).rate = maxUp
    if (maxDown !== undefined) (guest.down ??= new Pace(maxDown)).rate = maxDown
    return {
      receive: maxUp === undefined ? undefined : guest.up,
      send: maxDown === undefined ? undefined : guest.down,
    }
  }
}

/** Whether one session more is one too many. */
function limitReached(
  { maxSessions = Infinity, maxAddresses = Infinity }: User,
  sessions: readonly LimitedSession[],
  { remoteAddress }: LimitedSession,
  elsewhere: Elsewhere,
): AnyTlsError | undefined {
  if (sessions.length + elsewhere.sessions >= maxSessions) {
    return limitError('sessions')
  }
  if (maxAddresses === Infinity) return undefined
  const addresses = new Set(sessions.map((session) => session.remoteAddress))
  if (addresses.has(remoteAddress)) return undefined
  if (addresses.size + elsewhere.addresses < maxAddresses) return undefined
  return limitError('addresses')
}

/** Why there is not to be one more of these. */
export function limitError(what: 'sessions' | 'addresses'): AnyTlsError {
  return new AnyTlsError('ERR_USER_LIMIT', `the user has as many ${what} as it may have`)
}
