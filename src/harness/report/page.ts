// The report: one HTML page, complete in itself. The same input gives the same page.
// Must never refer to anything outside of itself, or hold a script.

import { dot } from '@observablehq/plot'
import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { DIRECTION_NAMES, drawChart, seriesStyle } from './chart-frame.ts'
import type { Chart, Series } from './chart-frame.ts'
import { comparisonSection } from './comparison.ts'
import type { ComparisonResult } from './comparison.ts'
import { cumulativeChart } from './cumulative-chart.ts'
import { gapChart, sizeChart } from './histogram-charts.ts'
import { Html, html } from './html.ts'
import type { Section } from './html.ts'
import { SHOWN_POINTS, SHOWN_RECORDS, sizeByIndexChart } from './index-chart.ts'
import { schemeBand } from './scheme-band.ts'
import { targetOf } from './source.ts'
import type { ReportSource } from './source.ts'
import { STYLE_SHEET } from './style.ts'
import { distanceSection, overheadSection, sourceSection } from './tables.ts'
import { targetSection } from './target-panels.ts'

/** Options of {@link renderReport}. */
interface ReportOptions {
  /** The target of each direction, for captures: a simulation has its own, or none. */
  readonly schemes?: Readonly<Partial<Record<Direction, Scheme>>>
  /** The result of a comparison, whose curve is drawn. */
  readonly comparison?: ComparisonResult
}

/**
 * The page, as a whole HTML document.
 *
 * @param sources at least one, at most `MAX_SOURCES`
 */
export function renderReport(
  sources: readonly ReportSource[],
  { schemes = {}, comparison }: ReportOptions = {},
): string {
  const all = sources.map((source, index): Series => {
    const bandOf = (direction: Direction) => {
      const scheme = targetOf(source, schemes, direction)
      return scheme === undefined ? [] : schemeBand(scheme, SHOWN_RECORDS)
    }
    return {
      source,
      style: seriesStyle(index),
      band: { up: bandOf('up'), down: bandOf('down') },
    }
  })
  const sections = [
    sourceSection(all, schemes, nameOf),
    overheadSection(all, nameOf),
    ...(all.length > 1 ? [distanceSection(all)] : []),
    ...(comparison === undefined ? [] : [comparisonSection(comparison)]),
    ...CHARTS.flatMap((section) => {
      const targets = section.id === 'by-index' ? targetSection(all, keyOf(all)) : undefined
      return [chartSection(section, all), ...(targets === undefined ? [] : [targets])]
    }),
    METHOD,
  ]
  return page(`Shapes of ${sources.map(({ name }) => name).join(', ')}`, sections).markup
}

