// Other people's programs that some tests need: curl, nginx, Chromium.
// Must never let a test be left out silently: the title says why, and with CI=true it fails.

import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** A program of this machine, or the lack of it. */
export interface RequiredProgram {
  /** Where it is; only the name when it is missing. */
  readonly path: string
  /** For `describe.skipIf`. */
  readonly isMissing: boolean
  /** For the end of the title of what is skipped; empty when the program is there. */
  readonly note: string
}

/** Where daemons are that the PATH of a user does not name. */
const MORE_FOLDERS = ['/usr/local/sbin', '/usr/sbin']

/**
 * Looks for a program by its names, the usual one first.
 *
 * @throws Error when it is missing and `CI` is `true`, so that the tests that need it fail
 * @example
 * const nginx = requireProgram('nginx')
 * describe.skipIf(nginx.isMissing)(`behind nginx${nginx.note}`, () => {})
 */
export function requireProgram(...names: [string, ...string[]]): RequiredProgram {
  const folders = [...(process.env.PATH ?? '').split(delimiter), ...MORE_FOLDERS]
  const path = names
    .flatMap((name) => folders.map((folder) => join(folder, name)))
    .find((candidate) => isExecutable(candidate))
  if (path !== undefined) return { path, isMissing: false, note: '' }
  const [name] = names
  if (process.env.CI === 'true') throw new Error(`${name} is not installed, and CI needs it`)
  return { path: name, isMissing: true, note: ` (skipped: ${name} is not installed)` }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
