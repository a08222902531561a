// Users as bytes, one behind the other: 100,000 of them are a block of memory, not a million objects to be looked after.
// Must never give back another user than it was given.
import { invalidOption } from '../../errors.ts'
import { QUOTA_PERIODS } from './amounts.ts'
import { PackedNumbers } from './packed-numbers.ts'
import { hashOf } from './user.ts'
import type { User } from './user.ts'

/** What a user is known by where all are gone through. */
export type UserTitle = Pick<User, 'id' | 'name' | 'note'>

/** What a user is found by. */
type UserSecrets = Pick<User, 'hash' | 'subscription'>

const [ENABLED, ALLOW_PRIVATE] = [1, 2]

/** Texts that a user has, the first two always, and the bits that say so; its hash where no password gives it. */
const TEXTS = { id: 0, name: 0, note: 4, password: 8, hash: 16, subscription: 32 } as const
const TEXT_NAMES = Object.keys(TEXTS) as (keyof typeof TEXTS)[]

/** Numbers that a user may have, and the bits that say so. */
const NUMBERS = {
  expires: 64,
  maxUp: 128,
  maxDown: 256,
  maxSessions: 512,
  maxAddresses: 1_024,
  created: 2_048,
} as const
const NUMBER_NAMES = Object.keys(NUMBERS) as (keyof typeof NUMBERS)[]

/** Period of the quota and one, 0 for none. */
const PERIOD_SHIFT = 12

/** Bytes of a user at most, and of what is no text of it. */
const MAX_LENGTH = 16_384
const MAX_REST = 128

/** What is taken of memory at once, in bytes: so much that it stands beside what comes and goes, not among it. */
const BLOCK = 1_048_576

/** How a text is kept, by the last two bits of its head: the rest is its length in characters. */
const [LATIN1, UTF16, BASE64URL, HEX] = [0, 1, 2, 3] as const
const FORMS = [
  { encoding: 'latin1', bytes: (length: number) => length },
  { encoding: 'utf16le', bytes: (length: number) => length * 2 },
  { encoding: 'base64url', bytes: (length: number) => Math.floor((length * 3) / 4) },
  { encoding: 'hex', bytes: (length: number) => length / 2 },
] as const

/** Most bytes of a number that is kept as an integer, and of its zeros at the end; others are doubles. */
const MAX_INTEGER_BYTES = 6
const MAX_ZEROS = 15
const DOUBLE_BYTES = 8

/** Empty places that are worth no trouble. */
const SPARSE = 1_024

/** What is said of a place without a user; others begin one behind what is said. */
const NONE = 0

/** How many times as many places there are once all are taken. */
const GROWTH = 1.25

/** Where a user is written before it is known how long it is. */
const scratch = Buffer.allocUnsafeSlow(MAX_LENGTH)

/** A list of users, some places of which may be empty. */
export class PackedUsers {
  /** Of the same size, so that what grows is never copied. */
  #blocks: Buffer[] = []
  /** Where the next one goes, counted over all blocks, and how many bytes before that are of users who are here. */
  #end = 0
  #used = 0
  /** Of each place: where its user begins, and one. */
  #starts: PackedNumbers
  #places = 0
  #size = 0

  /** @param expected how many there will be, about */
  constructor(expected = 0) {
    this.#starts = new PackedNumbers(Math.max(Math.ceil(expected), 16), BLOCK)
  }

  /** How many users there are. */
  get size(): number {
    return this.#size
  }

  /** Whether most places are empty: a place is never used again. */
  get isSparse(): boolean {
    return this.#places > 2 * this.#size + SPARSE
  }

  /**
   * @returns the place
   * @throws AnyTlsError `ERR_OPTION_INVALID` for one whose texts are far longer than any user's
   */
  add(user: User): number {
    const place = this.#places
    this.#setStart(place, this.#write(user))
    this.#places += 1
    this.#size += 1
    return place
  }

  /** Puts another version of a user in its place. */
  set(place: number, user: User): void {
    const start = this.#write(user)
    this.#free(place)
    this.#setStart(place, start)
    this.#tidy()
  }

  delete(place: number): void {
    this.#free(place)
    this.#starts.set(place, NONE)
    this.#size -= 1
    this.#tidy()
  }

