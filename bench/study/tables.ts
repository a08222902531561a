// The tables of the study, as Markdown.
import type { Comparison } from '../../src/harness/compare/compare.ts'
import type { IdleOutcome } from './idle.ts'
import type { LoadOutcome } from './loads.ts'
import type { Results } from './main.ts'

const SEEN = [1, 2, 4, 8, 16, 32]

export function formatStudy({ command, load, loads, idle }: Results): string {
  const delays = [...new Set(loads.map(({ delay }) => delay))]
  const averages = load.map((value) => value.toFixed(1)).join(', ')
  return [
    `\`${command}\`, load average (15 min) at the beginning and after each part: ${averages}\n`,
    ...delays.map((delay) => tablesAt(loads.filter((outcome) => outcome.delay === delay))),
    ...(idle.length > 0 ? [idleTables(idle)] : []),
  ].join('\n')
}

function tablesAt(outcomes: readonly LoadOutcome[]): string {
  const delay = outcomes[0]?.delay ?? 0
  const counts = outcomes.map(({ loads }) => loads)
  const [fewest, most] = [Math.min(...counts), Math.max(...counts)]
  const unshaped = outcomes.find(({ name }) => name === 'unshaped')
  const more = (value: number, than: number | undefined) =>
    than === undefined ? '' : `${(100 * (value / than - 1)).toFixed(1)} %`
  const judged = outcomes.filter(({ name }) => name !== 'direct')
  const told = judged.flatMap(({ name, comparison, withGo }) => [
    [name, comparison] as const,
    ...(withGo ? [[`${name}, against sing-anytls`, withGo] as const] : []),
  ])
  return [
    `## ${delay} ms each way, ${fewest === most ? most : `${fewest} to ${most}`} loads each\n`,
    `AUC against the direct loads, with its 95 % interval, by how many records were seen`,
    table([
      ['', ...SEEN.map(String), 'all', 'tells most'],
      ...told.map(([name, comparison]) => [
        name,
        ...SEEN.map((records) => seen(comparison, records)),
        area(comparison),
        comparison?.features[0]?.name ?? '',
      ]),
    ]),
    'The same without the first record of each direction',
    table([
      ['', ...SEEN.map(String), 'all', 'tells most', 'places that differ'],
      ...judged.map(({ name, behindFirst }) => [
        name,
        ...SEEN.map((records) => seen(behindFirst, records)),
        area(behindFirst),
        behindFirst?.features[0]?.name ?? '',
        differing(behindFirst),
      ]),
    ]),
    'A TLS handshake shows within, and what a load costs: bytes on the wire, TLS included, and time',
    table([
      ['', 'handshake', 'KiB up', 'more up', 'KiB down beyond content', 'ms', 'more ms', 'failed'],
      ...outcomes.map(({ name, handshakes, bytes, content, time, failed, connections }) => [
        name,
        `${(100 * handshakes).toFixed(0)} % of ${connections}`,
        (bytes.up / 1_024).toFixed(1),
        more(bytes.up, unshaped?.bytes.up),
        ((bytes.down - content) / 1_024).toFixed(1),
        time.toFixed(0),
        more(time, unshaped?.time),
        String(failed),
      ]),
    ]),
  ].join('\n')
}

function idleTables(outcomes: readonly IdleOutcome[]): string {
  return [
    '## Idle\n',
    'What passes once nothing has for 4 s, within 64 s, and AUC against direct connections, 95 % interval',
    table([
      [
        ...['', 'connections', 'records up', 'down', 'silence, s', '14.9 to 15.1 s', 'by the rule'],
        ...['against quiet', 'times alone', 'against polling', 'times alone', 'clock alone'],
      ],
      ...outcomes.map(
        ({ name, connections, records, silences, fifteen, byRule, byClock, ...by }) => [
          name,
          String(connections),
          records.up.toFixed(1),
          records.down.toFixed(1),
          silences
            ? `${(silences.median / 1000).toFixed(2)} ± ${(silences.deviation / 1000).toFixed(2)}`
            : 'all',
          silences ? `${(100 * fifteen).toFixed(0)} %` : '',
          `${(100 * byRule).toFixed(0)} %`,
          area(by.withQuiet?.all),
          area(by.withQuiet?.times),
          area(by.withPolling?.all),
          area(by.withPolling?.times),
          byClock?.toFixed(2) ?? '',
        ],
      ),
    ]),
  ].join('\n')
}

/** Empty where there were too few connections. */
function area(comparison: Pick<Comparison, 'auc' | 'ci'> | undefined): string {
  if (comparison === undefined) return ''
  const { auc, ci } = comparison
  return `${auc.toFixed(2)} (${ci.low.toFixed(2)} to ${ci.high.toFixed(2)})`
}

function seen(comparison: Comparison | undefined, count: number): string {
  const found = comparison?.byRecords.find(({ records }) => records === count)
  return found === undefined ? '' : area(found)
}

/** Sizes of single records: how many tell the sets apart by themselves. */
function differing(comparison: Comparison | undefined): string {
  if (comparison === undefined) return ''
  const tested = comparison.distances.filter(({ of, p }) => of === 'size' && p !== null)
  return `${tested.filter(({ p }) => (p ?? 1) < 0.05).length} of ${tested.length}`
}

function table([head = [], ...rows]: readonly (readonly string[])[]): string {
  const lines = [head, head.map((_, place) => (place === 0 ? '---' : '---:')), ...rows]
  return `\n${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n`
}
