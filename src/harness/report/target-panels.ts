// A close look at each record that a scheme shapes: sizes on a linear axis around the target, hits and misses apart,
// and how often the target was hit.

import { axisX, axisY, dot, gridY, rect } from '@observablehq/plot'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import { DIRECTION_NAMES, drawChart, NOTHING } from './chart-frame.ts'
import type { Series } from './chart-frame.ts'
import { formatCount, formatPercent } from './format.ts'
import { html, table } from './html.ts'
import type { Html, HtmlPart, Section } from './html.ts'
import { isInBand } from './scheme-band.ts'
import type { SizeRange } from './scheme-band.ts'
import { wilson } from './statistics.ts'

/** Shaped records of a direction that have a panel; points of one source in it. */
const MAX_PANELS = 24
const PANEL_POINTS = 120
/** Bytes that a panel shows at least on either side of the target. */
const LEAST_MARGIN = 20

/** What one source has at one index. */
interface Shaped {
  readonly series: Series
  readonly index: number
  readonly ranges: readonly SizeRange[]
  readonly sizes: readonly number[]
}

/** `undefined` when no source has a target. */
export function targetSection(all: readonly Series[], key: Html): Section | undefined {
  const directions = DIRECTIONS.map((direction) => ({
    direction,
    shaped: shapedIn(all, direction),
  }))
  if (directions.every(({ shaped }) => shaped.length === 0)) return undefined
  return {
    id: 'targets',
    title: 'Targets, close up',
    body: html`<p>
        One panel for each record that a scheme shapes, its size on a linear axis. Grey: the target.
        Circles hit it, crosses miss it; filled triangles at its edge are misses beyond it. A source
        without a scheme has no target and is not judged.
      </p>
      ${directions.map(({ direction, shaped }) => directionPart(direction, shaped, key))}`,
  }
}

function shapedIn(all: readonly Series[], direction: Direction): Shaped[] {
  return all.flatMap((series) =>
    series.band[direction].flatMap(({ ranges, isOpen }, index) => {
      if (isOpen || ranges.length === 0) return []
      const sizes = series.source.runs.flatMap((run) =>
        run[direction].sizes.slice(index, index + 1),
      )
      return [{ series, index, ranges, sizes }]
    }),
  )
}

function directionPart(direction: Direction, shaped: readonly Shaped[], key: Html): Html {
  if (shaped.length === 0) return html`<p>${DIRECTION_NAMES[direction]}: no target.</p> `
  const indexes = [...new Set(shaped.map(({ index }) => index))].sort((a, b) => a - b)
  const panels = indexes.slice(0, MAX_PANELS).map((index) => {
    const own = shaped.filter((one) => one.index === index)
    return html`<div class="panel">
      <h4>Record ${index}</h4>
      ${
        own.every(({ sizes }) => sizes.length === 0)
          ? html`<p class="quiet">no data</p> `
          : panel(direction, index, own)
      }
    </div> `
  })
  const more = indexes.length - MAX_PANELS
  return html`<h3>${DIRECTION_NAMES[direction]}</h3>
    ${key}
    <div class="panels">${panels}</div>
    ${more > 0 ? html`<p class="quiet">${more} more shaped records are in the table alone.</p> ` : undefined}
    ${rateTable(direction, shaped)}`
}

function panel(direction: Direction, index: number, own: readonly Shaped[]): Html {
  const ranges = own.flatMap(({ ranges }) => ranges)
  const least = Math.min(...ranges.map(({ min }) => min))
  const most = Math.max(...ranges.map(({ max }) => max))
  const margin = Math.max((most - least) / 2, LEAST_MARGIN)
  const domain = [Math.max(least - margin, 0), most + margin] as const
  const bands = own.flatMap(({ series, ranges }) =>
    ranges.map(({ min, max }) => ({ x: placeOf(own, series), y1: min - 0.5, y2: max + 0.5 })),
  )
  const points = own.flatMap(({ series, ranges, sizes }) => {
    const step = Math.max(1, Math.ceil(sizes.length / PANEL_POINTS))
    return sizes
      .filter((_, place) => place % step === 0)
      .map((size, place) => {
        const x = placeOf(own, series) + ((place % 9) - 4) * 0.08
        const isInside = size >= domain[0] && size <= domain[1]
        const y = Math.min(Math.max(size, domain[0]), domain[1])
        const kind = isInBand(ranges, size) ? 'hit' : isInside ? 'miss' : 'beyond'
        return { x, y, kind, color: series.style.color } as const
      })
  })
  const of = (kind: (typeof points)[number]['kind']) =>
    points.filter((point) => point.kind === kind)
  const marks = { x: 'x', y: 'y', stroke: 'color', strokeWidth: 1.5 } as const
  const letters = own.map(({ series }) => series.style.letter)
  const label = `${DIRECTION_NAMES[direction]}: record ${index}, sizes around the target, by source.`
  return drawChart(label, {
    ...{ width: 300, height: 210, marginLeft: 56, marginTop: 28, marginBottom: 34, marginRight: 8 },
    x: { domain: [-0.5, own.length - 0.5], label: null },
    y: { domain: [...domain], label: null },
    marks: [
      gridY({ ticks: 4 }),
      rect(bands, {
        ...{ x1: ({ x }: { x: number }) => x - 0.46, x2: ({ x }: { x: number }) => x + 0.46 },
        ...{ y1: 'y1', y2: 'y2', fill: 'currentColor', fillOpacity: 0.18 },
        ...{ stroke: 'currentColor', strokeOpacity: 0.9 },
      }),
      dot(of('hit'), { ...marks, symbol: 'circle', r: 3 }),
      dot(of('miss'), { ...marks, symbol: 'times', r: 4.5 }),
      dot(of('beyond'), { ...marks, symbol: 'triangle', r: 4, fill: 'color' }),
      axisY({ label: '↑ bytes (linear)', ticks: 4, tickFormat: formatCount }),
      axisX(
        letters.map((_, place) => place),
        {
          label: 'source',
          tickFormat: (place: number) => letters[place] ?? '',
        },
      ),
    ],
  })
}

function placeOf(own: readonly Shaped[], series: Series): number {
  return own.findIndex((one) => one.series === series)
}

function rateTable(direction: Direction, shaped: readonly Shaped[]): Html {
  const numeric = true
  const rows = shaped.map(({ series, index, ranges, sizes }): HtmlPart[] => {
    const hits = sizes.filter((size) => isInBand(ranges, size)).length
    const rate = wilson(hits, sizes.length)
    const target = ranges
      .map(({ min, max }) => (min === max ? `${min}` : `${min}–${max}`))
      .join(', ')
    return [
      ...[series.style.letter, index, target, formatCount(sizes.length)],
      ...(rate === undefined
        ? ['no data', NOTHING, NOTHING]
        : [
            formatCount(hits),
            formatPercent(rate.rate),
            `${formatPercent(rate.low)} – ${formatPercent(rate.high)}`,
          ]),
    ]
  })
  return table(
    `${DIRECTION_NAMES[direction]}: how often the target was hit`,
    [
      { heading: 'Source' },
      ...['Record', 'Target, bytes', 'Connections', 'Hits', 'Rate', '95 % interval (Wilson)'].map(
        (heading) => ({ heading, numeric }),
      ),
    ],
    rows,
  )
}
