// The text of a padding scheme taken apart into lines, keys and values, each with its place. Each line is
// held to the rules of a KV data block (draft, Appendix A), which are told as line and column.
// Must never give a key or a value a meaning.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { BlockError } from '../errors.ts'
import { decodeKvBlock } from '../wire/kv-block.ts'

/** Told about each problem, with its place: line and column from 1, in characters. May throw. */
export type Report = (line: number, column: number, message: string) => void

/** One value of a line. */
export interface SchemeValue {
  readonly text: string
  /** Where it begins in its line, from 1. */
  readonly column: number
}

/** One line, `key=value,value`. The key begins in column 1. */
export interface SchemeLine {
  /** From 1. */
  readonly line: number
  readonly key: string
  /** At least one, none of them empty. */
  readonly values: readonly SchemeValue[]
}

/**
 * The lines of a scheme. A line with a problem is reported and left out when `report` returns.
 *
 * @param text lines joined by LF, without the last LF
 */
export function readSchemeLines(text: string, report: Report): SchemeLine[] {
  const lines: SchemeLine[] = []
  const seen = new Map<string, number>()
  for (const [index, content] of text.split('\n').entries()) {
    const line = readLine(index + 1, content, report)
    if (line === undefined) continue
    const earlier = seen.get(line.key)
    if (earlier === undefined) {
      seen.set(line.key, line.line)
      lines.push(line)
    } else {
      report(line.line, 1, `the key was given before, on line ${earlier}`)
    }
  }
  return lines
}

function readLine(line: number, content: string, report: Report): SchemeLine | undefined {
  if (content.endsWith('\r')) {
    report(line, content.length, 'the line ends in CRLF; it must end in LF alone')
    return undefined
  }
  try {
    for (const [key, texts] of decodeKvBlock(utf8ToBytes(`${content}\n`))) {
      return { line, key, values: withColumns(texts, key.length + 2) }
    }
  } catch (error) {
    if (!(error instanceof BlockError)) throw error
    report(line, error.offset + 1, error.problem)
  }
  return undefined
}

function withColumns(texts: readonly string[], first: number): SchemeValue[] {
  let next = first
  return texts.map((text) => {
    const column = next
    next += text.length + 1
    return { text, column }
  })
}
