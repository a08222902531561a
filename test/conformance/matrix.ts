// Reads the conformance matrix, the list of decisions, the draft and the titles of tests, for
// conformance.test.ts.
import { readFileSync } from 'node:fs'
import ts from 'typescript'

/** A requirement in the matrix. */
export interface Row {
  /** Line in the file, from 1. */
  readonly line: number
  /** Chapter and section of the draft, as {@link Sentence.section}. */
  readonly section: string
  /** The words of the draft that the row begins with, between quotes. */
  readonly quote: string
  /** Paths in the column Code. */
  readonly code: readonly string[]
  readonly tests: readonly NamedTest[]
}

/** A test by where it stands. */
interface NamedTest {
  readonly file: string
  readonly title: string
}

/** A sentence of the draft, or an item of a list that its sentence requires. */
export interface Sentence {
  readonly line: number
  /** `Chapter / Section`; the chapter alone for what stands directly in it. */
  readonly section: string
  readonly text: string
}

/** An entry in the list of decisions. */
export interface Decision {
  readonly id: string
  readonly why: boolean
  readonly code: readonly string[]
}

const KEYWORD = /\b(?:MUST|REQUIRED|SHALL|SHOULD|RECOMMENDED|MAY|OPTIONAL)\b|\bNOT ALLOWED\b/

/** The rows of every table below a `## Chapter`: section, requirement, code, tests. */
export function readMatrix(file: string): Row[] {
  const rows: Row[] = []
  let chapter = ''
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    chapter = /^## (.+)$/.exec(line)?.[1] ?? chapter
    const cells = /^\|(.+)\|$/
      .exec(line)?.[1]
      ?.split('|')
      .map((cell) => cell.trim())
    if (cells === undefined || cells[0] === 'Section' || /^-+$/.test(cells[0] ?? '')) continue
    const [section = '', requirement = '', code = '', tests = ''] = cells
    rows.push({
      line: index + 1,
      section: section === chapter ? chapter : `${chapter} / ${section}`,
      quote: /^"([^"]+)"/.exec(requirement)?.[1] ?? '',
      code: spans(code),
      tests: spans(tests).map((span) => {
        const [path = '', title = ''] = span.split(/ › (.*)/)
        return { file: path, title }
      }),
    })
  }
  return rows
}

/** The decisions, in their order: headings `### D1: …`, each with a reason and the code. */
export function readDecisions(file: string): Decision[] {
  return readFileSync(file, 'utf8')
    .split(/^### /m)
    .slice(1)
    .map((entry) => ({
      id: /^([DN]\d+): \S/.exec(entry)?.[1] ?? entry.slice(0, 40),
      why: /^- \*\*Why:\*\* \S/m.test(entry),
      code: spans(/^- \*\*Code:\*\*([^]*?)(?:\n\n|$)/m.exec(entry)?.[1] ?? ''),
    }))
}

/** Every sentence of the draft, with items of the lists that sentences with a keyword open. */
export function readDraft(file: string): { all: Sentence[]; required: Sentence[] } {
  const all: Sentence[] = []
  const required: Sentence[] = []
  let chapter = ''
  let section = ''
  let fenced = false
  // The indentation of the sentence whose list we are in; -1 outside of lists, for a sentence of its own.
  let listOf: number | undefined
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    if (line.startsWith('```')) fenced = !fenced
    const heading = /^(#+) (.+)$/.exec(line)
    if (heading !== null) {
      const [, level = '', name = ''] = heading
      if (level === '#') chapter = name.trim()
      section = level === '#' ? chapter : `${chapter} / ${name.trim()}`
      // Chapters that the draft leaves empty have their name alone to quote.
      all.push({ line: index + 1, section, text: plain(name) })
      listOf = undefined
    }
    if (heading !== null || line.trim() === '') continue
    if (fenced || line.startsWith('|')) {
      all.push({ line: index + 1, section, text: plain(line) })
      continue
    }
    const [, indentation = '', marker = '', body = ''] = /^(\s*)(?:([-*]|\d+\.)\s+)?(.*)$/.exec(
      line,
    )!
    const depth = marker === '' ? -1 : indentation.length
    const text = plain(body)
    const isItem = listOf !== undefined && depth > listOf
    if (!isItem) listOf = undefined
    for (const part of text.split(/(?<=\.)\s+(?=[A-Z])/)) {
      const sentence = { line: index + 1, section, text: part }
      all.push(sentence)
      // The sentence that defines the keywords requires nothing.
      if (isItem || (KEYWORD.test(part) && !part.includes('BCP 14'))) required.push(sentence)
    }
    if (KEYWORD.test(text) && text.endsWith(':')) listOf = depth
  }
  return { all, required }
}

/** The titles that stand in a test file as plain strings and are not switched off. */
export function readTitles(file: string): Set<string> {
  return parseTitles(readFileSync(file, 'utf8'))
}

/** As {@link readTitles}, for the text of a file. */
export function parseTitles(text: string): Set<string> {
  const titles = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node)) {
      const names = chainOf(node.expression)
      const isTest = names[0] === 'it' || names[0] === 'test'
      if ((isTest || names[0] === 'describe') && isOff(names, node)) return
      const [title] = node.arguments
      if (isTest && title !== undefined && ts.isStringLiteralLike(title)) titles.add(title.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile('titles.ts', text, ts.ScriptTarget.Latest))
  return titles
}

/** The names in what is called: `it`, `skipIf`, `for` of `it.skipIf(…).for(…)`. */
function chainOf(callee: ts.Expression): string[] {
  if (ts.isIdentifier(callee)) return [callee.text]
  if (ts.isCallExpression(callee)) return chainOf(callee.expression)
  if (ts.isTaggedTemplateExpression(callee)) return chainOf(callee.tag)
  if (ts.isPropertyAccessExpression(callee)) {
    return [...chainOf(callee.expression), callee.name.text]
  }
  return []
}

/** Switched off with all that is inside: by `.skip` or `.todo`, or by an option of that name. */
function isOff(names: readonly string[], { arguments: args }: ts.CallExpression): boolean {
  const options = args
    .filter((argument) => ts.isObjectLiteralExpression(argument))
    .flatMap(({ properties }) => properties.map(({ name }) => name))
    .map((name) => (name !== undefined && ts.isIdentifier(name) ? name.text : ''))
  return [...names, ...options].some((name) => name === 'skip' || name === 'todo')
}

/** Text without what only Markdown needs. */
function plain(text: string): string {
  return text.replaceAll('**', '').replaceAll('`', '').replace(/\s+/g, ' ').trim()
}

function spans(text: string): string[] {
  return [...text.matchAll(/`([^`]+)`/g)].map(([, span = '']) => span)
}
