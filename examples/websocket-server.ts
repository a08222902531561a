// Streams inside a WebSocket, for where only HTTP goes through: sends back whatever comes on a stream.
// `ws` is a package of its own; any WebSocket that can be made a Duplex will do.

import http from 'node:http'
import { createWebSocketStream, WebSocketServer } from 'ws'
import { netMuxServer } from '../src/netmux.ts'
import { listen, readArguments, run } from './support.ts'

await run(async () => {
  const settings = readArguments({ listen: '127.0.0.1:7780' })
  const server = http.createServer((_request, response) => response.end('a web server\n'))
  new WebSocketServer({ server, path: '/streams' }).on('connection', (socket) => {
    const carrier = createWebSocketStream(socket)
    carrier.on('error', () => {})
    netMuxServer(carrier).on('stream', (stream) => void stream.pipe(stream))
  })
  await listen(server, settings.listen, 'websocket')
})
