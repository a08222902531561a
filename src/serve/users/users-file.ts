// The text of a users file: JSON, one user a line, amounts as people write them.
// Must never pass over a fault: whoever edits the file is told its line and column.
import { statSync } from 'node:fs'
import { parseTree, findNodeAtLocation, printParseErrorCode } from 'jsonc-parser'
import type { Node, ParseError } from 'jsonc-parser'
import { AnyTlsError, invalidOption } from '../../errors.ts'
import { fileError, readLargeFile, readLines } from '../files.ts'
import { isObject, requireBoolean, requireString } from '../json.ts'
import {
  formatBytes,
  formatQuota,
  parseDate,
  parseLimit,
  parseQuota,
  parseRate,
} from './amounts.ts'
import {
  checkName,
  checkNote,
  checkPassword,
  checkSubscription,
  DEFAULT_SETTINGS,
  hashOf,
} from './user.ts'
import type { User } from './user.ts'
import { UserTable } from './user-table.ts'

const VERSION = 1

/** Bytes of a line, rather more than less: room that there is not is made. */
const MEAN_LINE = 256

/** Characters of a piece, about. */
const PIECE = 16_384

/** In larger files, which no hand has written, a key that stands there twice is not looked for. In bytes. */
const MAX_HANDWRITTEN = 1_048_576

/** What stands around the users, a line each, as {@link formatUsers} writes it. */
const [HEAD, TAIL] = [`{"version":${VERSION},"users":[`, ']}']

type Path = readonly (string | number)[]

/** What is wrong, and the value that it is wrong with. */
class Fault extends Error {
  readonly path: Path

  constructor(path: Path, problem: string) {
    super(problem)
    this.path = path
  }
}

/**
 * The users of a file.
 *
 * @throws AnyTlsError `ERR_FILE` with line and column
 */
export function parseUsers(text: string): readonly User[] {
  if (text.length <= MAX_HANDWRITTEN) refuseFaultyJson(text)
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    refuseFaultyJson(text)
    throw faultAt(text, 0, 'it is not valid JSON')
  }
  try {
    return readFile(json)
  } catch (error) {
    if (!(error instanceof Fault)) throw error
    throw faultAt(text, offsetOf(text, error.path), error.message)
  }
}

/** The text for {@link parseUsers}. */
export function formatUsers(users: Iterable<User>): string {
  return [...formatPieces(users)].join('')
}

/** As {@link formatUsers}, in pieces: all of it is many times what the users take in memory. */
export function* formatPieces(users: Iterable<User>): Iterable<string> {
  let piece = HEAD
  let end = '\n'
  for (const user of users) {
    piece += `${end}${formatUser(user)}`
    end = ',\n'
    if (piece.length < PIECE) continue
    yield piece
    piece = ''
  }
  yield `${piece}${end === '\n' ? '' : '\n'}${TAIL}\n`
}

/**
 * The users of a file; `undefined` when there is none.
 *
 * @throws AnyTlsError `ERR_FILE`, with line and column for a fault of its text
 */
export function readUsers(path: string): UserTable | undefined {
  const size = sizeOf(path)
  const users = new UserTable(size / MEAN_LINE)
  const isLarge = size > MAX_HANDWRITTEN
  if (isLarge && parseLines(readLines(path), (user) => users.add(user) === undefined)) return users
  const text = readLargeFile(path, 'users file')
  if (text === undefined) return undefined
  const all = new UserTable()
  try {
    for (const user of parseUsers(text)) all.add(user)
    return all
  } catch (error) {
    if (!(error instanceof AnyTlsError)) throw error
    throw fileError(`users file '${path}', ${error.message}`, error)
  }
}

/** In bytes; 0 for what cannot be looked at, of which whoever reads it tells. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size
  } catch {
    return 0
  }
}

/**
 * Reads a large file line by line, so that its users are not all in memory at once.
 *
 * @param add takes a user. @returns whether it does
 * @returns whether the lines are as {@link formatUsers} writes them, and without a fault: {@link parseUsers} tells of it
 */
