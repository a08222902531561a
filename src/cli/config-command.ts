// `anytls config check`: whether a configuration file can be used, and for which command.
// Must never repeat a value of it: it may be a password.

import type { Command } from 'commander'
import { fileError } from '../serve/files.ts'
import { configProblem, fileOptions, nearestKey, readSettings } from './config-options.ts'
import type { Setting } from './config-options.ts'
import { conflictsOf } from './option-conflicts.ts'
import { escapeControls } from './printable.ts'
import { writeStdout } from './stdout.ts'
import { readConfigFile } from './toml-file.ts'
import type { ConfigProblem, ConfigText } from './toml-file.ts'

/**
 * Tells every problem of a file on standard output, or that there is none.
 *
 * @param candidates the commands that it may be for; the one whose options it looks like is meant
 * @throws AnyTlsError `ERR_FILE` when there is a problem, or it cannot be read
 */
export async function checkConfig(file: string, candidates: readonly Command[]): Promise<void> {
  const text = readConfigFile(file)
  const [command] = candidates.toSorted((a, b) => likeness(b, text) - likeness(a, text))
  if (command === undefined) return
  const read = readSettings(command, text)
  const { settings } = read
  const problems = [...read.problems, ...conflictsIn(command, text, settings)]
  const name = `anytls ${command.name()}`
  if (problems.length === 0) {
    const count = settings.length === 1 ? 'one option' : `${settings.length} options`
    await writeStdout(escapeControls(`${file}: ${count} for ${name}`) + '\n')
    return
  }
  const lines = problems.map((problem) => `${escapeControls(configProblem(file, problem))}\n`)
  await writeStdout(lines.join(''))
  const count = problems.length === 1 ? 'one error' : `${problems.length} errors`
  throw fileError(`config file '${file}' has ${count}, read as one for ${name}`)
}

/** What starting with the file alone would refuse, at the last key that has to do with it. */
function conflictsIn(
  command: Command,
  { entries }: ConfigText,
  settings: readonly Setting[],
): ConfigProblem[] {
  const options = fileOptions(command)
  const given = Object.fromEntries(settings.map(({ name, value }) => [name, value]))
  return conflictsOf(given).flatMap(({ options: names, problem }) => {
    const entry = entries.findLast(({ key }) => {
      return names.includes(options.get(key)?.attributeName() ?? '')
    })
    return entry === undefined ? [] : [{ ...entry.keyPlace, problem }]
  })
}

/** How many of the keys the command knows; one that is only misspelt counts half, what it cannot do without more. */
function likeness(command: Command, { entries }: ConfigText): number {
  const known = [...fileOptions(command)]
  const keys = known.map(([key]) => key)
  let points = 0
  for (const { key } of entries) {
    const option = known.find(([name]) => name === key)?.[1]
    if (option !== undefined) points += option.mandatory ? 3 : 1
    else if (nearestKey(key, keys) !== undefined) points += 0.5
  }
  return points
}
