// Amounts as people write them: bytes with decimal units, rates a second, quotas a period, dates in UTC.
import { invalidOption } from '../../errors.ts'

/** Calendar periods in UTC after which a quota begins anew; `all` never does. A week begins on Monday. */
export const QUOTA_PERIODS = ['day', 'week', 'month', 'all'] as const
/** After what a quota begins anew. */
export type QuotaPeriod = (typeof QUOTA_PERIODS)[number]

/** How many bytes may be used, up and down together, in a period. */
export interface Quota {
  /** Up and down together. */
  readonly bytes: number
  /** When it begins anew. */
  readonly per: QuotaPeriod
}

/** Slower than this, in bytes a second, one record would hold up a session for longer than its peers wait. */
export const MIN_RATE = 4_000

const UNITS = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'] as const

/**
 * `100GB`, `1.5 MB`, `250`: bytes, with units of powers of 1000.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseBytes(text: string): number {
  const match = /^(\d{1,16})(?:\.(\d{1,15}))?\s?([KMGTP]?B)?$/i.exec(text)
  if (match === null) throw invalidOption('an amount is written 500MB, 1.5GB or 250B')
  const [, whole = '', fraction = '', unit = 'B'] = match
  const zeros = 3 * UNITS.findIndex((name) => name === unit.toUpperCase())
  if (fraction.replace(/0+$/, '').length > zeros)
    throw invalidOption('it is no whole number of bytes')
  const bytes = Number(whole + fraction.slice(0, zeros).padEnd(zeros, '0'))
  if (bytes < 1) throw invalidOption('it is less than a byte')
  if (!Number.isSafeInteger(bytes)) throw invalidOption('it is more than 9007 TB')
  return bytes
}

/** The shortest text that {@link parseBytes} reads as these bytes. */
export function formatBytes(bytes: number): string {
  let [value, unit] = [bytes, 0]
  while (value >= 1000 && value % 100 === 0 && unit < UNITS.length - 1) {
    if (value % 1000 !== 0) return `${value / 1000}${UNITS[unit + 1] ?? ''}`
    value /= 1000
    unit += 1
  }
  return `${value}${UNITS[unit] ?? ''}`
}

/** Three digits and a unit, for people. */
export function shortBytes(bytes: number): string {
  const rounded = Number(bytes.toPrecision(3))
  const power = Math.floor(Math.log10(Math.max(rounded, 1)) / 3)
  const unit = Math.min(power, UNITS.length - 1)
  return `${rounded / 1000 ** unit}${UNITS[unit] ?? ''}`
}

/**
 * `100GB/month`; without a period it is `all`.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseQuota(text: string): Quota {
  const [amount = '', period = 'all', ...more] = text.split('/')
  const per = QUOTA_PERIODS.find((name) => name === period.trim())
  if (per === undefined || more.length > 0) {
    throw invalidOption('a quota is for a day, week, month or all: 100GB/month')
  }
  return { bytes: parseBytes(amount.trim()), per }
}

export function formatQuota({ bytes, per }: Quota): string {
  return `${formatBytes(bytes)}/${per}`
}

/**
 * `10MB` or `10MB/s`: bytes a second.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseRate(text: string): number {
  const rate = parseBytes(text.replace(/\/s$/, ''))
  if (rate < MIN_RATE) throw invalidOption(`a rate is at least ${formatBytes(MIN_RATE)} a second`)
  return rate
}

/**
 * A day, which ends with its last millisecond in UTC, or a point in time with a zone: milliseconds since 1970. In UTC,
 * too, its year has four digits.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseDate(text: string): number {
  const match = DATE.exec(text)
  if (match === null) throw invalidOption('a date is written 2030-12-31 or 2030-12-31T18:00:00Z')
  const [, day = '', time] = match
  const start = Date.parse(`${day}T00:00:00.000Z`)
  // Date.parse takes the 31st of any month for a day of the next one.
  if (Number.isNaN(start) || !new Date(start).toISOString().startsWith(day)) {
    throw invalidOption('there is no such day')
  }
  const instant = time === undefined ? start + 86_399_999 : Date.parse(text.toUpperCase())
  const year = new Date(instant).getUTCFullYear()
  if (year >= 0 && year <= 9999) return instant
  throw invalidOption('there is no such time')
}

const DATE =
  /^(\d{4}-\d{2}-\d{2})(?:(T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,3})?)?(?:Z|[+-]\d{2}:\d{2})))?$/i

/**
 * How many there may be at once, at least 1.
 *
 * @throws AnyTlsError `ERR_OPTION_INVALID`
 */
export function parseLimit(text: string): number {
  const limit = /^\d{1,7}$/.test(text) ? Number(text) : 0
  if (limit < 1) throw invalidOption('it is no whole number from 1 to 9999999')
  return limit
}

/** When the period that `now` is in began, in milliseconds since 1970; 0 for `all`. */
export function startOfPeriod(per: QuotaPeriod, now: number): number {
  const date = new Date(now)
  date.setUTCHours(0, 0, 0, 0)
  switch (per) {
    case 'day':
      break
    case 'week':
      date.setUTCDate(date.getUTCDate() - ((date.getUTCDay() + 6) % 7))
      break
    case 'month':
      date.setUTCDate(1)
      break
    case 'all':
      return 0
  }
  return date.getTime()
}
