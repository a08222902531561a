// Sums in memory of what users have used, by user and day.
import { dayOf } from './ledger.ts'
import type { DayUsage, Usage } from './ledger.ts'

/** More than a month, so that a quota by month is exact. */
const MAX_DAYS = 40

const DAY = 86_400_000

/**
 * Bytes up and down in all, then of each day its number since 1970 and its bytes up and down: of 100,000 users who were
 * here every day of a month, numbers in a row take a third of what an object a day would.
 */
type Account = number[]

/** Where the days begin, and how many numbers each has. */
const [FIRST, STRIDE] = [2, 3]

/** What an account is written down as: bytes in all, then by day. */
export interface AccountRecord {
  readonly up: number
  readonly down: number
  readonly days: Readonly<Record<string, readonly [up: number, down: number]>>
}

export class Tally {
  readonly #accounts = new Map<string, Account>()

  get ids(): Iterable<string> {
    return this.#accounts.keys()
  }

  get empty(): boolean {
    return this.#accounts.size === 0
  }

  of(id: string): Usage {
    const [up = 0, down = 0] = this.#accounts.get(id) ?? []
    return { up, down }
  }

  days(id: string): readonly DayUsage[] {
    const account = this.#accounts.get(id) ?? []
    return placesOf(account)
      .map((at) => account.slice(at, at + STRIDE))
      .sort(([one = 0], [other = 0]) => one - other)
      .map(([number = 0, up = 0, down = 0]) => ({ day: dayOf(number * DAY), up, down }))
  }

  /** @param day in UTC, as `2026-11-27`; what is no such day counts in all alone */
  add(id: string, day: string, up: number, down: number): void {
    let account = this.#accounts.get(id)
    if (account === undefined) this.#accounts.set(id, (account = [0, 0]))
    addAt(account, 0, up, down)
    addDay(account, day, up, down)
  }

  /** Takes a record for all that was. */
  set(id: string, { up, down, days }: AccountRecord): void {
    const account: Account = [up, down]
    for (const [day, [up, down]] of Object.entries(days)) addDay(account, day, up, down)
    this.#accounts.set(id, account)
  }

  record(id: string): AccountRecord {
    const { up, down } = this.of(id)
    const days = this.days(id).map(({ day, up, down }) => [day, [up, down]] as const)
    return { up, down, days: Object.fromEntries(days) }
  }

  /** By day and user. */
  byDay(): Readonly<Record<string, Readonly<Record<string, readonly [up: number, down: number]>>>> {
    type Used = Record<string, readonly [number, number]>
    const result: Record<string, Used> = {}
    for (const id of this.#accounts.keys()) {
      for (const { day, up, down } of this.days(id)) {
        // Without a prototype, as an id may be `__proto__`.
        const users = (result[day] ??= Object.create(null) as Used)
        users[id] = [up, down]
      }
    }
    return result
  }

  delete(id: string): void {
    this.#accounts.delete(id)
  }
}

function addDay(account: Account, day: string, up: number, down: number): void {
  const number = Date.parse(day) / DAY
  if (!Number.isInteger(number)) return
  for (let at = FIRST; at < account.length; at += STRIDE) {
    if (account[at] !== number) continue
    addAt(account, at + 1, up, down)
    return
  }
  account.push(number, up, down)
  const all = placesOf(account)
  // By number, not by age: a clock that jumps must not take away what was.
  if (all.length <= MAX_DAYS) return
  const oldest = Math.min(...all.map((at) => account[at] ?? 0))
  account.splice(all.find((at) => account[at] === oldest) ?? FIRST, STRIDE)
}

function addAt(account: Account, at: number, up: number, down: number): void {
  account[at] = (account[at] ?? 0) + up
  account[at + 1] = (account[at + 1] ?? 0) + down
}

/** Where the days of an account are. */
function placesOf({ length }: Account): readonly number[] {
  return Array.from({ length: (length - FIRST) / STRIDE }, (_, index) => FIRST + index * STRIDE)
}
