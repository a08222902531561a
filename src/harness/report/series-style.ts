// How the sources of a report are told apart: a letter, a colour, a shape, a dash each.
// Must never tell two sources apart by colour alone.

import type { SymbolType } from '@observablehq/plot'

export interface SeriesStyle {
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
