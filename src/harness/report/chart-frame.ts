// What all charts of a report have in common: their series, their frame, their rows.
// Must never hold a chart.

import { text } from '@observablehq/plot'
import type { Markish } from '@observablehq/plot'
import type { Direction } from '../simulate/workload.ts'
import type { Html } from './html.ts'
import type { Column } from './html.ts'
import type { SchemeBand } from './scheme-band.ts'
import type { SeriesStyle } from './series-style.ts'
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
