// Everything that is wrong with a padding scheme, and everything that is merely odd, each with its place.
// Must never stop at the first problem, or call wrong what `parseScheme` accepts.
import { RECORD_SIZE } from '../codec/tls-record.ts'
import { DEFAULT_SCHEME_LIMITS, LANGUAGE_LIMITS } from './limits.ts'
import { checkLength, readContent, type Rules, type SchemeContent } from './scheme-reader.ts'
import { largestSize, numberFault, type SizeItem, STRICT_WORDS } from './scheme-items.ts'
import { readSchemeLines, type Report, type SchemeLine, type SchemeValue } from './scheme-lines.ts'
import { parseScheme, type Scheme } from './scheme.ts'

/** What a problem is about: `syntax` are the errors, the others the warnings. */
export type SchemeRule =
  | 'syntax'
  /** An entry at or above stop: it never applies. */
  | 'unused-entry'
  /** Indexes below stop without an entry. */
  | 'gap'
  /** More than a range at index 0. */
  | 'index-0'
  /** A size above one TLS record. */
  | 'above-record'
  /** A size below the smallest padding frame of a wire. */
  | 'below-frame'
  /** A `c` that has no effect. */
  | 'idle-c'
  /** A restart that has no effect. */
  | 'idle-restart'
  /** More than a client takes from a server by default. */
  | 'peer-limit'
  /** More than the Go reference of the original wire manages between its own ends. */
  | 'reference-limit'

/** One problem of a scheme. */
export interface SchemeProblem {
  /** With an error the scheme cannot be used; with a warning it does not do what it seems to. */
  readonly severity: 'error' | 'warning'
  /** Which rule it breaks, by a short name that stays. */
  readonly rule: SchemeRule
  /** Line in the scheme and column in the line, both from 1, in characters. */
  readonly line: number
  /** See `line`. */
  readonly column: number
  /** In words, one line. */
  readonly message: string
}

/** What {@link checkScheme} finds. */
export interface SchemeCheck {
  /** In the order of the text. */
  readonly problems: readonly SchemeProblem[]
  /** The scheme; undefined when there are errors. */
  readonly scheme: Scheme | undefined
}

/** Most bytes of AUTH padding that leave room in its record for all else that goes with it. */
const MAX_AUTH_PADDING = 16_000

/**
 * Most bytes of AUTH padding that a client of the Go reference sends in one record: its TLS puts 1,186 bytes
 * into the first record of a connection, and its servers take AUTH from one.
 */
const MAX_GO_AUTH_PADDING = 1_152

/** The shortest padding frame of each wire, in bytes (D22); of the original a head of 7 bytes with one byte of waste. */
export const SHORTEST_PADDING = Object.freeze({ v1: 3, legacy: 8 })

/**
 * Checks a padding scheme that somebody wrote. It never throws, whatever the text.
 *
 * @example
 * const { problems } = checkScheme('stop=3\n1=400-100')
 * // [{ severity: 'error', line: 2, column: 7, message: 'the range is reversed', … }, …]
 */
export function checkScheme(text: string): SchemeCheck {
  const errors: SchemeProblem[] = []
  const warnings: SchemeProblem[] = []
  const error: Report = (line, column, message) => {
    errors.push({ severity: 'error', rule: 'syntax', line, column, message })
  }
  const body = text.endsWith('\n') ? text.slice(0, -1) : text
  if (checkLength(body, LANGUAGE_LIMITS.maxTextBytes - 1, error)) {
    const lines = readSchemeLines(body, error)
    const content = readContent(lines, {
      limits: LANGUAGE_LIMITS,
      words: STRICT_WORDS,
      unusable: error,
      malformed: error,
      excess: error,
    })
    new Suspicions(lines, content, warnings).find()
  }
  const places = new Set(errors.map(placeOf))
  const problems = [...errors, ...warnings.filter((warning) => !places.has(placeOf(warning)))]
  problems.sort((a, b) => a.line - b.line || a.column - b.column)
  return { problems, scheme: errors.length === 0 ? parseScheme(text) : undefined }
}

function placeOf({ line, column }: SchemeProblem): string {
  return `${line}:${column}`
}

/** The odd things about a scheme, whether or not other parts of it are wrong. */
class Suspicions {
  readonly #lines: readonly SchemeLine[]
  readonly #content: SchemeContent
  readonly #found: SchemeProblem[]

  constructor(lines: readonly SchemeLine[], content: SchemeContent, found: SchemeProblem[]) {
    this.#lines = lines
    this.#content = content
    this.#found = found
  }

