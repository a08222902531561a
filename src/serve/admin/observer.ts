// What is known of a server since it started: its sessions, and who was sent to the fallback.
import { AnyTlsError } from '../../errors.ts'
import type { Session } from '../../session/session.ts'
import type { Server } from '../../tls/listen.ts'
import type { Accounts } from '../accounts.ts'
import type { Usage } from '../usage/ledger.ts'

export type FallbackCause = 'auth-failed' | 'auth-timeout' | 'violation'

/** A session as it is told of. */
export interface SessionView {
  readonly id: string
  readonly user: string | undefined
  readonly remoteAddress: string | undefined
  readonly wire: string
  /** In milliseconds since 1970. */
  readonly started: number
  readonly streams: number
  /** What it has carried; absent where nobody counts, for there are no users. */
  readonly traffic: Usage | undefined
}

/** A server as it stands. */
export interface ServerState {
  readonly sessions: number
  readonly streams: number
  /** What all sessions of users have carried since the start. */
  readonly carried: Usage
  readonly fallbacks: Readonly<Record<FallbackCause, number>>
  /** Resident, in bytes. */
  readonly memory: number
}

/** Whom the admin server asks about the server, be it one process or many. */
export interface ServerWatch {
  /** In milliseconds since 1970. */
  readonly started: number
  /** Where it listens. */
  address(): { readonly address: string; readonly port: number }
  /** What users have used is brought up to this moment, too. */
  state(): Promise<ServerState>
  /** Sessions of clients that have logged in, the oldest first. */
  sessions(): Promise<readonly SessionView[]>
  /** Ends a session. @returns the session as it was; `undefined` when there is none */
  end(id: string): Promise<SessionView | undefined>
}

/** Watches a server of this process. */
export class Observer implements ServerWatch {
  readonly started = Date.now()
  readonly #server: Server
  readonly #accounts: Accounts | undefined
  readonly #fallbacks: Record<FallbackCause, number>
  readonly #begun = new WeakMap<Session, number>()

  constructor(server: Server, accounts: Accounts | undefined) {
    this.#server = server
    this.#accounts = accounts
    this.#fallbacks = { 'auth-failed': 0, 'auth-timeout': 0, violation: 0 }
    server.on('session', (session) => this.#begun.set(session, Date.now()))
    server.on('fallback', ({ cause }) => (this.#fallbacks[cause] += 1))
  }

  address(): { readonly address: string; readonly port: number } {
    return this.#server.address()
  }

  /** As they were sent there until now. */
  get fallbacks(): Readonly<Record<FallbackCause, number>> {
    return { ...this.#fallbacks }
  }

  state(): Promise<ServerState> {
    this.#accounts?.count()
    const sessions = this.#open()
    return Promise.resolve({
      sessions: sessions.length,
      streams: sessions.reduce((sum, { streamCount }) => sum + streamCount, 0),
      carried: { ...(this.#accounts?.carried ?? { up: 0, down: 0 }) },
      fallbacks: this.fallbacks,
      memory: process.memoryUsage.rss(),
    })
  }

  sessions(): Promise<readonly SessionView[]> {
    return Promise.resolve(this.#open().map((session) => this.#view(session)))
  }

  end(id: string): Promise<SessionView | undefined> {
    const session = this.#open().find((candidate) => candidate.id === id)
    if (session === undefined) return Promise.resolve(undefined)
    const was = this.#view(session)
    session.dismiss(new AnyTlsError('ERR_SESSION_CLOSED', 'the operator has ended the session'))
    return Promise.resolve(was)
  }

  #open(): readonly Session[] {
    return [...this.#server.sessions].filter((session) => this.#begun.has(session))
  }

  #view(session: Session): SessionView {
    const { id, user, remoteAddress, wire, streamCount } = session
    const traffic = this.#accounts?.trafficOf(session)
    return {
      ...{ id, user: user?.name, remoteAddress, wire, streams: streamCount },
      started: this.#begun.get(session) ?? this.started,
      traffic: traffic && { up: traffic.up, down: traffic.down },
    }
  }
}
