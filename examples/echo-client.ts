// Sends each line of standard input over a stream of its own, and prints what comes back.

import { once } from 'node:events'
import net from 'node:net'
import { createInterface } from 'node:readline'
import { connect } from '../src/index.ts'
import type { Stream } from '../src/index.ts'
import { muxProClient } from '../src/muxpro.ts'
import { netMuxClient } from '../src/netmux.ts'
import { parseHostPort } from '../src/codec.ts'
import { clientSecrets, isSecure, readArguments, run } from './support.ts'
import type { Wire } from './support.ts'

await run(async () => {
  const connection = await connectToServer(readArguments({ connect: '127.0.0.1:7777', ca: '' }))
  for await (const line of createInterface({ input: process.stdin })) {
    const stream = connection.openStream()
    stream.write(`${line}\n`)
    process.stdout.write(await readReply(stream))
  }
  await connection.close()
})

interface Settings {
  readonly wire: Wire
  readonly connect: string
  readonly ca: string
}

interface Connection {
  openStream(): Stream
  close(): Promise<void>
}

async function connectToServer(settings: Settings): Promise<Connection> {
  const { wire } = settings
  const address = parseHostPort(settings.connect)
  if (isSecure(wire)) return connect({ ...address, ...clientSecrets(settings), wire })

  const socket = net.connect({ ...address, noDelay: true })
  await once(socket, 'connect')
  if (wire === 'netmux') return netMuxClient(socket)
  const client = muxProClient(socket)
  return {
    // Mux.Pro wants to know where a stream goes; this server does not care.
    openStream: () => client.openStream({ target: { host: 'echo.test', port: 7 } }),
    close: () => client.close(),
  }
}

/** One line; leaving the loop ends the stream. Two of the wires have no half-close to end the line with. */
async function readReply(stream: Stream): Promise<string> {
  let reply = ''
  for await (const text of stream.setEncoding('utf8')) {
    reply += String(text)
    if (reply.endsWith('\n')) break
  }
  return reply
}
