// What every place that users are kept in offers: a file, and whatever else others run.
import type { Address } from '../../codec/address.ts'
import type { Transport } from '../../proxy/outbound/policy.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import type { UserLimiter } from '../limiter.ts'
import type { PanelRoutes } from '../panel/panel-routes.ts'
import type { NewUser, User, UserPatch } from './user.ts'
import type { UserChange, UserTable } from './user-table.ts'
import type { UsageLedger } from '../usage/ledger.ts'

/** Where users are kept: a file, Redis, a panel, or a place of your own. */
export interface UserStore {
  /** The place as it may be shown: without passwords. */
  readonly place: string
  /** Who is known now. It changes before {@link watch}'s listeners are told, never while they are. */
  readonly users: UserTable
  /** What they have used. */
  readonly usage: UsageLedger
  /** Where their links lead, as the server that used the store last has said. */
  readonly endpoint: ServerEndpoint | undefined
  /** What ails the place, in one line, while who is known goes on and counts wait. */
  readonly trouble: string | undefined
  /** Who keeps limits over all servers that share the place; each server by itself where there is none. */
  readonly limiter?: UserLimiter
  /** What the place says of the server itself, where it does. */
  readonly node?: NodeControl

  /** Sessions that a user has now, at all servers that use the store. */
  sessionsOf(id: string): number
  /**
   * Says which sessions users have at this server, by id, each by the address that it comes from (empty where that is
   * not known); to be called every few seconds.
   */
  publishSessions(sessions: SessionsByUser): void

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

/** What opening a store takes beside its place. */
export interface StoreOptions {
  /** Told of what ails the place, once for each fault, in one line. */
  readonly warn: (problem: string) => void
  /** Where what must last of a place elsewhere is kept here. */
  readonly folder: string
  /** Told of each address of a place elsewhere before it is dialled. @returns gives it free again */
  readonly reserve?: ((address: Address) => () => void) | undefined
}

/** By the ids of users: an address for each session. */
export type SessionsByUser = ReadonlyMap<string, readonly string[]>

/** What a place says of a server that it manages. What was given on the command line counts more. */
export interface NodeControl {
  /** Where the server is to listen. */
  readonly listen: Address
  /** A name that the certificate should have. */
  readonly serverName: string | undefined
  /** The padding scheme that clients are to be told; `undefined` for the built-in one. */
  readonly scheme: Scheme | undefined
  /**
   * Whether nobody is to reach this target.
   *
   * @param transport of a target as it came; not said of an address that its name has just been found to be
   */
  blocks(target: Address, transport?: Transport): boolean
  /** What {@link blocks} goes by, which can be handed to another process. */
  readonly routes: PanelRoutes | undefined
  /** Told after {@link scheme} has changed. */
  onScheme(listener: () => void): void
  /** Told after {@link routes} may have changed. */
  onRoutes(listener: () => void): void
}

/** What a share link says of a server beside the password. */
export interface ServerEndpoint {
  /** Name or address, IPv6 without brackets. */
  readonly host: string
  /** 1 to 65,535. */
  readonly port: number
  /** The name to ask for in TLS, where it is not `host`. */
  readonly sni: string | undefined
  /** SHA-256 of its certificate, where nobody else vouches for it. */
  readonly pin: string | undefined
}
