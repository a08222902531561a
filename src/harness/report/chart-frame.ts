// What all charts of a report have in common: their series and how these are told apart, their frame, their rows, and
// how they become SVG without a browser: Observable Plot on a document of linkedom.
// Must never tell two sources apart by colour alone.

import { plot, text } from '@observablehq/plot'
import type { Markish, PlotOptions, SymbolType } from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import type { Direction } from '../simulate/workload.ts'
import { Html } from './html.ts'
import type { Column } from './html.ts'
import type { SchemeBand } from './scheme-band.ts'
import type { ReportSource } from './source.ts'

/** A source with the look that it has in every chart. */
export interface Series {
  readonly source: ReportSource
  readonly style: SeriesStyle
  readonly band: Readonly<Record<Direction, SchemeBand>>
}

/** A chart and the same as a table. */
export interface Chart {
  readonly image: Html
  /** The same data on axes of another kind. */
  readonly more?: Html
  readonly data: Html
}

export const DIRECTION_NAMES: Readonly<Record<Direction, string>> = {
  up: 'Client to server',
  down: 'Server to client',
}

/** What stands where there is no number. */
export const NOTHING = '–'

const WIDTH = 900
const MARGIN_LEFT = 84
const ROW_HEIGHT = 150
/** Of an axis of sizes in bytes, which is logarithmic. */
export const SIZE_TICKS = [1, 10, 100, 1_000, 10_000]

export const FRAME = {
  width: WIDTH,
  marginTop: 36,
  marginLeft: MARGIN_LEFT,
  marginBottom: 44,
  marginRight: 24,
} as const

/** One row of the chart for each source, named by its letter. */
export function rows(all: readonly Series[]) {
  return {
    ...FRAME,
    height: 80 + all.length * ROW_HEIGHT,
    fy: { domain: all.map(({ style }) => style.letter), axis: null, padding: 0.12 },
  }
}

/** The letter of each row, left of its axis: in sight even where a narrow window cuts the chart. */
export function rowNames(all: readonly Series[]): Markish {
  const letters = all.map(({ style: { letter, color } }) => ({ letter, color }))
  const look = { fontSize: 17, fontWeight: 'bold', textAnchor: 'start' } as const
  return text(letters, {
    ...{ text: 'letter', fy: 'letter', fill: 'color', frameAnchor: 'left', dx: -MARGIN_LEFT + 4 },
    ...look,
  })
}

/** A column of a table for each source. */
export function letterColumns(all: readonly Series[]): Column[] {
  return all.map(({ style }) => ({ heading: style.letter, numeric: true }))
}

interface SeriesStyle {
  readonly letter: string
  /** A variable of the page's style sheet, which has one value for light and one for dark. */
  readonly color: string
  readonly symbol: SymbolType
  /** For `stroke-dasharray`. */
  readonly dash: string
}

const STYLES: readonly SeriesStyle[] = [
  { letter: 'A', color: 'var(--series-a)', symbol: 'circle', dash: 'none' },
  { letter: 'B', color: 'var(--series-b)', symbol: 'triangle', dash: '7 4' },
  { letter: 'C', color: 'var(--series-c)', symbol: 'square', dash: '2 4' },
  { letter: 'D', color: 'var(--series-d)', symbol: 'times', dash: '10 4 2 4' },
  { letter: 'E', color: 'var(--series-e)', symbol: 'diamond', dash: '14 5' },
  { letter: 'F', color: 'var(--series-f)', symbol: 'star', dash: '6 3 2 3 2 3' },
]

/** Most sources that one report can show. */
export const MAX_SOURCES = STYLES.length

/** @param index from 0 to below {@link MAX_SOURCES} */
export function seriesStyle(index: number): SeriesStyle {
  const style = STYLES[index]
  if (style === undefined) throw new RangeError(`there are ${MAX_SOURCES} styles`)
  return style
}

/** What is used of an element here; the types of browsers are not loaded in this package. */
interface SvgElement {
  setAttribute(name: string, value: string): void
  querySelector(selector: string): { remove(): void } | null
  readonly outerHTML: string
}

/**
 * The chart as one `<svg>`, an image to a screen reader.
 *
 * @param label what it shows, in words
 */
export function drawChart(label: string, options: PlotOptions): Html {
  const page: unknown = parseHTML('<!doctype html><html><body></body></html>')
  const { document } = page as { document: unknown }
  const drawn: unknown = plot({
    className: 'plot',
    style: { fontSize: '13px', background: 'none', overflow: 'visible' },
    ...options,
    document: document as never,
  })
  const svg = drawn as SvgElement
  // The style sheet of the page says it once for all charts.
  svg.querySelector('style')?.remove()
  svg.setAttribute('role', 'img')
  svg.setAttribute('aria-label', label)
  return Html.trusted(svg.outerHTML)
}
