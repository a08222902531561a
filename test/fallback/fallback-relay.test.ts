// The relay to a fallback endpoint, over real TLS: every byte, both ways, and how connections end.
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { CONNECT_TIMEOUT } from '../../src/fallback/fallback-relay.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import type { Fallback, FallbackOptions } from '../../src/fallback/fallback.ts'
import { createServer } from '../../src/tls/listen.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { startDeafEndpoint } from '../support/deaf-endpoint.ts'
import { FakeClock, settle } from '../support/fake-clock.ts'
import { listenForFallback, readAll } from '../support/fallback-listener.ts'
import type { FallbackListener, HandoverOptions } from '../support/fallback-listener.ts'
import { startTcpEndpoint } from '../support/tcp-endpoint.ts'
import type { TcpEndpoint } from '../support/tcp-endpoint.ts'

const MIB = 1024 * 1024
const cleanup: (() => Promise<unknown>)[] = []

afterEach(async () => {
  vi.useRealTimers()
  for (const stop of cleanup.splice(0)) await stop()
})

interface Rig {
  readonly endpoint: TcpEndpoint
  readonly fallback: Fallback
  readonly listener: FallbackListener
}

async function setUp(
  options: Omit<FallbackOptions, 'http1'> = {},
  handover: HandoverOptions = {},
): Promise<Rig> {
  const endpoint = await startTcpEndpoint()
  const fallback = createFallback({ http1: endpoint, ...options })
  const listener = await listenForFallback(fallback, handover)
  cleanup.push(
    () => fallback.close(0),
    () => listener.stop(),
    () => endpoint.stop(),
  )
  return { endpoint, fallback, listener }
}

/** A client that has sent `first`, and the connection at the endpoint. */
async function open(rig: Rig, first = 'hello'): Promise<{ client: TLSSocket; behind: Socket }> {
  const client = await rig.listener.connect('http/1.1', { halfOpen: true })
  client.write(first)
  return { client, behind: await rig.endpoint.accept() }
}

async function readExactly(socket: Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let missing = length
  while (missing > 0) {
    const chunk = socket.read() as Buffer | null
    if (chunk === null) {
      await once(socket, 'readable')
      continue
    }
    chunks.push(chunk)
    missing -= chunk.length
  }
  return Buffer.concat(chunks)
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** A client whose TCP socket can be reset. */
async function openRaw(rig: Rig): Promise<{ client: TLSSocket; raw: Socket; behind: Socket }> {
  const { port, ca } = rig.listener
  const raw = connect({ host: '127.0.0.1', port, allowHalfOpen: true })
  raw.on('error', () => {})
  const client = connectTls({ socket: raw, host: '127.0.0.1', ca })
  client.on('error', () => {})
  await once(client, 'secureConnect')
  client.write('hello')
  return { client, raw, behind: await rig.endpoint.accept() }
}

describe('relay: the bytes', () => {
  it('D15: the endpoint gets the bytes that were read before the handover, then what follows', async () => {
    const rig = await setUp()
    const handover = rig.listener.handover()
    const { client, behind } = await open(rig, 'GET / HT')
    await handover
    client.write('TP/1.1\r\nHost: a\r\n\r\n')
    expect((await readExactly(behind, 27)).toString()).toBe('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
    behind.write('HTTP/1.1 204 No Content\r\n\r\n')
    expect((await readExactly(client, 27)).toString()).toBe('HTTP/1.1 204 No Content\r\n\r\n')
  })

  it('D15: bytes that are no HTTP at all reach the endpoint as they are', async () => {
    const rig = await setUp()
    const client = await rig.listener.connect('http/1.1')
    const garbage = randomBytes(40_000)
    client.write(garbage)
    const behind = await rig.endpoint.accept()
    expect((await readExactly(behind, garbage.length)).equals(garbage)).toBe(true)
  })

  it('D15: a handover that comes late loses nothing of what arrived while the socket was paused', async () => {
    const rig = await setUp({}, { delay: 50 })
    const client = await rig.listener.connect('http/1.1')
    const bytes = randomBytes(MIB)
    client.write(bytes)
    const behind = await rig.endpoint.accept()
    expect(sha256(await readExactly(behind, bytes.length))).toBe(sha256(bytes))
  })

  it('D15: 8 MiB each way at the same time arrive whole, and both ends see the end', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig, 'x')
    const [up, down] = [randomBytes(8 * MIB), randomBytes(8 * MIB)]
    client.end(up)
    behind.end(down)
    const [received, answered] = await Promise.all([readAll(behind), readAll(client)])
    expect(sha256(received.subarray(1))).toBe(sha256(up))
    expect(sha256(answered)).toBe(sha256(down))
  })

  it('D15: an endpoint that does not read holds the client back, and gets everything later', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig, 'x')
    // More than the kernel's buffers on the way can take.
    const bytes = randomBytes(64 * MIB)
    let flushed = false
    client.end(bytes, () => (flushed = true))
    await untilSteady(() => client.bytesWritten - client.writableLength + behind.bytesRead)
    expect(flushed).toBe(false)
    expect(sha256((await readAll(behind)).subarray(1))).toBe(sha256(bytes))
  })

  it('D15: a client that does not read holds the endpoint back, and gets everything later', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig, 'x')
    const bytes = randomBytes(64 * MIB)
    let flushed = false
    behind.end(bytes, () => (flushed = true))
    await untilSteady(() => client.bytesRead)
    expect(flushed).toBe(false)
    expect(sha256(await readAll(client))).toBe(sha256(bytes))
  })

  it('D16: a client that sends nothing is connected to the endpoint, which may speak first', async () => {
    const rig = await setUp({}, { silence: 30 })
    const client = await rig.listener.connect('http/1.1')
    const behind = await rig.endpoint.accept()
    behind.end('HTTP/1.1 408 Request Timeout\r\n\r\n')
    expect((await readAll(client)).toString()).toBe('HTTP/1.1 408 Request Timeout\r\n\r\n')
  })
})

