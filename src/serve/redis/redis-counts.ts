// What users used, told to Redis in batches that it takes once each, and told again while it may have lost them.
// Must never count a byte twice, or let go of one that Redis has not said it has.
import type { Trouble } from '../remote/trouble.ts'
import type { Batch, WaitingCounts } from '../remote/waiting-counts.ts'
import { Tally } from '../usage/tally.ts'
import { RedisError } from './redis-link.ts'
import type { RedisLink } from './redis-link.ts'
import { COUNT } from './redis-scripts.ts'

/** For how long a batch that Redis took is told again when the connection was lost, in milliseconds, and how many. */
const RECENT = 30_000
const MAX_RECENT = 10_000

/** Counts in one step of Redis, and steps that a batch may have. */
const COUNTED_AT_ONCE = 200
const MAX_CHUNKS = 65_536

/** A part of a batch, as Redis was told it. */
interface Told {
  readonly time: number
  readonly args: readonly (string | number)[]
}

export interface RedisCountsOptions {
  readonly link: RedisLink
  /** By which this server is known there. */
  readonly server: string
  readonly waiting: WaitingCounts
  readonly trouble: Trouble
}

export class RedisCounts {
  readonly #options: RedisCountsOptions
  readonly #recent: Told[] = []

  constructor(options: RedisCountsOptions) {
    this.#options = options
  }

  /**
   * Tells what waits.
   *
   * @param taken awaited after each batch that Redis has
   * @throws AnyTlsError rejects with `ERR_FILE`
   */
  async deliver(taken: () => Promise<void>): Promise<void> {
    await this.#options.waiting.deliver((batch) => this.#tell(batch, taken))
  }

  /**
   * What Redis took it may have lost, with a connection: another has taken its place, or it was restarted.
   *
   * @throws RedisError rejects
   */
  async tellAgain(): Promise<void> {
    this.#forgetTold()
    for (const { args } of [...this.#recent]) await this.#count(args)
  }

  /** A batch is told until Redis has said that it has it: it takes it once. */
  async #tell(batch: Batch, taken: () => Promise<void>): Promise<'told' | 'again'> {
    const { link, server, trouble } = this.#options
    try {
      for (const args of chunksOf(batch, link.key('usage:'), server)) {
        await this.#count(args)
        this.#recent.push({ time: performance.now(), args })
      }
      this.#forgetTold()
      trouble.over('counts')
    } catch (error) {
      if (!(error instanceof RedisError)) throw error
      trouble.met('counts', error.message)
      return 'again'
    }
    await taken()
    return 'told'
  }

  #count(args: readonly (string | number)[]): Promise<unknown> {
    const names = ['number', 'feed', 'epoch', 'users', 'taken', 'writers']
    return this.#options.link.run(COUNT, names, args)
  }

  #forgetTold(): void {
    const oldest = performance.now() - RECENT
    const kept = this.#recent.filter(({ time }) => time >= oldest).slice(-MAX_RECENT)
    this.#recent.splice(0, this.#recent.length, ...kept)
  }
}

/** The same parts whenever a batch is told: each has a number of its own. */
function* chunksOf(
  { writer, number, tally }: Batch,
  prefix: string,
  epoch: string,
): Iterable<readonly (string | number)[]> {
  const all = [...tally.ids]
    .sort()
    .flatMap((id) => tally.days(id).map(({ day, up, down }) => ({ id, day, up, down })))
  for (let chunk = 0; chunk * COUNTED_AT_ONCE < all.length; chunk += 1) {
    const part = new Tally()
    const some = all.slice(chunk * COUNTED_AT_ONCE, (chunk + 1) * COUNTED_AT_ONCE)
    for (const { id, day, up, down } of some) part.add(id, day, up, down)
    yield [writer, number * MAX_CHUNKS + chunk, JSON.stringify(part.byDay()), prefix, epoch]
  }
}
