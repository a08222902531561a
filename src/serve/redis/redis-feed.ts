// What stands in Redis, copied into memory: read whole once, then followed entry by entry of the feed.
import { isAmount } from '../json.ts'
import { isUsedByDay } from '../usage/journal.ts'
import type { UserChange } from '../users/user-table.ts'
import { FOREIGN_KEYS, RedisError } from './redis-link.ts'
import type { RedisLink } from './redis-link.ts'
import { UsageMirror } from './redis-mirror.ts'
import type { ServedUsers } from './served-users.ts'

/** What is asked for at once. */
const SCANNED = 1_000
const READ_AT_ONCE = 500
const FOLLOWED = 500

export interface RedisFeedOptions {
  readonly link: RedisLink
  readonly served: ServedUsers
  /** Told when a part of all that is read anew has come. */
  readonly heard: () => void
  /** Awaited after all was read anew, with the endpoint as it stands there, before it is put to use. */
  readonly beforeUse: (endpoint: unknown) => Promise<void>
  /** Told of users who have changed. */
  readonly changed: (changes: readonly UserChange[]) => void
}

export class RedisFeed {
  readonly mirror = new UsageMirror()
  readonly #options: RedisFeedOptions
  /** The number of the last entry that is in. */
  #position = 0
  /** Whether all has to be read anew. */
  #isStale = true

  constructor(options: RedisFeedOptions) {
    this.#options = options
  }

  get isStale(): boolean {
    return this.#isStale
  }

  /** Redis may have lost what it had, or be another one: all is to be read anew. */
  distrust(): void {
    this.#isStale = true
  }

  /**
   * Brings the copy up to what Redis says.
   *
   * @throws RedisError rejects
   */
  async catchUp(): Promise<void> {
    if (!this.#isStale) await this.follow()
    if (this.#isStale) await this.#load()
  }

  /**
   * Takes in what has changed since.
   *
   * @throws RedisError rejects
   */
  async follow(): Promise<void> {
    const { link } = this.#options
    for (;;) {
      const [last, entries] = await link.all([
        ['GET', link.key('number')],
        ['XRANGE', link.key('feed'), `(${this.#position}-0`, '+', 'COUNT', FOLLOWED],
      ])
      const number = readNumber(last)
      const list = readEntries(entries)
      // It has lost something, or we have missed too much.
      const isCut = number < this.#position || (number > this.#position && list.length === 0)
      this.#isStale ||= isCut
      const changed = new Set<string>()
      for (const entry of list) {
        if (entry.number !== this.#position + 1) this.#isStale = true
        if (this.#isStale) break
        this.#position = entry.number
        if (entry.kind === 'user') changed.add(entry.value)
        else if (entry.kind === 'reset') this.mirror.reset(entry.number, entry.value)
        else this.#addUsed(entry.number, entry.value)
      }
      if (changed.size > 0) await this.#takeChanged([...changed])
      if (this.#isStale || list.length < FOLLOWED) return
    }
  }

  /** Reads everything anew. */
  async #load(): Promise<void> {
    const { link, served, heard, beforeUse, changed } = this.#options
    const [number, endpoint] = await link.all([
      ['GET', link.key('number')],
      ['GET', link.key('endpoint')],
    ])
    const position = readNumber(number)
    const revoked = new Set<string>()
    served.begin()
    let cursor = '0'
    do {
      const page = await link.call('HSCAN', link.key('users'), cursor, 'COUNT', SCANNED)
      const [next, fields] = readPage(page)
      for (let index = 0; index + 1 < fields.length; index += 2) {
        this.#take(fields[index] ?? '', fields[index + 1] ?? null, revoked)
      }
      cursor = next
      heard()
    } while (cursor !== '0')
    await this.#loadUsage([...served.present()])
    this.#position = position
    await beforeUse(endpoint)
    this.#isStale = false
    changed(served.settle(revoked))
  }

  async #loadUsage(ids: readonly string[]): Promise<void> {
    const { link, heard } = this.#options
    this.mirror.clear()
    for (let at = 0; at < ids.length; at += READ_AT_ONCE) {
      const some = ids.slice(at, at + READ_AT_ONCE)
      const used = await link.all(some.map((id) => ['HGETALL', link.key(`usage:${id}`)]))
      for (const [index, id] of some.entries()) this.mirror.set(id, used[index])
      heard()
    }
  }

  #addUsed(number: number, text: string): void {
    let used: unknown
    try {
      used = JSON.parse(text)
    } catch {
      return
    }
    if (isUsedByDay(used)) this.mirror.add(number, used)
  }

  async #takeChanged(ids: readonly string[]): Promise<void> {
    const { link, served, changed } = this.#options
    const records = await link.call('HMGET', link.key('users'), ...ids)
    const revoked = new Set<string>()
    for (const [index, id] of ids.entries()) {
      const record: unknown = Array.isArray(records) ? records[index] : null
      this.#take(id, typeof record === 'string' ? record : null, revoked)
    }
    changed(served.settleSome(ids, revoked))
  }

  #take(id: string, record: string | null, revoked: Set<string>): void {
    this.#options.served.take(id, record, revoked)
    if (revoked.has(id)) this.mirror.tally.delete(id)
  }
}

/** @throws RedisError */
function readNumber(value: unknown): number {
  const number = value === null ? 0 : Number(value)
  if (isAmount(number)) return number
  throw new RedisError(FOREIGN_KEYS)
}

/** A page of HSCAN: fields and values in turn. */
function readPage(page: unknown): readonly [cursor: string, fields: readonly string[]] {
  if (!Array.isArray(page) || !Array.isArray(page[1])) return ['0', []]
  return [String(page[0]), (page[1] as unknown[]).map(String)]
}

/** Something that has changed. */
interface FeedEntry {
  readonly number: number
  readonly kind: string
  readonly value: string
}

function readEntries(entries: unknown): readonly FeedEntry[] {
  if (!Array.isArray(entries)) return []
  return (entries as unknown[]).flatMap((entry) => {
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) return []
    const [kind, value] = entry[1] as unknown[]
    return {
      number: Number(String(entry[0]).split('-', 1)[0]),
      kind: String(kind),
      value: String(value),
    }
  })
}
