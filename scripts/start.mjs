// `npm start`: installs what is missing, builds what is newer than the last build, runs the demo.
// No dependency may be imported here: there may be none yet.

import { spawnSync } from 'node:child_process'
import { mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureInstalled } from './ensure-installed.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const STAMP = join(ROOT, 'dist', '.built')
const INPUTS = ['src', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json']

const parent = process.ppid
ensureInstalled()
if (newest(INPUTS.map((name) => join(ROOT, name))) > newest([STAMP])) build()
// npm may have been stopped meanwhile; it does not tell us.
if (process.ppid !== parent) process.exit(1)
await import(pathToFileURL(join(ROOT, 'dist', 'cli', 'demo.js')).href)

/** When the youngest of the files and folders was changed, in ms; 0 when there is none. */
function newest(paths) {
  return paths.reduce((time, path) => {
    const stat = statSync(path, { throwIfNoEntry: false })
    if (stat === undefined) return time
    const inside = stat.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : []
    return Math.max(time, stat.mtimeMs, newest(inside))
  }, 0)
}

function build() {
  console.error('building ...')
  // What changes during the build is newer than it.
  const started = new Date()
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc')
  const { status } = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    stdio: ['ignore', 2, 2],
  })
  if (status !== 0) {
    console.error('anytls: the build failed; what the compiler said stands above')
    process.exit(1)
  }
  mkdirSync(dirname(STAMP), { recursive: true })
  writeFileSync(STAMP, '')
  utimesSync(STAMP, started, started)
}