describe('relay: how it ends', () => {
  it('D15: the half-close of the client is passed on, the answer still comes', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig, 'question')
    client.end()
    expect((await readAll(behind)).toString()).toBe('question')
    behind.end('answer')
    expect((await readAll(client)).toString()).toBe('answer')
  })

  it('D15: the half-close of the endpoint is passed on, the client can still send', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig, 'a')
    behind.end('answer')
    expect((await readAll(client)).toString()).toBe('answer')
    client.write('b')
    client.end('c')
    expect((await readAll(behind)).toString()).toBe('abc')
  })

  it('D15: a client that ended before the handover is still answered', async () => {
    const rig = await setUp({}, { delay: 30 })
    const client = await rig.listener.connect('http/1.1', { halfOpen: true })
    client.end('question')
    const behind = await rig.endpoint.accept()
    expect((await readAll(behind)).toString()).toBe('question')
    behind.end('answer')
    expect((await readAll(client)).toString()).toBe('answer')
  })

  it('D15: once one side has ended, 60 s of silence end the rest', async () => {
    const rig = await setUp()
    const handle = vi.spyOn(rig.fallback, 'handle')
    const { client, behind } = await open(rig)
    const { socket } = handle.mock.calls[0]![0]
    expect(socket.timeout ?? 0).toBe(0)
    behind.end()
    await once(client.resume(), 'end')
    expect(socket.timeout).toBe(60_000)
    const closed = Promise.all([once(client, 'close'), once(behind.resume(), 'end')])
    socket.emit('timeout')
    client.end()
    await closed
  })

  it('D15: a reset by the client resets the connection to the endpoint', async () => {
    const rig = await setUp()
    const { raw, behind } = await openRaw(rig)
    behind.resume()
    raw.resetAndDestroy()
    expect(await errorCodeOf(behind)).toBe('ECONNRESET')
  })

  it('D15: a reset by the endpoint resets the TCP connection of the client', async () => {
    const rig = await setUp()
    const { client, raw, behind } = await openRaw(rig)
    const codes = Promise.race([errorCodeOf(raw), errorCodeOf(client)])
    behind.resetAndDestroy()
    expect(await codes).toBe('ECONNRESET')
  })

  it('D15: a client that is reset between the first record and the handover harms nobody', async () => {
    const rig = await setUp({}, { delay: 50 })
    const { port, ca } = rig.listener
    const raw = connect({ host: '127.0.0.1', port })
    raw.on('error', () => {})
    const client = connectTls({ socket: raw, host: '127.0.0.1', ca })
    client.on('error', () => {})
    await once(client, 'secureConnect')
    const [paused, handover] = [rig.listener.paused(), rig.listener.handover()]
    // A reset that meets the server's session tickets on their way looks to the server like an end.
    const tickets = once(client, 'session')
    client.write('hello')
    await Promise.all([paused, tickets])
    raw.resetAndDestroy()
    await handover
    // The next one is served.
    const { behind } = await open(rig, 'again')
    expect((await readExactly(behind, 5)).toString()).toBe('again')
    expect(rig.endpoint.accepted).toBe(1)
  })

  it('D54: while the endpoint is not there visitors get what nginx says for a dead upstream', async () => {
    const rig = await setUp()
    await rig.endpoint.stop()
    const get = async (request: string) => {
      const client = await rig.listener.connect('http/1.1')
      client.write(request)
      return String(await readAll(client)).replace(/Date: [^\r]*/, 'Date: D')
    }
    const head = 'Content-Type: text/html\r\nContent-Length'
    const answer = await get('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    expect(answer).toContain(
      `HTTP/1.1 502 Bad Gateway\r\nServer: nginx\r\nDate: D\r\n${head}: 150\r\n`,
    )
    expect(answer).toMatch(
      /\r\n\r\n<html>\r\n.*<hr><center>nginx<\/center>\r\n<\/body>\r\n<\/html>\r\n$/s,
    )
    const chrome = await get(
      'GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: Chrome/1\r\nConnection: close\r\n\r\n',
    )
    expect(chrome).toContain(`${head}: 552\r\n`)
    expect(await get('\x16\x03\x01 no HTTP\r\n\r\n')).toContain(
      `HTTP/1.1 400 Bad Request\r\nServer: nginx\r\nDate: D\r\n${head}: 150\r\nConnection: close\r\n`,
    )
  })

  it('D54: no more connections are held than were allowed', async () => {
    const rig = await setUp({ maxConnections: 1 })
    await open(rig)
    const client = await rig.listener.connect('http/1.1')
    const closed = once(client, 'close')
    client.write('GET / HTTP/1.1\r\n\r\n')
    await closed
    expect(rig.endpoint.accepted).toBe(1)
  })

  // How a full backlog behaves is the system's affair.
  it.skipIf(process.platform !== 'linux')(
    'D54: an endpoint that lets nobody connect for 60 s is told of as nginx tells of it (only on Linux)',
    async () => {
      const deaf = await startDeafEndpoint()
      const fallback = createFallback({ http1: deaf })
      const listener = await listenForFallback(fallback)
      cleanup.push(
        () => fallback.close(0),
        () => listener.stop(),
        () => deaf.stop(),
      )
      const client = await listener.connect('http/1.1')
      const handover = listener.handover()
      vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
      client.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
      await handover
      let ended = false
      client.once('end', () => (ended = true))
      vi.advanceTimersByTime(CONNECT_TIMEOUT - 1)
      await new Promise((resolve) => setImmediate(resolve))
      expect(ended).toBe(false)
      vi.advanceTimersByTime(1)
      expect(String(await readAll(client))).toMatch(/^HTTP\/1\.1 504 Gateway Time-out\r\n/)
    },
  )
})

