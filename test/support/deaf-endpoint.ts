// A web server of another process that stands still, its backlog full: what connects hangs, with nobody to refuse it.
// Must never be waited for on another system than Linux: what a full backlog does is the system's affair.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'

/** What it answers once it is awake. */
export const AWAKE = 'awake'

export interface DeafEndpoint {
  readonly host: string
  readonly port: number
  /** Has it go on: connections that are still tried come through with the system's next try, after 1, 3, 7 s. */
  wake(): void
  stop(): Promise<unknown>
}

export async function startDeafEndpoint(): Promise<DeafEndpoint> {
  const script = `
    const server = require('node:http').createServer((_, response) => response.end('${AWAKE}'))
    server.listen({ host: '127.0.0.1', port: 0, backlog: 1 }, () =>
      require('node:fs').writeSync(1, String(server.address().port)))`
  const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [chunk] = (await once(child.stdout, 'data')) as [Buffer]
  const port = Number(chunk.toString())
  child.kill('SIGSTOP')
  // A backlog of 1 holds two; a third connection is not completed.
  const fill = [1, 2].map(() => connect(port, '127.0.0.1').on('error', () => {}))
  await Promise.all(fill.map((socket) => once(socket, 'connect')))
  return {
    host: '127.0.0.1',
    port,
    wake() {
      for (const socket of fill) socket.destroy()
      child.kill('SIGCONT')
    },
    async stop() {
      for (const socket of fill) socket.destroy()
      child.kill('SIGKILL')
      await once(child, 'exit')
    },
  }
}