  find(): void {
    for (const line of this.#lines) {
      if (numberFault(line.key) !== undefined) continue
      const index = Number(line.key)
      if (index === 0) this.#checkAuth(line)
      else if (index >= this.#content.stop) this.#warn('unused-entry', line.line, 1, UNUSED)
      else this.#checkEntry(line)
    }
    this.#checkGaps()
    this.#checkRestart()
    this.#checkPeerLimits()
  }

  /** D28: index 0 is the padding of AUTH. */
  #checkAuth({ line, values }: SchemeLine): void {
    let ranges = 0
    for (const value of values) {
      const size = sizeOf(value)
      if (value.text === 'c') {
        this.#warn('index-0', line, value.column, '"c" means nothing at index 0')
      } else if (size !== undefined && (ranges += 1) > 1) {
        this.#warn('index-0', line, value.column, 'only the first range of index 0 counts')
      } else if (size !== undefined && largestSize(size) > MAX_AUTH_PADDING) {
        const message = `above ${MAX_AUTH_PADDING} bytes, the first Deliver needs a second TLS record`
        this.#warn('above-record', line, value.column, message)
      } else if (size !== undefined && ranges === 1 && largestSize(size) > MAX_GO_AUTH_PADDING) {
        this.#warn('reference-limit', line, value.column, GO_AUTH)
      }
    }
  }

  #checkEntry({ line, values }: SchemeLine): void {
    const lastOther = values.findLastIndex(({ text }) => text !== 'c')
    for (const [position, value] of values.entries()) {
      const size = sizeOf(value)
      if (value.text === 'c') {
        const message = idleCheck(values, position, lastOther)
        if (message !== undefined) this.#warn('idle-c', line, value.column, message)
      }
      if (size === undefined) continue
      if (largestSize(size) > RECORD_SIZE) {
        const message = `above ${RECORD_SIZE} bytes, a Write leaves as more than one TLS record`
        this.#warn('above-record', line, value.column, message)
      }
      if (size.min < SHORTEST_PADDING.legacy) {
        const both = size.min < SHORTEST_PADDING.v1
        const shortest = both ? SHORTEST_PADDING.v1 : SHORTEST_PADDING.legacy
        const wire = both ? 'either wire' : 'the original wire'
        const message = `no padding frame of ${wire} fits below ${shortest} bytes`
        this.#warn('below-frame', line, value.column, message)
      }
    }
  }

  /** Told at stop, which makes them gaps. */
  #checkGaps(): void {
    const { stop, entries } = this.#content
    const [line, column] = this.#placeOf('stop')
    const gaps: string[] = []
    let next = 1
    for (const index of [...entries.keys(), stop].filter((key) => key > 0).sort((a, b) => a - b)) {
      if (index > next && next < stop) gaps.push(span(next, Math.min(index, stop) - 1))
      next = index + 1
    }
    if (stop > 0 && !entries.has(0)) {
      this.#warn('gap', line, column, 'index 0 has no entry: AUTH goes without padding')
    }
    if (gaps.length === 0) return
    const named = gaps.slice(0, MOST_NAMED).join(', ')
    const more = gaps.length > MOST_NAMED ? ` and ${gaps.length - MOST_NAMED} more` : ''
    const message = `no entry for index ${named}${more}: such a Deliver passes as it is`
    this.#warn('gap', line, column, message)
  }

  #checkRestart(): void {
    const { stop, restart, entries } = this.#content
    if (restart === undefined) return
    for (const index of entries.keys()) if (index >= restart && index < stop) return
    const [line, column] = this.#placeOf('restart')
    this.#warn('idle-restart', line, column, 'no entry from there on: a restart has no effect')
  }

  /** What a client of ours would refuse when a server sent it (D23). */
  #checkPeerLimits(): void {
    const ignore = () => {}
    const rules: Rules = {
      limits: DEFAULT_SCHEME_LIMITS,
      words: STRICT_WORDS,
      unusable: ignore,
      malformed: ignore,
      excess: (line, column, message) =>
        this.#warn('peer-limit', line, column, `clients refuse this by default: ${message}`),
    }
    readContent(this.#lines, rules)
  }

  /** Where the value of a key begins. */
  #placeOf(key: string): [line: number, column: number] {
    const found = this.#lines.find((line) => line.key === key)
    return [found?.line ?? 1, found?.values[0]?.column ?? 1]
  }

  #warn(rule: SchemeRule, line: number, column: number, message: string): void {
    this.#found.push({ severity: 'warning', rule, line, column, message })
  }
}

const UNUSED = 'the index is not below stop: the entry never applies'
const GO_AUTH = `above ${MAX_GO_AUTH_PADDING} bytes, clients of the Go reference send AUTH in two records, which its servers refuse`
const FIRST_C = '"c" comes first, where there is always data left: it has no effect'
const DOUBLED_C = '"c" directly behind "c" has no effect'
const LAST_C = 'nothing comes behind "c": it has no effect'

/** Most gaps that one message names. */
const MOST_NAMED = 8

function sizeOf(value: SchemeValue): SizeItem | undefined {
  const item = STRICT_WORDS.readItem(value)
  return 'kind' in item && item.kind === 'size' ? item : undefined
}

/**
 * D31: why the `c` at a position has no effect; undefined when it has one.
 *
 * @param lastOther the last position that is no `c`
 */
function idleCheck(
  values: readonly SchemeValue[],
  position: number,
  lastOther: number,
): string | undefined {
  if (position === 0) return FIRST_C
  if (values[position - 1]?.text === 'c') return DOUBLED_C
  return position > lastOther ? LAST_C : undefined
}

function span(first: number, last: number): string {
  return first === last ? String(first) : `${first} to ${last}`
}