describe('relay: silence', () => {
  it('D16, D54: who says nothing is closed 60 s after the handshake, as nginx does it', async () => {
    const endpoint = await startTcpEndpoint()
    const fallback = createFallback({ http1: endpoint })
    const clock = new FakeClock()
    const certificate = await makeTestCertificate()
    const server = createServer({ ...certificate, password: 'letmein', fallback, clock })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    cleanup.push(
      () => fallback.close(0),
      () => server.shutdown(0),
      () => endpoint.stop(),
    )
    const { port } = server.address()
    const client = connectTls({ host: '127.0.0.1', port, ca: certificate.cert })
    client.on('error', () => {})
    while (server.sessions.size === 0) await sleep(5)
    const went = vi.fn()
    server.on('fallback', went)
    await clock.advance(9_999)
    expect(went).not.toHaveBeenCalled()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    await clock.advance(1)
    expect(went).toHaveBeenCalledOnce()
    await endpoint.accept()
    const ended = once(client.resume(), 'end')
    let isOver = false
    void ended.then(() => (isOver = true))
    vi.advanceTimersByTime(49_999)
    await settle()
    expect(isOver).toBe(false)
    vi.advanceTimersByTime(1)
    await ended
  })
})

describe('relay: PROXY protocol', () => {
  it('PROXY v1: the header comes before the first byte and names both ends', async () => {
    const rig = await setUp({ proxyProtocol: 'v1' })
    const { client, behind } = await open(rig)
    const header = `PROXY TCP4 127.0.0.1 127.0.0.1 ${client.localPort ?? 0} ${rig.listener.port}\r\n`
    client.end()
    expect((await readAll(behind)).toString()).toBe(`${header}hello`)
  })

  it('PROXY v2: the header comes before the first byte and names both ends', async () => {
    const rig = await setUp({ proxyProtocol: 'v2' })
    const { client, behind } = await open(rig)
    client.end()
    const bytes = await readAll(behind)
    expect(bytes.subarray(0, 24).toString('hex')).toBe(
      '0d0a0d0a000d0a515549540a2111000c7f0000017f000001',
    )
    expect(bytes.readUInt16BE(24)).toBe(client.localPort)
    expect(bytes.readUInt16BE(26)).toBe(rig.listener.port)
    expect(bytes.subarray(28).toString()).toBe('hello')
  })

  it('D16: the PROXY header is sent for a silent client too', async () => {
    const rig = await setUp({ proxyProtocol: 'v1' }, { silence: 30 })
    await rig.listener.connect('http/1.1')
    const behind = await rig.endpoint.accept()
    expect((await readExactly(behind, 12)).toString()).toMatch(/^PROXY TCP4 /)
  })
})

