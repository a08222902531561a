// What the tests of programs share: both of ours, an origin that says just what it is told, a program that asks.
// Must never tidy what is sent: it is the bytes that count.

import net from 'node:net'
import type { Socket } from 'node:net'
import { connectTo, readAll, readExactly } from '../../proxy/support.ts'
import { serve, startClient, startServer } from '../support.ts'
import type { ClientProgram } from '../support.ts'

/** Everything that comes for `text`, a request of a program that then waits. */
export type Ask = (text: string | Buffer) => Promise<string>

/** Both of ours, for a file of tests. They give the exact answers, however busy the machine is. */
export async function startPrograms(): Promise<{ client: ClientProgram; ask: Ask }> {
  const client = await startClient((await startServer()).link, ['--reply-wait', 'exact'])
  const ask: Ask = async (text) => {
    const program = await connectTo(client.port)
    program.write(text)
    return (await readAll(program)).toString('latin1')
  }
  return { client, ask }
}

/** An origin that answers each connection's first bytes with `answer`, as it is. */
export async function serveAnswer(
  answer: string | Buffer,
  received: string[] = [],
): Promise<number> {
  const { port } = await serve(
    net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.once('data', (chunk) => {
        received.push(chunk.toString('latin1'))
        socket.end(answer, 'latin1')
      })
    }),
  )
  return port
}

export function url(port: number, path = '/'): string {
  return `http://127.0.0.1:${port}${path}`
}

export function get(target: string, ...headers: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: x', ...headers, 'Connection: close', '', ''].join('\r\n')
}

export async function readUntil(socket: Socket, pattern: RegExp): Promise<string> {
  let text = ''
  while (!pattern.test(text)) text += (await readExactly(socket, 1)).toString('latin1')
  return text
}
