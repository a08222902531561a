// What the routes of the admin server take and answer, as JSON schemas; and how a page of a list is asked for.
// Must never differ from what the routes do: the description that is served is made of this.
import { AnyTlsError } from '../../errors.ts'
import { QUOTA_PERIODS } from '../users/amounts.ts'
import type { Schema } from './openapi.ts'
import type { Call } from './router.ts'
import { NEW_USER_SCHEMA, USER_PATCH_SCHEMA } from './user-fields.ts'

const MAX_LISTED = 1_000

const AMOUNT: Schema = { type: 'integer', minimum: 0 }
const LIMIT: Schema = { type: ['integer', 'null'] }
const TIME: Schema = { type: ['string', 'null'], format: 'date-time' }
export const TEXT: Schema = { type: 'string' }
const OPTIONAL_TEXT: Schema = { type: ['string', 'null'] }
const FLAG: Schema = { type: 'boolean' }

export const SCHEMAS: Readonly<Record<string, Schema>> = {
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

export const PAGING = {
  limit: {
    description: `How many at most. Default ${MAX_LISTED}.`,
    schema: { type: 'integer', minimum: 1, maximum: MAX_LISTED },
  },
  offset: {
    description: 'How many are left out at the beginning. Default 0.',
    schema: { type: 'integer', minimum: 0, maximum: 999_999_999 },
  },
}

export function paging(call: Call): { readonly limit: number; readonly offset: number } {
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

export function success(description: string, schema: Schema) {
  return { status: 200, description, schema }
}

export function object(properties: Readonly<Record<string, Schema>>): Schema {
  return { type: 'object', properties, required: Object.keys(properties) }
}

function listOf(items: Schema): Schema {
  return { type: 'array', items }
}

export function reference(name: string): Schema {
  return { $ref: `#/components/schemas/${name}` }
}

export function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_REQUEST_INVALID', problem)
}
