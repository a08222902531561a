// The chart of sizes by record index: target against reality.
// Must never draw more points than a browser bears, however large the sources are.

import { axisX, axisY, dot, gridY, rect } from '@observablehq/plot'
import type { Markish } from '@observablehq/plot'
import type { Direction } from '../simulate/workload.ts'
import {
  DIRECTION_NAMES,
  drawChart,
  letterColumns,
  NOTHING,
  rowNames,
  rows,
  SIZE_TICKS,
} from './chart-frame.ts'
import type { Chart, Series } from './chart-frame.ts'
import { formatCount } from './format.ts'
import type { Html } from './html.ts'
import { table } from './html.ts'
import type { BandStep, SchemeBand } from './scheme-band.ts'
import type { Run } from './source.ts'
import { summarize } from './statistics.ts'

/** Records of a direction that the chart by index shows. */
export const SHOWN_RECORDS = 60

/** Points of one source that a chart shows at most. */
export const SHOWN_POINTS = 1_000

/** Sizes by record index, one row a source, its band behind the points and the outline of it before them. */
export function sizeByIndexChart(all: readonly Series[], direction: Direction): Chart {
  const shown = all.map((series) => ({
    ...series,
    points: pointsOf(series.source.runs, direction),
  }))
  const ends = shown.flatMap(({ points, band }) => [
    ...points.map(({ index }) => index),
    band[direction].length - 1,
  ])
  const last = Math.max(9, ...ends)
  const marks = shown.flatMap(({ style: { letter, color, symbol }, points, band }): Markish[] => [
    ...[false, true].map((isOpen) =>
      rect(bandRects(band[direction], letter, isOpen), {
        ...BAND_RECT,
        ...{ fill: 'currentColor', fillOpacity: isOpen ? 0.05 : 0.2 },
      }),
    ),
    dot(
      points.map((point) => ({ ...point, letter })),
      { x: 'x', y: 'size', fy: 'letter', stroke: color, strokeOpacity: 0.45, symbol, r: 3 },
    ),
    ...[false, true].map((isOpen) =>
      rect(bandRects(band[direction], letter, isOpen), {
        ...{ ...BAND_RECT, fill: 'none', stroke: 'currentColor', strokeOpacity: 0.9 },
        strokeDasharray: isOpen ? '2 3' : 'none',
      }),
    ),
  ])
  const label = `${DIRECTION_NAMES[direction]}: size of each record by its index, one row a source.`
  return {
    image: drawChart(label, {
      ...rows(all),
      x: { label: null, domain: [-0.5, last + 0.5] },
      y: { type: 'log', label: null, domain: [1, 20_000] },
      marks: [
        gridY(SIZE_TICKS),
        rowNames(all),
        axisY(SIZE_TICKS, SIZE_AXIS),
        axisX(INDEX_AXIS),
        ...marks,
      ],
    }),
    data: indexTable(all, direction, last),
  }
}

const BAND_RECT = { x1: 'x1', x2: 'x2', y1: 'y1', y2: 'y2', fy: 'letter' } as const
const SIZE_AXIS = { label: '↑ bytes (logarithmic)', tickFormat: formatCount }
const INDEX_AXIS = { label: 'index of the record →', tickFormat: formatCount }

interface Point {
  readonly index: number
  /** The index, moved within its column so that connections stand beside each other. */
  readonly x: number
  readonly size: number
}

/** Whole connections, evenly chosen when there are more than can be shown. */
function pointsOf(runs: readonly Run[], direction: Direction): Point[] {
  const traces = runs.map((run) => run[direction].sizes.slice(0, SHOWN_RECORDS))
  const total = traces.reduce((sum, { length }) => sum + length, 0)
  const step = Math.max(1, Math.ceil(total / SHOWN_POINTS))
  return traces
    .filter((_, run) => run % step === 0)
    .flatMap((sizes, run) =>
      sizes.map((size, index) => ({
        index,
        x: index + ((run % 7) - 3) * 0.1,
        size: Math.max(size, 1),
      })),
    )
}

function bandRects(band: SchemeBand, letter: string, isOpen: boolean) {
  return band.flatMap((step, index) =>
    // An exact size is a line, which needs a height to be seen.
    (step.isOpen === isOpen ? step.ranges : []).map(({ min, max }) => {
      return { letter, x1: index - 0.46, x2: index + 0.46, y1: min * 0.96, y2: max * 1.04 }
    }),
  )
}

function indexTable(all: readonly Series[], direction: Direction, last: number): Html {
  const hasBand = all.some(({ band }) => band[direction].length > 0)
  return table(
    `${DIRECTION_NAMES[direction]}: bytes by record index, least – median – most`,
    [
      { heading: 'Index', numeric: true },
      ...letterColumns(all),
      ...(hasBand ? all.map(({ style }) => ({ heading: `Band of ${style.letter}` })) : []),
    ],
    Array.from({ length: last + 1 }, (_, index) => [
      index,
      ...all.map(({ source }) => {
        const found = summarize(
          source.runs.flatMap((run) => run[direction].sizes.slice(index, index + 1)),
        )
        if (found === undefined) return NOTHING
        return [found.min, found.median, found.max].map(formatCount).join(' – ')
      }),
      ...(hasBand ? all.map(({ band }) => formatStep(band[direction][index])) : []),
    ]),
  )
}

function formatStep({ ranges, isOpen }: BandStep = { ranges: [], isOpen: true }): string {
  if (ranges.length === 0) return NOTHING
  const texts = ranges.map(({ min, max }) => (min === max ? `${min}` : `${min}–${max}`))
  return [...texts, ...(isOpen ? ['any'] : [])].join(', ')
}
