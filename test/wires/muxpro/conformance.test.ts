// Holds spec-notes/conformance-muxpro.md to the code, the tests and the draft: nothing that it names may be
// missing, and nothing that the draft requires may be missing in it.
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import requirements from '../../../fixtures/muxpro-requirements.json' with { type: 'json' }
import { readMatrix, readTitles } from '../../conformance/matrix.ts'
import { readMuxProDraft } from './draft.ts'

const ROOT = fileURLToPath(new URL('../../../', import.meta.url))
const DRAFT = join(ROOT, '../shared/spec/muxpro.txt')
const withoutDraft = !existsSync(DRAFT)
const note = withoutDraft ? ' (skipped: ../shared is not there)' : ''

const rows = readMatrix(join(ROOT, 'spec-notes/conformance-muxpro.md'))

describe('the conformance matrix of Mux.Pro', () => {
  it('has a quote, code that exists and a test in every row', () => {
    expect(rows.length).toBeGreaterThan(45)
    const wrong = rows.filter(({ quote, code, tests }) => {
      const there = code.every((path) => path.startsWith('src/') && existsSync(join(ROOT, path)))
      return quote === '' || code.length === 0 || !there || tests.length === 0
    })
    expect(wrong).toEqual([])
  })

  it('names only tests that exist, by their very titles', () => {
    const titles = new Map<string, Set<string>>()
    const isTest = (file: string, title: string): boolean => {
      if (!/^test\/.+\.test\.ts$/.test(file) || !existsSync(join(ROOT, file))) return false
      if (!titles.has(file)) titles.set(file, readTitles(join(ROOT, file)))
      return titles.get(file)!.has(title)
    }
    const wrong = rows.flatMap(({ line, tests }) =>
      tests.filter(({ file, title }) => !isTest(file, title)).map((test) => ({ line, ...test })),
    )
    expect(wrong).toEqual([])
  })

  it('has a row for everything that the draft requires', () => {
    expect(requirements.length).toBeGreaterThanOrEqual(49)
    const missing = requirements.filter(({ section, text }) => {
      return !rows.some((row) => row.section === section && text.includes(row.quote))
    })
    expect(missing).toEqual([])
  })

  it.skipIf(withoutDraft)(`knows everything that the draft requires today${note}`, () => {
    const { required } = readMuxProDraft(DRAFT)
    expect(required.map(({ section, text }) => ({ section, text }))).toEqual(requirements)
  })

  it.skipIf(withoutDraft)(`quotes the draft, in the section that it names${note}`, () => {
    const { all } = readMuxProDraft(DRAFT)
    const wrong = rows.filter(({ section, quote }) => {
      return !all.some((sentence) => sentence.section === section && sentence.text.includes(quote))
    })
    expect(wrong.map(({ line, section, quote }) => ({ line, section, quote }))).toEqual([])
  })
})
