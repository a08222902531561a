// The charts of distributions: record sizes, and times between records.
// Must never leave anything of a sample out: what lies beyond the bins counts to the outermost.

import { axisX, axisY, dot, gridX, gridY, line, rectY, ruleY, text } from '@observablehq/plot'
import type { Direction } from '../simulate/workload.ts'
import {
  DIRECTION_NAMES,
  drawChart,
  FRAME,
  letterColumns,
  rowNames,
  rows,
  SIZE_TICKS,
} from './chart-frame.ts'
import type { Chart, Series } from './chart-frame.ts'
import { formatCount, formatPercent, formatTime } from './format.ts'
import { table } from './html.ts'
import type { Html } from './html.ts'
import { gapsOf, sizesOf } from './source.ts'
import { ecdf, logBins } from './statistics.ts'
import type { LogBins } from './statistics.ts'

/** The share of records in each bin of sizes, one row a source. */
export function sizeChart(all: readonly Series[], direction: Direction): Chart {
  const samples = all.map(({ source }) => sizesOf(source, direction))
  const label = `${DIRECTION_NAMES[direction]}: distribution of record sizes, one row a source.`
  return histogram(all, samples, {
    bins: SIZE_BINS,
    label,
    ticks: SIZE_TICKS,
    axis: 'bytes of a record (logarithmic) →',
    format: formatCount,
    column: 'Bytes',
  })
}

/** The share of gaps in each bin of times, one row a source. */
export function gapChart(all: readonly Series[], direction: Direction): Chart {
  const samples = all.map(({ source }) => gapsOf(source, direction))
  const label = `${DIRECTION_NAMES[direction]}: distribution of the times between records, one row a source.`
  return histogram(all, samples, {
    bins: GAP_BINS,
    label,
    ticks: [0.001, 0.01, 0.1, 1, 10, 100, 1_000, 10_000],
    axis: 'time since the record before (logarithmic) →',
    format: formatTime,
    column: 'Time',
  })
}

/** Two bins to a doubling; beyond 16,384 bytes there are only TLS 1.2's own sizes. */
const SIZE_BINS = logBins(1, Math.SQRT2, 29)
/** Three bins to a factor of ten, from a microsecond to a hundred seconds. */
const GAP_BINS = logBins(0.001, Math.cbrt(10), 24)

interface HistogramOptions {
  readonly bins: LogBins
  readonly label: string
  readonly ticks: readonly number[]
  readonly axis: string
  readonly format: (value: number) => string
  readonly column: string
}

function histogram(
  all: readonly Series[],
  samples: readonly (readonly number[])[],
  { bins: scale, label, ticks, axis, format, column }: HistogramOptions,
): Chart {
  const { bins } = scale
  const found = samples.map((sample) => scale.shares(sample))
  const bars = all.map(({ style: { letter, color } }, row) => {
    const data = bins.map((bin, index) => ({ ...bin, letter, share: found[row]?.[index] ?? 0 }))
    return rectY(
      data.filter(({ share }) => share > 0),
      {
        x1: 'from',
        x2: 'to',
        y: 'share',
        fy: 'letter',
        fill: color,
        insetLeft: 0.5,
        insetRight: 0.5,
      },
    )
  })
  const domain = [bins[0]?.from ?? 1, bins.at(-1)?.to ?? 1]
  const inUse = bins.map((_, index) => found.some((row) => (row[index] ?? 0) > 0))
  return {
    image: drawChart(label, {
      ...rows(all),
      x: { type: 'log', label: null, domain },
      y: { label: null, zero: true, nice: true },
      marks: [
        gridY({ ticks: 4 }),
        gridX(ticks),
        rowNames(all),
        ...bars,
        ruleY([0]),
        text(
          all.filter((_, row) => samples[row]?.length === 0).map(({ style }) => style),
          { text: () => 'no data', fy: 'letter', frameAnchor: 'middle', fill: 'currentColor' },
        ),
        axisY({ label: '↑ share of records', tickFormat: formatPercent, ticks: 4 }),
        axisX(ticks, { label: axis, tickFormat: format }),
      ],
    }),
    more: ecdfChart(all, samples, { label, ticks, axis, format, domain }),
    data: table(
      label.replace(/, one row a source\.$/, ''),
      [{ heading: column }, ...letterColumns(all)],
      bins
        .map((bin, index) => [
          `${format(bin.from)} – ${format(bin.to)}`,
          ...found.map((row) => formatPercent(row[index] ?? 0)),
        ])
        .filter((_, index) => inUse[index]),
    ),
  }
}

/** Points of one line. */
const ECDF_POINTS = 200

/** The empirical distribution functions on one pair of axes, both of which begin and end where the data may. */
function ecdfChart(
  all: readonly Series[],
  samples: readonly (readonly number[])[],
  options: Pick<HistogramOptions, 'label' | 'ticks' | 'axis' | 'format'> & {
    readonly domain: readonly number[]
  },
): Html {
  const { ticks, axis, format, domain } = options
  const [least = 1, most = 1] = domain
  const label = options.label.replace('distribution of', 'cumulative distribution of')
  const lines = all.flatMap(({ style: { color, dash, symbol } }, row) => {
    const points = ecdf(samples[row] ?? [], ECDF_POINTS)
    const first = points[0]
    if (first === undefined) return []
    const inside = points.map(({ value, share }) => ({
      value: Math.min(Math.max(value, least), most),
      share,
    }))
    const whole = [{ value: least, share: 0 }, ...inside, { value: most, share: 1 }]
    const look = {
      stroke: color,
      strokeWidth: 2,
      strokeDasharray: dash,
      curve: 'step-after',
    } as const
    // The mark of the source, thrice on its line, where those of the others are not.
    const marked = [0.2, 0.5, 0.8].flatMap((share) => {
      const at = Math.floor((share + row * 0.04) * (inside.length - 1))
      return inside.slice(at, at + 1)
    })
    return [
      line(whole, { x: 'value', y: 'share', ...look }),
      dot(marked, { x: 'value', y: 'share', stroke: color, symbol, r: 4.5, strokeWidth: 2 }),
    ]
  })
  return drawChart(label.replace(/one row a source/, 'a line a source'), {
    ...FRAME,
    height: 300,
    x: { type: 'log', label: null, domain },
    y: { label: null, domain: [0, 1] },
    marks: [
      gridY({ ticks: 5 }),
      gridX(ticks),
      ruleY([0]),
      ...lines,
      axisY({ label: '↑ share of records up to there', tickFormat: formatPercent, ticks: 5 }),
      axisX(ticks, { label: axis, tickFormat: format }),
    ],
  })
}
