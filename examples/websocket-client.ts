// Sends each line of standard input over a stream of its own, all of them inside one WebSocket, and prints what comes back.

import { text } from 'node:stream/consumers'
import { createInterface } from 'node:readline'
import { createWebSocketStream, WebSocket } from 'ws'
import { netMuxClient } from '../src/netmux.ts'
import { readArguments, run } from './support.ts'

await run(async () => {
  const { connect } = readArguments({ connect: 'ws://127.0.0.1:7780/streams' })
  const carrier = createWebSocketStream(new WebSocket(connect))
  const session = netMuxClient(carrier)
  for await (const line of createInterface({ input: process.stdin })) {
    const stream = session.openStream()
    stream.end(`${line}\n`)
    process.stdout.write(await text(stream))
  }
  await session.close()
})
