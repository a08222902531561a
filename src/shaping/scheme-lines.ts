// The text of a padding scheme taken apart into lines, keys and values, each with its place. Each line is
// held to the rules of a KV data block (draft, Appendix A), which are told as line and column.
import { utf8ToBytes } from '@noble/hashes/utils.js'
import { BlockError } from '../errors.ts'
import { decodeKvBlock } from '../codec/kv-block.ts'

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
  /** Those that are well; at least one, unless problems were reported. */
  readonly values: readonly SchemeValue[]
}

/**
 * The lines of a scheme. Each problem is reported; what can still be read of a line is given when
 * `report` returns, but for a line without a key or with one that was there before.
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

/**
 * The lines of a scheme as the original reads them: a line without `=` counts for nothing, of two with
 * one key the last counts, and a value may hold anything but LF.
 */
export function readRawLines(text: string): SchemeLine[] {
  const lines = new Map<string, SchemeLine>()
  for (const [index, content] of text.split('\n').entries()) {
    const [key, values] = split(content)
    if (values !== undefined) lines.set(key, { line: index + 1, key, values })
  }
  return [...lines.values()]
}

function readLine(line: number, content: string, report: Report): SchemeLine | undefined {
  if (content.endsWith('\r')) {
    report(line, content.length, 'the line ends in CRLF; it must end in LF alone')
    return readLine(line, content.slice(0, -1), report)
  }
  const [key, values] = split(content)
  // Whole first, for that is quick, and nearly every line is well.
  if (blockProblem(`${content}\n`) === undefined) return { line, key, values: values ?? [] }
  const check = (block: string, offset: number): boolean => {
    const problem = blockProblem(block)
    if (problem === undefined) return true
    report(line, problem.offset + offset, problem.problem)
    return false
  }
  if (values === undefined) {
    check(`${content}\n`, 1)
    return undefined
  }
  const keyStands = check(`${key}=v\n`, 1)
  const standing = values.filter(({ text, column }) => check(`k=${text}\n`, column - 2))
  return keyStands ? { line, key, values: standing } : undefined
}

/** What a KV block breaks first. */
function blockProblem(block: string): BlockError | undefined {
  try {
    decodeKvBlock(utf8ToBytes(block))
    return undefined
  } catch (error) {
    if (!(error instanceof BlockError)) throw error
    return error
  }
}

/** The key and the values; none where there is no `=`. */
function split(content: string): [key: string, values?: SchemeValue[]] {
  const equals = content.indexOf('=')
  if (equals < 0) return [content]
  return [content.slice(0, equals), withColumns(content.slice(equals + 1).split(','), equals + 2)]
}

function withColumns(texts: readonly string[], first: number): SchemeValue[] {
  let next = first
  return texts.map((text) => {
    const column = next
    next += text.length + 1
    return { text, column }
  })
}
