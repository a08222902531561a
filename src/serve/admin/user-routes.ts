// What the admin server serves of users: their list, changes of them, links, and what they have used.
// Must never give away a password or a hash but in a link.
import { AnyTlsError } from '../../errors.ts'
import { formatLink } from '../link-formats.ts'
import { dayOf } from '../usage/ledger.ts'
import type { DayUsage } from '../usage/ledger.ts'
import type { ServerEndpoint, UserStore } from '../users/store.ts'
import type { UserTitle } from '../users/packed-users.ts'
import { linkTo, subscriptionUrl } from '../users/user-link.ts'
import { makePassword } from '../users/user.ts'
import type { User } from '../users/user.ts'
import { viewOf } from '../users/user-view.ts'
import { json } from './answer.ts'
import type { Answer } from './answer.ts'
import type { ServerWatch } from './observer.ts'
import type { DescribedRoute } from './openapi.ts'
import { invalid, object, paging, PAGING, reference, success, TEXT } from './route-schemas.ts'
import { readNewUser, readUserPatch } from './user-fields.ts'

export interface UserRoutesOptions {
  readonly observer: ServerWatch
  /** Absent for a server with one password alone. */
  readonly store: UserStore | undefined
  /** Where links lead, and the certificate of the server, PEM. */
  readonly endpoint: () => ServerEndpoint
  readonly certificate: () => string
}

const MAX_SEARCH = 100
/** How many days of history are told. */
const HISTORY_DAYS = 30
/** Users whose days are summed before others have a turn. */
const SUMMED_AT_ONCE = 500

export function userRoutes({
  observer,
  store,
  endpoint,
  certificate,
}: UserRoutesOptions): readonly DescribedRoute[] {
  const links = ({ name, password, subscription }: User): Answer => {
    if (password === undefined) {
      return json({ uri: null, singBox: null, mihomo: null, subscription: null })
    }
    const link = linkTo(endpoint(), password, { name })
    const [uri, singBox, mihomo] = (['uri', 'sing-box', 'mihomo'] as const).map((format) =>
      formatLink(link, format, certificate()),
    )
    const url = subscription === undefined ? null : subscriptionUrl(endpoint(), subscription)
    return json({ uri, singBox, mihomo, subscription: url })
  }
  const told = async (name: string, status = 200): Promise<Answer> => {
    await observer.state()
    return json(viewOf(find(store, name), needed(store)), status)
  }
  return [
    {
      method: 'GET',
      path: '/api/v1/users',
      summary: 'Users, in the order in which they were added',
      query: {
        ...PAGING,
        search: {
          description: 'Text that the name or the note has, in whatever case.',
          schema: { type: 'string', maxLength: MAX_SEARCH },
        },
      },
      success: success('Those of the page, and how many there are.', reference('UserList')),
      handle: async (call) => {
        await observer.state()
        const { limit, offset } = paging(call)
        const found = search(store, call.query('search') ?? '')
        const users = found.slice(offset, offset + limit).map(({ name }) => {
          return viewOf(find(store, name), needed(store))
        })
        return json({ total: found.length, users })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users',
      summary: 'Add a user; a password is made unless one is given',
      body: reference('NewUser'),
      success: { status: 201, description: 'The user.', schema: reference('User') },
      handle: async (call) => {
        const { name } = await needed(store).add(readNewUser(await call.body()))
        return told(name, 201)
      },
    },
    {
      method: 'GET',
      path: '/api/v1/users/{name}',
      summary: 'A user',
      success: success('The user.', reference('User')),
      handle: (call) => told(call.param('name')),
    },
    {
      method: 'PATCH',
      path: '/api/v1/users/{name}',
      summary: 'Change a user; a limit that is null is taken away',
      body: reference('UserPatch'),
      success: success('The user as it is now.', reference('User')),
      handle: async (call) => {
        const user = find(store, call.param('name'))
        const { name } = await needed(store).update(
          user.name,
          readUserPatch(await call.body(), user),
        )
        return told(name)
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/users/{name}',
      summary: 'Remove a user and end its sessions',
      success: success('The name of who was removed.', object({ removed: TEXT })),
      handle: async (call) => {
        const { name } = await needed(store).remove(find(store, call.param('name')).name)
        return json({ removed: name })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users/{name}/reset',
      summary: 'Set what a user has used to nothing',
      success: success('The user as it is now.', reference('User')),
      handle: async (call) => {
        const { id, name } = find(store, call.param('name'))
        await needed(store).usage.reset(id)
        return told(name)
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users/{name}/renew',
      summary: "Make another address for a user's subscription",
      success: success('What apps want to be told now.', reference('Links')),
      handle: async (call) => {
        const { name } = find(store, call.param('name'))
        return links(await needed(store).update(name, { subscription: makePassword() }))
      },
    },
    {
      method: 'GET',
      path: '/api/v1/users/{name}/link',
      summary: 'What apps want to be told to connect as a user',
      success: success('null where the hash of the password alone is kept.', reference('Links')),
      handle: (call) => links(find(store, call.param('name'))),
    },
    {
      method: 'GET',
      path: '/api/v1/usage',
      summary: `What was used on the last ${HISTORY_DAYS} days, by one user or all`,
      query: {
        user: { description: 'The name of a user.', schema: { type: 'string', minLength: 1 } },
      },
      success: success('The days, the oldest first.', reference('Usage')),
      handle: async (call) => {
        const name = call.query('user')
        if (name === '') throw invalid('"user" is empty')
        const users = name === undefined ? (store?.users.titles() ?? []) : [find(store, name)]
        return json({ days: await sumDays(store, users) })
      },
    },
  ]
}

function needed(store: UserStore | undefined): UserStore {
  if (store !== undefined) return store
  throw new AnyTlsError('ERR_USER_UNKNOWN', 'the server has no users: it runs without --users')
}

/** @throws AnyTlsError `ERR_USER_UNKNOWN` */
function find(store: UserStore | undefined, name: string): User {
  const user = needed(store).users.get(name)
  if (user === undefined) throw new AnyTlsError('ERR_USER_UNKNOWN')
  return user
}

function search(store: UserStore | undefined, text: string): readonly UserTitle[] {
  if (Array.from(text).length > MAX_SEARCH)
    throw invalid(`"search" has more than ${MAX_SEARCH} characters`)
  const users = [...(store?.users.titles() ?? [])]
  const wanted = text.toLowerCase()
  if (wanted === '') return users
  return users.filter(({ name, note = '' }) =>
    [name, note].some((candidate) => candidate.toLowerCase().includes(wanted)),
  )
}

/** The days on which there was something, the oldest first. */
async function sumDays(
  store: UserStore | undefined,
  users: Iterable<Pick<User, 'id'>>,
): Promise<readonly DayUsage[]> {
  const first = dayOf(Date.now() - (HISTORY_DAYS - 1) * 86_400_000)
  const sums = new Map<string, DayUsage>()
  let count = 0
  for (const { id } of users) {
    for (const { day, up, down } of store?.usage.days(id) ?? []) {
      if (day < first) continue
      const sum = sums.get(day)
      sums.set(day, { day, up: up + (sum?.up ?? 0), down: down + (sum?.down ?? 0) })
    }
    count += 1
    if (count % SUMMED_AT_ONCE === 0) await new Promise(setImmediate)
  }
  return [...sums.values()].sort((one, other) => (one.day < other.day ? -1 : 1))
}
