// What users have used: bytes up and down, in all and by day.
// Must never count a byte twice, or forget one that was told.
import type { Quota, QuotaPeriod } from '../users/amounts.ts'
import { startOfPeriod } from '../users/amounts.ts'

/** Bytes of payload: up is what users' programs sent, down what they got. */
export interface Usage {
  /** Bytes from the client. */
  readonly up: number
  /** Bytes to the client. */
  readonly down: number
}

/** What a day brought; `day` is its date in UTC, `2030-12-31`. */
export interface DayUsage extends Usage {
  /** In UTC, as `2026-11-27`. */
  readonly day: string
}

/** Where what users have used is kept. Users are known by their ids. */
export interface UsageLedger {
  /** Since the user was added or reset; what this process has not written yet is in it. */
  of(id: string): Usage
  /** The last days on which there was something, at most 40, the oldest first. */
  days(id: string): readonly DayUsage[]
  /** Counts; written within 2 s. */
  add(id: string, up: number, down: number): void
  /** Sets what was used to nothing. */
  reset(id: string): Promise<void>
  /** Looks at what other processes have written. */
  refresh(): Promise<void>
  /** Writes what is not written. */
  flush(): Promise<void>
}

/** What counts for a quota at `now`, in bytes. */
export function usedOf(ledger: UsageLedger, id: string, { per }: Quota, now: number): number {
  const { up, down } = usageIn(ledger, id, per, now)
  return up + down
}

/** The most days that a period has. */
const MOST_DAYS = { day: 1, week: 7, month: 31 } as const

/** What was used in the period that `now` is in. */
export function usageIn(ledger: UsageLedger, id: string, per: QuotaPeriod, now: number): Usage {
  if (per === 'all') return ledger.of(id)
  const used = { up: 0, down: 0 }
  const days = ledger.days(id)
  // Of most of many users, and dates take longer.
  if (days.length === 0) return used
  const start = startOfPeriod(per, now)
  const first = dayOf(start)
  // A clock that was ahead has dated what it counted in periods to come.
  const next = dayOf(startOfPeriod(per, start + MOST_DAYS[per] * 86_400_000))
  for (const { day, up, down } of days) {
    if (day < first || day >= next) continue
    used.up += up
    used.down += down
  }
  return used
}

/** The date in UTC. */
export function dayOf(time: number): string {
  return new Date(time).toISOString().slice(0, 10)
}
