// Sends back whatever comes on a stream.

import net from 'node:net'
import type { Socket } from 'node:net'
import { createServer } from '../src/index.ts'
import type { Session, Stream } from '../src/index.ts'
import { muxProServer } from '../src/muxpro.ts'
import { netMuxServer } from '../src/netmux.ts'
import { isSecure, listen, readArguments, run, serverSecrets } from './support.ts'

await run(async () => {
  const settings = readArguments({ listen: '127.0.0.1:7777', key: '', cert: '' })
  const { wire } = settings

  const echo = (stream: Stream): void => void stream.pipe(stream)

  if (isSecure(wire)) {
    // One port serves both wires of TLS.
    await listen(createServer(serverSecrets(settings), echo), settings.listen, 'echo')
    return
  }
  const serve = (socket: Socket): Session =>
    wire === 'muxpro' ? muxProServer(socket) : netMuxServer(socket)
  const server = net.createServer({ noDelay: true }, (socket) => serve(socket).on('stream', echo))
  await listen(server, settings.listen, 'echo')
})
