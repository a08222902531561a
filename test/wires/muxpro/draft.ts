// Reads the Mux.Pro draft, for its conformance matrix: plain text with numbered sections, wrapped lines and
// diagrams.
import { readFileSync } from 'node:fs'
import type { Sentence } from '../../conformance/matrix.ts'

const KEYWORD = /\b(?:MUST|REQUIRED|SHALL|SHOULD|RECOMMENDED|MAY|OPTIONAL)\b/

/** Headings without a number, as the draft writes them. */
const CHAPTERS = [
  'Abstract',
  'Introduction',
  'Terminology',
  'Protocol Version',
  'Dependencies',
  'Communication Process',
  'Frame Format',
  'Application Usage',
  'Security Considerations',
  'IANA Considerations',
  'References',
]

/** Every sentence of the draft, and those with a keyword. */
export function readMuxProDraft(file: string): { all: Sentence[]; required: Sentence[] } {
  const all: Sentence[] = []
  let chapter = ''
  let section = ''
  let start = 0
  let text = ''
  const flush = (): void => {
    for (const part of text.split(/(?<=\.)\s+(?=[A-Z])/)) {
      if (part !== '') all.push({ line: start, section, text: part })
    }
    text = ''
  }
  for (const [index, line] of readFileSync(file, 'utf8').split('\n').entries()) {
    const words = line.trim()
    const numbered = /^\d+(?:\.\d+)+\. (\S.*)$/.exec(words)
    const isChapter = CHAPTERS.includes(words)
    if (isChapter) chapter = words
    if (isChapter || numbered !== null || words === '' || /^[+|]/.test(words)) flush()
    if (isChapter) section = chapter
    if (numbered !== null) section = `${chapter} / ${words}`
    if (isChapter || numbered !== null || words === '' || /^[+|]/.test(words)) continue
    if (text === '') start = index + 1
    // A word that was divided at the end of a line keeps its hyphen: "sub-connection".
    text += text === '' || text.endsWith('-') ? words : ` ${words}`
  }
  flush()
  const required = all.filter((sentence) => {
    return KEYWORD.test(sentence.text) && !sentence.text.includes('BCP 14')
  })
  return { all, required }
}
