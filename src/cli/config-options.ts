// Options from a configuration file: its keys are the long names of the command's own options.
// Must never let the file win over the command line.

import { Command, CommanderError } from 'commander'
import type { Option } from 'commander'
import { AnyTlsError } from '../errors.ts'
import { fileError } from '../serve/files.ts'
import { isList } from './options.ts'
import type { ConfigEntry, ConfigProblem, ConfigText } from './toml-file.ts'

/** Options that say the same thing in different ways: one on the command line does away with the others in the file. */
const ALTERNATIVES = [
  ['password', 'passwordFile'],
  ['pin', 'insecure', 'ca'],
] as const satisfies readonly (readonly string[])[]

/** Options that have no place in a file. */
const NOT_IN_FILES: ReadonlySet<string> = new Set(['config', 'help'])

/** What an entry comes to for a command. */
export interface Setting {
  /** Under which commander keeps it. */
  readonly name: string
  readonly value: unknown
}

/** A command with `--config FILE`. */
export class ConfigurableCommand extends Command {
  /** Reads a file; to be set before parsing, for what reads TOML is loaded only where there is some. */
  readConfig: ((file: string) => ConfigText) | undefined

  constructor(name: string) {
    super(name)
    this.option('--config <file>', 'more options, in TOML: see anytls config --help')
  }

  override parseOptions(args: string[]): ReturnType<Command['parseOptions']> {
    const parsed = super.parseOptions(args)
    const file: unknown = this.getOptionValue('config')
    if (typeof file === 'string' && this.readConfig !== undefined) {
      const { settings, problems } = readSettings(this, this.readConfig(file))
      const [problem] = problems
      if (problem !== undefined) throw fileError(configProblem(file, problem))
      this.#apply(settings)
    }
    return parsed
  }

  #apply(settings: readonly Setting[]): void {
    const given = (name: string): boolean => this.getOptionValueSource(name) === 'cli'
    for (const { name, value } of settings) {
      const others = ALTERNATIVES.find((names) => (names as readonly string[]).includes(name)) ?? []
      if (given(name) || others.some(given)) continue
      this.setOptionValueWithSource(name, value, 'config')
    }
  }
}

/** `config file 'F', line 3, column 1: …` */
export function configProblem(file: string, { line, column, problem }: ConfigProblem): string {
  return `config file '${file}', line ${line}, column ${column}: ${problem}`
}

/** What a file says to a command, in the order of the file, and what of it cannot be used. */
export function readSettings(
  command: Command,
  { entries, problems }: ConfigText,
): { readonly settings: readonly Setting[]; readonly problems: readonly ConfigProblem[] } {
  const settings: Setting[] = []
  const found = [...problems]
  const options = fileOptions(command)
  for (const entry of entries) {
    const option = options.get(entry.key)
    if (option === undefined) {
      found.push({ ...entry.keyPlace, problem: unknownKey(entry.key, [...options.keys()]) })
      continue
    }
    try {
      settings.push({ name: option.attributeName(), value: readValue(option, entry) })
    } catch (error) {
      found.push({ ...entry.valuePlace, problem: `${entry.key}: ${problemOf(error)}` })
    }
  }
  return { settings, problems: found.toSorted((a, b) => a.line - b.line || a.column - b.column) }
}

/** The keys that a command takes in a file. `--no-link` is `link = false`. */
export function fileOptions(command: Command): ReadonlyMap<string, Option> {
  const options = command.options.filter((option) => !NOT_IN_FILES.has(option.name()))
  return new Map(options.map((option) => [option.name().replace(/^no-/, ''), option]))
}

class Unusable extends Error {}

function problemOf(error: unknown): string {
  if (error instanceof Unusable || error instanceof AnyTlsError) return error.message
  // What an option's own reader says of it, without the value.
  if (error instanceof CommanderError) return error.message
  throw error
}

function readValue(option: Option, { value }: ConfigEntry): unknown {
  if (option.negate || (!option.required && !option.optional)) {
    if (typeof value !== 'boolean') throw new Unusable('write true or false')
    return value
  }
  if (option.optional && typeof value === 'boolean') return value
  if (!Array.isArray(value))
    return isList(option) ? readList(option, [value]) : readOne(option, value)
  if (!isList(option)) throw new Unusable('one value is wanted, not a list')
  if (value.length === 0) throw new Unusable('the list is empty')
  return readList(option, value)
}

function readList(option: Option, values: readonly unknown[]): unknown {
  // As commander calls the reader of an option that is given several times, or gathers what has none.
  if (option.parseArg === undefined) return values.map(textOf)
  return values.reduce<unknown>((before, value) => readOne(option, value, before), undefined)
}

function readOne(option: Option, value: unknown, before?: unknown): unknown {
  const text = textOf(value)
  return option.parseArg === undefined ? text : option.parseArg<unknown>(text, before)
}

function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'bigint' || Number.isSafeInteger(value)) return String(value)
  throw new Unusable('write it in quotes')
}

/** Most single changes that a misspelt key is known by. */
const MAX_DISTANCE = 3

function unknownKey(key: string, known: readonly string[]): string {
  const shown = JSON.stringify(key.slice(0, 60))
  const near = nearestKey(key, known)
  return `unknown key ${shown}${near === undefined ? '' : ` (did you mean ${near}?)`}`
}

/** The known key that `key` most likely is. */
export function nearestKey(key: string, known: readonly string[]): string | undefined {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[^a-z\d]/g, '')
  const wanted = plain(key.replace(/^no[-_]/, '')).slice(0, 60)
  let nearest: string | undefined
  let least = Math.min(MAX_DISTANCE, Math.ceil(wanted.length / 3)) + 1
  for (const candidate of known) {
    const distance = editDistance(wanted, plain(candidate))
    if (distance < least) [nearest, least] = [candidate, distance]
  }
  return nearest
}

/** Insertions, deletions and replacements from one text to the other. */
function editDistance(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let index = 0; index < one.length; index += 1) {
    const next = [index + 1]
    for (let column = 0; column < other.length; column += 1) {
      const replaced = (row[column] ?? 0) + (one[index] === other[column] ? 0 : 1)
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1))
    }
    row = next
  }
  return row[other.length] ?? 0
}
