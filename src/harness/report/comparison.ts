// How well two sets of captures are told apart, by the records seen: the result of `anytls compare --json`.
// Must never believe a file: only numbers that are where they should be are drawn.

import { areaY, axisX, axisY, dot, gridY, line, ruleY } from '@observablehq/plot'
import { AnyTlsError } from '../../errors.ts'
import { JsonFields, parseJson } from '../simulate/json-fields.ts'
import { drawChart, FRAME } from './chart-frame.ts'
import { formatCount } from './format.ts'
import { html, table } from './html.ts'
import type { Section } from './html.ts'

/** The AUC once so many records of each connection have been seen, with its 95 % interval. */
interface SeenRecords {
  readonly records: number
  readonly auc: number
  readonly low: number
  readonly high: number
}

export interface ComparisonResult {
  /** The name of its file. */
  readonly name: string
  readonly byRecords: readonly SeenRecords[]
}

/** Far more points than a comparison has. */
const MAX_POINTS = 1_000

/**
 * Reads what the curve needs of the JSON; whatever else is there is none of its concern.
 *
 * @throws AnyTlsError `ERR_CAPTURE_INVALID`, one line
 */
export function parseComparison(name: string, text: string): ComparisonResult {
  const whole = parseJson(text, invalid)
  const known = typeof whole === 'object' && whole !== null ? Object.keys(whole) : []
  const list = new JsonFields(whole, known, 'the comparison', invalid).list('byRecords', MAX_POINTS)
  let least = 1
  const byRecords = list.map((point, place): SeenRecords => {
    const where = `"byRecords", item ${place + 1}`
    const fields = new JsonFields(point, ['records', 'auc', 'low', 'high', 'ci'], where, invalid)
    const interval = fields.has('ci')
      ? new JsonFields(fields.raw('ci'), ['low', 'high'], `${where}, "ci"`, invalid)
      : fields
    const records = fields.whole('records', least, Number.MAX_SAFE_INTEGER)
    least = records + 1
    return {
      ...{ records, auc: fields.number('auc', 0, 1) },
      ...{ low: interval.number('low', 0, 1), high: interval.number('high', 0, 1) },
    }
  })
  return { name, byRecords }
}

export function comparisonSection({ name, byRecords }: ComparisonResult): Section {
  const label =
    'How well the two sets are told apart, by the records of a connection that have been seen.'
  const image = drawChart(label, {
    ...FRAME,
    height: 320,
    x: { type: 'log', label: null },
    y: { label: null, domain: [Math.min(0.4, ...byRecords.map(({ low }) => low)), 1] },
    marks: [
      gridY({ ticks: 6 }),
      ruleY([0.5], { strokeDasharray: '4 4', stroke: 'currentColor' }),
      areaY(byRecords, {
        x: 'records',
        y1: 'low',
        y2: 'high',
        fill: 'var(--series-a)',
        fillOpacity: 0.2,
      }),
      line(byRecords, { x: 'records', y: 'auc', stroke: 'var(--series-a)', strokeWidth: 2 }),
      dot(byRecords, { x: 'records', y: 'auc', stroke: 'var(--series-a)', r: 4, strokeWidth: 2 }),
      axisY({ label: '↑ AUC', ticks: 6 }),
      axisX(
        byRecords.map(({ records }) => records),
        { label: 'records seen (logarithmic) →', tickFormat: formatCount },
      ),
    ],
  })
  const numeric = true
  return {
    id: 'comparison',
    title: 'Told apart',
    body: html`<p>
        From <span class="name">${name}</span>: the AUC of a classifier that has seen the first
        records of each connection. Shaded: its 95 % interval. Dashed: 0.5, chance.
      </p>
      ${
        byRecords.length === 0
          ? html`<p>no data</p> `
          : html`<figure>
                <figcaption>AUC by records seen</figcaption>
                <div
                  class="scroll chart"
                  tabindex="0"
                  role="group"
                  aria-label="AUC by records seen"
                >
                  ${image}
                </div>
              </figure>
              ${table(
                'AUC by records seen',
                ['Records', 'AUC', '95 % interval'].map((heading) => ({ heading, numeric })),
                byRecords.map(({ records, auc, low, high }) => [
                  ...[
                    formatCount(records),
                    auc.toFixed(3),
                    `${low.toFixed(3)} – ${high.toFixed(3)}`,
                  ],
                ]),
              )}`
      }`,
  }
}

function invalid(problem: string): AnyTlsError {
  return new AnyTlsError('ERR_CAPTURE_INVALID', `the comparison is not valid: ${problem}`)
}
