// `npm start`: installs what is missing, builds what is newer than the last build, runs the demo.
// No dependency may be imported here: there may be none yet.

import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { ensureBuilt } from './build.mjs'
import { ensureInstalled } from './ensure-installed.mjs'

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)))

const parent = process.ppid
ensureInstalled()
await ensureBuilt({ types: false })
// npm may have been stopped meanwhile; it does not tell us.
if (process.ppid !== parent) process.exit(1)
await import(pathToFileURL(join(ROOT, 'dist', 'cli', 'demo.js')).href)
