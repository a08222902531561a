// Other people's programs that some tests need: curl, nginx, Chromium.

import { spawnSync } from 'node:child_process'
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
  return lackOf(name, name)
}

/**
 * Looks for a curl that speaks HTTP/2, as {@link requireProgram} does for any.
 *
 * @throws Error when there is none and `CI` is `true`
 */
export function requireCurlWithHttp2(): RequiredProgram {
  const curl = requireProgram('curl')
  if (curl.isMissing) return curl
  const { stdout } = spawnSync(curl.path, ['--version'], { encoding: 'utf8' })
  return /\bHTTP2\b/.test(stdout) ? curl : lackOf('curl with HTTP/2', curl.path)
}

/**
 * Looks for a Python that has scikit-learn, as {@link requireProgram} does for any.
 *
 * @throws Error when there is none and `CI` is `true`
 */
export function requireScikitLearn(): RequiredProgram {
  const python = requireProgram('python3')
  if (python.isMissing) return python
  const { status } = spawnSync(python.path, ['-c', 'import sklearn'], { stdio: 'ignore' })
  return status === 0 ? python : lackOf('scikit-learn', python.path)
}

/**
 * What a toolchain makes, or the lack of it: one that is there may still be unable to build, as a stub that
 * would have to download itself first. To be awaited while a test file loads, so that the title can say it.
 *
 * @throws Error when it cannot be built and `CI` is `true`
 */
export async function requireBuild(
  name: string,
  build: (toolchain: string) => Promise<string>,
): Promise<RequiredProgram> {
  const toolchain = requireProgram(name)
  if (toolchain.isMissing) return toolchain
  try {
    return { path: await build(toolchain.path), isMissing: false, note: '' }
  } catch (cause) {
    if (process.env.CI === 'true')
      throw new Error(`${name} cannot build, and CI needs it`, { cause })
    const [reason = ''] = String(cause).trim().split('\n').slice(-1)
    return { path: '', isMissing: true, note: ` (skipped: ${name} cannot build: ${reason})` }
  }
}

function lackOf(what: string, path: string): RequiredProgram {
  if (process.env.CI === 'true') throw new Error(`${what} is not installed, and CI needs it`)
  return { path, isMissing: true, note: ` (skipped: ${what} is not installed)` }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