  /** Places that have a user, in the order in which they were added. */
  *places(): IterableIterator<number> {
    for (let place = 0; place < this.#places; place += 1) {
      if (this.#starts.at(place) !== NONE) yield place
    }
  }

  /** The user of a place, which has one. */
  at(place: number): User {
    return this.#readerAt(place).user()
  }

  secretsAt(place: number): UserSecrets {
    return this.#readerAt(place).secrets()
  }

  titleAt(place: number): UserTitle {
    return this.#readerAt(place).title()
  }

  /** Whether the user of a place is the same as that of a place of others. */
  isSame(place: number, others: PackedUsers, other: number): boolean {
    return this.#recordAt(place).equals(others.#recordAt(other))
  }

  /** All users one behind the other, for {@link unpackUsers} of another process. */
  pack(): Uint8Array {
    const packed = Buffer.allocUnsafeSlow(this.#used)
    let at = 0
    for (const place of this.places()) at += this.#recordAt(place).copy(packed, at)
    return packed
  }

  #startOf(place: number): number {
    const start = this.#starts.at(place)
    if (start === NONE) throw new RangeError('nobody is there')
    return start - 1
  }

  #setStart(place: number, start: number): void {
    const { length, max } = this.#starts
    if (place >= length || start >= max) {
      const more = new PackedNumbers(
        place < length ? length : Math.ceil(length * GROWTH),
        Math.max(max, start + 1),
      )
      for (let known = 0; known < this.#places; known += 1) more.set(known, this.#starts.at(known))
      this.#starts = more
    }
    this.#starts.set(place, start + 1)
  }

  #readerAt(place: number): Reader {
    const start = this.#startOf(place)
    return new Reader(this.#blockAt(start), start % BLOCK)
  }

  #blockAt(start: number): Buffer {
    const block = this.#blocks[Math.floor(start / BLOCK)]
    if (block === undefined) throw new RangeError('nothing is there')
    return block
  }

  #recordAt(place: number): Buffer {
    const start = this.#startOf(place)
    const [block, at] = [this.#blockAt(start), start % BLOCK]
    return block.subarray(at, at + block.readUInt16LE(at))
  }

