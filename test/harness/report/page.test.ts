import { parseHTML } from 'linkedom'
import { describe, expect, it } from 'vitest'
import { SHOWN_POINTS } from '../../../src/harness/report/index-chart.ts'
import { parseComparison } from '../../../src/harness/report/comparison.ts'
import { renderReport } from '../../../src/harness/report/page.ts'
import { MAX_SOURCES } from '../../../src/harness/report/chart-frame.ts'
import type { ReportSource, Run } from '../../../src/harness/report/source.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../../src/shaping/scheme.ts'
import { seededRandomInt } from '../../support/seeded-random.ts'

/** What the tests ask of a parsed page; the types of browsers are not loaded in this package. */
interface Node {
  readonly textContent: string
  readonly outerHTML: string
  getAttribute(name: string): string | null
  querySelector(selector: string): Node | null
  querySelectorAll(selector: string): Iterable<Node>
}

function parse(page: string): Node {
  const parsed: unknown = parseHTML(page)
  return (parsed as { document: Node }).document
}

const texts = (page: string, selector: string) =>
  [...parse(page).querySelectorAll(selector)].map(({ textContent }) =>
    textContent.replace(/\s+/g, ' ').trim(),
  )

const cells = (page: string, selector: string) =>
  [...parse(page).querySelectorAll(selector)].map((row) =>
    [...row.querySelectorAll('th, td')].map((cell) => cell.textContent.trim()).join(' | '),
  )

/** Runs with random sizes, always the same ones for a seed. */
function makeRuns(seed: number, count: number, length: number): Run[] {
  const draw = seededRandomInt(seed)
  const trace = () => ({
    times: Array.from({ length }, (_, index) => index * 2 + draw(0, 1000) / 1000),
    sizes: Array.from({ length }, () => draw(1, 16_385)),
  })
  return Array.from({ length: count }, () => ({ up: trace(), down: trace() }))
}

function makeSource(more: Partial<ReportSource> = {}): ReportSource {
  return {
    ...{ kind: 'capture', name: 'a.jsonl', runs: makeRuns(1, 3, 12) },
    ...{ schemes: {}, facts: [], notes: [] },
    ...more,
  }
}

const one = makeSource()
const other = makeSource({ name: 'b.json', kind: 'simulation', runs: makeRuns(2, 3, 12) })

