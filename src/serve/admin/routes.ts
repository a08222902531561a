// What the admin server serves beside its page: state, users, sessions, metrics; each route with its description.
// Must never give away a password or a hash but in a link.
import { AnyTlsError } from '../../errors.ts'
import { VERSION } from '../../version.ts'
import { formatLink } from '../link-formats.ts'
import { dayOf } from '../usage/ledger.ts'
import type { DayUsage } from '../usage/ledger.ts'
import { QUOTA_PERIODS } from '../users/amounts.ts'
import type { ServerEndpoint, UserStore } from '../users/store.ts'
import { linkTo, subscriptionUrl } from '../users/user-link.ts'
import { makePassword } from '../users/user.ts'
import type { User } from '../users/user.ts'
import { isoTime, viewOf } from '../users/user-view.ts'
import { json } from './answer.ts'
import type { Answer } from './answer.ts'
import { createMetrics } from './metrics.ts'
import type { ServerWatch, SessionView } from './observer.ts'
import { describeRoutes } from './openapi.ts'
import type { DescribedRoute, Schema } from './openapi.ts'
import type { Call } from './router.ts'
import { NEW_USER_SCHEMA, readNewUser, readUserPatch, USER_PATCH_SCHEMA } from './user-fields.ts'

export interface ApiOptions {
  readonly observer: ServerWatch
  /** Absent for a server with one password alone. */
  readonly store: UserStore | undefined
  /** Where links lead, and the certificate of the server, PEM. */
  readonly endpoint: () => ServerEndpoint
  readonly certificate: () => string
  readonly wantsToken: () => boolean
  /** Whether the server takes nobody new any more. */
  readonly isDraining: () => boolean
}

const MAX_LISTED = 1_000
const MAX_SEARCH = 100
/** How many days of history are told. */
const HISTORY_DAYS = 30
/** Users whose days are summed before others have a turn. */
const SUMMED_AT_ONCE = 500

const AMOUNT: Schema = { type: 'integer', minimum: 0 }
const LIMIT: Schema = { type: ['integer', 'null'] }
const TIME: Schema = { type: ['string', 'null'], format: 'date-time' }
const TEXT: Schema = { type: 'string' }
const OPTIONAL_TEXT: Schema = { type: ['string', 'null'] }
const FLAG: Schema = { type: 'boolean' }

const SCHEMAS: Readonly<Record<string, Schema>> = {
  NewUser: NEW_USER_SCHEMA,
  UserPatch: USER_PATCH_SCHEMA,
  User: object({
    name: TEXT,
    enabled: FLAG,
    state: { enum: ['active', 'disabled', 'expired', 'used up'] },
    up: AMOUNT,
    down: AMOUNT,
    quota: LIMIT,
    quotaPeriod: { enum: [...QUOTA_PERIODS, null] },
    quotaUsed: LIMIT,
    expires: TIME,
    sessions: AMOUNT,
    maxUp: LIMIT,
    maxDown: LIMIT,
    maxSessions: LIMIT,
    maxAddresses: LIMIT,
    allowPrivate: FLAG,
    hashOnly: FLAG,
    note: OPTIONAL_TEXT,
    created: TIME,
  }),
  UserList: object({ total: AMOUNT, users: listOf(reference('User')) }),
  Links: object({
    uri: OPTIONAL_TEXT,
    singBox: OPTIONAL_TEXT,
    mihomo: OPTIONAL_TEXT,
    subscription: { ...OPTIONAL_TEXT, description: 'Where apps ask for link and quota.' },
  }),
  Usage: object({
    days: listOf(object({ day: { type: 'string', format: 'date' }, up: AMOUNT, down: AMOUNT })),
  }),
  Session: object({
    id: TEXT,
    user: OPTIONAL_TEXT,
    remoteAddress: OPTIONAL_TEXT,
    wire: TEXT,
    started: TIME,
    streams: AMOUNT,
    up: LIMIT,
    down: LIMIT,
  }),
  SessionList: object({ total: AMOUNT, sessions: listOf(reference('Session')) }),
  Server: object({
    version: TEXT,
    node: TEXT,
    started: TIME,
    address: TEXT,
    port: AMOUNT,
    users: { ...LIMIT, description: 'null for a server with one password alone.' },
    sessions: AMOUNT,
    streams: AMOUNT,
    up: { ...AMOUNT, description: 'Payload of all users since the start.' },
    down: AMOUNT,
    fallbacks: object({ 'auth-failed': AMOUNT, 'auth-timeout': AMOUNT, violation: AMOUNT }),
    memory: { ...AMOUNT, description: 'Resident, in bytes.' },
  }),
}

