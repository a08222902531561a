// Builds the program in test/interop/rust, which is made of the crate net-mux.

import { execFile } from 'node:child_process'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { requireBuild } from '../../support/programs.ts'

const SOURCES = join(import.meta.dirname, '../rust')
const TARGET = join(import.meta.dirname, '../../../node_modules/.cache/netmux-peer')

/** How long a build from nothing may take, in ms: it fetches and compiles some 35 crates. */
const BUILD_TIMEOUT = 600_000

/** Nothing is done when it is built already. */
async function build(cargo: string): Promise<string> {
  await promisify(execFile)(cargo, ['build', '--release', '--locked', '--quiet'], {
    cwd: SOURCES,
    env: { ...process.env, CARGO_TARGET_DIR: TARGET },
    timeout: BUILD_TIMEOUT,
  })
  const program = join(TARGET, 'release/netmux-peer')
  await access(program)
  return program
}

/** The program, built while the test file loads. */
export const netmuxPeer = await requireBuild('cargo', build)
