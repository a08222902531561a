// What is known of one server since it started: its sessions, and who was sent to the fallback.
// Must never keep a session that is over.
import type { Session } from '../../session/session.ts'
import type { Server } from '../../tls/listen.ts'
import type { Accounts } from '../accounts.ts'
import type { Usage } from '../usage/ledger.ts'

type FallbackCause = 'auth-failed' | 'auth-timeout' | 'violation'

export class Observer {
  readonly server: Server
  readonly #accounts: Accounts | undefined
  /** In milliseconds since 1970. */
  readonly started = Date.now()
  readonly fallbacks: Readonly<Record<FallbackCause, number>>
  readonly #begun = new WeakMap<Session, number>()

  constructor(server: Server, accounts: Accounts | undefined) {
    this.server = server
    this.#accounts = accounts
    const fallbacks = { 'auth-failed': 0, 'auth-timeout': 0, violation: 0 }
    this.fallbacks = fallbacks
    server.on('session', (session) => this.#begun.set(session, Date.now()))
    server.on('fallback', ({ cause }) => (fallbacks[cause] += 1))
  }

  /** Sessions of clients that have logged in. */
  get sessions(): readonly Session[] {
    return [...this.server.sessions].filter((session) => this.#begun.has(session))
  }

  /** When a session of {@link sessions} began, in milliseconds since 1970. */
  startOf(session: Session): number {
    return this.#begun.get(session) ?? this.started
  }

  /** What a session has carried; `undefined` where nobody counts, for there are no users. */
  trafficOf(session: Session): Usage | undefined {
    return this.#accounts?.trafficOf(session)
  }

  /** What all sessions of users have carried since the start. */
  get carried(): Usage {
    this.count()
    return this.#accounts?.carried ?? { up: 0, down: 0 }
  }

  /** Brings what users have used up to this moment. */
  count(): void {
    this.#accounts?.count()
  }
}
