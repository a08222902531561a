// Requirements of the draft that show only in a client or a server as a whole, over real TLS: what the first
// record holds, which scheme a later connection uses, what is done about a violation.
// Must never leave a socket open: each test ends what it began.
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { connect as tlsConnect, createServer as createTlsServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/anytls/auth.ts'
import { DEFAULT_SCHEME, encodeScheme, parseScheme } from '../../src/shaping/scheme.ts'
import type { Scheme } from '../../src/shaping/scheme.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/transport/dial.ts'
import { createFallback } from '../../src/transport/fallback.ts'
import { createServer } from '../../src/transport/listen.ts'
import type { ServerOptions } from '../../src/transport/listen.ts'
import { concatBytes } from '../../src/wire/bytes.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { readAll } from '../support/fallback-listener.ts'
import { describeFrames, write } from '../support/v1-frames.ts'

const HOST = '127.0.0.1'
const password = 'correct horse'
const certificate = await makeTestCertificate()
const ca = certificate.cert

const NEGO = `version=1\nclient=peer/1\npadding-md5=${DEFAULT_SCHEME.digest}\n`
const HELLO = concatBytes([write.auth(hashPassword(password)), write.clientNego(NEGO)])

/** A TLS server that tells the first record of each connection, and answers it with `answer`. */
async function recordingServer(answer: Uint8Array) {
  const server = createTlsServer(certificate)
  server.listen(0, HOST)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const { port } = server.address() as AddressInfo
  return {
    port,
    /** The frames of the first record of the next connection. */
    async nextRecord(): Promise<string[]> {
      const [socket] = (await once(server, 'secureConnection')) as [TLSSocket]
      socket.on('error', () => {})
      onTestFinished(() => void socket.destroy())
      const [record] = (await once(socket, 'data')) as [Buffer]
      socket.write(answer)
      return describeFrames(record)
    },
  }
}

/** A server of ours, and a client made by hand that has authenticated and negotiated. */
async function withHandmadeClient(options: Partial<ServerOptions>) {
  const server = createServer({ ...certificate, password, ...options })
  server.listen(0, HOST)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  const established = once(server, 'session')
  const client = tlsConnect({ host: HOST, port: server.address().port, ca })
  client.on('error', () => {})
  onTestFinished(() => void client.destroy())
  client.write(HELLO)
  await Promise.all([established, once(client, 'data')])
  return { server, client }
}

/** The next bytes of a socket that is paused. */
async function readOnce(socket: Socket): Promise<Buffer> {
  const data = once(socket, 'data')
  socket.resume()
  const [bytes] = (await data) as [Buffer]
  return bytes
}

/** An unknown frame type (D12), and bytes behind it. */
const VIOLATION = concatBytes([Uint8Array.of(0x3f), new TextEncoder().encode(' and what follows')])

describe('draft, Authentication', () => {
  it('the first record of a client MUST be AUTH and then NEGO, and holds the first OPEN too', async () => {
    const server = await recordingServer(new Uint8Array(0))
    const record = server.nextRecord()
    const session = await connect({
      host: HOST,
      port: server.port,
      password,
      ca,
      schemeStore: new MemorySchemeStore(),
    })
    session.openStream().on('error', () => {})
    const frames = await record
    expect(frames.map((frame) => frame.split(' ')[0])).toEqual(['AUTH', 'NEGO', 'OPEN'])
    session.destroy()
  })

  it('a violation SHOULD be answered with ALERT and the end of the TLS connection', async () => {
    const { client } = await withHandmadeClient({})
    const answer = readAll(client)
    client.write(VIOLATION)
    const frames = describeFrames(await answer)
    expect(frames.length).toBe(1)
    expect(frames[0]).toMatch(/^ALERT unknown frame type/)
    await once(client, 'close')
  })

  it('a violation MAY downgrade: the application gets the TLS connection, from the offending frame on', async () => {
    const { server, client } = await withHandmadeClient({ onViolation: 'downgrade' })
    const downgraded = once(server, 'downgrade')
    client.write(concatBytes([write.ping(), VIOLATION]))
    const [socket] = (await downgraded) as [TLSSocket, Error]
    expect((await readOnce(socket)).equals(VIOLATION)).toBe(true)
    // Plain TLS from here on, in both directions.
    const answer = readAll(client)
    socket.end('plain')
    expect((await answer).toString('latin1')).toMatch(/plain$/)
    socket.destroy()
  })

  it('a violation MAY redirect: the preconfigured service gets the stream, from the offending frame on', async () => {
    const service = createTcpServer()
    service.listen(0, HOST)
    await once(service, 'listening')
    onTestFinished(() => void service.close())
    const http1 = { host: HOST, port: (service.address() as AddressInfo).port }
    const { server, client } = await withHandmadeClient({
      onViolation: 'redirect',
      fallback: createFallback({ http1 }),
    })
    const connected = once(service, 'connection')
    const told = once(server, 'fallback')
    client.write(VIOLATION)
    const [socket] = (await connected) as [Socket]
    expect((await readOnce(socket)).equals(VIOLATION)).toBe(true)
    expect(await told).toMatchObject([{ cause: 'violation' }])
    socket.destroy()
  })
})

describe('draft, Padding Scheme Update', () => {
  it('later connections MUST use the scheme of the server, to the very padding of AUTH', async () => {
    const scheme = parseScheme('stop=2\n0=77-77\n1=9-9')
    const nego = write.serverNego('version=1\nserver=peer/1\n')
    const server = await recordingServer(
      concatBytes([nego, write.schemeUpdate(encodeScheme(scheme))]),
    )
    const schemeStore = new MemorySchemeStore()
    const options = { host: HOST, port: server.port, password, ca, schemeStore }

    const first = server.nextRecord()
    const session = await connect(options)
    const [update] = (await once(session, 'scheme')) as [Scheme]
    expect(update).toMatchObject({ digest: scheme.digest })
    expect(await first).toMatchObject(['AUTH 30', expect.stringContaining(DEFAULT_SCHEME.digest)])
    session.destroy()

    for (let later = 0; later < 2; later += 1) {
      const record = server.nextRecord()
      const next = await connect(options)
      expect(await record).toMatchObject(['AUTH 77', expect.stringContaining(scheme.digest)])
      next.destroy()
    }
  })

  it('another server of the same client keeps its own scheme', async () => {
    const scheme = parseScheme('stop=1\n0=5-5')
    const schemeStore = new MemorySchemeStore()
    schemeStore.set('192.0.2.1:443', scheme)
    const server = await recordingServer(new Uint8Array(0))
    const record = server.nextRecord()
    const session = await connect({ host: HOST, port: server.port, password, ca, schemeStore })
    expect((await record)[0]).toBe('AUTH 30')
    session.destroy()
  })
})
