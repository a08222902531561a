// Builds the program in test/interop/go, which is made of other people's Go modules of the original wire.

import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { requireBuild } from '../../support/programs.ts'
import type { RequiredProgram } from '../../support/programs.ts'

const SOURCES = join(import.meta.dirname, '../go')
const CACHE = join(import.meta.dirname, '../../../node_modules/.cache/anytls-interop')

/** How long a build may take in ms, everything compiled and fetched for the first time. */
const BUILD_TIMEOUT = 300_000

/**
 * Builds a program unless these sources have been built before. To be awaited while a test file loads.
 *
 * @param sources folder with go.mod
 * @param name package to build
 */
export function requireGoBuild(sources: string, name: string): Promise<RequiredProgram> {
  return requireBuild('go', (go) => build(go, sources, name))
}

async function build(go: string, sources: string, name: string): Promise<string> {
  const version = spawnSync(go, ['version'], { encoding: 'utf8' }).stdout
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
  const child = spawn(go, ['build', ...flags, name], { cwd: sources, timeout: BUILD_TIMEOUT })
  let said = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const [code] = (await once(child, 'close')) as [number | null]
  if (code !== 0) throw new Error(`go build: ${said}`)
  renameSync(fresh, binary)
  return binary
}

/** The program of this folder. */
export const goProgram = await requireGoBuild(SOURCES, '.')
