// From the lines of a padding scheme to what they mean, for those who refuse a scheme and for those who
// list all that is wrong with it (draft, Traffic Shaping Scheme v0; D23, D30).
import { LANGUAGE_LIMITS, type SchemeLimits } from './limits.ts'
import { largestSize, numberFault, type SchemeItem, type Words } from './scheme-items.ts'
import type { Report, SchemeLine } from './scheme-lines.ts'

/** What a scheme says. */
export interface SchemeContent {
  /** NaN when it cannot be read and the problem was only reported. */
  readonly stop: number
  /** The index at which Delivers of each further stream begin; `undefined` where there is none. */
  readonly restart: number | undefined
  /** What the text says of each index. */
  readonly entries: ReadonlyMap<number, readonly SchemeItem[]>
}

/** How strictly a scheme is read, and who is told. What was reported is skipped if the report returns. */
export interface Rules {
  readonly limits: SchemeLimits
  readonly words: Words
  /** There is no `stop` that can be used. */
  readonly unusable: Report
  /** A key or an item is not of the language. */
  readonly malformed: Report
  /** An amount is above the limits. */
  readonly excess: Report
}

/** Reports and returns false when `text` is longer than `most`, in bytes. */
export function checkLength(text: string, most: number, excess: Report): boolean {
  if (text.length <= most) return true
  const fitting = text.slice(0, most).split('\n')
  const column = (fitting.at(-1)?.length ?? 0) + 1
  excess(fitting.length, column, `the scheme is longer than ${most + 1} bytes`)
  return false
}

export function readContent(lines: readonly SchemeLine[], rules: Rules): SchemeContent {
  const stop = readStop(lines, rules)
  const entries = new Map<number, readonly SchemeItem[]>()
  const restart = readRestart(lines, stop, rules)
  const { limits, excess } = rules
  let [total, again] = [0, 0]
  for (const line of lines) {
    if (line.key === 'stop' || line.key === 'restart') continue
    const index = readIndex(line, rules)
    if (index === undefined) continue
    const items = readItems(line, rules)
    entries.set(index, items)
    const most = worstCase(index, items, stop)
    if (total <= limits.maxTotalBytes && (total += most) > limits.maxTotalBytes) {
      const sum = `the sizes add up to more than ${limits.maxTotalBytes} bytes`
      excess(line.line, 1, `with this entry, ${sum}`)
    }
    if (restart === undefined || index < restart || again > limits.maxRestartBytes) continue
    if ((again += most) > limits.maxRestartBytes) {
      const sum = `each restart takes more than ${limits.maxRestartBytes} bytes`
      excess(line.line, 1, `with this entry, ${sum}`)
    }
  }
  return { stop, restart, entries }
}

function readStop(
  lines: readonly SchemeLine[],
  { limits, words, unusable, excess }: Rules,
): number {
  const found = lines.find(({ key }) => key === 'stop')
  if (found === undefined) {
    unusable(1, 1, 'there is no line "stop=N"')
    return NaN
  }
  const { line, values } = found
  const text = textOf(found)
  const column = values[0]?.column
  // No value is left when it was reported while the line was read.
  if (column === undefined) return NaN
  const fault = words.numberFault(text)
  if (fault !== undefined) {
    unusable(line, column + fault.offset, fault.message)
    return NaN
  }
  const stop = Number(text)
  if (stop > limits.maxStop) excess(line, column, `stop is at most ${limits.maxStop}`)
  return stop
}

function readRestart(
  lines: readonly SchemeLine[],
  stop: number,
  { words, malformed }: Rules,
): number | undefined {
  const found = lines.find(({ key }) => key === 'restart')
  const column = found?.values[0]?.column
  if (found === undefined || column === undefined) return undefined
  const fault = words.numberFault(textOf(found))
  if (fault !== undefined) {
    malformed(found.line, column + fault.offset, fault.message)
    return undefined
  }
  const restart = Number(textOf(found))
  // A stop that cannot be read has its own report.
  if (restart >= 1 && !(restart >= stop)) return restart
  malformed(found.line, column, 'restart is at least 1 and below stop')
  return undefined
}

function readIndex({ line, key }: SchemeLine, { malformed }: Rules): number | undefined {
  const fault = numberFault(key)
  if (fault !== undefined) {
    malformed(line, 1 + fault.offset, `a key is "stop", "restart" or an index: ${fault.message}`)
    return undefined
  }
  const index = Number(key)
  if (index <= LANGUAGE_LIMITS.maxStop) return index
  malformed(line, 1, `an index is at most ${LANGUAGE_LIMITS.maxStop}`)
  return undefined
}

function readItems({ line, values }: SchemeLine, rules: Rules): SchemeItem[] {
  const { limits, words, malformed, excess } = rules
  const items: SchemeItem[] = []
  for (const [position, value] of values.entries()) {
    if (position === limits.maxItems) {
      excess(line, value.column, `an entry has at most ${limits.maxItems} items`)
    }
    const item = words.readItem(value)
    if ('message' in item) {
      malformed(line, value.column + item.offset, item.message)
      continue
    }
    if (item.kind === 'size' && largestSize(item) > limits.maxSize) {
      const second = value.text.indexOf('-') + 1
      excess(line, value.column + second, `a size is at most ${limits.maxSize} bytes`)
    }
    items.push(item)
  }
  return items
}

/** The most bytes that an entry can ask for. Of index 0 the first range counts, whatever stop is (D28). */
function worstCase(index: number, items: readonly SchemeItem[], stop: number): number {
  if (index > 0 && !(index < stop)) return 0
  const sizes = items.filter((item) => item.kind === 'size').map(largestSize)
  return index === 0 ? (sizes[0] ?? 0) : sizes.reduce((sum, size) => sum + size, 0)
}

function textOf({ values }: SchemeLine): string {
  return values.map(({ text }) => text).join(',')
}
