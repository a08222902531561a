// What the primary process of a server and its workers tell each other.
import type { ErrorCode } from '../../errors.ts'
import type { ServerUpdate } from '../../tls/server-options.ts'
import type { Address } from '../../codec/address.ts'
import type { FallbackCause, SessionView } from '../admin/observer.ts'
import type { PanelRoutes } from '../panel/panel-routes.ts'
import type { Block } from '../targets.ts'
import type { KeyAndCertificate } from '../self-signed.ts'
import type { ServerEndpoint } from '../users/store.ts'
import type { User } from '../users/user.ts'

/** What a worker is told once it is there. `Setup` is what the command alone knows how to make a server of. */
export interface WorkerStart<Setup> {
  readonly type: 'start'
  readonly setup: Setup
  /** Absent for a server without users. */
  readonly users: UsersStart | undefined
}

export interface UsersStart {
  /** For `UserTable.unpack`: as objects, 100,000 users would take a hundred MiB on both sides. */
  readonly known: Uint8Array
  readonly used: readonly UserBytes[]
}

/** Of the users. */
export type UsersNews =
  | {
      readonly type: 'users'
      /** Ids of those who are no more, or are in `now`. */
      readonly gone: readonly string[]
      readonly now: readonly User[]
    }
  /** What users have used now: in the period of their quota, or in all where they have none. */
  | { readonly type: 'used'; readonly used: readonly UserBytes[] }
  /** What the sessions of users may take at this worker. */
  | { readonly type: 'rates'; readonly rates: readonly UserRates[] }
  /** What becomes of a session that has come. */
  | { readonly type: 'verdict'; readonly session: string; readonly refusal: Refusal | undefined }

export type UserBytes = readonly [id: string, up: number, down: number]

/** Bytes a second. */
export type UserRates = readonly [id: string, up: number, down: number]

export interface Refusal {
  readonly code: ErrorCode
  readonly message: string
}

/** Of what the operator or a file has changed. */
export type ServerNews =
  | { readonly type: 'update'; readonly settings: ServerUpdate }
  | {
      readonly type: 'certificate'
      readonly certificate: KeyAndCertificate
      /** What links say with it. */
      readonly links: { readonly endpoint: ServerEndpoint; readonly certificate: string }
    }
  | { readonly type: 'tune'; readonly block: readonly Block[]; readonly logLevel: string }
  | { readonly type: 'ticketKeys'; readonly keys: Uint8Array }
  | {
      readonly type: 'challenge'
      readonly name: string
      readonly answer: KeyAndCertificate | undefined
    }
  | { readonly type: 'routes'; readonly routes: PanelRoutes | undefined }
  | { readonly type: 'reserve'; readonly address: Address; readonly reserved: boolean }
  /** To listen no more, and say so. */
  | { readonly type: 'close' }
  /** To end, in so many milliseconds. */
  | { readonly type: 'drain'; readonly grace: number }

/** What is asked of a worker, which sends its {@link Report} before the answer. */
export type Question =
  | { readonly about: 'state' }
  | { readonly about: 'sessions' }
  | { readonly about: 'end'; readonly session: string }

export type ToWorker<Setup> =
  | WorkerStart<Setup>
  | UsersNews
  | ServerNews
  | { readonly type: 'ask'; readonly number: number; readonly question: Question }

/** A worker as it stands. */
interface WorkerState {
  readonly sessions: number
  readonly streams: number
  /** Resident, in bytes. */
  readonly memory: number
}

/** What there was at a worker since its last report: a few a second, also when it was nothing. */
export interface Report {
  readonly type: 'report'
  /** What streams have carried. */
  readonly counts: readonly UserBytes[]
  /** What was taken of rates, in bytes a second, by users who take something or have just ceased to. */
  readonly taken: readonly UserRates[]
  readonly fallbacks: Readonly<Partial<Record<FallbackCause, number>>>
}

/** Of the users at a worker. */
export type UsersReport =
  | {
      readonly type: 'enter'
      /** The name of the user. */
      readonly user: string
      readonly session: string
      readonly remoteAddress: string | undefined
    }
  | { readonly type: 'leave'; readonly session: string }

export type FromWorker =
  /** It is there, and wants to be told the rest. */
  | { readonly type: 'hello' }
  | { readonly type: 'listening' }
  | { readonly type: 'closed' }
  /** It cannot serve, and ends. */
  | { readonly type: 'failed'; readonly problem: Refusal }
  | Report
  | UsersReport
  | {
      readonly type: 'answer'
      readonly number: number
      readonly state?: WorkerState
      readonly sessions?: readonly SessionView[]
    }