  #write(user: User): number {
    const record = scratch.subarray(0, writeUser(scratch, user))
    this.#used += record.length
    return this.#append(record)
  }

  /** @returns where it begins */
  #append(record: Buffer): number {
    const left = this.#blocks.length * BLOCK - this.#end
    let block = this.#blocks.at(-1)
    if (block === undefined || left < record.length) {
      block = Buffer.allocUnsafeSlow(BLOCK)
      this.#end = this.#blocks.push(block) * BLOCK - BLOCK
    }
    const start = this.#end
    record.copy(block, start % BLOCK)
    this.#end += record.length
    return start
  }

  #free(place: number): void {
    this.#used -= this.#recordAt(place).length
  }

  /** Moves together what is left, once that is worth it. */
  #tidy(): void {
    if (this.#blocks.length < 2 || this.#used > this.#end / 2) return
    const records = Array.from(this.places(), (place) => [place, this.#recordAt(place)] as const)
    this.#blocks = []
    this.#end = 0
    for (const [place, record] of records) this.#setStart(place, this.#append(record))
  }
}

/** The users that {@link PackedUsers.pack} has put together. */
export function* unpackUsers(packed: Uint8Array): IterableIterator<User> {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  for (let at = 0; at < bytes.length; at += bytes.readUInt16LE(at)) {
    yield new Reader(bytes, at).user()
  }
}

/** @returns how many bytes it has taken */
function writeUser(bytes: Buffer, user: User): number {
  const { id, name, password, subscription, note, quota } = user
  const length = [id, name, password, subscription, note].join('').length
  if (2 * length > MAX_LENGTH - MAX_REST - 2 * user.hash.length) {
    throw invalidOption('what is said of a user is too long')
  }
  const hash = password !== undefined && hashOf(password) === user.hash ? undefined : user.hash
  let flags = (user.enabled ? ENABLED : 0) | (user.allowPrivate ? ALLOW_PRIVATE : 0)
  // Its length comes first, then what of it there is.
  let at = 4
  for (const name of TEXT_NAMES) {
    const text = name === 'hash' ? hash : user[name]
    if (text === undefined) continue
    flags |= TEXTS[name]
    at = writeTextAt(bytes, at, text)
  }
  for (const name of NUMBER_NAMES) {
    const number = user[name]
    if (number === undefined) continue
    flags |= NUMBERS[name]
    at = writeNumberAt(bytes, at, number)
  }
  if (quota !== undefined) {
    flags |= (QUOTA_PERIODS.indexOf(quota.per) + 1) << PERIOD_SHIFT
    at = writeNumberAt(bytes, at, quota.bytes)
  }
  bytes.writeUInt16LE(at, 0)
  bytes.writeUInt16LE(flags, 2)
  return at
}

/**
 * The form that takes the fewest bytes, of those that keep all of a text, half characters included.
 *
 * @param start where it is tried, and the text is written then: without garbage, of which many users make much
 */
function formOf(bytes: Buffer, start: number, text: string): number {
  if (/^(?:[\da-f]{2})+$/.test(text)) return HEX
  if (/^[\w-]+$/.test(text)) {
    const end = start + bytes.write(text, start, 'base64url')
    if (bytes.toString('base64url', start, end) === text) return BASE64URL
  }
  return /^[\0-\xff]*$/.test(text) ? LATIN1 : UTF16
}

/** @returns where it ends */
function writeTextAt(bytes: Buffer, start: number, text: string): number {
  const form = formOf(bytes, start, text)
  let at = start
  let head = text.length * FORMS.length + form
  for (; head >= 0x80; head >>= 7) at = bytes.writeUInt8((head & 0x7f) | 0x80, at)
  at = bytes.writeUInt8(head, at)
  return at + bytes.write(text, at, FORMS[form]?.encoding)
}

/** @returns where it ends */
function writeNumberAt(bytes: Buffer, start: number, number: number): number {
  const isInteger = Number.isInteger(number) && number >= 0 && number < 2 ** (8 * MAX_INTEGER_BYTES)
  if (!isInteger) {
    return bytes.writeDoubleLE(number, bytes.writeUInt8(DOUBLE_BYTES, start))
  }
  // Amounts are round as a rule.
  let [digits, zeros, size] = [number, 0, 1]
  for (; digits > 0 && digits % 10 === 0 && zeros < MAX_ZEROS; zeros += 1) digits /= 10
  while (digits >= 2 ** (8 * size)) size += 1
  return bytes.writeUIntLE(digits, bytes.writeUInt8(zeros * 16 + size, start), size)
}

class Reader {
  readonly #bytes: Buffer
  readonly #flags: number
  #at: number

  constructor(bytes: Buffer, start: number) {
    this.#bytes = bytes
    this.#flags = bytes.readUInt16LE(start + 2)
    this.#at = start + 4
  }

  title(): UserTitle {
    return { id: this.#text(), name: this.#text(), note: this.#textIf(TEXTS.note) }
  }

  secrets(): UserSecrets {
    this.title()
    const password = this.#textIf(TEXTS.password)
    return {
      hash: this.#textIf(TEXTS.hash) ?? hashOf(password ?? ''),
      subscription: this.#textIf(TEXTS.subscription),
    }
  }

  /** In the order in which it was written. */
  user(): User {
    const { id, name, note } = this.title()
    const password = this.#textIf(TEXTS.password)
    const hash = this.#textIf(TEXTS.hash) ?? hashOf(password ?? '')
    const subscription = this.#textIf(TEXTS.subscription)
    const expires = this.#numberIf(NUMBERS.expires)
    const maxUp = this.#numberIf(NUMBERS.maxUp)
    const maxDown = this.#numberIf(NUMBERS.maxDown)
    const maxSessions = this.#numberIf(NUMBERS.maxSessions)
    const maxAddresses = this.#numberIf(NUMBERS.maxAddresses)
    const created = this.#numberIf(NUMBERS.created)
    const per = QUOTA_PERIODS[(this.#flags >> PERIOD_SHIFT) - 1]
    return Object.freeze({
      id,
      name,
      hash,
      password,
      subscription,
      enabled: this.#has(ENABLED),
      expires,
      quota: per === undefined ? undefined : { bytes: this.#number(), per },
      maxUp,
      maxDown,
      maxSessions,
      maxAddresses,
      allowPrivate: this.#has(ALLOW_PRIVATE),
      note,
      created,
    })
  }

  #has(flag: number): boolean {
    return (this.#flags & flag) !== 0
  }

  #textIf(flag: number): string | undefined {
    return this.#has(flag) ? this.#text() : undefined
  }

  #numberIf(flag: number): number | undefined {
    return this.#has(flag) ? this.#number() : undefined
  }

  #text(): string {
    let head = 0
    for (let shift = 0, more = true; more; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at)
      this.#at += 1
      head |= (byte & 0x7f) << shift
      more = byte >= 0x80
    }
    const { encoding, bytes } = FORMS[head % FORMS.length] ?? FORMS[LATIN1]
    const start = this.#at
    this.#at += bytes(Math.floor(head / FORMS.length))
    return this.#bytes.toString(encoding, start, this.#at)
  }

  #number(): number {
    const head = this.#bytes.readUInt8(this.#at)
    const [size, zeros] = [head % 16, head >> 4]
    const start = this.#at + 1
    this.#at = start + size
    return size === DOUBLE_BYTES
      ? this.#bytes.readDoubleLE(start)
      : this.#bytes.readUIntLE(start, size) * 10 ** zeros
  }
}
