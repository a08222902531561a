// Draws a chart as SVG without a browser: Observable Plot on a document of linkedom.
// Must never be given text from a file: charts name their sources by letters.

import { plot } from '@observablehq/plot'
import type { PlotOptions } from '@observablehq/plot'
import { parseHTML } from 'linkedom'
import { Html } from './html.ts'

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
