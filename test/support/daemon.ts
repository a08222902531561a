// Other people's servers that tests run: HAProxy, nginx, Pebble.
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { RequiredProgram } from './programs.ts'

export interface Daemon {
  readonly child: ChildProcess
  /** What it said so far, on either output. */
  said(): string
  stop(): Promise<void>
}

/** Starts a program that stays in the foreground; resolves when all of `ports` are open on loopback. */
export async function startDaemon(
  program: RequiredProgram | { readonly path: string },
  args: readonly string[],
  ports: readonly number[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<Daemon> {
  const child = spawn(program.path, args, { stdio: ['ignore', 'pipe', 'pipe'], env })
  let said = ''
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding('utf8').on('data', (text: string) => (said += text))
  }
  const ended = once(child, 'close')
  const stop = async (): Promise<void> => {
    child.kill('SIGKILL')
    await ended
  }
  const limit = performance.now() + 20_000
  for (const port of ports) {
    while (!(await isOpen(port))) {
      if (child.exitCode !== null || performance.now() > limit) {
        await stop()
        throw new Error(`${program.path} does not serve: ${said}`)
      }
      await setTimeout(20)
    }
  }
  return { child, said: () => said, stop }
}

/** Whether somebody listens on a port of loopback. */
export async function isOpen(port: number): Promise<boolean> {
  const socket = connect({ port, host: '127.0.0.1' })
  const open = await new Promise<boolean>((resolve) => {
    socket.once('connect', () => resolve(true))
    socket.once('error', () => resolve(false))
  })
  socket.destroy()
  return open
}