const PAGING = {
  limit: {
    description: `How many at most. Default ${MAX_LISTED}.`,
    schema: { type: 'integer', minimum: 1, maximum: MAX_LISTED },
  },
  offset: {
    description: 'How many are left out at the beginning. Default 0.',
    schema: { type: 'integer', minimum: 0, maximum: 999_999_999 },
  },
}

export function createRoutes(options: ApiOptions): readonly DescribedRoute[] {
  const routes: DescribedRoute[] = [
    ...serverRoutes(options),
    ...userRoutes(options),
    ...sessionRoutes(options),
    {
      method: 'GET',
      path: '/api/v1/openapi.json',
      operation: {
        summary: 'This description',
        success: success('The description.', { type: 'object' }),
      },
      handle: () => json(describeRoutes(routes, SCHEMAS, options.wantsToken())),
    },
  ]
  return routes
}

function serverRoutes({ observer, store, isDraining }: ApiOptions): readonly DescribedRoute[] {
  const metrics = createMetrics(observer, store)
  const [metricsType = ''] = metrics.contentType.split(';')
  return [
    {
      method: 'GET',
      path: '/healthz',
      operation: {
        summary: 'Whether the server runs',
        success: {
          status: 200,
          description:
            'The word ok, or degraded: the place of the users is out of order, and those known before are served.' +
            ' A server that has been told to stop answers 503 with the word draining.',
          type: 'text/plain',
          schema: TEXT,
        },
        open: true,
      },
      handle: () => {
        const [status, word] = isDraining()
          ? [503, 'draining']
          : [200, store?.trouble === undefined ? 'ok' : 'degraded']
        return { status, type: 'text/plain; charset=utf-8', body: `${word}\n` }
      },
    },
    {
      method: 'GET',
      path: '/metrics',
      operation: {
        summary: 'Metrics for Prometheus',
        success: {
          status: 200,
          description: 'In its text format.',
          type: metricsType,
          schema: TEXT,
        },
      },
      handle: async () => ({
        status: 200,
        type: metrics.contentType,
        body: await metrics.metrics(),
      }),
    },
    {
      method: 'GET',
      path: '/api/v1/server',
      operation: {
        summary: 'State of the server',
        success: success('The state.', reference('Server')),
      },
      handle: async () => {
        const { sessions, streams, carried, fallbacks, memory } = await observer.state()
        const { address, port } = observer.address()
        return json({
          version: VERSION,
          node: process.versions.node,
          started: isoTime(observer.started),
          address,
          port,
          users: store?.users.size ?? null,
          sessions,
          streams,
          ...carried,
          fallbacks,
          memory,
        })
      },
    },
    {
      method: 'GET',
      path: '/api/v1/usage',
      operation: {
        summary: `What was used on the last ${HISTORY_DAYS} days, by one user or all`,
        query: {
          user: { description: 'The name of a user.', schema: { type: 'string', minLength: 1 } },
        },
        success: success('The days, the oldest first.', reference('Usage')),
      },
      handle: async (call) => {
        const name = call.query('user')
        if (name === '') throw invalid('"user" is empty')
        const users = name === undefined ? (store?.users ?? []) : [find(store, name)]
        return json({ days: await sumDays(store, users) })
      },
    },
  ]
}