function parseLines(lines: Iterable<string>, add: (user: User) => boolean): boolean {
  let expected: 'head' | 'user' | 'tail' | 'end' = 'head'
  for (const line of lines) {
    if (expected === 'user') {
      const isLast = !line.endsWith(',')
      const user = parseUser(isLast ? line : line.slice(0, -1))
      if (user === undefined || !add(user)) return false
      if (isLast) expected = 'tail'
    } else {
      if (line !== { head: HEAD, tail: TAIL, end: '' }[expected]) return false
      expected = expected === 'head' ? 'user' : 'end'
    }
  }
  return expected === 'end'
}

/** One user, for {@link parseUser}. */
export function formatUser(user: User): string {
  return JSON.stringify(fieldsOf(user))
}

/** @returns `undefined` for what is no user */
export function parseUser(text: string): User | undefined {
  try {
    return readUser(JSON.parse(text), [])
  } catch (error) {
    if (error instanceof Fault || error instanceof SyntaxError) return undefined
    throw error
  }
}

function fieldsOf(user: User): Record<string, unknown> {
  const { expires, quota, maxUp, maxDown, created } = user
  return {
    name: user.name,
    id: user.id === user.name ? undefined : user.id,
    password: user.password,
    hash: user.password === undefined ? user.hash : undefined,
    subscription: user.subscription,
    enabled: user.enabled,
    expires: expires === undefined ? undefined : new Date(expires).toISOString(),
    quota: quota && formatQuota(quota),
    maxUp: maxUp === undefined ? undefined : formatBytes(maxUp),
    maxDown: maxDown === undefined ? undefined : formatBytes(maxDown),
    maxSessions: user.maxSessions,
    maxAddresses: user.maxAddresses,
    allowPrivate: user.allowPrivate || undefined,
    note: user.note,
    created: created === undefined ? undefined : new Date(created).toISOString(),
  }
}

function readFile(json: unknown): readonly User[] {
  if (!isObject(json)) throw new Fault([], 'a users file is an object with a list of users')
  for (const key of Object.keys(json)) {
    if (key !== 'version' && key !== 'users') throw new Fault([key], unknownKey(key))
  }
  if (json['version'] !== VERSION) {
    const path = 'version' in json ? ['version'] : []
    throw new Fault(path, `the version is not ${VERSION}`)
  }
  const list = json['users']
  if (!Array.isArray(list)) {
    throw new Fault('users' in json ? ['users'] : [], 'users is no list')
  }
  const users = list.map((entry: unknown, index) => readUser(entry, ['users', index]))
  refuseSame(users)
  return users
}

function unknownKey(key: string): string {
  return `${JSON.stringify(key)} is not known here`
}

function refuseSame(users: readonly User[]): void {
  const names = new Set<string>()
  const ids = new Set<string>()
  const hashes = new Set<string>()
  const subscriptions = new Set<string>()
  for (const [index, { name, id, hash, password, subscription }] of users.entries()) {
    if (names.has(name)) throw new Fault(['users', index, 'name'], 'another user has this name')
    if (ids.has(id)) throw new Fault(['users', index, 'id'], 'another user has this id')
    if (hashes.has(hash)) {
      const key = password === undefined ? 'hash' : 'password'
      throw new Fault(['users', index, key], 'another user has this password')
    }
    if (subscription !== undefined && subscriptions.has(subscription)) {
      throw new Fault(['users', index, 'subscription'], 'another user has this subscription')
    }
    names.add(name)
    ids.add(id)
    hashes.add(hash)
    if (subscription !== undefined) subscriptions.add(subscription)
  }
}

const KEYS = new Set([
  ...['name', 'id', 'password', 'hash', 'enabled', 'expires', 'quota', 'maxUp', 'maxDown'],
  ...['maxSessions', 'maxAddresses', 'allowPrivate', 'note', 'created', 'subscription'],
])

