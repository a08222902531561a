// What every place that users are kept in offers: a file, and whatever else others run.
// Must never make a login wait: who may log in is known in memory, and what changes there is told.
import type { NewUser, User, UserPatch } from './user.ts'
import type { UserChange, UserTable } from './user-table.ts'
import type { UsageLedger } from '../usage/ledger.ts'

export interface UserStore {
  /** The place as it may be shown: without passwords. */
  readonly place: string
  /** Who is known now. It changes before {@link watch}'s listeners are told, never while they are. */
  readonly users: UserTable
  /** What they have used. */
  readonly usage: UsageLedger
  /** Where their links lead, as the server that used the store last has said. */
  readonly endpoint: ServerEndpoint | undefined

  /** Sessions that a user has now, at all servers that use the store. */
  sessionsOf(id: string): number
  /** Says how many sessions users have at this server, by id; to be called every few seconds. */
  publishSessions(sessions: ReadonlyMap<string, number>): void

  /** @throws AnyTlsError rejects with `ERR_USER_EXISTS`, `ERR_OPTION_INVALID`, or what ails the place */
  add(user: NewUser): Promise<User>
  /** @throws AnyTlsError rejects with `ERR_USER_UNKNOWN`, `ERR_USER_EXISTS`, `ERR_OPTION_INVALID`, or what ails the place */
  update(name: string, patch: UserPatch): Promise<User>
  /** @throws AnyTlsError rejects with `ERR_USER_UNKNOWN` or what ails the place */
  remove(name: string): Promise<User>
  /** Reads the place anew now; it is followed anyhow. Faults go to the `warn` that the store was opened with. */
  refresh(): Promise<void>
  /** Remembers where clients reach this server. */
  recordEndpoint(endpoint: ServerEndpoint): Promise<void>
  /** Tells of changes within 2 s, wherever they were made. @returns ends it */
  watch(listener: (changes: readonly UserChange[]) => void): () => void
  /** Writes what is not written, and follows the place no longer. */
  close(): Promise<void>
}

/** What a share link says of a server beside the password. */
export interface ServerEndpoint {
  readonly host: string
  readonly port: number
  readonly sni: string | undefined
  /** SHA-256 of its certificate, where nobody else vouches for it. */
  readonly pin: string | undefined
}
