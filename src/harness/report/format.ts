// How numbers are written in a report, the same everywhere and in every locale.

const INTEGER = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })
const PRECISE = new Intl.NumberFormat('en-US', { maximumSignificantDigits: 3 })
const COMPACT = new Intl.NumberFormat('en-US', { notation: 'compact' })

/** A number of bytes or records. */
export function formatCount(value: number): string {
  return INTEGER.format(value)
}

/** A number of bytes on an axis: `250K`. */
export function formatCompact(value: number): string {
  return COMPACT.format(value)
}

/** A measure, to three digits. */
export function formatMeasure(value: number): string {
  return value >= 1000 ? INTEGER.format(value) : PRECISE.format(value)
}

/** A share from 0 to 1. */
export function formatPercent(share: number): string {
  return `${PRECISE.format(share * 100)} %`
}

/** A time in ms, in the unit that suits it. */
export function formatTime(ms: number): string {
  if (ms === 0) return '0 ms'
  if (ms < 1) return `${PRECISE.format(ms * 1000)} µs`
  return ms < 1000 ? `${PRECISE.format(ms)} ms` : `${PRECISE.format(ms / 1000)} s`
}
