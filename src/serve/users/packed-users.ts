// Users as bytes, one behind the other: 100,000 of them are a block of memory, not a million objects to be looked after.
// Must never give back another user than it was given.
import { invalidOption } from '../../errors.ts'
import { QUOTA_PERIODS } from './amounts.ts'
import { hashOf } from './user.ts'
import type { User } from './user.ts'

/** What a user is known by where all are gone through. */
export type UserTitle = Pick<User, 'id' | 'name' | 'note'>

/** What a user is found by. */
type UserSecrets = Pick<User, 'hash' | 'subscription'>

const [ENABLED, ALLOW_PRIVATE, PASSWORD, OTHER_HASH, SUBSCRIPTION, NOTE] = [1, 2, 4, 8, 16, 32]

/** Numbers that a user may have, and the bits that say so. */
const NUMBERS = {
  expires: 64,
  maxUp: 128,
  maxDown: 256,
  maxSessions: 512,
  maxAddresses: 1_024,
  created: 2_048,
} as const

/** Period of the quota and one, 0 for none. */
const PERIOD_SHIFT = 12

/** Bytes of a user at most, and of what is no text of it. */
const MAX_LENGTH = 16_384
const MAX_REST = 128

/** What is taken of memory at once, in bytes. */
const BLOCK = 262_144

/** Empty places that are worth no trouble. */
const SPARSE = 1_024

/** Without a user. */
const NONE = 0xff_ff_ff_ff

/** A list of users, some places of which may be empty. */
export class PackedUsers {
  /** Of the same size, so that what grows is never copied. */
  #blocks: Buffer[] = []
  /** Where the next one goes, counted over all blocks, and how many bytes before that are of users who are here. */
  #end = 0
  #used = 0
  /** Of each place: where its user begins. */
  #starts = new Uint32Array(16)
  #places = 0
  #size = 0

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
    if (this.#places === this.#starts.length) {
      const more = new Uint32Array(this.#places * 2)
      more.set(this.#starts)
      this.#starts = more
    }
    const place = this.#places
    this.#places += 1
    this.#size += 1
    this.#starts[place] = this.#write(user)
    return place
  }

  /** Puts another version of a user in its place. */
  set(place: number, user: User): void {
    this.#free(place)
    this.#starts[place] = this.#write(user)
    this.#tidy()
  }

  delete(place: number): void {
    this.#free(place)
    this.#starts[place] = NONE
    this.#size -= 1
    this.#tidy()
  }

  /** Places that have a user, in the order in which they were added. */
  *places(): IterableIterator<number> {
    for (let place = 0; place < this.#places; place += 1) {
      if (this.#starts[place] !== NONE) yield place
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

  #startOf(place: number): number {
    const start = this.#starts[place] ?? NONE
    if (start === NONE) throw new RangeError('nobody is there')
    return start
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

  /** Where there is room for one more. */
  #room(): Buffer {
    const left = this.#blocks.length * BLOCK - this.#end
    const last = this.#blocks.at(-1)
    if (last !== undefined && left >= MAX_LENGTH) return last
    const block = Buffer.allocUnsafeSlow(BLOCK)
    this.#end = this.#blocks.push(block) * BLOCK - BLOCK
    return block
  }

  #write(user: User): number {
    const block = this.#room()
    const start = this.#end
    this.#end += writeUser(block, start % BLOCK, user)
    this.#used += this.#end - start
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
    for (const [place, record] of records) {
      const block = this.#room()
      record.copy(block, this.#end % BLOCK)
      this.#starts[place] = this.#end
      this.#end += record.length
    }
  }
}

/** @returns how many bytes it has taken */
function writeUser(bytes: Buffer, start: number, user: User): number {
  const { id, name, password, subscription, note, quota } = user
  const length = [id, name, password, subscription, note].join('').length
  if (2 * length > MAX_LENGTH - MAX_REST - 2 * user.hash.length) {
    throw invalidOption('what is said of a user is too long')
  }
  const hasOtherHash = password === undefined || hashOf(password) !== user.hash
  let flags = (user.enabled ? ENABLED : 0) | (user.allowPrivate ? ALLOW_PRIVATE : 0)
  // Its length comes first, then what of it there is.
  let at = start + 4
  const writeText = (flag: number, text: string | undefined): void => {
    if (text === undefined) return
    flags |= flag
    // Most are of one byte a character; whatever else is kept as it is, half characters included.
    const isNarrow = /^[\0-\xff]*$/.test(text)
    bytes.writeUInt16LE(text.length * 2 + (isNarrow ? 0 : 1), at)
    at += 2
    at += bytes.write(text, at, isNarrow ? 'latin1' : 'utf16le')
  }
  writeText(0, id)
  writeText(0, name)
  writeText(NOTE, note)
  writeText(PASSWORD, password)
  writeText(OTHER_HASH, hasOtherHash ? user.hash : undefined)
  writeText(SUBSCRIPTION, subscription)
  const writeNumber = (name: keyof typeof NUMBERS): void => {
    const number = user[name]
    if (number === undefined) return
    flags |= NUMBERS[name]
    at = bytes.writeDoubleLE(number, at)
  }
  writeNumber('expires')
  writeNumber('maxUp')
  writeNumber('maxDown')
  writeNumber('maxSessions')
  writeNumber('maxAddresses')
  writeNumber('created')
  if (quota !== undefined) {
    flags |= (QUOTA_PERIODS.indexOf(quota.per) + 1) << PERIOD_SHIFT
    at = bytes.writeDoubleLE(quota.bytes, at)
  }
  bytes.writeUInt16LE(at - start, start)
  bytes.writeUInt16LE(flags, start + 2)
  return at - start
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
    return { id: this.#text(), name: this.#text(), note: this.#textIf(NOTE) }
  }

  secrets(): UserSecrets {
    this.title()
    const password = this.#textIf(PASSWORD)
    return {
      hash: this.#textIf(OTHER_HASH) ?? hashOf(password ?? ''),
      subscription: this.#textIf(SUBSCRIPTION),
    }
  }

  /** In the order in which it was written. */
  user(): User {
    const { id, name, note } = this.title()
    const password = this.#textIf(PASSWORD)
    const hash = this.#textIf(OTHER_HASH) ?? hashOf(password ?? '')
    const subscription = this.#textIf(SUBSCRIPTION)
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
    const head = this.#bytes.readUInt16LE(this.#at)
    const start = this.#at + 2
    this.#at = start + (head >> 1) * (head & 1 ? 2 : 1)
    return this.#bytes.toString(head & 1 ? 'utf16le' : 'latin1', start, this.#at)
  }

  #number(): number {
    this.#at += 8
    return this.#bytes.readDoubleLE(this.#at - 8)
  }
}
