// Holds the sessions of a server to what its users may: who gets in, how fast, how many, how much, and who has to go.
// Must never let a change of a user wait: it holds for sessions that run as well.
import { ChurningMap } from '../codec/churning.ts'
import { AnyTlsError } from '../errors.ts'
import type { ProxyStreamEvent } from '../proxy/outbound/serve-target.ts'
import type { Session } from '../session/session.ts'
import type { SessionUser } from '../session/stream.ts'
import type { ServerUsers } from '../tls/first-record.ts'
import type { Server } from '../tls/listen.ts'
import { LocalLimiter } from './limiter.ts'
import type { UserLimiter } from './limiter.ts'
import type { TargetRights } from './targets.ts'
import { usedOf } from './usage/ledger.ts'
import type { Usage } from './usage/ledger.ts'
import { SessionMeter } from './usage/session-meter.ts'
import { StoreWriter } from './usage/store-writer.ts'
import type { SessionsByUser, UserStore } from './users/store.ts'
import { isActive } from './users/user.ts'
import type { User } from './users/user.ts'
import type { UserChange } from './users/user-table.ts'

/** How often sessions are looked at, and counts written, in milliseconds. */
const TICK = 2_000

/** What is needed of a store: those who keep their users otherwise offer the same. */
export type AccountsStore = Pick<
  UserStore,
  'users' | 'usage' | 'publishSessions' | 'watch' | 'close'
>

/** Where {@link Accounts} finds users, limits and rights. */
export interface AccountsOptions {
  /** Where the users are, and what they have used. */
  readonly store: AccountsStore
  /** Who keeps limits and rates. Default: this process alone. */
  readonly limiter?: UserLimiter | undefined
  /** Told of what could not be written, in one line, once until it could be. */
  readonly warn: (problem: string) => void
}

/** What decides whether somebody may stay. */
type Standing = Pick<User, 'id' | 'name' | 'enabled' | 'expires' | 'quota'>

/** A user who is here. */
interface Guest {
  user: Standing
  /** One as a rule: a set for each user would take most of what a guest takes. */
  readonly sessions: Session[]
}

/** What of a session has been counted. */
interface Counted {
  readonly id: string
  readonly meter: SessionMeter
  readonly session: Session
  up: number
  down: number
  /** The session has gone: what its last streams still tell is all that is missing. */
  over: boolean
}

/** The accounts of one server: give it to `createServer` as `users`, then {@link attach} it. */
export class Accounts implements ServerUsers {
  readonly #store: AccountsStore
  readonly #limiter: UserLimiter
  readonly #writer: StoreWriter
  readonly #guests = new ChurningMap<string, Guest>()
  readonly #counted = new ChurningMap<Session, Counted>()
  #server: Server | undefined
  #unwatch: (() => void) | undefined
  #tick: NodeJS.Timeout | undefined
  readonly #carried = { up: 0, down: 0 }

  constructor({ store, limiter = new LocalLimiter(), warn }: AccountsOptions) {
    this.#store = store
    this.#limiter = limiter
    this.#writer = new StoreWriter(store, warn)
  }