function readUser(entry: unknown, path: Path): User {
  if (!isObject(entry)) throw new Fault(path, 'a user is an object')
  for (const key of Object.keys(entry)) {
    if (!KEYS.has(key)) throw new Fault([...path, key], unknownKey(key))
  }
  /** Reads a key, if it is there and not null. */
  const optional = <T>(key: string, read: (value: unknown) => T): T | undefined => {
    const value = entry[key] ?? undefined
    if (value === undefined) return undefined
    try {
      return read(value)
    } catch (error) {
      if (!(error instanceof AnyTlsError)) throw error
      throw new Fault([...path, key], `${key}: ${error.message}`)
    }
  }
  const name = optional('name', (value) => checkName(requireString(value)))
  if (name === undefined) throw new Fault(path, 'a user without a name')
  const password = optional('password', (value) => checkPassword(requireString(value)))
  const own = password && hashOf(password)
  const hash = optional('hash', readHash) ?? own
  if (hash === undefined) throw new Fault(path, 'a user has neither password nor hash')
  if (password !== undefined && hash !== own) {
    throw new Fault([...path, 'hash'], 'hash: it is not that of the password')
  }
  const subscription = optional('subscription', (value) => checkSubscription(requireString(value)))
  if (subscription !== undefined && password === undefined) {
    throw new Fault(
      [...path, 'subscription'],
      'subscription: it gives a password, which is not here',
    )
  }
  return Object.freeze({
    id: optional('id', readId) ?? name,
    name,
    hash,
    password,
    subscription,
    enabled: optional('enabled', requireBoolean) ?? DEFAULT_SETTINGS.enabled,
    expires: optional('expires', (value) => parseDate(requireString(value))),
    quota: optional('quota', (value) => parseQuota(requireString(value))),
    maxUp: optional('maxUp', (value) => parseRate(requireString(value))),
    maxDown: optional('maxDown', (value) => parseRate(requireString(value))),
    maxSessions: optional('maxSessions', readLimit),
    maxAddresses: optional('maxAddresses', readLimit),
    allowPrivate: optional('allowPrivate', requireBoolean) ?? DEFAULT_SETTINGS.allowPrivate,
    note: optional('note', (value) => checkNote(requireString(value))),
    created: optional('created', (value) => parseDate(requireString(value))),
  })
}

function readLimit(value: unknown): number {
  return parseLimit(typeof value === 'number' ? String(value) : '')
}

function readHash(value: unknown): string {
  const hash = requireString(value).toLowerCase()
  if (/^[0-9a-f]{64}$/.test(hash)) return hash
  throw invalidOption('it is not the SHA-256 of a password, 64 hexadecimal digits')
}

function readId(value: unknown): string {
  const id = requireString(value)
  if (id !== '' && id.length <= 128) return id
  throw invalidOption('it has not 1 to 128 characters')
}

/** @throws AnyTlsError `ERR_FILE` for the first fault of the JSON, or a key that stands in an object twice */
function refuseFaultyJson(text: string): void {
  const errors: ParseError[] = []
  let root: Node | undefined
  try {
    root = parseTree(text, errors, { disallowComments: true, allowEmptyContent: false })
  } catch {
    // Its parser calls itself for each level.
    throw faultAt(text, 0, 'it is nested too deeply')
  }
  const [first] = errors
  if (first !== undefined) throw faultAt(text, first.offset, describe(first, text))
  for (const node of root === undefined ? [] : objectsIn(root)) {
    const keys = new Set<unknown>()
    for (const property of node.children ?? []) {
      const [key] = property.children ?? []
      if (keys.has(key?.value)) throw faultAt(text, property.offset, 'this key stands here twice')
      keys.add(key?.value)
    }
  }
}

function* objectsIn(node: Node): Iterable<Node> {
  if (node.type === 'object') yield node
  for (const child of node.children ?? []) yield* objectsIn(child)
}

/** The parser's name for it, as words: `CommaExpected`. */
function describe({ error, offset }: ParseError, text: string): string {
  if (offset >= text.trimEnd().length) return 'the file ends too early'
  const words = printParseErrorCode(error).replace(/(?!^)([A-Z])/g, ' $1')
  return `it is not valid JSON: ${words.toLowerCase()}`
}

function offsetOf(text: string, path: Path): number {
  const root = parseTree(text)
  for (let length = path.length; root !== undefined && length >= 0; length -= 1) {
    const node = findNodeAtLocation(root, path.slice(0, length))
    if (node !== undefined) return node.offset
  }
  return 0
}

function faultAt(text: string, offset: number, problem: string): AnyTlsError {
  const before = text.slice(0, offset)
  const line = before.split('\n').length
  const column = offset - before.lastIndexOf('\n')
  return new AnyTlsError('ERR_FILE', `line ${line}, column ${column}: ${problem}`)
}
