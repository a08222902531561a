// A comparison as text for people.

import type { Comparison } from '../harness/compare/compare.ts'
import type { Interval } from '../harness/compare/evaluate.ts'
import { formatNumber, formatTable } from './text-table.ts'

/** Of features, and of places. */
const MOST_SHOWN = 10

export function formatComparison(comparison: Comparison): string {
  const { connections, auc, ci, p, byRecords, features, distances, seed } = comparison
  const tested = distances.filter((distance) => distance.p !== null)
  const apart = tested.filter((distance) => (distance.p ?? 1) < 0.05)
  const furthest = [...tested].sort((a, b) => (a.p ?? 1) - (b.p ?? 1) || b.ks - a.ks)
  return [
    `${connections.a} connections with ${connections.b}, seed ${seed}\n`,
    `AUC ${formatShare(auc)}, 95 % ${formatInterval(ci)}, p ${formatP(p)}: ${verdictOn(ci)}\n`,
    '\nAUC by how many records have been seen\n',
    formatTable([
      ['records', 'AUC', '95 %'],
      ...byRecords.map((seen) => [
        `${seen.records}`,
        formatShare(seen.auc),
        formatInterval(seen.ci),
      ]),
      ['all', formatShare(auc), formatInterval(ci)],
    ]),
    '\nFeatures that tell most\n',
    formatTable([
      ['feature', 'importance', 'AUC alone', 'median A', 'median B'],
      ...features
        .slice(0, MOST_SHOWN)
        .map(({ name, importance, alone, median }) => [
          name,
          formatShare(importance),
          formatShare(alone),
          formatNumber(median.a, 2),
          formatNumber(median.b, 2),
        ]),
    ]),
    `\nRecord by record: ${apart.length} of ${tested.length} differ (p < 0.05, Holm)\n`,
    formatTable([
      ['direction', 'index', 'of', 'n A', 'n B', 'KS', 'Wasserstein-1', 'p'],
      ...furthest
        .slice(0, MOST_SHOWN)
        .map(({ direction, index, of, samples, ks, w1, p }) => [
          direction,
          `${index}`,
          of,
          `${samples.a}`,
          `${samples.b}`,
          formatShare(ks),
          `${formatNumber(w1, 2)} ${of === 'size' ? 'B' : 'ms'}`,
          formatP(p ?? 1),
        ]),
    ]),
  ].join('')
}

function verdictOn({ low, high }: Interval): string {
  if (low > 0.5) return 'they can be told apart'
  return high < 0.5 ? 'worse than by chance' : 'no difference found'
}

function formatShare(share: number): string {
  return share.toFixed(3)
}

function formatInterval({ low, high }: Interval): string {
  return `${formatShare(low)} to ${formatShare(high)}`
}

function formatP(p: number): string {
  return p < 0.001 ? '< 0.001' : p.toFixed(3)
}
