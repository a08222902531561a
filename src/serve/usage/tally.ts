// Sums in memory of what users have used, by user and day.
import type { DayUsage, Usage } from './ledger.ts'

/** More than a month, so that a quota by month is exact. */
const MAX_DAYS = 40

interface Account {
  up: number
  down: number
  readonly days: Map<string, { up: number; down: number }>
}

/** What an account is written down as: bytes in all, then by day. */
export interface AccountRecord {
  readonly up: number
  readonly down: number
  readonly days: Readonly<Record<string, readonly [up: number, down: number]>>
}

const NOTHING: Usage = Object.freeze({ up: 0, down: 0 })

export class Tally {
  readonly #accounts = new Map<string, Account>()

  get ids(): Iterable<string> {
    return this.#accounts.keys()
  }

  get empty(): boolean {
    return this.#accounts.size === 0
  }

  of(id: string): Usage {
    const account = this.#accounts.get(id)
    return account === undefined ? NOTHING : { up: account.up, down: account.down }
  }

  days(id: string): readonly DayUsage[] {
    const days = [...(this.#accounts.get(id)?.days ?? [])]
    return days
      .map(([day, { up, down }]) => ({ day, up, down }))
      .sort((one, other) => (one.day < other.day ? -1 : 1))
  }

  add(id: string, day: string, up: number, down: number): void {
    const account = this.#accountOf(id)
    account.up += up
    account.down += down
    const sum = account.days.get(day)
    if (sum !== undefined) {
      sum.up += up
      sum.down += down
      return
    }
    account.days.set(day, { up, down })
    // By number, not by age: a clock that jumps must not take away what was.
    if (account.days.size > MAX_DAYS) account.days.delete([...account.days.keys()].sort()[0] ?? '')
  }

  /** Takes a record for all that was. */
  set(id: string, { up, down, days }: AccountRecord): void {
    const sums = Object.entries(days).map(([day, [up, down]]) => [day, { up, down }] as const)
    this.#accounts.set(id, { up, down, days: new Map(sums) })
  }

  record(id: string): AccountRecord {
    const { up, down } = this.of(id)
    const days = this.days(id).map(({ day, up, down }) => [day, [up, down]] as const)
    return { up, down, days: Object.fromEntries(days) }
  }

  /** By day and user. */
  byDay(): Readonly<Record<string, Readonly<Record<string, readonly [up: number, down: number]>>>> {
    const result: Record<string, Record<string, readonly [number, number]>> = {}
    for (const [id, { days }] of this.#accounts) {
      for (const [day, { up, down }] of days) (result[day] ??= {})[id] = [up, down]
    }
    return result
  }

  delete(id: string): void {
    this.#accounts.delete(id)
  }

  #accountOf(id: string): Account {
    let account = this.#accounts.get(id)
    if (account === undefined) {
      account = { up: 0, down: 0, days: new Map() }
      this.#accounts.set(id, account)
    }
    return account
  }
}
