// Starts the bench server as a process of its own.
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PeerKey } from './peers/index.ts'

/** The process, and the port of each peer. */
export async function startServer(): Promise<{
  server: ChildProcess
  ports: Record<PeerKey, number>
}> {
  const server = fork(
    fileURLToPath(new URL(`./server${extname(import.meta.url)}`, import.meta.url)),
    {
      execArgv: process.execArgv,
    },
  )
  const [ports] = (await once(server, 'message')) as [Record<PeerKey, number>]
  return { server, ports }
}
