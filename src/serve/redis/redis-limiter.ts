// Limits on sessions and addresses over all servers that share a Redis.
import type { AnyTlsError } from '../../errors.ts'
import type { SessionPaces } from '../../session/pace.ts'
import { limitError, LocalLimiter } from '../limiter.ts'
import type { LimitedSession, UserLimiter } from '../limiter.ts'
import type { User } from '../users/user.ts'
import { RedisError } from './redis-link.ts'
import type { RedisLink } from './redis-link.ts'
import { ALIVE, ENTER } from './redis-scripts.ts'

interface Guest {
  readonly user: User
  readonly session: LimitedSession
}

export class RedisLimiter implements UserLimiter {
  readonly #link: RedisLink
  readonly #server: string
  readonly #local = new LocalLimiter()
  /** Sessions of users with limits, here. */
  readonly #guests = new Map<string, Guest>()
  /** Sessions that Redis has not been told are over. */
  readonly #gone = new Map<string, string>()

  /** @param server the name of this one, without spaces */
  constructor(link: RedisLink, server: string) {
    this.#link = link
    this.#server = server
  }

  enter(
    user: User,
    session: LimitedSession,
  ): AnyTlsError | undefined | Promise<AnyTlsError | undefined> {
    const refusal = this.#local.enter(user, session)
    const isLimited = user.maxSessions !== undefined || user.maxAddresses !== undefined
    if (refusal !== undefined || !isLimited) return refusal
    this.#guests.set(session.id, { user, session })
    return this.#ask(user, session)
  }

  leave(user: Pick<User, 'id'>, session: LimitedSession): void {
    this.#local.leave(user, session)
    if (!this.#guests.delete(session.id)) return
    this.#gone.set(session.id, user.id)
    void this.#tellGone()
  }

  paces(user: User): SessionPaces {
    return this.#local.paces(user)
  }

  /** To be called every second. */
  async signOfLife(): Promise<void> {
    await this.#link.run(ALIVE, ['servers'], [this.#server])
    await this.#tellGone()
  }

  /** Redis may have forgotten who is here, or have let others in instead: who is in stays. */
  async enterAgain(): Promise<void> {
    await this.signOfLife()
    for (const { user, session } of [...this.#guests.values()]) {
      const { remoteAddress = '' } = session
      const key = this.#link.key(`here:${user.id}`)
      await this.#link.call('HSET', key, `${this.#server} ${session.id}`, remoteAddress)
    }
  }

  /** Nobody is here any more. */
  async close(): Promise<void> {
    for (const [session, { user }] of this.#guests) this.#gone.set(session, user.id)
    this.#guests.clear()
    await this.#tellGone()
    await this.#link.call('ZREM', this.#link.key('servers'), this.#server).catch(() => {})
  }

  async #ask(user: User, session: LimitedSession): Promise<AnyTlsError | undefined> {
    const { maxSessions = -1, maxAddresses = -1 } = user
    const names = [`here:${user.id}`, 'servers']
    const { id, remoteAddress = '' } = session
    try {
      const args = [this.#server, id, remoteAddress, maxSessions, maxAddresses]
      const answer = await this.#link.run(ENTER, names, args)
      // It went while it was asked for.
      if (answer === 'OK' && !this.#guests.has(id)) this.#gone.set(id, user.id)
      if (answer !== 'sessions' && answer !== 'addresses') return undefined
      this.#guests.delete(id)
      this.#local.leave(user, session)
      return limitError(answer)
    } catch (error) {
      if (error instanceof RedisError) return undefined
      throw error
    }
  }

  async #tellGone(): Promise<void> {
    for (const [session, user] of [...this.#gone]) {
      try {
        const key = this.#link.key(`here:${user}`)
        await this.#link.call('HDEL', key, `${this.#server} ${session}`)
        this.#gone.delete(session)
      } catch {
        // Again with the next sign of life.
        return
      }
    }
  }
}
