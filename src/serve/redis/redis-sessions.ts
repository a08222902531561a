// Which sessions users have, told among the servers that share a Redis: each says its own, and sums up all.
// Must never show those of a server for long that has gone.
import { isAmount, isObject } from '../json.ts'
import type { SessionsByUser } from '../users/store.ts'
import type { RedisLink } from './redis-link.ts'
import { LEASE } from './redis-scripts.ts'

/** Sessions of a server that has gone are shown for so long, in seconds. */
const SHOWN = 60

export class RedisSessions {
  readonly #link: RedisLink
  readonly #server: string
  #own: SessionsByUser = new Map()
  #published = { text: '', time: -Infinity }
  #all: ReadonlyMap<string, number> = new Map()

  /** @param server by which it is known there */
  constructor(link: RedisLink, server: string) {
    this.#link = link
    this.#server = server
  }

  /** Of a user, at all servers. */
  of(id: string): number {
    return this.#all.get(id) ?? 0
  }

  set own(sessions: SessionsByUser) {
    this.#own = sessions
  }

  /** @throws RedisError */
  async publish(): Promise<void> {
    const counts = Array.from(this.#own, ([id, { length }]) => [id, length] as const)
    const text = JSON.stringify(Object.fromEntries(counts))
    const now = performance.now()
    if (text === this.#published.text && now - this.#published.time < (SHOWN * 1_000) / 4) return
    await this.#link.call('SET', this.#key(this.#server), text, 'EX', SHOWN)
    this.#published = { text, time: now }
  }

  /** @throws RedisError */
  async read(): Promise<void> {
    if (!this.#link.isReady) return
    const [time] = (await this.#link.call('TIME')) as readonly string[]
    const since = Number(time) - LEASE
    const key = this.#link.key('servers')
    const servers = await this.#link.call('ZRANGEBYSCORE', key, since, '+inf')
    if (!Array.isArray(servers) || servers.length === 0) {
      this.#all = new Map()
      return
    }
    const keys = servers.map((server) => this.#key(String(server)))
    const texts = await this.#link.call('MGET', ...keys)
    const sums = new Map<string, number>()
    for (const text of Array.isArray(texts) ? (texts as unknown[]) : []) {
      for (const [id, count] of readCounts(text)) sums.set(id, (sums.get(id) ?? 0) + count)
    }
    this.#all = sums
  }

  /** Says that this server has none any more. */
  async withdraw(): Promise<void> {
    await this.#link.call('DEL', this.#key(this.#server)).catch(() => {})
  }

  #key(server: string): string {
    return this.#link.key(`live:${server}`)
  }
}

/** Sessions of a server by user. */
function readCounts(text: unknown): readonly (readonly [id: string, count: number])[] {
  if (typeof text !== 'string') return []
  try {
    const json: unknown = JSON.parse(text)
    return isObject(json)
      ? Object.entries(json).flatMap(([id, count]) =>
          isAmount(count) ? [[id, count] as const] : [],
        )
      : []
  } catch {
    return []
  }
}
