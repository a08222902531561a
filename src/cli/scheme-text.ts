// What `anytls scheme check` says about a scheme that is well.
// Must never hold a number of its own.

import type { SchemeSummary, Spread } from '../shaping/scheme-summary.ts'
import type { Scheme } from '../shaping/scheme.ts'
import { formatNumber, formatTable } from './text-table.ts'

/** A table: bytes and Writes of each Deliver. */
export function formatSummary(scheme: Scheme, summary: SchemeSummary): string {
  const { stop, restart, digest } = scheme
  const { authPadding, delivers, total } = summary
  const counted = restart === undefined ? '' : `, counted again from ${restart} with each stream`
  const rows = [
    ['Deliver', ...columns('bytes'), ...columns('Writes')],
    ['0 (AUTH padding)', ...numbers(authPadding), '1', '1', '1'],
    ...delivers.map(({ index, bytes, writes }) => [
      String(index),
      ...numbers(bytes),
      ...numbers(writes),
    ]),
    ['in all', ...numbers(total.bytes), ...numbers(total.writes)],
  ]
  if (summary.restart !== undefined) {
    rows.push(['each stream', ...numbers(summary.restart), '', '', ''])
  }
  return `stop ${stop}${counted}, digest ${digest}\n${formatTable(rows)}`
}

function columns(what: string): string[] {
  return [`${what}: least`, 'mean', 'most']
}

function numbers({ least, mean, most }: Spread): string[] {
  return [least, mean, most].map((number) => formatNumber(number))
}
