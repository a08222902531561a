// Amounts as people write them, and what they cannot be.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  formatBytes,
  formatQuota,
  parseBytes,
  parseDate,
  parseLimit,
  parseQuota,
  parseRate,
  QUOTA_PERIODS,
  shortBytes,
  startOfPeriod,
} from '../../src/serve/users/amounts.ts'

describe('amounts', () => {
  it('MB is 10^6 bytes, whatever the case, with or without a space', () => {
    expect(parseBytes('500MB')).toBe(500_000_000)
    expect(parseBytes('1.5 gb')).toBe(1_500_000_000)
    expect(parseBytes('250')).toBe(250)
    expect(parseQuota('100GB/month')).toEqual({ bytes: 100_000_000_000, per: 'month' })
    expect(parseQuota('1TB')).toEqual({ bytes: 1e12, per: 'all' })
    expect(parseRate('10MB')).toBe(10_000_000)
    expect(parseRate('10MB/s')).toBe(10_000_000)
  })

  it.each([
    ...[
      '1e99GB',
      '',
      'GB',
      '-1GB',
      '0',
      '0GB',
      '0.5B',
      '1.0001KB',
      'NaN',
      'Infinity',
      '1,5GB',
      '٣GB',
    ],
    ...['99999999PB', '1GB/year', '1GB/month/day', '1GiB', ' ', '9'.repeat(400)],
  ])('Issue 12: "%s" is no quota', (text) => {
    expect(() => parseQuota(text)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it.each(['0', '-1', '1.5', '1e3', 'none', '99999999'])('"%s" is no limit', (text) => {
    expect(() => parseLimit(text)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
  })

  it('what is written is read as the same', () => {
    const bytes = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER })
    fc.assert(
      fc.property(bytes, fc.constantFrom(...QUOTA_PERIODS), (amount, per) => {
        expect(parseBytes(formatBytes(amount))).toBe(amount)
        expect(parseQuota(formatQuota({ bytes: amount, per }))).toEqual({ bytes: amount, per })
      }),
    )
    expect(formatBytes(1_500_000)).toBe('1.5MB')
    expect(formatBytes(100_000_000_000)).toBe('100GB')
  })

  it('for people there are three digits at most, in the unit that they round to', () => {
    const texts = [0, 999, 1_000, 123_456, 999_499, 999_999, 999_999_999, Number.MAX_SAFE_INTEGER]
    expect(texts.map(shortBytes)).toEqual([
      ...['0B', '999B', '1KB', '123KB', '999KB', '1MB', '1GB', '9.01PB'],
    ])
  })

  it('a date is the whole day in UTC; a time has a zone; days that are not in the calendar are none', () => {
    expect(new Date(parseDate('2030-12-31')).toISOString()).toBe('2030-12-31T23:59:59.999Z')
    expect(new Date(parseDate('2030-12-31T18:00:00+02:00')).toISOString()).toBe(
      '2030-12-31T16:00:00.000Z',
    )
    expect(new Date(parseDate('0000-01-01T00:00:00Z')).toISOString()).toMatch(/^0000-/)
    for (const text of ['2030-02-30', '2030-13-01', '2030', 'tomorrow', '2030-12-31T18:00', '']) {
      expect(() => parseDate(text), text).toThrow(
        expect.objectContaining({ code: 'ERR_OPTION_INVALID' }),
      )
    }
  })

  it.each(['9999-12-31T23:59:59-01:00', '0000-01-01T00:00:00+01:00'])(
    '"%s" is in UTC in a year that no date can say',
    (text) => {
      expect(() => parseDate(text)).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    },
  )

  it('periods are the calendar`s in UTC, a week begins on Monday', () => {
    const sunday = Date.parse('2026-11-29T23:59:59Z')
    const start = (per: (typeof QUOTA_PERIODS)[number]) =>
      new Date(startOfPeriod(per, sunday)).toISOString().slice(0, 10)
    expect(QUOTA_PERIODS.map(start)).toEqual([
      '2026-11-29',
      '2026-11-23',
      '2026-11-01',
      '1970-01-01',
    ])
  })
})
