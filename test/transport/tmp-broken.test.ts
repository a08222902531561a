import { once } from 'node:events'
import { connect as tcpConnect } from 'node:net'
import type { Socket } from 'node:net'
import { expect, it } from 'vitest'
import { createFallback } from '../../src/transport/fallback.ts'
import { connectRaw, startEchoServer, startTcpServer } from '../support/server.ts'

it.each(['site-http/1.1', 'site-h2', 'relay', 'downgrade'])('broken records after handover: %s', async (kind) => {
  const endpoint = await startTcpServer((s) => s.write('hello'))
  const fallback = kind === 'relay' ? createFallback({ http1: { host: '127.0.0.1', port: endpoint } }) : createFallback()
  const { server, port, certificate } = await startEchoServer({ fallback })
  let corrupt = false
  let upstream: Socket | undefined
  const relay = await startTcpServer((client) => {
    upstream = tcpConnect(port, '127.0.0.1')
    upstream.on('error', () => {})
    upstream.pipe(client)
    client.on('data', (data: Buffer) => {
      if (corrupt) data[data.length - 1]! ^= 1
      upstream?.write(data)
    })
    client.on('close', () => upstream?.destroy())
  })
  const socket = await connectRaw(relay, { ca: certificate.cert, ALPNProtocols: [kind === 'site-h2' ? 'h2' : 'http/1.1'] })
  const handed = once(server, 'fallback')
  socket.write(kind === 'site-h2' ? 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' : 'GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await handed
  await once(socket, 'data')
  corrupt = true
  socket.write('broken')
  upstream?.resume()
  const closed = await Promise.race([once(upstream!, 'close').then(() => true), new Promise((r) => setTimeout(r, 1500, false))])
  expect(closed).toBe(true)
  socket.destroy()
})
