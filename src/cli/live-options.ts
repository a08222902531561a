// The options of a server that runs: its configuration file is read anew when it is told to (SIGHUP).
// Must never take over what holds from a start on alone, or repeat a value.

import { isDeepStrictEqual } from 'node:util'
import { invalidOption } from '../errors.ts'
import { fileError } from '../serve/files.ts'
import { configProblem } from './config-options.ts'
import { conflictsOf } from './option-conflicts.ts'
import type { ServerCommandOptions } from './options.ts'
import { PASSWORD_VARIABLE } from './password.ts'

type Name = keyof ServerCommandOptions

/** Put to use while the server runs. */
const LIVE: ReadonlySet<string> = new Set<Name>([
  ...(['password', 'passwordFile', 'paddingScheme', 'shapeDownlink', 'cert', 'key'] as const),
  ...(['block', 'drainTime', 'logLevel', 'adminTokenFile'] as const),
  // Without effect on a server that runs.
  ...(['link', 'config'] as const),
])

/** What of it may become another, but neither come nor go: links and logins would be of another kind. */
const LASTING: readonly {
  readonly names: readonly Name[]
  readonly isGiven: (options: ServerCommandOptions) => boolean
}[] = [
  {
    names: ['password', 'passwordFile'],
    isGiven: ({ password, passwordFile }) =>
      Boolean(password ?? passwordFile ?? process.env[PASSWORD_VARIABLE]),
  },
  { names: ['cert', 'key'], isGiven: ({ cert }) => cert !== undefined },
]

export class LiveOptions {
  readonly #started: ServerCommandOptions
  readonly #read: () => Promise<ServerCommandOptions>
  #now: ServerCommandOptions

  /** @param read the command line and the file that it names, as they are now */
  constructor(started: ServerCommandOptions, read: () => Promise<ServerCommandOptions>) {
    this.#started = started
    this.#read = read
    this.#now = started
  }

  get now(): ServerCommandOptions {
    return this.#now
  }

  /**
   * Reads them anew.
   *
   * @returns what has changed and waits for a restart, as the command line calls it
   * @throws AnyTlsError rejects with `ERR_FILE`, with line and column; the old ones stay
   */
  async reload(): Promise<readonly string[]> {
    const started = this.#started
    const read = await this.#read()
    await refuseConflicts(read)
    const names = new Set(Object.keys({ ...started, ...read }) as Name[])
    const waiting = [...names].filter((name) => {
      if (isDeepStrictEqual(started[name], read[name])) return false
      const lasting = LASTING.find((group) => group.names.includes(name))
      return !LIVE.has(name) || (lasting && lasting.isGiven(started) !== lasting.isGiven(read))
    })
    const stays = Object.fromEntries(waiting.map((name) => [name, started[name]]))
    this.#now = { ...read, ...stays }
    return waiting.map((name) => `--${keyOf(name)}`)
  }
}

/** As at the start, but with the place in the file. */
async function refuseConflicts(options: ServerCommandOptions): Promise<void> {
  const { config: file } = options
  const [conflict] = conflictsOf(options)
  if (conflict === undefined) return
  const { options: names, problem } = conflict
  const keys = names.map(keyOf)
  const { entries = [] } =
    file === undefined ? {} : (await import('./toml-file.ts')).readConfigFile(file)
  const place = entries.findLast(({ key }) => keys.includes(key))?.keyPlace
  if (file === undefined || place === undefined) {
    throw invalidOption(problem)
  }
  throw fileError(configProblem(file, { ...place, problem }))
}

/** What a file calls the option that commander calls `fallbackH2`. */
function keyOf(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}
