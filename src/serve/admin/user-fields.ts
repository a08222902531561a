// What a request says of a user, field by field: the schema that is published and the check that holds, side by side.
import { AnyTlsError, invalidOption } from '../../errors.ts'
import { isObject, requireBoolean, requireString } from '../json.ts'
import { MIN_RATE, parseDate, QUOTA_PERIODS } from '../users/amounts.ts'
import type { QuotaPeriod } from '../users/amounts.ts'
import {
  checkName,
  checkPassword,
  makePassword,
  MAX_NAME,
  MAX_NOTE,
  MAX_PASSWORD,
} from '../users/user.ts'
import type { NewUser, User, UserPatch, UserSettings } from '../users/user.ts'
import type { Schema } from './openapi.ts'

interface Field<T> {
  readonly schema: Schema
  /** @throws AnyTlsError `ERR_OPTION_INVALID`, without the name of the field */
  read(value: unknown): T
}

/** As many bytes as the file of users can say, 999 TB. */
const MAX_BYTES = 999_999_999_999_999
const MAX_COUNT = 9_999_999

/** What a name is made of: neither a control character nor what reorders text, no space at the ends. */
const UNSHOWABLE = String.raw`\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069`
const SPACE = String.raw`\u0020\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000\ufeff`
const NAME_PATTERN = `^[^${UNSHOWABLE}${SPACE}](?:[^${UNSHOWABLE}]*[^${UNSHOWABLE}${SPACE}])?$`

const NAME: Field<string> = {
  schema: {
    type: 'string',
    minLength: 1,
    maxLength: MAX_NAME,
    pattern: NAME_PATTERN,
    not: { enum: ['.', '..'] },
  },
  read: (value) => checkName(requireString(value)),
}

const PASSWORD: Field<string> = {
  schema: { type: 'string', minLength: 1, maxLength: MAX_PASSWORD },
  read: (value) => checkPassword(requireString(value)),
}

const FLAG: Field<boolean> = { schema: { type: 'boolean' }, read: requireBoolean }

const EXPIRES: Field<number | undefined> = {
  schema: {
    anyOf: [
      { type: 'string', format: 'date-time' },
      { type: 'string', format: 'date' },
      { type: 'null' },
    ],
    description: 'The last day, or the last moment.',
  },
  read: (value) => (value === null ? undefined : moment(requireString(value))),
}

const NOTE: Field<string | undefined> = {
  schema: { type: ['string', 'null'], maxLength: MAX_NOTE },
  read: (value) => (value === null ? undefined : requireString(value)),
}

const PERIOD: Field<QuotaPeriod | undefined> = {
  schema: {
    enum: [...QUOTA_PERIODS, null],
    description:
      "When the quota begins anew, by the calendar in UTC. Default: as it was, else 'all'.",
  },
  read: (value) => {
    if (value === null) return undefined
    const period = QUOTA_PERIODS.find((name) => name === value)
    if (period === undefined) throw invalidOption(`it is none of ${QUOTA_PERIODS.join(', ')}`)
    return period
  },
}

const RATE = whole(MIN_RATE, MAX_BYTES, 'Bytes a second, over all sessions.')
const COUNT = whole(1, MAX_COUNT, 'How many at once.')

const SETTINGS = {
  enabled: FLAG,
  expires: EXPIRES,
  quota: whole(1, MAX_BYTES, 'Bytes, up and down together.'),
  quotaPeriod: PERIOD,
  maxUp: RATE,
  maxDown: RATE,
  maxSessions: COUNT,
  maxAddresses: COUNT,
  allowPrivate: FLAG,
  note: NOTE,
  password: PASSWORD,
  hashOnly: FLAG,
}
/** Those that become what they are called. */
const PLAIN = [
  ...(['enabled', 'expires', 'maxUp', 'maxDown', 'maxSessions', 'maxAddresses'] as const),
  ...(['allowPrivate', 'note'] as const),
]
const NEW = { ...SETTINGS, name: NAME }
const PATCH = { ...SETTINGS, newPassword: FLAG }

export const NEW_USER_SCHEMA: Schema = schemaOf(NEW, ['name'])
export const USER_PATCH_SCHEMA: Schema = schemaOf(PATCH, [])

/** @throws AnyTlsError `ERR_REQUEST_INVALID` */
export function readNewUser(body: unknown): NewUser {
  const fields = readFields(body, NEW)
  const { name, password, hashOnly } = fields
  if (name === undefined) throw problem('name', 'it is missing')
  return {
    ...settingsOf(fields, undefined),
    name,
    ...(password !== undefined && { password }),
    ...(hashOnly !== undefined && { hashOnly }),
  }
}

/** @throws AnyTlsError `ERR_REQUEST_INVALID` */
export function readUserPatch(body: unknown, user: User): UserPatch {
  const fields = readFields(body, PATCH)
  const { password = fields.newPassword === true ? makePassword() : undefined, hashOnly } = fields
  return {
    ...settingsOf(fields, user),
    ...(password !== undefined && { password }),
    ...(hashOnly !== undefined && { hashOnly }),
  }
}

type Fields<T> = { readonly [K in keyof T]?: T[K] extends Field<infer V> ? V : never }

function readFields<T extends Readonly<Record<string, Field<unknown>>>>(
  body: unknown,
  known: T,
): Fields<T> {
  if (!isObject(body)) throw new AnyTlsError('ERR_REQUEST_INVALID', 'the body is no object')
  const fields: Record<string, unknown> = {}
  for (const [name, value] of Object.entries(body)) {
    const field = Object.hasOwn(known, name) ? known[name] : undefined
    if (field === undefined) throw problem(name.slice(0, MAX_NAME), 'it is not known here')
    try {
      fields[name] = field.read(value)
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      throw problem(name, error.message)
    }
  }
  return fields as Fields<T>
}

/** Those alone that were named: `undefined` takes a limit away. */
function settingsOf(
  fields: Fields<typeof SETTINGS>,
  user: User | undefined,
): Partial<UserSettings> {
  const { quota, quotaPeriod, ...rest } = fields
  const names = PLAIN.filter((name) => name in rest)
  const settings = Object.fromEntries(names.map((name) => [name, rest[name]]))
  const bytes = 'quota' in fields ? quota : user?.quota?.bytes
  const per = quotaPeriod ?? user?.quota?.per ?? 'all'
  const named = 'quota' in fields || 'quotaPeriod' in fields
  return { ...settings, ...(named && { quota: bytes === undefined ? undefined : { bytes, per } }) }
}

function whole(minimum: number, maximum: number, description: string): Field<number | undefined> {
  return {
    schema: { type: ['integer', 'null'], minimum, maximum, description },
    read: (value) => {
      if (value === null) return undefined
      if (Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum) {
        return Number(value)
      }
      throw invalidOption(`it is no whole number from ${minimum} to ${maximum}`)
    },
  }
}

/** RFC 3339, which bounds no fraction of a second. */
function moment(value: string): number {
  const [, seconds = value, zone = ''] =
    /^(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,3})?)\d*(Z|[+-]\d{2}:\d{2})$/i.exec(value) ?? []
  return parseDate(seconds + zone)
}

function schemaOf(
  fields: Readonly<Record<string, Field<unknown>>>,
  required: readonly string[],
): Schema {
  const properties = Object.entries(fields).map(([name, { schema }]) => [name, schema] as const)
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    ...(required.length > 0 && { required }),
    additionalProperties: false,
  }
}

function problem(field: string, what: string): AnyTlsError {
  return new AnyTlsError('ERR_REQUEST_INVALID', `${JSON.stringify(field)}: ${what}`)
}
