// What the draft says of the connection below ANYTLS: TLS over TCP, and nothing else.
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { connect as tcpConnect, createServer as createTcpServer } from 'node:net'
import type { AddressInfo, Server as TcpServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import { DEFAULT_SCHEME } from '../../src/shaping/scheme.ts'
import { connect } from '../../src/tls/dial.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import { createServer } from '../../src/tls/listen.ts'
import type { Server } from '../../src/tls/listen.ts'
import { concatBytes } from '../../src/codec/bytes.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { readAll } from '../support/fallback-listener.ts'
import { write } from '../support/v1-frames.ts'

const HOST = '127.0.0.1'
const password = 'correct horse'

async function portOf(server: TcpServer | Server): Promise<number> {
  server.listen(0, HOST)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

describe('draft, Connections', () => {
  it('over TLS: the first thing a client says MUST be a TLS handshake, not AUTH', async () => {
    let first: Buffer = Buffer.alloc(0)
    const tcp = createTcpServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        first = chunk
        socket.destroy()
      })
    })
    const port = await portOf(tcp)
    await expect(connect({ host: HOST, port, password, insecure: true })).rejects.toMatchObject({
      code: 'ERR_CONNECT_FAILED',
    })
    // Record type 22 is a handshake, message type 1 the ClientHello (RFC 8446).
    expect([first[0], first[5]]).toEqual([22, 1])
    expect(first.includes(Buffer.from(hashPassword(password)))).toBe(false)
  })

  it('over TLS: AUTH and NEGO on bare TCP MUST NOT make a session', async () => {
    const certificate = await makeTestCertificate()
    const server = createServer({ ...certificate, password, fallback: createFallback('close') })
    let sessions = 0
    server.on('session', (session) => {
      sessions += 1
      session.destroy()
    })
    const socket = tcpConnect(await portOf(server), HOST)
    const nego = `version=1\nclient=peer/1\npadding-md5=${DEFAULT_SCHEME.digest}\n`
    socket.write(concatBytes([write.auth(hashPassword(password)), write.clientNego(nego)]))
    const answer = await readAll(socket)
    socket.destroy()
    expect(answer.includes('version=')).toBe(false)
    // An alert is all that TLS has to say to it.
    expect(answer.length === 0 || answer[0] === 21).toBe(true)
    expect(sessions).toBe(0)
  })

  it('over TCP: nothing that makes or carries a connection MUST know datagrams', () => {
    const src = fileURLToPath(new URL('../../src/', import.meta.url))
    const carriers = ['codec', 'engine', 'fallback', 'session', 'shaping', 'tls', 'wires']
    const files = carriers
      .flatMap((folder) =>
        readdirSync(src + folder, { recursive: true, encoding: 'utf8' }).map(
          (name) => `${folder}/${name}`,
        ),
      )
      .filter((file) => file.endsWith('.ts'))
    expect(files.length).toBeGreaterThan(40)
    const wrong = files.filter((file) => /dgram|node:quic/.test(readFileSync(src + file, 'utf8')))
    expect(wrong).toEqual([])
  })
})
