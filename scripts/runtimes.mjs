// Installs other runtimes from npm, each in its pinned version into a folder of its own, and runs a command with
// one: `node scripts/runtimes.mjs node-24 node_modules/vitest/vitest.mjs run --project unit`.

import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const CACHE = join(ROOT, 'node_modules', '.cache', 'runtimes')
const HERE = `${process.platform}-${process.arch}`
const NODE = { name: `node-${HERE}`, file: 'bin/node' }
const BUN = { name: `@oven/bun-${HERE.replace('arm64', 'aarch64')}`, file: 'bin/bun' }
const GLIBC = process.platform === 'linux' ? '-glibc' : ''

/** The packages that the packages `node`, `bun` and `deno` install, whose scripts are thus not needed. */
const RUNTIMES = {
  'node-22': { ...NODE, version: '22.23.3' },
  'node-24': { ...NODE, version: '24.21.0' },
  'node-26': { ...NODE, version: '26.12.1' },
  bun: { ...BUN, version: '1.4.5' },
  deno: { name: `@deno/${HERE}${GLIBC}`, file: 'deno', version: '2.9.6' },
}

/** Installs it unless it is there; returns the path of the program. Throws an Error that says why not. */
export function installRuntime(key) {
  const { name, version, file } = RUNTIMES[key]
  const folder = join(CACHE, `${key}-${version}`)
  const program = join(folder, 'node_modules', name, file)
  if (existsSync(program)) return program
  mkdirSync(folder, { recursive: true })
  const flags = ['--no-save', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund']
  const { status, stderr } = spawnSync(
    'npm',
    ['install', '--prefix', folder, ...flags, `${name}@${version}`],
    { encoding: 'utf8', timeout: 300_000 },
  )
  if (status !== 0) throw new Error(`${name}@${version} cannot be installed: ${stderr.trim()}`)
  return program
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [key = '', ...args] = process.argv.slice(2)
  if (!(key in RUNTIMES)) {
    console.error(`no such runtime: ${key}; there are ${Object.keys(RUNTIMES).join(', ')}`)
    process.exit(2)
  }
  const { status } = spawnSync(installRuntime(key), args, { cwd: ROOT, stdio: 'inherit' })
  process.exit(status ?? 1)
}
