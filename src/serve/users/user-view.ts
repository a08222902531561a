// What is told of a user to those who run the server: as JSON, and the word for its state.
import { usedOf } from '../usage/ledger.ts'
import type { QuotaPeriod } from './amounts.ts'
import type { UserStore } from './store.ts'
import { isActive } from './user.ts'
import type { User } from './user.ts'

/** Whether a user may log in now, or why not. */
export type UserState = 'active' | 'disabled' | 'expired' | 'used up'

/** Bytes, and times in ISO 8601; what is not limited is null. */
export interface UserView {
  readonly name: string
  readonly enabled: boolean
  readonly state: UserState
  readonly up: number
  readonly down: number
  readonly quota: number | null
  readonly quotaPeriod: QuotaPeriod | null
  readonly quotaUsed: number | null
  readonly expires: string | null
  readonly sessions: number
  readonly maxUp: number | null
  readonly maxDown: number | null
  readonly maxSessions: number | null
  readonly maxAddresses: number | null
  readonly allowPrivate: boolean
  readonly hashOnly: boolean
  readonly note: string | null
  readonly created: string | null
}

export function viewOf(user: User, store: UserStore): UserView {
  const { quota } = user
  const { up, down } = store.usage.of(user.id)
  return {
    name: user.name,
    enabled: user.enabled,
    state: stateOf(user, store),
    up,
    down,
    quota: quota?.bytes ?? null,
    quotaPeriod: quota?.per ?? null,
    quotaUsed: quota === undefined ? null : usedOf(store.usage, user.id, quota, Date.now()),
    expires: isoTime(user.expires),
    sessions: store.sessionsOf(user.id),
    maxUp: user.maxUp ?? null,
    maxDown: user.maxDown ?? null,
    maxSessions: user.maxSessions ?? null,
    maxAddresses: user.maxAddresses ?? null,
    allowPrivate: user.allowPrivate,
    hashOnly: user.password === undefined,
    note: user.note ?? null,
    created: isoTime(user.created),
  }
}

export function stateOf(user: User, { usage }: UserStore): UserState {
  if (!user.enabled) return 'disabled'
  const now = Date.now()
  if (!isActive(user, now)) return 'expired'
  const { quota } = user
  return quota && usedOf(usage, user.id, quota, now) >= quota.bytes ? 'used up' : 'active'
}

export function isoTime(time: number | undefined): string | null {
  return time === undefined ? null : new Date(time).toISOString()
}
