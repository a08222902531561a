// Checks the version of Node and installs the dependencies when they are missing or not the locked ones.
// It must run on a fresh clone and on old versions of Node: no dependency, no new syntax.

import { spawnSync } from 'node:child_process'
import { existsSync, lstatSync, readFileSync, realpathSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))
const MINIMUM = [20, 19]

/** Ends the process with one line and exit code 1 when this machine cannot run the project. */
export function ensureInstalled() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < MINIMUM[0] || (major === MINIMUM[0] && minor < MINIMUM[1])) {
    stop(`Node ${MINIMUM.join('.')} or newer is needed; this is ${process.versions.node}`)
  }
  if (isLinked() || isInstalled()) return
  console.error('installing dependencies (npm ci) ...')
  const problem = install()
  if (problem !== '') stop(`npm ci failed (${problem}); what it said stands above`)
}

/** What a link leads to is another folder's: `npm ci` would empty it. */
function isLinked() {
  const stat = lstatSync(join(ROOT, 'node_modules'), { throwIfNoEntry: false })
  return stat !== undefined && stat.isSymbolicLink()
}

/** Whether every locked package is there in its locked version; npm notes what it put there. */
function isInstalled() {
  const wanted = packagesOf(join(ROOT, 'package-lock.json'))
  const found = packagesOf(join(ROOT, 'node_modules', '.package-lock.json'))
  const paths = Object.keys(wanted)
  return (
    paths.length > 0 &&
    paths.every((path) => {
      // The first is the project itself; optional ones are left out where they do not fit the machine.
      if (path === '' || (wanted[path].optional && !found[path])) return true
      return (
        found[path] !== undefined &&
        found[path].version === wanted[path].version &&
        found[path].integrity === wanted[path].integrity &&
        existsSync(join(ROOT, path))
      )
    })
  )
}

function packagesOf(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages
  } catch {
    return {}
  }
}

/** Returns what went wrong, or nothing. */
function install() {
  const args = ['ci', '--no-audit', '--no-fund', '--loglevel=error']
  // Within `npm start` this is the npm that runs us, whatever the PATH says.
  const npm = /npm-cli\.js$/.test(process.env.npm_execpath) ? process.env.npm_execpath : ''
  const [command, first] = npm ? [process.execPath, [npm]] : ['npm', []]
  const { status, signal, error } = spawnSync(command, first.concat(args), {
    cwd: ROOT,
    stdio: ['ignore', 'ignore', 'inherit'],
    shell: !npm && process.platform === 'win32',
  })
  if (error) return error.message
  if (signal) return `ended by ${signal}`
  return status === 0 ? '' : `exit code ${status}`
}

function stop(line) {
  console.error(`anytls: ${line}`)
  process.exit(1)
}

if (process.argv[1] && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  ensureInstalled()
}