  /** Whoever is disabled, expired or has used up the quota is as unknown as anybody. */
  lookup(hash: Uint8Array): SessionUser | undefined {
    const user = this.#store.users.lookup(hash)
    if (user === undefined || this.#refusal(user) !== undefined) return undefined
    // A session stays for long: it need not know a password.
    return { id: user.id, name: user.name }
  }

  /** Looks after the sessions of `server`, which was made with these accounts as its `users`. */
  attach(server: Server): void {
    this.#server = server
    server.on('session', (session) => this.#open(session))
    server.on('sessionClose', (session) => this.#onClose(session))
    this.#unwatch = this.#store.watch((changes) => this.#onChanges(changes))
    this.#tick = setInterval(() => this.#onTick(), TICK).unref()
  }

  /** To be told of what happens on the streams of a session. */
  observe(session: Session, event: ProxyStreamEvent): void {
    this.#counted.get(session)?.meter.observe(event)
  }

  /** What the streams of a session may be used for now; `undefined` for one that is of no user. */
  rightsOf(session: Session): TargetRights | undefined {
    return session.user && (this.#userOf(session) ?? { allowPrivate: false })
  }

  /** Sessions of a user at this server. */
  sessionsOf({ id }: User): Iterable<Session> {
    return [...(this.#guests.get(id)?.sessions ?? [])]
  }

  /** What the streams of a session have carried, in bytes. */
  trafficOf(session: Session): Usage | undefined {
    return this.#counted.get(session)?.meter
  }

  /** What all sessions of users have carried since the server runs. */
  get carried(): Usage {
    return this.#carried
  }

  /** Counts and writes what is left; the sessions are over by then. */
  async close(): Promise<void> {
    clearInterval(this.#tick)
    this.#unwatch?.()
    // The last streams tell a moment later what they carried.
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
    this.count()
    await this.#writer.close()
  }

  /** Whose session it is, as the user is now: the name may be another since the login. */
  #userOf({ user }: Session): User | undefined {
    return user?.id === undefined ? undefined : this.#store.users.byId(user.id)
  }

  #open(session: Session): void {
    // Another listener has ended it.
    if (session.closed) return
    const user = this.#userOf(session)
    if (user === undefined) {
      if (session.user !== undefined) session.dismiss(new AnyTlsError('ERR_USER_REVOKED'))
      return
    }
    const verdict = this.#refusal(user) ?? this.#limiter.enter(user, session)
    if (verdict instanceof AnyTlsError) {
      session.dismiss(verdict)
      return
    }
    void verdict?.then((refusal) => refusal && session.dismiss(refusal))
    this.#welcome(user, session)
    session.pace(this.#limiter.paces(user))
    const counts = { up: 0, down: 0, over: false }
    this.#counted.set(session, { id: user.id, meter: new SessionMeter(), session, ...counts })
  }

  #onClose(session: Session): void {
    const counted = this.#counted.get(session)
    const guest = counted && this.#guests.get(counted.id)
    if (counted === undefined || guest === undefined) return
    counted.over = true
    this.#limiter.leave(guest.user, session)
    guest.sessions.splice(guest.sessions.indexOf(session), 1)
    if (guest.sessions.length === 0) this.#guests.delete(counted.id)
    // A session weighs much more than its counts, and its last streams tell a moment later what they carried.
    setImmediate(() => setImmediate(() => this.#count(counted)))
  }

  #welcome(user: User, session: Session): void {
    const known = this.#guests.get(user.id)
    if (known === undefined) {
      this.#guests.set(user.id, { user: standingOf(user), sessions: [session] })
    } else {
      known.sessions.push(session)
    }
  }

  /** Why a user may not be here, if that is so. */
  #refusal(user: Standing): AnyTlsError | undefined {
    const now = Date.now()
    if (!user.enabled) return new AnyTlsError('ERR_USER_REVOKED')
    if (!isActive(user, now)) return new AnyTlsError('ERR_USER_EXPIRED')
    const { quota } = user
    if (quota === undefined || usedOf(this.#store.usage, user.id, quota, now) < quota.bytes) {
      return undefined
    }
    return new AnyTlsError('ERR_USER_QUOTA')
  }

  #onChanges(changes: readonly UserChange[]): void {
    for (const { before, after } of changes) {
      if (before === undefined) continue
      const revoked = after === undefined || !after.enabled || after.hash !== before.hash
      if (revoked) this.#server?.revoke(before)
      const guest = this.#guests.get(before.id)
      if (after === undefined || guest === undefined) continue
      guest.user = standingOf(after)
      const paces = this.#limiter.paces(after)
      for (const session of guest.sessions) session.pace(paces)
    }
  }

  #onTick(): void {
    this.count()
    this.check()
    this.#writer.write(() => this.#sessionsByUser())
  }

  /** Ends the sessions of who may not be here any more; done every 2 s anyhow. */
  check(): void {
    for (const { user } of this.#guests.values()) {
      const refusal = this.#refusal(user)
      if (refusal !== undefined) this.#server?.revoke(user, refusal)
    }
  }

  /** Takes what has been carried since into the counts; done every 2 s anyhow. */
  count(): void {
    for (const counted of this.#counted.list()) this.#count(counted)
  }

  #count(counted: Counted): void {
    const { id, meter, session, over } = counted
    const { up, down } = meter
    this.#store.usage.add(id, up - counted.up, down - counted.down)
    this.#carried.up += up - counted.up
    this.#carried.down += down - counted.down
    counted.up = up
    counted.down = down
    if (over && meter.idle) this.#counted.delete(session)
  }

  #sessionsByUser(): SessionsByUser {
    const here = this.#guests.entries().map(([id, { sessions }]) => {
      return [id, sessions.map(({ remoteAddress = '' }) => remoteAddress)] as const
    })
    return new Map(here)
  }
}

function standingOf({ id, name, enabled, expires, quota }: User): Standing {
  return { id, name, enabled, expires, quota }
}
