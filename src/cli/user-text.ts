// What `anytls user list` and `show` print for people.

import { usedOf } from '../serve/usage/ledger.ts'
import { formatBytes, formatQuota, shortBytes } from '../serve/users/amounts.ts'
import type { UserStore } from '../serve/users/store.ts'
import type { User } from '../serve/users/user.ts'
import { isoTime, stateOf } from '../serve/users/user-view.ts'
import { escapeControls } from './printable.ts'
import { formatTable } from './text-table.ts'

/** All users, one a line. */
export function userTable(users: readonly User[], store: UserStore): string {
  const head = ['NAME', 'STATE', 'EXPIRES', 'SESSIONS', 'UP', 'DOWN', 'QUOTA']
  const rows = users.map((user) => {
    const { up, down } = store.usage.of(user.id)
    const expires = isoTime(user.expires)?.slice(0, 10) ?? '-'
    const sessions = String(store.sessionsOf(user.id))
    const state = stateOf(user, store)
    const amounts = [shortBytes(up), shortBytes(down), quotaText(user, store)]
    return [escapeControls(user.name), state, expires, sessions, ...amounts]
  })
  return formatTable([head, ...rows], 3)
}

/** One user, a line for each thing that is to be said. */
export function describeUser(user: User, store: UserStore): string {
  const { up, down } = store.usage.of(user.id)
  const rate = (bytes: number | undefined) => bytes && `${formatBytes(bytes)}/s`
  const lines: readonly (readonly [string, string | number | undefined])[] = [
    ['name', escapeControls(user.name)],
    ['state', stateOf(user, store)],
    ['up', shortBytes(up)],
    ['down', shortBytes(down)],
    ['quota', user.quota && quotaText(user, store)],
    ['expires', isoTime(user.expires) ?? undefined],
    ['sessions', store.sessionsOf(user.id)],
    ['max up', rate(user.maxUp)],
    ['max down', rate(user.maxDown)],
    ['max sessions', user.maxSessions],
    ['max addresses', user.maxAddresses],
    ['private addresses', user.allowPrivate ? 'allowed' : undefined],
    ['link', user.password === undefined ? 'none: the hash alone is kept' : undefined],
    ['note', user.note && escapeControls(user.note)],
    ['added', isoTime(user.created) ?? undefined],
  ]
  const shown = lines.filter(([, value]) => value !== undefined)
  return formatTable(
    shown.map(([label, value]) => [label, String(value)]),
    2,
  )
}

function quotaText({ id, quota }: User, { usage }: UserStore): string {
  if (quota === undefined) return '-'
  return `${shortBytes(usedOf(usage, id, quota, Date.now()))} of ${formatQuota(quota)}`
}
