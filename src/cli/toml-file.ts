// A configuration file in TOML: its keys and values, each with its place.
// Must never repeat a value in a message: it may be a password.

import { getStaticTOMLValue, parseTOML, ParseError } from 'toml-eslint-parser'
import { readTextFile } from '../serve/files.ts'

/** Where something stands, from 1; columns in UTF-16 units, as editors count them. */
export interface Place {
  readonly line: number
  readonly column: number
}

export interface ConfigEntry {
  readonly key: string
  readonly keyPlace: Place
  /** A string, number, bigint, boolean, Date, array or table. */
  readonly value: unknown
  readonly valuePlace: Place
}

export interface ConfigProblem extends Place {
  readonly problem: string
}

/** What a file holds: its entries at the top level, or what is wrong with it. */
export interface ConfigText {
  readonly entries: readonly ConfigEntry[]
  readonly problems: readonly ConfigProblem[]
}

/** @throws AnyTlsError `ERR_FILE` when it cannot be read */
export function readConfigFile(file: string): ConfigText {
  return parseConfig(readTextFile(file, 'config file'))
}

/** What is longer is no list of options, and the time that reading takes grows faster than the text. In UTF-16 units. */
const MAX_LENGTH = 32_768

export function parseConfig(text: string): ConfigText {
  if (text.length > MAX_LENGTH) {
    const problem = `the file is longer than ${MAX_LENGTH} characters`
    return { entries: [], problems: [{ line: 1, column: 1, problem }] }
  }
  try {
    const entries: ConfigEntry[] = []
    const problems: ConfigProblem[] = []
    for (const node of parseTOML(text).body[0].body) {
      if (node.type === 'TOMLTable') {
        const problem =
          'there are no tables here: options stand at the top, each in a line of its own'
        problems.push({ ...placeOf(node.loc.start), problem })
        continue
      }
      const key = node.key.keys.map((part) => (part.type === 'TOMLBare' ? part.name : part.value))
      entries.push({
        key: key.join('.'),
        keyPlace: placeOf(node.key.loc.start),
        value: getStaticTOMLValue(node.value),
        valuePlace: placeOf(node.value.loc.start),
      })
    }
    return { entries, problems }
  } catch (error) {
    if (!(error instanceof ParseError)) throw error
    const { lineNumber, column, message } = error
    const problem = `this is not TOML: ${message.charAt(0).toLowerCase()}${message.slice(1)}`
    return { entries: [], problems: [{ line: lineNumber, column: column + 1, problem }] }
  }
}

function placeOf({ line, column }: Place): Place {
  return { line, column: column + 1 }
}