function page(title: string, sections: readonly Section[]): Html {
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta
          http-equiv="Content-Security-Policy"
          content="default-src 'none'; style-src 'unsafe-inline'"
        />
        <title>${title}</title>
        <style>
          ${Html.trusted(STYLE_SHEET)}
        </style>
      </head>
      <body>
        <a class="skip" href="#main">Skip to the report</a>
        <header>
          <h1>What the shape of the traffic shows</h1>
          <p class="quiet">
            Sizes and times of TLS records, as an onlooker without a key sees them, side by side.
          </p>
          <nav aria-label="Parts of the report">
            <ul>
              ${sections.map(({ id, title }) => html`<li><a href="#${id}">${title}</a></li> `)}
            </ul>
          </nav>
        </header>
        <main id="main" tabindex="-1">
          ${sections.map(
            ({ id, title, body }) =>
              html`<section aria-labelledby="${id}">
                <h2 id="${id}">${title}</h2>
                ${body}
              </section> `,
          )}
        </main>
      </body>
    </html> `
}

/** The mark of a source and its letter, wherever a source is named. */
function nameOf({ style: { letter, color, symbol } }: Series): Html {
  const mark = drawChart(`Mark of ${letter}`, {
    ...{ width: 18, height: 18, margin: 0, axis: null },
    x: { domain: [0, 2] },
    y: { domain: [0, 2] },
    marks: [dot([[1, 1]], { stroke: color, symbol, r: 5, strokeWidth: 2 })],
  })
  return html`<span class="source">${mark}${letter}</span>`
}

/** Which letter is which file, above each figure. */
function keyOf(all: readonly Series[]): Html {
  const names = all.map(
    (series) =>
      html`<span>${nameOf(series)} <span class="name">${series.source.name}</span></span> `,
  )
  return html`<p class="key">${names}</p> `
}

interface ChartSection {
  readonly id: string
  readonly title: string
  readonly text: string
  readonly draw: (all: readonly Series[], direction: Direction) => Chart
}

const CHARTS: readonly ChartSection[] = [
  {
    id: 'by-index',
    title: 'Size by record index',
    text: `The first ${SHOWN_RECORDS} records of each direction of each connection; connections stand beside
each other within an index. Of a source with more than ${SHOWN_POINTS} such records, connections are left out evenly.
Grey: the band of the scheme, the sizes that it allows at that index; pale and dashed where shaping may be over
already, or pause, so that any size is possible.`,
    draw: sizeByIndexChart,
  },
  {
    id: 'sizes',
    title: 'Distribution of sizes',
    text: 'All records of all connections: the share of each size, and below it the share up to each size.',
    draw: sizeChart,
  },
  {
    id: 'gaps',
    title: 'Times between records',
    text: `From each record of a direction to the next one of that direction. What came at once counts to the
smallest times. Below, the share up to each time.`,
    draw: gapChart,
  },
  {
    id: 'cumulative',
    title: 'Cumulative bytes',
    text: `Bytes carried since the first record of a connection, the mean over the connections of a source.`,
    draw: cumulativeChart,
  },
]

function chartSection({ id, title, text, draw }: ChartSection, all: readonly Series[]): Section {
  const figures = DIRECTIONS.map((direction) => {
    if (all.every(({ source }) => source.runs.every((run) => run[direction].sizes.length === 0))) {
      return html`<p>${DIRECTION_NAMES[direction]}: no data.</p> `
    }
    const { image, more, data } = draw(all, direction)
    const chartOf = (drawn: Html, kind: string) =>
      html`<div
        class="scroll chart"
        tabindex="0"
        role="group"
        aria-label="${title}, ${DIRECTION_NAMES[direction]}${kind}"
      >
        ${drawn}
      </div> `
    return html`<figure>
      <figcaption>${DIRECTION_NAMES[direction]}</figcaption>
      ${keyOf(all)} ${chartOf(image, '')}
      ${more === undefined ? undefined : chartOf(more, ', cumulative')}
      <details>
        <summary>${title}, ${DIRECTION_NAMES[direction]}: the numbers</summary>
        ${data}
      </details>
    </figure> `
  })
  return {
    id,
    title,
    body: html`<p>${text}</p>
      ${figures}`,
  }
}

const METHOD: Section = {
  id: 'method',
  title: 'How this is measured',
  body: html`<ul>
    <li>
      <strong>Sizes</strong> are bytes that a record carries. A simulation tells the sizes of
      Writes, and a Write of up to 16,384 bytes is one record. A capture tells the size of records
      on the wire, from which 22 bytes are taken for TLS 1.3: five of head, sixteen of tag, one
      inner content type (RFC 8446, section 5.2); for TLS 1.2 what its cipher adds, which the record
      of Finished shows.
    </li>
    <li>
      <strong>Left out of captures</strong>: every record that is not application data, and what TLS
      1.3 hides among it by its place: the client’s Finished, what the server sends before it, its
      session tickets, and a last record of two bytes, the alert with which TLS ends. How many
      records those are can be set with --skip-up and --skip-down.
    </li>
    <li>
      <strong>The band</strong> of a scheme holds every size that an item of the scheme can have at
      a record index, c ending a Deliver or not, as if each Deliver fitted into its targets. Deliver
      0 is of any size. Data beyond the targets makes one record more and moves those behind it. Of
      a scheme with a restart, it is the band of a connection with one stream. A record counts as in
      the band up to one byte below it and seven above: ANYTLS cannot add a single byte, and padding
      alone on the original wire is seven bytes longer than its target.
    </li>
    <li>
      <strong>Kolmogorov-Smirnov D</strong> is the largest difference between two empirical
      distribution functions: 0 the same, 1 no overlap. <strong>Wasserstein distance</strong> (earth
      mover’s) is the area between them: by how much, on average, each value of one would have to be
      moved to make the other.
    </li>
    <li>
      <strong>Times</strong> of a capture are those at which its relay had read a record’s last
      byte; times of a simulation are those of its workload and of the flush that it assumes.
    </li>
  </ul> `,
}
