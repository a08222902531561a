#!/usr/bin/env node
// The program `anytls`: its version is said before anything else is loaded, for installers and scripts ask for nothing else.

import { VERSION } from '../version.ts'

const args = process.argv.slice(2)

if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${VERSION}\n`)
} else {
  await import('./run.ts')
}
