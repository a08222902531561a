// Holds spec-notes to the code, the tests and the draft: nothing that they name may be missing, and nothing
// that the draft requires may be missing in them.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import requirements from '../fixtures/draft-requirements.json' with { type: 'json' }
import {
  parseTitles,
  readDecisions,
  readDraft,
  readMatrix,
  readTitles,
} from './conformance/matrix.ts'
import { MUTANTS } from './conformance/mutants/all.ts'

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const DRAFT = join(ROOT, '../shared/spec/anytls-v1.md')
const withoutDraft = !existsSync(DRAFT)
const note = withoutDraft ? ' (skipped: ../shared is not there)' : ''

const rows = readMatrix(join(ROOT, 'spec-notes/conformance.md'))
const decisions = readDecisions(join(ROOT, 'spec-notes/decisions.md'))

/** `path` is a file, or a folder, of the project. */
function isThere(path: string): boolean {
  return existsSync(join(ROOT, path))
}

describe('the conformance matrix', () => {
  it('has a quote, code and a test in every row', () => {
    expect(rows.length).toBeGreaterThan(90)
    const wrong = rows.filter(({ quote, code, tests }) => {
      return quote === '' || code.length === 0 || tests.length === 0
    })
    expect(wrong).toEqual([])
  })

  it('names only code that exists', () => {
    const wrong = rows.flatMap(({ line, code }) =>
      code
        .filter((path) => !path.startsWith('src/') || !isThere(path))
        .map((path) => ({ line, path })),
    )
    expect(wrong).toEqual([])
  })

  it('names only tests that exist, by their very titles', () => {
    const titles = new Map<string, Set<string>>()
    const isTest = (file: string, title: string): boolean => {
      if (!/^test\/.+\.test\.ts$/.test(file) || !isThere(file)) return false
      if (!titles.has(file)) titles.set(file, readTitles(join(ROOT, file)))
      return titles.get(file)!.has(title)
    }
    const wrong = rows.flatMap(({ line, tests }) =>
      tests.filter(({ file, title }) => !isTest(file, title)).map((test) => ({ line, ...test })),
    )
    expect(wrong).toEqual([])
  })

  it('counts no test as proof that is switched off, itself or with its group', () => {
    const text = `
      // it('in a comment', () => {})
      it('counts', () => {})
      it.skip('skipped', () => {})
      test.todo('to do')
      it('off', { skip: true }, () => {})
      describe.skip('a', () => { describe('b', () => { it('in a skipped group', () => {}) }) })
      describe.todo('c', () => { it('in a group to do', () => {}) })
      describe('d', { todo: true }, () => { it('in a group that is off', () => {}) })
      describe('e', () => { it.for([1])("counts %s", () => {}) })`
    expect([...parseTitles(text)]).toEqual(['counts', 'counts %s'])
  })

  it('has a fault for every row, in code that the row names: npm run prove plants them', () => {
    const keys = MUTANTS.map(({ section, quote }) => `${section}: ${quote}`)
    expect(keys).toEqual(rows.map(({ section, quote }) => `${section}: ${quote}`))
    const wrong = MUTANTS.filter(({ section, quote, file, find, put }) => {
      const row = rows.find((one) => one.section === section && one.quote === quote)
      const found = readFileSync(join(ROOT, file), 'utf8').split(find).length - 1
      return row?.code.includes(file) !== true || found !== 1 || find === put
    })
    expect(wrong).toEqual([])
  })

  it('has a row for everything that the draft requires', () => {
    expect(requirements.length).toBeGreaterThanOrEqual(70)
    const missing = requirements.filter(({ section, text }) => {
      return !rows.some(
        (row) => row.section === section && row.quote !== '' && text.includes(row.quote),
      )
    })
    expect(missing).toEqual([])
  })

  it.skipIf(withoutDraft)(`knows everything that the draft requires today${note}`, () => {
    const { required } = readDraft(DRAFT)
    expect(required.map(({ section, text }) => ({ section, text }))).toEqual(requirements)
  })

  it.skipIf(withoutDraft)(`quotes the draft, in the section that it names${note}`, () => {
    const { all } = readDraft(DRAFT)
    const wrong = rows.filter(({ section, quote }) => {
      return !all.some((sentence) => sentence.section === section && sentence.text.includes(quote))
    })
    expect(wrong.map(({ line, section, quote }) => ({ line, section, quote }))).toEqual([])
  })
})

describe('the decisions', () => {
  it('has D1 to D52 and then N1 and onward, each once and in order', () => {
    const count = decisions.length - 52
    expect(count).toBeGreaterThan(0)
    expect(decisions.map(({ id }) => id)).toEqual([
      ...Array.from({ length: 52 }, (_, index) => `D${index + 1}`),
      ...Array.from({ length: count }, (_, index) => `N${index + 1}`),
    ])
  })

  it('has a test that names each of D1 to D52', () => {
    const titles = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
      .filter((path) => path.endsWith('.test.ts'))
      .flatMap((path) => [...readTitles(join(ROOT, 'test', path))])
    const named = new Set(titles.flatMap((title) => title.match(/\bD\d+\b/g) ?? []))
    const missing = decisions.filter(({ id }) => id.startsWith('D') && !named.has(id))
    expect(missing.map(({ id }) => id)).toEqual([])
  })

  it('gives for each the reason and code that exists', () => {
    const wrong = decisions.filter(({ why, code }) => {
      return (
        !why || code.length === 0 || !code.every((path) => path.startsWith('src/') && isThere(path))
      )
    })
    expect(wrong).toEqual([])
  })
})
