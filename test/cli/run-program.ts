// Runs the program `anytls` as it is built before the first test (build-programs.ts), and waits for what it says.

import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { Readable } from 'node:stream'

/** The program, to be run by Node. */
export const MAIN = join(import.meta.dirname, '../../dist/cli/main.js')

/** How a program ended: its exit code, or the signal that ended it. */
interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface Program {
  readonly child: ChildProcessByStdio<null, Readable, Readable>
  /** Everything that came on standard error so far. */
  stderr(): string
  stdout(): string
  /** Resolves with the first match in standard error, as soon as it is there. */
  said(pattern: RegExp): Promise<RegExpExecArray>
  readonly ended: Promise<Ended>
}

const NONE_OF_OURS: NodeJS.ProcessEnv = {
  ANYTLS_PASSWORD: undefined,
  ANYTLS_PROXY_AUTH: undefined,
  ANYTLS_USERS: undefined,
  ANYTLS_PANEL_TOKEN: undefined,
}

/** Starts `anytls ...args`, with no variable of ours in its environment but those of `env`. */
export function runProgram(args: readonly string[], env?: NodeJS.ProcessEnv): Program {
  return runScript(MAIN, args, env)
}

/** Starts another program of this repository in the same way. */
export function runScript(
  script: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Program {
  const loader = script.endsWith('.ts') ? ['--import', 'tsx'] : []
  const child = spawn(process.execPath, [...loader, script, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...NONE_OF_OURS, ...env },
  })
  return watch(child)
}

/** Hears what a program says from its start to its end. */
export function watch(child: Program['child']): Program {
  let [stdout, stderr] = ['', '']
  let over = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = new Promise<Ended>((resolve) => {
    child.once('close', (code, signal) => {
      over = true
      resolve({ code, signal })
    })
  })
  return {
    child,
    stdout: () => stdout,
    stderr: () => stderr,
    ended,
    async said(pattern) {
      for (;;) {
        const match = pattern.exec(stderr)
        if (match !== null) return match
        if (over) throw new Error(`it ended without saying so: ${stderr}`)
        await Promise.race([once(child.stderr, 'data'), ended])
      }
    },
  }
}

/** Ends the program if it still runs. */
export async function stop(program: Program): Promise<void> {
  program.child.kill('SIGKILL')
  await program.ended
}
