// What `anytls scheme check` says about a scheme that is well, and `anytls scheme fit` about the one that it made.

import type { Fit, Nearness } from '../harness/fit/fit.ts'
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

/** The scheme, then record by record how near it comes to what it imitates. */
export function formatFit({ scheme, records, overhead }: Fit): string {
  const distance = (nearness: Nearness | undefined, of: keyof Nearness) =>
    nearness === undefined ? '-' : formatNumber(nearness[of], of === 'ks' ? 3 : 1)
  const rows = records.map(({ index, connections, before, after, least, limit = '' }) => [
    String(index),
    String(connections),
    ...[distance(before, 'ks'), distance(after, 'ks')],
    ...[distance(before, 'w1'), distance(after, 'w1'), formatNumber(least), limit],
  ])
  const head = ['index', 'connections', 'KS before', 'after', 'W1 before', 'after', 'at best']
  return [
    `${scheme.text}\n\n`,
    formatTable([[...head, 'limit'], ...rows]),
    `overhead ${formatNumber(overhead)} %\n`,
  ].join('')
}

function columns(what: string): string[] {
  return [`${what}: least`, 'mean', 'most']
}

function numbers({ least, mean, most }: Spread): string[] {
  return [least, mean, most].map((number) => formatNumber(number))
}
