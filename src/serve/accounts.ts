// Holds the sessions of a server to what its users may: who gets in, and who has to go.
// Must never let a change of a user wait: it holds for sessions that run as well.
import { AnyTlsError } from '../errors.ts'
import type { Session } from '../session/session.ts'
import type { SessionUser } from '../session/stream.ts'
import type { ServerUsers } from '../tls/first-record.ts'
import type { Server } from '../tls/listen.ts'
import { usedOf } from './usage/ledger.ts'
import type { UserStore } from './users/store.ts'
import { isActive } from './users/user.ts'
import type { User } from './users/user.ts'
import type { UserChange } from './users/user-table.ts'

/** How often sessions are looked at, and counts written, in milliseconds. */
const TICK = 2_000

export interface AccountsOptions {
  readonly store: UserStore
  /** Told of what could not be written, in one line. */
  readonly warn: (problem: string) => void
}

/** The accounts of one server. */
export class Accounts implements ServerUsers {
  readonly #store: UserStore
  readonly #warn: (problem: string) => void
  readonly #sessions = new Map<string, Set<Session>>()
  #server: Server | undefined
  #unwatch: (() => void) | undefined
  #tick: NodeJS.Timeout | undefined

  constructor({ store, warn }: AccountsOptions) {
    this.#store = store
    this.#warn = warn
  }

  /** Whoever is disabled, expired or has used up the quota is as unknown as anybody. */
  lookup(hash: Uint8Array): User | undefined {
    const user = this.#store.users.lookup(hash)
    return user !== undefined && this.#refusal(user) === undefined ? user : undefined
  }

  /** Looks after the sessions of `server`, which was made with these accounts as its `users`. */
  attach(server: Server): void {
    this.#server = server
    server.on('session', (session) => this.#open(session))
    this.#unwatch = this.#store.watch((changes) => this.#onChanges(changes))
    this.#tick = setInterval(() => void this.#onTick(), TICK).unref()
  }

  /** Writes what is left; the sessions are over by then. */
  async close(): Promise<void> {
    clearInterval(this.#tick)
    this.#unwatch?.()
    await this.#store.close()
  }

  #open(session: Session): void {
    const user = this.#userOf(session.user)
    if (user === undefined) return
    const refusal = this.#refusal(user)
    if (refusal !== undefined) {
      session.dismiss(refusal)
      return
    }
    let sessions = this.#sessions.get(user.id)
    if (sessions === undefined) this.#sessions.set(user.id, (sessions = new Set()))
    const all = sessions
    all.add(session)
    session.once('close', () => {
      all.delete(session)
      if (all.size === 0) this.#sessions.delete(user.id)
    })
  }

  /** Why a user may not be here, if that is so. */
  #refusal(user: User): AnyTlsError | undefined {
    const now = Date.now()
    if (!user.enabled) return new AnyTlsError('ERR_USER_REVOKED')
    if (!isActive(user, now)) return new AnyTlsError('ERR_USER_EXPIRED')
    const { quota } = user
    if (quota === undefined || usedOf(this.#store.usage, user.id, quota, now) < quota.bytes) {
      return undefined
    }
    return new AnyTlsError('ERR_USER_QUOTA')
  }

  #userOf(user: SessionUser | undefined): User | undefined {
    return user && this.#store.users.get(user.name)
  }

  #onChanges(changes: readonly UserChange[]): void {
    for (const { before, after } of changes) {
      const revoked = after === undefined || !after.enabled || after.hash !== before?.hash
      if (before !== undefined && revoked) this.#server?.revoke(before)
    }
  }

  async #onTick(): Promise<void> {
    for (const [id, sessions] of this.#sessions) {
      const [one] = sessions
      const user = this.#userOf(one?.user)
      const refusal = user?.id === id ? this.#refusal(user) : undefined
      if (user !== undefined && refusal !== undefined) this.#server?.revoke(user, refusal)
    }
    const counts = [...this.#sessions].map(([id, { size }]) => [id, size] as const)
    try {
      this.#store.publishSessions(new Map(counts))
      await this.#store.usage.flush()
      await this.#store.usage.refresh()
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      this.#warn(error.message)
    }
  }
}