describe('relay: close', () => {
  it('close ends a relay in peace when the endpoint ends', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig)
    const closing = rig.fallback.close(10_000)
    expect((await readAll(behind)).toString()).toBe('hello')
    behind.end('goodbye')
    expect((await readAll(client)).toString()).toBe('goodbye')
    await closing
  })

  it('close destroys a relay that does not end in time', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig)
    behind.resume()
    client.resume()
    const closed = Promise.all([once(client, 'close'), once(behind, 'end')])
    client.once('end', () => client.end())
    await rig.fallback.close(20)
    await closed
  })

  it('close destroys a relay whose client does not read', async () => {
    const rig = await setUp()
    const { client, behind } = await open(rig)
    behind.end(randomBytes(64 * MIB))
    await untilSteady(() => client.bytesRead)
    await rig.fallback.close(20)
    client.destroy()
  })

  it('a connection that comes after close is destroyed', async () => {
    const rig = await setUp()
    await rig.fallback.close()
    const client = await rig.listener.connect('http/1.1')
    client.write('hello')
    expect((await readAll(client)).length).toBe(0)
    expect(rig.endpoint.accepted).toBe(0)
  })
})

async function errorCodeOf(socket: Socket): Promise<string | undefined> {
  const [error] = (await once(socket, 'error')) as [NodeJS.ErrnoException]
  return error.code
}

/** Waits until nothing has moved for a while: the only way to see that something does not go on. */
async function untilSteady(progress: () => number): Promise<void> {
  let [last, unchanged] = [progress(), 0]
  while (unchanged < 5) {
    await sleep(20)
    unchanged = progress() === last ? unchanged + 1 : 0
    last = progress()
  }
}
