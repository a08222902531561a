// Builds the program in test/interop/go, which is made of other people's Go modules of the original wire.
// Must never leave anything in the source tree: what is built goes into the cache of node_modules.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { requireProgram } from '../../support/programs.ts'

export const goProgram = requireProgram('go')

const SOURCES = join(import.meta.dirname, '../go')
const CACHE = join(import.meta.dirname, '../../../node_modules/.cache/anytls-interop')

/** How long a build may take in ms, everything compiled and fetched for the first time. */
export const BUILD_TIMEOUT = 300_000

/**
 * Builds a program unless these sources have been built before; resolves with its path.
 *
 * @param sources folder with go.mod, default that of this folder's program
 * @param name package to build
 */
export async function buildGoProgram(sources = SOURCES, name = '.'): Promise<string> {
  const version = spawnSync(goProgram.path, ['version'], { encoding: 'utf8' }).stdout
  const texts = readdirSync(sources).map((file) => readFileSync(join(sources, file), 'utf8'))
  const digest = createHash('sha256')
    .update([version, ...texts].join('\0'))
    .digest('hex')
  const binary = join(CACHE, digest.slice(0, 16))
  if (existsSync(binary)) return binary
  mkdirSync(CACHE, { recursive: true })
  // Another test file may build at the same time; each moves a whole program into place.
  const fresh = `${binary}.${process.pid}`
  const flags = ['-mod=readonly', '-buildvcs=false', '-trimpath', '-o', fresh]
  const build = spawn(goProgram.path, ['build', ...flags, name], { cwd: sources })
  let said = ''
  build.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code] = (await once(build, 'close')) as [number | null]
  if (code !== 0) throw new Error(`go build: ${said}`)
  renameSync(fresh, binary)
  return binary
}