function userRoutes({
  observer,
  store,
  endpoint,
  certificate,
}: ApiOptions): readonly DescribedRoute[] {
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
      operation: {
        summary: 'Users, in the order in which they were added',
        query: {
          ...PAGING,
          search: {
            description: 'Text that the name or the note has, in whatever case.',
            schema: { type: 'string', maxLength: MAX_SEARCH },
          },
        },
        success: success('Those of the page, and how many there are.', reference('UserList')),
      },
      handle: async (call) => {
        await observer.state()
        const { limit, offset } = paging(call)
        const found = search(store, call.query('search') ?? '')
        const users = found.slice(offset, offset + limit).map((user) => viewOf(user, needed(store)))
        return json({ total: found.length, users })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users',
      operation: {
        summary: 'Add a user; a password is made unless one is given',
        body: reference('NewUser'),
        success: { status: 201, description: 'The user.', schema: reference('User') },
      },
      handle: async (call) => {
        const { name } = await needed(store).add(readNewUser(await call.body()))
        return told(name, 201)
      },
    },
    {
      method: 'GET',
      path: '/api/v1/users/{name}',
      operation: { summary: 'A user', success: success('The user.', reference('User')) },
      handle: (call) => told(call.param('name')),
    },
    {
      method: 'PATCH',
      path: '/api/v1/users/{name}',
      operation: {
        summary: 'Change a user; a limit that is null is taken away',
        body: reference('UserPatch'),
        success: success('The user as it is now.', reference('User')),
      },
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
      operation: {
        summary: 'Remove a user and end its sessions',
        success: success('The name of who was removed.', object({ removed: TEXT })),
      },
      handle: async (call) => {
        const { name } = await needed(store).remove(find(store, call.param('name')).name)
        return json({ removed: name })
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users/{name}/reset',
      operation: {
        summary: 'Set what a user has used to nothing',
        success: success('The user as it is now.', reference('User')),
      },
      handle: async (call) => {
        const { id, name } = find(store, call.param('name'))
        await needed(store).usage.reset(id)
        return told(name)
      },
    },
    {
      method: 'POST',
      path: '/api/v1/users/{name}/renew',
      operation: {
        summary: "Make another address for a user's subscription",
        success: success('What apps want to be told now.', reference('Links')),
      },
      handle: async (call) => {
        const { name } = find(store, call.param('name'))
        return links(await needed(store).update(name, { subscription: makePassword() }))
      },
    },
    {
      method: 'GET',
      path: '/api/v1/users/{name}/link',
      operation: {
        summary: 'What apps want to be told to connect as a user',
        success: success('null where the hash of the password alone is kept.', reference('Links')),
      },
      handle: (call) => links(find(store, call.param('name'))),
    },
  ]
}

function sessionRoutes({ observer }: ApiOptions): readonly DescribedRoute[] {
  const told = ({ id, user, remoteAddress, wire, started, streams, traffic }: SessionView) => ({
    id,
    user: user ?? null,
    remoteAddress: remoteAddress ?? null,
    wire,
    started: isoTime(started),
    streams,
    up: traffic?.up ?? null,
    down: traffic?.down ?? null,
  })
  return [
    {
      method: 'GET',
      path: '/api/v1/sessions',
      operation: {
        summary: 'Sessions of this server, the oldest first',
        query: PAGING,
        success: success('Those of the page, and how many there are.', reference('SessionList')),
      },
      handle: async (call) => {
        const { limit, offset } = paging(call)
        const sessions = await observer.sessions()
        const page = sessions.slice(offset, offset + limit)
        return json({ total: sessions.length, sessions: page.map(told) })
      },
    },
    {
      method: 'DELETE',
      path: '/api/v1/sessions/{id}',
      operation: {
        summary: 'End a session; its client may come back',
        success: success('The session as it was.', reference('Session')),
      },
      handle: async (call) => {
        const session = await observer.end(call.param('id'))
        if (session === undefined) throw new AnyTlsError('ERR_REQUEST_PATH', 'no such session')
        return json(told(session))
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

function search(store: UserStore | undefined, text: string): readonly User[] {
  if (Array.from(text).length > MAX_SEARCH)
    throw invalid(`"search" has more than ${MAX_SEARCH} characters`)
  const users = [...(store?.users ?? [])]
  const wanted = text.toLowerCase()
  if (wanted === '') return users
  return users.filter(({ name, note = '' }) =>
    [name, note].some((candidate) => candidate.toLowerCase().includes(wanted)),
  )
}

/** The days on which there was something, the oldest first. */
async function sumDays(
  store: UserStore | undefined,
  users: Iterable<User>,
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

function paging(call: Call): { readonly limit: number; readonly offset: number } {
  const { limit, offset } = PAGING
  return {
    limit: wholeNumber(call, 'limit', limit.schema) ?? MAX_LISTED,
    offset: wholeNumber(call, 'offset', offset.schema) ?? 0,
  }
}

function wholeNumber(
  call: Call,
  name: string,
  { minimum, maximum }: { readonly minimum: number; readonly maximum: number },
): number | undefined {
  const text = call.query(name)
  if (text === undefined) return undefined
  const value = /^\d{1,9}$/.test(text) ? Number(text) : -1
  if (value >= minimum && value <= maximum) return value
  throw invalid(`"${name}" is no whole number from ${minimum} to ${maximum}`)
}

function success(description: string, schema: Schema) {
  return { status: 200, description, schema }
}

function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, required: Object.keys(properties) }
}

function listOf(items: Schema): Schema {
  return { type: 'array', items }
}

function reference(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` }
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_REQUEST_INVALID', problem)
}
