// The tables of the study, as Markdown.
import type { Comparison } from '../../src/harness/compare/compare.ts'
import type { Outcome } from './main.ts'

const SEEN = [1, 2, 4, 8, 16, 32]

export function formatStudy(outcomes: readonly Outcome[]): string {
  const delays = [...new Set(outcomes.map(({ delay }) => delay))]
  return delays.map((delay) => tablesAt(outcomes.filter((o) => o.delay === delay))).join('\n')
}

function tablesAt(outcomes: readonly Outcome[]): string {
  const [{ delay, loads } = { delay: 0, loads: 0 }] = outcomes
  const unshaped = outcomes.find(({ name }) => name === 'unshaped')
  const more = (value: number, than = 0) => `${(100 * (value / than - 1)).toFixed(1)} %`
  const told = outcomes.flatMap(({ name, comparison, withGo }) => [
    ...(comparison ? [[name, comparison] as const] : []),
    ...(withGo ? [[`${name}, against sing-anytls`, withGo] as const] : []),
  ])
  return [
    `## ${delay} ms each way, ${loads} loads each\n`,
    `AUC against the direct loads, 95 % interval; by how many records were seen`,
    table([
      ['', ...SEEN.map(String), 'all', 'tells most', 'places that differ'],
      ...told.map(([name, comparison]) => [
        name,
        ...SEEN.map((records) => seen(comparison, records)),
        `${comparison.auc.toFixed(2)} (${comparison.ci.low.toFixed(2)} to ${comparison.ci.high.toFixed(2)})`,
        comparison.features[0]?.name ?? '',
        differing(comparison),
      ]),
    ]),
    'What a load costs: bytes on the wire, TLS included, and time',
    table([
      ['', 'KiB up', 'KiB down', 'more up', 'more down', 'ms', 'more ms'],
      ...outcomes.map(({ name, bytes, time }) => [
        name,
        (bytes.up / 1_024).toFixed(1),
        (bytes.down / 1_024).toFixed(1),
        more(bytes.up, unshaped?.bytes.up),
        more(bytes.down, unshaped?.bytes.down),
        time.toFixed(0),
        more(time, unshaped?.time),
      ]),
    ]),
  ].join('\n')
}

function seen({ byRecords }: Comparison, count: number): string {
  const found = byRecords.find(({ records }) => records === count)
  return found === undefined ? '' : found.auc.toFixed(2)
}

/** Sizes of single records: how many tell the sets apart by themselves. */
function differing({ distances }: Comparison): string {
  const tested = distances.filter((distance) => distance.of === 'size' && distance.p !== null)
  const apart = tested.filter(({ p }) => (p ?? 1) < 0.05)
  return `${apart.length} of ${tested.length}`
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, place) => (place === 0 ? '---' : '---:')), ...rows]
  return `\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}