describe('a report', () => {
  it('is the same for the same input', () => {
    const render = () => renderReport([one, other], { schemes: { up: DEFAULT_SCHEME } })
    expect(render()).toBe(render())
  })

  it('is one page without anything from outside, and without scripts', () => {
    const page = renderReport([one, other])
    expect(page).toMatch(/^<!doctype html>/i)
    expect(page).toMatch(/content="default-src 'none'; style-src 'unsafe-inline'"/)
    expect(page).not.toMatch(/<(script|link|img|iframe|object|embed|use|image)\b|@import|url\(/i)
    expect(page).not.toMatch(/\s(?:src|srcset|data|on\w+)=/i)
    const targets = [...parse(page).querySelectorAll('[href]')].map((a) => a.getAttribute('href'))
    for (const target of targets) {
      expect(target).toMatch(/^#/)
      expect(parse(page).querySelector(`[id="${target?.slice(1)}"]`), `${target}`).not.toBeNull()
    }
    // Names of XML, which nobody loads, are all the addresses that there may be.
    expect(page.replaceAll('http://www.w3.org/', '')).not.toMatch(/https?:/)
  })

  it('Bad input: text from files cannot become markup, wherever it is shown', () => {
    const evil = '"><script>alert(1)</script><img src=x onerror=alert(1)>'
    const scheme = { ...parseScheme('stop=2\n1=5-9'), text: `stop=2\n${evil}` }
    const page = renderReport(
      [
        makeSource({
          name: evil,
          facts: [{ name: evil, value: evil }],
          notes: [evil],
          schemes: { up: scheme },
        }),
        makeSource({ name: '\u202e\u0007evil' }),
      ],
      { schemes: { down: scheme } },
    )
    expect(page).not.toContain('<script')
    expect(page).not.toContain('<img')
    expect(page).not.toMatch(/\u202e|(?!\n)\p{Cc}/u)
    expect(parse(page).querySelector('.name')?.textContent).toBe(evil)
  })

  it('shows each kind of chart for each direction, with its numbers in a table beside it', () => {
    const page = renderReport([one, other])
    const figures = [...parse(page).querySelectorAll('figure')]
    expect(figures).toHaveLength(8)
    for (const figure of figures) {
      const svg = figure.querySelector('.chart svg')
      expect(svg?.getAttribute('role')).toBe('img')
      expect(svg?.getAttribute('aria-label')).toMatch(/^(Client to server|Server to client): /)
      expect([...figure.querySelectorAll('details tbody tr')].length).toBeGreaterThan(1)
    }
    expect(texts(page, 'h2')).toEqual([
      ...['Sources', 'Overhead', 'Distances', 'Size by record index', 'Distribution of sizes'],
      ...['Times between records', 'Cumulative bytes', 'How this is measured'],
    ])
  })

  it('tells sources apart by letter and shape as well as by colour', () => {
    const sources = Array.from({ length: MAX_SOURCES }, () => makeSource())
    const page = renderReport(sources)
    expect(texts(page, '#main section:first-child .source')).toEqual('A B C D E F'.split(' '))
    const marks = [...parse(page).querySelectorAll('#main section:first-child .source svg')].map(
      (svg) => svg.querySelector('path, circle')?.getAttribute('d') ?? 'circle',
    )
    expect(new Set(marks).size).toBe(MAX_SOURCES)
  })

  it('draws the band of the scheme behind the points: that of the file before the given one', () => {
    const bands = (page: string) =>
      [...parse(page).querySelectorAll('section')].map(
        (section) => [...section.querySelectorAll('[aria-label="rect"] [fill="none"] rect')].length,
      )[2]
    expect(bands(renderReport([one]))).toBe(0)
    const given = parseScheme('stop=3\n1=100-200\n2=300-400')
    expect(bands(renderReport([one], { schemes: { up: given } }))).toBe(2)
    expect(bands(renderReport([one], { schemes: { up: given, down: given } }))).toBe(4)
    const own = makeSource({ schemes: { up: parseScheme('stop=2\n1=9-9') } })
    expect(bands(renderReport([own], { schemes: { up: given } }))).toBe(1)
  })

  it('keeps the band in sight however many points there are: points let it through, its outline is on top', () => {
    const scheme = parseScheme('stop=3\n1=100-200\n2=300-400')
    const page = renderReport([makeSource({ runs: makeRuns(3, 50, 60) })], {
      schemes: { up: scheme },
    })
    const chart = [...parse(page).querySelectorAll('section')][2]?.querySelector('.chart svg')
    const marks = [...(chart?.querySelectorAll('[aria-label="rect"], [aria-label="dot"]') ?? [])]
    const look = (mark: number, name: string) => marks[mark]?.querySelector('g')?.getAttribute(name)
    expect(marks.map((mark) => mark.getAttribute('aria-label'))).toEqual(['rect', 'dot', 'rect'])
    expect(Number(look(1, 'stroke-opacity'))).toBeLessThan(0.6)
    expect(look(2, 'fill')).toBe('none')
    expect(Number(look(2, 'stroke-opacity'))).toBeGreaterThan(0.8)
  })

  it('counts what is in the band, what padding adds and what TLS adds', () => {
    const trace = { times: [0, 1, 2, 3], sizes: [500, 150, 150, 1000] }
    const nothing = { times: [], sizes: [] }
    const source = makeSource({
      runs: [{ up: trace, down: nothing }],
      schemes: { up: parseScheme('stop=3\n1=100-200\n2=300-400') },
      padding: { up: 300, down: 0 },
    })
    const [up, down] = cells(renderReport([source]), '#main section:nth-child(2) tbody tr')
    // 300 of 1,500 without; 4 records of 22 of 1,800.
    expect(up).toBe(
      'A | Client to server | 4 | 1,800 | 300 | 20 % | 88 | 4.89 % | 450 | 325 | 1 of 2, 50 %',
    )
    expect(down).toBe('A | Server to client | 0 | – | – | – | – | – | – | – | –')
  })

  it('tells how far sources are apart: 0 of the same, all of what does not overlap', () => {
    const trace = (size: number) => ({ times: [0, 1], sizes: [size, size] })
    const run = (size: number) => [{ up: trace(size), down: trace(size) }]
    const sources = [100, 100, 1000].map((size) => makeSource({ runs: run(size) }))
    const rows = cells(renderReport(sources), '#main section:nth-child(3) tbody tr')
    expect(rows[0]).toBe('A and B | Client to server | 0.000 | 0 bytes | 0.000 | 0 ms')
    expect(rows[1]).toBe('A and C | Client to server | 1.000 | 900 bytes | 0.000 | 0 ms')
  })

  it('shows each shaped record close up, on a linear axis, with hits, misses and their rate', () => {
    const trace = (first: number) => ({ times: [0, 1, 2], sizes: [500, first, 350] })
    const nothing = { times: [], sizes: [] }
    const runs = [150, 160, 205, 240, 900].map((size) => ({ up: trace(size), down: nothing }))
    const page = renderReport(
      [makeSource({ runs }), makeSource({ runs, name: 'long/name.jsonl' })],
      {
        schemes: { up: parseScheme('stop=4\n1=100-200\n2=300-400\n3=60-60') },
      },
    )
    const section = '[aria-labelledby="targets"]'
    expect(texts(page, `${section} h4`)).toEqual(['Record 1', 'Record 2', 'Record 3'])
    expect(texts(page, `${section} .name`)).toEqual(['a.jsonl', 'long/name.jsonl'])
    const labels = texts(page, `${section} .panel svg text`)
    expect(labels.filter((label) => label.includes('bytes (linear)'))).toHaveLength(2)
    // 150, 160 and 205 (seven more than 199 may be, D22) hit; of each source, 240 is in sight and 900 is not.
    const first = parse(page).querySelector(`${section} .panel svg`)!
    const marks = [...first.querySelectorAll('[aria-label="dot"]')].map(
      (mark) => [...mark.querySelectorAll('path, circle')].length,
    )
    expect(marks).toEqual([6, 2, 2])
    const rows = cells(page, `${section} tbody tr`)
    expect(rows[0]).toBe('A | 1 | 100–199 | 5 | 3 | 60 % | 23.1 % – 88.2 %')
    expect(rows[1]).toBe('A | 2 | 300–399 | 5 | 5 | 100 % | 56.6 % – 100 %')
    expect(rows[2]).toBe('A | 3 | 60 | 0 | no data | – | –')
  })

  it('judges a simulation by its own scheme, not by that of the captures', () => {
    const given = parseScheme('stop=3\n1=100-200\n2=300-400')
    const simulated = makeSource({
      kind: 'simulation',
      schemes: { up: parseScheme('stop=2\n1=9-9') },
    })
    const page = renderReport([simulated], { schemes: { up: given, down: given } })
    expect(texts(page, '[aria-labelledby="targets"] h4')).toEqual(['Record 1'])
    expect(cells(page, '[aria-labelledby="targets"] tbody tr')[0]).toMatch(/^A \| 1 \| 9 \|/)
    expect(texts(page, '[aria-labelledby="targets"] p')).toContain('Server to client: no target.')
    expect(texts(page, 'summary').join()).not.toContain('Scheme of A, server to client')
  })

  it('draws what a comparison found, and refuses what is none', () => {
    const points = [
      { records: 1, auc: 0.5, low: 0.4, high: 0.6 },
      { records: 8, auc: 0.9, low: 0.85, high: 0.95 },
    ]
    const read = (value: unknown) => parseComparison('c.json', JSON.stringify(value))
    const comparison = read({ auc: 0.9, byRecords: points })
    expect(comparison.byRecords).toEqual(points)
    const nested = points.map(({ low, high, ...rest }) => ({ ...rest, ci: { low, high } }))
    expect(read({ byRecords: nested })).toEqual(comparison)
    const page = renderReport([one], { comparison })
    expect(cells(page, '[aria-labelledby="comparison"] tbody tr')).toEqual([
      '1 | 0.500 | 0.400 – 0.600',
      '8 | 0.900 | 0.850 – 0.950',
    ])
    expect(texts(page, '[aria-labelledby="comparison"] svg text')).toContain(
      'records seen (logarithmic) →',
    )
    expect(renderReport([one], { comparison: read({ byRecords: [] }) })).toContain('no data')
    for (const bad of [null, [], {}, { byRecords: [{ records: 1, auc: 2, low: 0, high: 1 }] }]) {
      expect(() => read(bad)).toThrow(/^the comparison is not valid: /)
    }
  })

  it('bears sources without anything in them', () => {
    const nothing = { times: [], sizes: [] }
    for (const runs of [[], [{ up: nothing, down: nothing }]]) {
      const page = renderReport([makeSource({ runs }), makeSource({ runs })])
      expect(texts(page, 'p').filter((text) => text.endsWith('no data.'))).toHaveLength(8)
    }
    const lonely = { times: [0], sizes: [5] }
    const page = renderReport([makeSource({ runs: [{ up: lonely, down: nothing }] }), one])
    expect(page).not.toContain('NaN')
  })

  it('stays small for large sources: points are left out, and the page says so', () => {
    const small = renderReport([makeSource({ runs: makeRuns(3, 20, 60) })])
    const large = renderReport([makeSource({ runs: makeRuns(3, 2_000, 100) })])
    expect(large.length).toBeLessThan(small.length * 2)
    const points = [...parse(large).querySelectorAll('[aria-label="dot"] circle')].length
    expect(points).toBeGreaterThan(SHOWN_POINTS / 2)
    expect(points).toBeLessThan(3 * SHOWN_POINTS)
    expect(large).toMatch(/connections\s+are\s+left\s+out\s+evenly/)
  })
})
