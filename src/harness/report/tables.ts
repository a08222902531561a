// The tables of a report: its sources, what shaping costs, how far sources are apart.

import { DIRECTIONS } from '../simulate/workload.ts'
import type { Direction } from '../simulate/workload.ts'
import type { Scheme } from '../../shaping/scheme.ts'
import { DIRECTION_NAMES, NOTHING } from './chart-frame.ts'
import type { Series } from './chart-frame.ts'
import { kolmogorovSmirnov, wasserstein } from './distances.ts'
import { formatCount, formatMeasure, formatPercent, formatTime } from './format.ts'
import type { Html, HtmlPart, Section } from './html.ts'
import { html, table } from './html.ts'
import { isInBand } from './scheme-band.ts'
import { gapsOf, sizesOf, targetOf, tlsBytesOf } from './source.ts'
import { summarize } from './statistics.ts'

/** What stands in the first column of each source. */
type NameOf = (series: Series) => Html

/** Which letter is which file, and what is known of it. */
export function sourceSection(
  all: readonly Series[],
  schemes: Readonly<Partial<Record<Direction, Scheme>>>,
  nameOf: NameOf,
): Section {
  const rows = all.map((series): HtmlPart[] => {
    const { name, kind, runs, facts } = series.source
    const about = facts.map(({ name, value }) => html`<div>${name}: ${value}</div>`)
    const file = html`<div class="name">${name}</div>
      <div class="quiet">${about}</div>`
    return [nameOf(series), file, kind, runs.length]
  })
  const columns = [
    { heading: 'Source' },
    { heading: 'File' },
    { heading: 'Kind' },
    { heading: 'Connections', numeric: true },
  ]
  const notes = all.flatMap(({ source, style }) =>
    source.notes.map((note) => html`<li>${style.letter}: ${note}</li> `),
  )
  return {
    id: 'sources',
    title: 'Sources',
    body: html`${table('What is compared', columns, rows)}${
      notes.length > 0
        ? html`<ul>
            ${notes}
          </ul> `
        : undefined
    }${schemeTexts(all, schemes)}`,
  }
}

/** Each scheme once, whoever names it. */
function schemeTexts(
  all: readonly Series[],
  schemes: Readonly<Partial<Record<Direction, Scheme>>>,
): Html[] {
  const texts = new Map<string, string[]>()
  const add = (text: string | undefined, user: string) => {
    if (text !== undefined) texts.set(text, [...(texts.get(text) ?? []), user])
  }
  for (const direction of DIRECTIONS) {
    for (const { source, style } of all) {
      const scheme = targetOf(source, schemes, direction)
      add(scheme?.text, `${style.letter}, ${DIRECTION_NAMES[direction].toLowerCase()}`)
    }
  }
  return [...texts].map(
    ([text, users]) =>
      html`<details>
        <summary>Scheme of ${users.join('; ')}</summary>
        <pre tabindex="0">${text}</pre>
      </details> `,
  )
}

/** What is carried, and what padding and TLS add to it. */
export function overheadSection(all: readonly Series[], nameOf: NameOf): Section {
  const rows = DIRECTIONS.flatMap((direction) =>
    all.map((series): HtmlPart[] => {
      const { source } = series
      const sizes = summarize(sizesOf(source, direction))
      const heads = [nameOf(series), directionCell(direction)]
      if (sizes === undefined) return [...heads, 0, ...new Array<string>(8).fill(NOTHING)]
      const padding = source.padding?.[direction]
      const tls = tlsBytesOf(source, direction)
      return [
        ...heads,
        ...[formatCount(sizes.count), formatCount(sizes.sum)],
        ...(padding === undefined
          ? [NOTHING, NOTHING]
          : [formatCount(padding), share(padding, sizes.sum - padding)]),
        ...[formatCount(tls), share(tls, sizes.sum)],
        ...[formatMeasure(sizes.sum / sizes.count), formatMeasure(sizes.median)],
        inBandText(series, direction),
      ]
    }),
  )
  const numeric = true
  return {
    id: 'overhead',
    title: 'Overhead',
    body: html`<p>
        Padding is known of simulations alone: in a capture it is encrypted. Its percentage is that
        of the bytes without it; that of TLS, 22 bytes a record in TLS 1.3, is of the bytes carried.
        In the band: of the records at an index at which every record is shaped.
      </p>
      ${table(
        'Records and bytes by direction',
        [
          { heading: 'Source' },
          { heading: 'Direction' },
          ...[
            ...['Records', 'Bytes carried', 'Padding', 'Padding %', 'TLS', 'TLS %'],
            ...['Mean size', 'Median size', 'In the band'],
          ].map((heading) => ({ heading, numeric })),
        ],
        rows,
      )}`,
  }
}

function directionCell(direction: Direction): Html {
  return html`<span class="direction">${DIRECTION_NAMES[direction]}</span>`
}

function inBandText({ source, band }: Series, direction: Direction): string {
  let [inside, counted] = [0, 0]
  for (const run of source.runs) {
    for (const [index, { ranges, isOpen }] of band[direction].entries()) {
      const size = run[direction].sizes[index]
      if (size === undefined || isOpen) continue
      counted += 1
      if (isInBand(ranges, size)) inside += 1
    }
  }
  if (counted === 0) return NOTHING
  return `${formatCount(inside)} of ${formatCount(counted)}, ${formatPercent(inside / counted)}`
}

function share(part: number, whole: number): string {
  return whole > 0 ? formatPercent(part / whole) : NOTHING
}

/** How far the sources are apart, each pair in each direction. */
export function distanceSection(all: readonly Series[]): Section {
  const pairs = all.flatMap((a, index) => all.slice(index + 1).map((b) => [a, b] as const))
  const rows = DIRECTIONS.flatMap((direction) =>
    pairs.map(([a, b]): HtmlPart[] => [
      `${a.style.letter} and ${b.style.letter}`,
      directionCell(direction),
      ...distances(sizesOf(a.source, direction), sizesOf(b.source, direction), formatBytes),
      ...distances(gapsOf(a.source, direction), gapsOf(b.source, direction), formatTime),
    ]),
  )
  const numeric = true
  return {
    id: 'distances',
    title: 'Distances',
    body: html`<p>
        Kolmogorov-Smirnov D: 0 is the same distribution, 1 no overlap. Wasserstein distance: how
        far each value would have to be moved on average.
      </p>
      ${table(
        'How far the distributions of two sources are apart',
        [
          { heading: 'Sources' },
          { heading: 'Direction' },
          ...[
            'Sizes: D',
            'Sizes: Wasserstein',
            'Times between: D',
            'Times between: Wasserstein',
          ].map((heading) => ({ heading, numeric })),
        ],
        rows,
      )}`,
  }
}

function distances(
  a: readonly number[],
  b: readonly number[],
  format: (value: number) => string,
): [string, string] {
  if (a.length === 0 || b.length === 0) return [NOTHING, NOTHING]
  return [kolmogorovSmirnov(a, b).toFixed(3), format(wasserstein(a, b))]
}

function formatBytes(bytes: number): string {
  return `${formatMeasure(bytes)} bytes`
}
