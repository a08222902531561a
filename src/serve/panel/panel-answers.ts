// What a panel answers, read: fields may be null, missing, or strings where numbers are meant.
// Must never take half a list for a whole one: whoever is missing in it would be thrown out.
import { isIP } from 'node:net'
import type { Address } from '../../codec/address.ts'
import { parseScheme } from '../../shaping/scheme.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { AnyTlsError } from '../../errors.ts'
import { isObject } from '../json.ts'
import { MIN_RATE } from '../users/amounts.ts'
import { checkPassword, DEFAULT_SETTINGS, hashOf } from '../users/user.ts'
import type { User } from '../users/user.ts'
import { UserTable } from '../users/user-table.ts'
import { PanelError } from './panel-client.ts'
import { readRoutes } from './panel-routes.ts'
import type { PanelRoutes } from './panel-routes.ts'

/** Seconds between requests where the panel names none, and what it may name. */
const DEFAULT_INTERVAL = 60
const MAX_INTERVAL = 86_400

/** Bytes a second of a Mbit/s. */
const MEGABIT = 125_000

export interface PanelConfig {
  readonly listen: Address
  readonly serverName: string | undefined
  readonly scheme: Scheme | undefined
  readonly routes: PanelRoutes
  /** In milliseconds. */
  readonly pushInterval: number
  readonly pullInterval: number
  /** What of it cannot be used, each in one line. */
  readonly problems: readonly string[]
}

/** @throws PanelError for what is no configuration of a node of ours */
export function readConfig(json: unknown): PanelConfig {
  const config = objectOf(json)
  const protocol = textOf(config['protocol'])
  if (protocol !== undefined && protocol.toLowerCase() !== 'anytls') {
    throw unusable('it has a node of another protocol under this number')
  }
  const port = numberOf(config['server_port'])
  if (port === undefined || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw unusable('its configuration names no port')
  }
  const problems: string[] = []
  const host = textOf(config['listen_ip']) ?? '::'
  if (isIP(host) === 0) problems.push('listen_ip is no address: every address is meant')
  const intervals = isObject(config['base_config']) ? config['base_config'] : {}
  const scheme = readScheme(config['padding_scheme'], problems)
  const routes = readRoutes(config['routes'], problems)
  return {
    listen: { host: isIP(host) === 0 ? '::' : host, port },
    serverName: textOf(config['server_name']),
    scheme,
    routes,
    pushInterval: intervalOf(intervals['push_interval']),
    pullInterval: intervalOf(intervals['pull_interval']),
    problems,
  }
}

function readScheme(value: unknown, problems: string[]): Scheme | undefined {
  const lines = Array.isArray(value) ? value : textOf(value)?.split('\n')
  if (lines === undefined || lines.length === 0) return undefined
  try {
    return parseScheme(lines.map((line) => textOf(line) ?? '').join('\n'))
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    problems.push(`padding_scheme: ${error.message}`)
    return undefined
  }
}

/**
 * The users of a panel. Their ids there are their ids and names here.
 *
 * @throws PanelError for a list that is not whole
 */
export function readUsers(json: unknown, allowPrivate: boolean): UserTable {
  const { users } = objectOf(json)
  if (!Array.isArray(users)) throw unusable('its answer has no list of users')
  const read = new UserTable()
  for (const [index, entry] of users.entries()) {
    const user = readUser(entry, allowPrivate)
    if (user === undefined) {
      throw unusable(`entry ${index + 1} of its list is no user: the list is not taken`)
    }
    if (read.add(user) !== undefined) {
      throw unusable(`entry ${index + 1} of its list is there twice: the list is not taken`)
    }
  }
  return read
}

function readUser(entry: unknown, allowPrivate: boolean): User | undefined {
  if (!isObject(entry)) return undefined
  const id = numberOf(entry['id'])
  const password = textOf(entry['uuid'])
  if (id === undefined || !Number.isSafeInteger(id) || id < 0 || password === undefined)
    return undefined
  try {
    checkPassword(password)
  } catch {
    return undefined
  }
  const speed = numberOf(entry['speed_limit']) ?? 0
  const rate = speed > 0 ? Math.max(MIN_RATE, Math.round(speed * MEGABIT)) : undefined
  const devices = Math.trunc(numberOf(entry['device_limit']) ?? 0)
  return Object.freeze({
    ...DEFAULT_SETTINGS,
    id: String(id),
    name: String(id),
    // The panel gives them.
    subscription: undefined,
    hash: hashOf(password),
    password,
    created: undefined,
    maxUp: rate,
    maxDown: rate,
    maxAddresses: devices > 0 ? devices : undefined,
    allowPrivate,
  })
}

/**
 * How many devices users with a limit have at all nodes, by id.
 *
 * @throws PanelError
 */
export function readDevices(json: unknown): ReadonlyMap<string, number> {
  const { alive } = objectOf(json)
  // PHP writes an empty object as a list.
  if (alive === null || alive === undefined || (Array.isArray(alive) && alive.length === 0)) {
    return new Map()
  }
  if (!isObject(alive)) throw unusable('its answer has no devices')
  const devices = new Map<string, number>()
  for (const [id, value] of Object.entries(alive)) {
    const count = numberOf(value)
    if (count !== undefined && count > 0) devices.set(id, Math.trunc(count))
  }
  return devices
}

/** @throws PanelError */
function objectOf(json: unknown): Record<string, unknown> {
  if (!isObject(json)) throw unusable('its answer is not what was asked for')
  // Some wrap it.
  const { data } = json
  return isObject(data) && Object.keys(json).length <= 3 ? data : json
}

function textOf(value: unknown): string | undefined {
  const text = typeof value === 'number' ? String(value) : value
  return typeof text === 'string' && text !== '' ? text : undefined
}

function numberOf(value: unknown): number | undefined {
  const text = typeof value === 'string' ? value.trim() : value
  const number = typeof text === 'string' && text !== '' ? Number(text) : text
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

/** @returns milliseconds */
function intervalOf(value: unknown): number {
  const seconds = numberOf(value) ?? 0
  return Math.min(seconds >= 1 ? seconds : DEFAULT_INTERVAL, MAX_INTERVAL) * 1_000
}

/** It has answered, though. */
function unusable(problem: string): PanelError {
  return new PanelError(problem, { status: 200 })
}
