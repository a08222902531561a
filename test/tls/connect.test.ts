// Client and server on real TLS over loopback: certificates, the first record, violations, the end.
import { createHook } from 'node:async_hooks'
import { X509Certificate, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Server as HttpServer } from 'node:http'
import { connect as tcpConnect } from 'node:net'
import type { Socket } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import {
  encodeAuth,
  encodeClientNego,
  encodeDataHead,
  encodeServerNego,
  encodeStream,
} from '../../src/wires/anytls/frame-encoder.ts'
import { StreamFlag } from '../../src/wires/anytls/frame.ts'
import { encodeClientNegoBlock, encodeServerNegoBlock } from '../../src/wires/anytls/nego.ts'
import type { AnyTlsError } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import type { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/tls/dial.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import { createFallback } from '../../src/fallback/fallback.ts'
import { createServer } from '../../src/tls/listen.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import { readAll } from '../support/fallback-listener.ts'
import {
  PASSWORD,
  connectRaw,
  startEchoServer,
  startTcpServer,
  startTlsServer,
  testCertificate,
} from '../support/server.ts'
import { FakeClock } from '../support/fake-clock.ts'
import { FramePeer } from '../support/session-pair.ts'

const HASH = hashPassword(PASSWORD)

const REQUEST = 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'

/** A NEGO that a client made by hand sends. */
function clientNego(versions: readonly number[] = [1]): Uint8Array {
  return encodeClientNego(
    encodeClientNegoBlock({
      versions,
      client: 'hand/1',
      schemeDigest: DEFAULT_SCHEME.digest,
      mux1Window: undefined,
    }),
  )
}

function serverNego(version = 1): Uint8Array {
  return encodeServerNego(
    encodeServerNegoBlock({ version, server: 'hand/1', mux1Window: undefined }),
  )
}

/** What connecting to a port of loopback fails with. */
async function failureOf(
  port: number,
  options: Partial<ConnectOptions> = {},
): Promise<AnyTlsError> {
  const { cert } = await testCertificate()
  const settings = { host: '127.0.0.1', port, password: PASSWORD, ca: cert, ...options }
  const session: Session | AnyTlsError = await connect(settings).catch(
    (error: unknown) => error as AnyTlsError,
  )
  if (!(session instanceof Error)) {
    session.destroy()
    throw new Error('connected')
  }
  return session
}

/** What goes out on a stream and what comes back when it is echoed. */
async function echo(session: Session, data: Buffer): Promise<Buffer> {
  const stream = session.openStream()
  stream.end(data)
  return buffer(stream)
}

function closeOf(session: Session): Promise<AnyTlsError | undefined> {
  return new Promise((resolve) =>
    session.once('close', (error) => resolve(error as AnyTlsError | undefined)),
  )
}

describe('connect: TLS', () => {
  it('draft, Connections: refuses a client that speaks no TLS 1.3', async () => {
    const { server, port } = await startEchoServer()
    const failed = once(server, 'handshakeError')
    const socket = tlsConnect({
      host: '127.0.0.1',
      port,
      maxVersion: 'TLSv1.2',
      rejectUnauthorized: false,
    })
    onTestFinished(() => void socket.destroy())
    const [error] = (await once(socket, 'error')) as [Error]
    expect(error.message).toMatch(/version/i)
    await failed
  })

  it('draft, Connections: refuses a server that speaks no TLS 1.3', async () => {
    const { port } = await startTlsServer({ maxVersion: 'TLSv1.2' }, () => {})
    expect(await failureOf(port)).toMatchObject({ code: 'ERR_CONNECT_FAILED' })
  })

  it('hangs up at once on who hangs up before or during the handshake', async () => {
    const { port } = await startEchoServer()
    for (const bytes of [Buffer.alloc(0), Buffer.from('160301', 'hex')]) {
      const socket = tcpConnect(port, '127.0.0.1')
      onTestFinished(() => void socket.destroy())
      socket.end(bytes)
      const started = performance.now()
      await once(socket.resume(), 'close')
      expect(performance.now() - started).toBeLessThan(2_000)
    }
  })

  it('refuses a certificate that is not trusted, and sends no byte of ANYTLS', async () => {
    let received = 0
    const { port } = await startTlsServer({}, (socket) =>
      socket.on('data', (data: Buffer) => (received += data.length)),
    )
    const error = await failureOf(port, { ca: undefined })
    expect(error.code).toBe('ERR_CONNECT_FAILED')
    expect(error.message).toMatch(/self.signed/)
    expect(error.message).not.toContain('\n')
    await sleep(30)
    expect(received).toBe(0)
  })

  it('refuses a certificate for another name', async () => {
    const { port } = await startEchoServer()
    const error = await failureOf(port, { servername: 'elsewhere.example' })
    expect(error.code).toBe('ERR_CONNECT_FAILED')
    expect(error.message).toContain('elsewhere.example')
  })

  it('checks the name of the host when no servername is given', async () => {
    const { connect: connectTo } = await startEchoServer()
    for (const host of ['localhost', '127.0.0.1']) {
      const session = await connectTo({ host })
      expect(String(await echo(session, Buffer.from(host)))).toBe(host)
    }
  })

  it('trusts the pinned certificate alone, without an authority', async () => {
    const { certificate, connect: connectTo } = await startEchoServer()
    const pin = new X509Certificate(certificate.cert).fingerprint256
    for (const spelling of [pin, pin.replaceAll(':', '').toLowerCase()]) {
      const session = await connectTo({ ca: undefined, pin: spelling })
      expect(String(await echo(session, Buffer.from('pinned')))).toBe('pinned')
    }
  })

  it('refuses another certificate than the pinned one, even one that is trusted or insecure', async () => {
    let received = 0
    const { port } = await startTlsServer({}, (socket) =>
      socket.on('data', (data: Buffer) => (received += data.length)),
    )
    const other = new X509Certificate((await makeTestCertificate()).cert).fingerprint256
    for (const insecure of [false, true]) {
      expect(await failureOf(port, { pin: other, insecure })).toMatchObject({
        code: 'ERR_CERTIFICATE_PIN',
      })
    }
    await sleep(30)
    expect(received).toBe(0)
  })

  it('takes any certificate when it is told to be insecure', async () => {
    const { connect: connectTo } = await startEchoServer()
    const session = await connectTo({ ca: undefined, insecure: true, servername: 'any.example' })
    expect(String(await echo(session, Buffer.from('x')))).toBe('x')
  })

  it.each([
    ['a pin that is too short', { pin: 'ab:cd' }],
    ['a pin that is no hex', { pin: 'z'.repeat(64) }],
    ['an empty password', { password: '' }],
    ['a port that is none', { port: 70_000 }],
    ['a window that is too small', { mux1: { window: 1000 } }],
    ['a timeout of zero', { timeouts: { auth: 0 } }],
  ] as [string, Partial<ConnectOptions>][])(
    'refuses %s as ERR_OPTION_INVALID',
    async (_what, options) => {
      const error = await failureOf(1, options)
      expect(error).toMatchObject({ code: 'ERR_OPTION_INVALID' })
      expect(error.message).not.toContain('\n')
    },
  )

  it('refuses an unknown onViolation and a stallTimeout of nothing as ERR_OPTION_INVALID', async () => {
    const options = { ...(await testCertificate()), password: PASSWORD }
    const invalid = expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error
    const onViolation = 'shout' as 'alert'
    expect(() => createServer({ ...options, onViolation })).toThrow(invalid)
    for (const stallTimeout of [0, -1, NaN]) {
      expect(() => createServer({ ...options, stallTimeout })).toThrow(invalid)
      expect((await failureOf(1, { stallTimeout })).code).toBe('ERR_OPTION_INVALID')
    }
    for (const connectTimeout of [0, -1, NaN]) {
      expect((await failureOf(1, { connectTimeout })).code).toBe('ERR_OPTION_INVALID')
    }
  })

  it('refuses a key or certificate that is none as ERR_OPTION_INVALID', async () => {
    const certificate = await testCertificate()
    const invalid = expect.objectContaining({ code: 'ERR_OPTION_INVALID' }) as Error
    const password = PASSWORD
    expect(() => createServer({ ...certificate, key: 'nonsense', password })).toThrow(invalid)
    expect(() => createServer({ ...certificate, cert: 'nonsense', password })).toThrow(invalid)
    const other = await makeTestCertificate()
    expect(() => createServer({ key: other.key, cert: certificate.cert, password })).toThrow(
      invalid,
    )
    const { server, connect: connectTo } = await startEchoServer()
    expect(() => server.setCertificate(other.key, certificate.cert)).toThrow(invalid)
    expect(String(await echo(await connectTo(), Buffer.from('as before')))).toBe('as before')
  })
})

describe('connect: the way there', () => {
  it('an IPv4 client of a server that listens on both families is one', async () => {
    const [sessions, refused, strangers]: string[][] = [[], [], []]
    const { server, port, connect } = await startEchoServer({}, undefined, '::')
    server.on('session', ({ remoteAddress = '' }) => sessions!.push(remoteAddress))
    server.on('handshakeError', (_, remoteAddress) => refused!.push(remoteAddress))
    server.on('fallback', ({ remoteAddress }) => strangers!.push(remoteAddress))
    await connect()
    await connect({ password: 'another' })
    tcpConnect(port, '127.0.0.1').end('no TLS')
    await vi.waitFor(() => {
      expect([sessions, refused, strangers]).toEqual(Array(3).fill(['127.0.0.1']))
    })
  })

  it('rejects with ERR_CONNECT_FAILED when nobody listens', async () => {
    const { server, port } = await startEchoServer()
    await server.shutdown(0)
    const error = await failureOf(port)
    expect(error.code).toBe('ERR_CONNECT_FAILED')
    expect(error.message).toContain(`127.0.0.1:${port}`)
    expect(error.cause).toMatchObject({ code: 'ECONNREFUSED' })
  })

  it('rejects with ERR_CONNECT_TIMEOUT when the server says nothing', async () => {
    let socket: Socket | undefined
    const port = await startTcpServer((accepted) => (socket = accepted))
    const error = await failureOf(port, { connectTimeout: 60 })
    expect(error.code).toBe('ERR_CONNECT_TIMEOUT')
    socket?.resume()
    if (socket?.readableEnded === false) await once(socket, 'end')
  })

  it('takes the time that connecting may take from its clock', async () => {
    const port = await startTcpServer((socket) => void socket.resume())
    const clock = new FakeClock()
    const failed = failureOf(port, { connectTimeout: 3_600_000, clock })
    await clock.advance(3_600_000)
    expect((await failed).code).toBe('ERR_CONNECT_TIMEOUT')
    expect(clock.armed).toBe(0)
  })

  it('rejects with the reason of the signal, and closes the connection', async () => {
    let socket: Socket | undefined
    const port = await startTcpServer((accepted) => (socket = accepted))
    const abort = new AbortController()
    const reason = new Error('changed my mind')
    const failed = failureOf(port, { signal: abort.signal })
    while (socket === undefined) await sleep(5)
    abort.abort(reason)
    expect(await failed).toBe(reason)
    socket.resume()
    await once(socket, 'end')
    expect(await failureOf(port, { signal: abort.signal })).toBe(reason)
  })

  it('leaves a session that stands alone when the signal is aborted later', async () => {
    const { connect: connectTo } = await startEchoServer()
    const abort = new AbortController()
    const session = await connectTo({ signal: abort.signal })
    abort.abort()
    expect(String(await echo(session, Buffer.from('alive')))).toBe('alive')
  })

  it('rejects with ERR_CONNECT_FAILED when the server ends before the handshake is over', async () => {
    for (const answer of ['', 'SSH-2.0-OpenSSH_9.9\r\n', randomBytes(300)]) {
      const port = await startTcpServer((socket) => {
        socket.once('data', () => socket.end(answer))
      })
      expect(await failureOf(port)).toMatchObject({ code: 'ERR_CONNECT_FAILED' })
    }
  })

  it('survives garbage right behind the handshake of the server', async () => {
    const { port } = await startEchoServer()
    // In the same chunk as the server's last handshake bytes: TLS fails right after it has succeeded.
    const relay = await startTcpServer((client) => {
      const upstream = tcpConnect(port, '127.0.0.1')
      upstream.on('error', () => {})
      client.pipe(upstream)
      upstream.on('data', (data) => {
        client.write(Buffer.concat([data, Buffer.from([0x17, 3, 3, 0, 32]), randomBytes(32)]))
      })
      client.on('close', () => upstream.destroy())
    })
    const { cert } = await testCertificate()
    for (let round = 0; round < 5; round += 1) {
      const session = await connect({
        host: '127.0.0.1',
        port: relay,
        password: PASSWORD,
        ca: cert,
      }).catch((error: unknown) => error as AnyTlsError)
      const error = session instanceof Error ? session : await closeOf(session)
      expect(['ERR_CONNECT_FAILED', 'ERR_CONNECTION_LOST']).toContain(error?.code)
    }
  })

  it('does not drop data that follows the handshake in the same chunk', async () => {
    const { port, certificate } = await startEchoServer()
    // Everything after the ClientHello waits for a moment and then arrives in one piece.
    const relay = await startTcpServer((client) => {
      const upstream = tcpConnect(port, '127.0.0.1')
      upstream.on('error', () => {})
      upstream.pipe(client)
      client.once('data', (hello: Buffer) => {
        upstream.write(hello)
        const rest: Buffer[] = []
        client.on('data', (data: Buffer) => {
          if (rest.length === 0) setTimeout(() => upstream.write(Buffer.concat(rest)), 60)
          rest.push(data)
        })
      })
      client.on('close', () => upstream.destroy())
    })
    const session = await connect({
      host: '127.0.0.1',
      port: relay,
      password: PASSWORD,
      ca: certificate.cert,
    })
    onTestFinished(() => session.destroy())
    const stream = session.openStream()
    stream.write('right behind')
    expect(String((await once(stream, 'data'))[0])).toBe('right behind')
  })

  it('offers h2 and http/1.1 in ALPN as a browser does, or what it is told', async () => {
    const offers: string[][] = []
    const { port } = await startTlsServer(
      {
        ALPNCallback: ({ protocols }) => {
          offers.push(protocols)
          return undefined
        },
      },
      () => {},
    )
    await failureOf(port)
    await failureOf(port, { ALPNProtocols: ['http/1.1'] })
    expect(offers).toEqual([['h2', 'http/1.1'], ['http/1.1']])
  })
})

describe('server: what ALPN offers', () => {
  it.each([
    ['the built-in site', createFallback(), ['h2', 'http/1.1']],
    [
      'an HTTP/1.1 endpoint',
      createFallback({ http1: { host: '127.0.0.1', port: 1 } }),
      ['http/1.1'],
    ],
    [
      'endpoints for both',
      createFallback({
        http1: { host: '127.0.0.1', port: 1 },
        h2: { host: '127.0.0.1', port: 1 },
      }),
      ['h2', 'http/1.1'],
    ],
    ['nobody', createFallback('close'), []],
  ])('offers what %s can speak', async (_name, fallback, offered) => {
    const { connectRaw: raw, connect: connectTo } = await startEchoServer({ fallback })
    const agreed: (string | false | null)[] = []
    for (const protocol of ['h2', 'http/1.1']) {
      const { port } = await rawPort(raw, protocol, agreed)
      expect(port).toBeGreaterThan(0)
    }
    expect(agreed.filter((protocol) => typeof protocol === 'string')).toEqual(offered)
    // Whatever is agreed on, ANYTLS runs.
    expect(String(await echo(await connectTo(), Buffer.from('x')))).toBe('x')
  })
})

/** Connects with one protocol to offer and notes what was agreed on; a refusal counts as nothing. */
async function rawPort(
  raw: (options: { ALPNProtocols: string[] }) => Promise<TLSSocket>,
  protocol: string,
  agreed: (string | false | null)[],
): Promise<{ port: number }> {
  const socket = await raw({ ALPNProtocols: [protocol] }).catch(() => undefined)
  agreed.push(socket?.alpnProtocol ?? false)
  return { port: socket?.remotePort ?? 1 }
}

describe('authentication', () => {
  it('D14: a wrong password ends the session with a clear error', async () => {
    for (const ALPNProtocols of [['h2', 'http/1.1'], ['http/1.1']]) {
      const { connect: connectTo, fallbacks } = await startEchoServer()
      const session = await connectTo({ password: 'wrong', ALPNProtocols })
      const closed = closeOf(session)
      const stream = session.openStream()
      stream.on('error', () => {})
      await expect(stream.accepted()).rejects.toMatchObject({ code: 'ERR_AUTH_REJECTED' })
      expect((await closed)?.message).toMatch(/wrong password/)
      expect(session.established).toBe(false)
      expect(fallbacks).toEqual(['auth-failed'])
    }
  })

  it('D15: without a fallback a wrong password closes the connection, with a clear error here', async () => {
    for (const withStream of [true, false]) {
      const { connect: connectTo } = await startEchoServer({ fallback: createFallback('close') })
      const session = await connectTo({ password: 'wrong' })
      const closed = closeOf(session)
      if (withStream) session.openStream().on('error', () => {})
      const error = await closed
      expect(error?.code).toBe('ERR_AUTH_REJECTED')
      expect(error?.message).toMatch(/wrong password/)
    }
  })

  it('answers a browser as a web site, and a wrong password too', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer()
    for (const first of [REQUEST, encodeAuth(hashPassword('wrong'), 30)]) {
      const socket = await raw({ ALPNProtocols: ['http/1.1'] })
      socket.write(first)
      expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 (200|400) /)
    }
    expect(fallbacks).toEqual(['auth-failed', 'auth-failed'])
  })

  it('D14: fewer than 34 bytes in the first record fail at once, whatever follows', async () => {
    const { connectRaw: raw, server } = await startEchoServer()
    const auth = encodeAuth(HASH, 30)
    for (const length of [1, 2, 33]) {
      const socket = await raw({ ALPNProtocols: ['http/1.1'] })
      const failed = once(server, 'fallback')
      socket.write(auth.subarray(0, length))
      // Nothing more has been sent when the decision falls.
      expect(await failed).toMatchObject([{ cause: 'auth-failed' }])
      socket.destroy()
    }
  })

  it('D14: one wrong byte anywhere in the hash fails at once', async () => {
    const { connectRaw: raw, server } = await startEchoServer()
    for (const position of [0, 1, 2, 3, 18, 33]) {
      const auth = Buffer.from(encodeAuth(HASH, 0))
      auth[position]! ^= 1
      const socket = await raw({ ALPNProtocols: ['http/1.1'] })
      const failed = once(server, 'fallback')
      socket.write(Buffer.concat([auth, clientNego()]))
      expect(await failed).toMatchObject([{ cause: 'auth-failed' }])
      socket.destroy()
    }
  })

  it('D14: after the match the padding may arrive later, in other records', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer()
    const auth = encodeAuth(HASH, 40)
    const socket = await raw({})
    const peer = new FramePeer(socket)
    const pieces = [auth.subarray(0, 34), auth.subarray(34, 35), auth.subarray(35, 60)]
    for (const piece of [...pieces, Buffer.concat([auth.subarray(60), clientNego()])]) {
      await new Promise((resolve) => socket.write(piece, resolve))
      await sleep(5)
    }
    expect((await peer.received('server-nego')).body.length).toBeGreaterThan(0)
    expect(fallbacks).toEqual([])
  })

  it('D10: padding above its cap is a failed authentication, with every byte for the fallback', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer()
    const socket = await raw({ ALPNProtocols: ['http/1.1'] })
    socket.write(Buffer.concat([encodeAuth(HASH, 0).subarray(0, 34), Buffer.from([0x80, 1, 0, 0])]))
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 400 /)
    expect(fallbacks).toEqual(['auth-failed'])
  })

  it('D16: a connection that says nothing goes to the fallback after the authentication timeout', async () => {
    const { connectRaw: raw, fallbacks, server } = await startEchoServer({ timeouts: { auth: 60 } })
    const socket = await raw({ ALPNProtocols: ['http/1.1'] })
    await once(server, 'fallback')
    expect(fallbacks).toEqual(['auth-timeout'])
    socket.write(REQUEST)
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 200 /)
  })

  it('D16: padding that never arrives ends in the fallback as well', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer({ timeouts: { auth: 60 } })
    const socket = await raw({ ALPNProtocols: ['http/1.1'] })
    socket.write(encodeAuth(HASH, 40).subarray(0, 34))
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 400 /)
    expect(fallbacks).toEqual(['auth-timeout'])
  })

  it('D26: padding that breaks off once its length is known ends with the idle time', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer({ timeouts: { connection: 60 } })
    const socket = await raw({})
    const peer = new FramePeer(socket)
    socket.write(encodeAuth(HASH, 40).subarray(0, 50))
    await once(socket, 'close')
    expect(peer.frames.map(({ type }) => type)).toEqual(['close'])
    expect(fallbacks).toEqual([])
  })

  it('D20: no common version is answered with CLOSE 7, then the end', async () => {
    const { connectRaw: raw } = await startEchoServer()
    const socket = await raw({})
    const peer = new FramePeer(socket)
    peer.send(encodeAuth(HASH, 30), clientNego([2, 9]))
    expect((await peer.received('close')).code).toBe(CloseCode.UnsupportedVersion)
    await once(socket, 'close')
    expect(peer.frames).toHaveLength(1)
  })

  it('D20: a server that selects a version we do not speak is told CLOSE 7', async () => {
    const { peer, session } = await connectByHand((socket) => {
      socket.write(serverNego(2))
    })
    const error = await closeOf(session)
    expect(error?.code).toBe('ERR_VERSION_UNSUPPORTED')
    expect((await peer()).code).toBe(CloseCode.UnsupportedVersion)
  })
})

/** A client against a TLS server made by hand, which answers Deliver 0. */
async function connectByHand(
  answer: (socket: TLSSocket) => void,
): Promise<{ session: Session; peer: () => Promise<{ code: number }> }> {
  let byHand: FramePeer | undefined
  const { port, certificate } = await startTlsServer({}, (socket) => {
    byHand = new FramePeer(socket)
    void byHand.received('client-nego').then(() => answer(socket))
  })
  const session = await connect({
    host: '127.0.0.1',
    port,
    password: PASSWORD,
    ca: certificate.cert,
  })
  onTestFinished(() => session.destroy())
  return { session, peer: () => byHand!.received('close') }
}

describe('D17: what a violation gets', () => {
  /** A client made by hand that has authenticated and negotiated. */
  async function authenticated(socket: TLSSocket): Promise<FramePeer> {
    const peer = new FramePeer(socket)
    peer.send(encodeAuth(HASH, 30), clientNego())
    await peer.received('server-nego')
    return peer
  }

  it('D17: alert says why and closes', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer()
    const socket = await raw({})
    const peer = await authenticated(socket)
    peer.send(Buffer.from([0x3f, 1, 2, 3]), randomBytes(2000))
    const alert = Buffer.from((await peer.received('alert')).body).toString()
    expect(alert).toMatch(/^[\x20-\x7e]+$/)
    expect(alert).toContain('0x3f')
    await once(socket, 'close')
    expect(fallbacks).toEqual([])
  })

  it('D17: redirect hands over from the offending byte on', async () => {
    const { connectRaw: raw, fallbacks } = await startEchoServer({ onViolation: 'redirect' })
    const socket = await raw({ ALPNProtocols: ['http/1.1'] })
    const peer = await authenticated(socket)
    peer.duplex.removeAllListeners('data')
    socket.write(Buffer.concat([encodeStream(1, StreamFlag.Open), Buffer.from(REQUEST)]))
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 200 /)
    expect(fallbacks).toEqual(['violation'])
  })

  it('D17: downgrade hands the bare socket and the unread bytes to the application', async () => {
    const { connectRaw: raw, server } = await startEchoServer({ onViolation: 'downgrade' })
    server.on('downgrade', (socket, error) => {
      expect(error).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
      socket.pipe(socket)
    })
    const socket = await raw({})
    const peer = await authenticated(socket)
    peer.duplex.removeAllListeners('data')
    const received = readAll(socket)
    socket.write('plain text')
    await sleep(20)
    socket.end(' and more')
    expect(String(await received)).toBe('plain text and more')
  })

  it('D17: downgrade without a listener closes the connection', async () => {
    const { connectRaw: raw } = await startEchoServer({ onViolation: 'downgrade' })
    const socket = await raw({})
    const peer = await authenticated(socket)
    peer.send(Buffer.from([0x3f]))
    await once(socket, 'close')
    expect(peer.count('alert')).toBe(0)
  })

  it('D17: a client answers a violation of the server with ALERT', async () => {
    let alert: Promise<unknown> | undefined
    const { port, certificate } = await startTlsServer({}, (socket) => {
      const peer = new FramePeer(socket)
      alert = peer.received('alert')
      void peer
        .received('client-nego')
        .then(() => socket.write(Buffer.concat([serverNego(), encodeDataHead(7, 3)])))
    })
    const session = await connect({
      host: '127.0.0.1',
      port,
      password: PASSWORD,
      ca: certificate.cert,
    })
    const error = await closeOf(session)
    expect(error).toMatchObject({ code: 'ERR_PROTOCOL_VIOLATION' })
    await alert
  })
})

describe('D23: the padding scheme', () => {
  const scheme = parseScheme('stop=3\n0=40-40\n1=100-100')

  it('D23: is sent when it differs, stored for that server, and used by the next connection only', async () => {
    const { connect: connectTo, server } = await startEchoServer({ scheme })
    const schemeStore = new MemorySchemeStore()
    const updates: string[] = []
    let negotiated = 0
    server.on('session', () => (negotiated += 1))
    // What the application would like counts for as long as the server has not said what it wants.
    const own = parseScheme('stop=2\n0=50-50')
    for (let round = 0; round < 3; round += 1) {
      const session = await connectTo({ schemeStore, scheme: own })
      session.on('scheme', ({ digest }) => updates.push(digest))
      expect(String(await echo(session, Buffer.from('x')))).toBe('x')
      await session.close()
    }
    expect(negotiated).toBe(3)
    expect(updates).toEqual([scheme.digest])
    const { port } = server.address()
    expect(schemeStore.get(`127.0.0.1:${port}`)?.digest).toBe(scheme.digest)
    expect(schemeStore.get(`localhost:${port}`)).toBeUndefined()
  })

  it('D23: is not sent when the client has it already', async () => {
    const { connect: connectTo } = await startEchoServer({ scheme })
    const session = await connectTo({ scheme })
    let updates = 0
    session.on('scheme', () => (updates += 1))
    await echo(session, Buffer.from('x'))
    expect(updates).toBe(0)
  })

  it('D23: one that asks for absurd amounts is refused with a reason, and the old one stays', async () => {
    const absurd = parseScheme('stop=100000\n0=40-40')
    const { connect: connectTo, server } = await startEchoServer({ scheme: absurd })
    const schemeStore = new MemorySchemeStore()
    const session = await connectTo({ schemeStore })
    const refused = once(session, 'schemeRefused')
    expect(String(await echo(session, Buffer.from('x')))).toBe('x')
    expect(await refused).toMatchObject([{ code: 'ERR_SCHEME_LIMIT' }])
    expect(schemeStore.get(`127.0.0.1:${server.address().port}`)).toBeUndefined()
  })
})

describe('server: the end, and other connections', () => {
  it('shutdown lets streams run to their end, takes no new connections, then ends', async () => {
    const { server, port, connect: connectTo, connectRaw: raw } = await startEchoServer()
    const session = await connectTo()
    const stream = session.openStream()
    await stream.accepted()
    await raw({})
    const draining = once(session, 'draining')
    const stopped = server.shutdown(5_000)
    await draining
    expect((await failureOf(port)).code).toBe('ERR_CONNECT_FAILED')
    const data = randomBytes(200_000)
    stream.end(data)
    expect((await buffer(stream)).equals(data)).toBe(true)
    await stopped
    expect(server.sessions.size).toBe(0)
  })

  it('shutdown serves what comes from who has connected, logged in or not, and has no second for others', async () => {
    const { server, connect: connectTo, port } = await startEchoServer()
    const silent = tcpConnect(port, '127.0.0.1')
    const late = await connectTo({ timeouts: { hold: 60_000 } })
    const standing = await connectTo()
    const first = standing.openStream()
    await first.accepted()
    await vi.waitUntil(() => server.sessions.size === 2)
    const stopped = server.shutdown(60_000)
    // Neither has heard of it.
    const streams = [late, standing].map((session) => session.openStream())
    for (const stream of streams) {
      stream.end('served')
      expect(String(await buffer(stream))).toBe('served')
    }
    first.end()
    first.resume()
    await stopped
    expect(silent.destroyed || (await once(silent, 'close'))).toBeTruthy()
  })

  it('shutdown destroys what is left after the grace time', async () => {
    const { server, connect: connectTo, connectRaw: raw } = await startEchoServer()
    const session = await connectTo()
    const stream = session.openStream()
    stream.on('error', () => {})
    await stream.accepted()
    const web = await raw({ ALPNProtocols: ['http/1.1'] })
    web.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    await once(web, 'data')
    const before = performance.now()
    const closed = closeOf(session)
    await server.shutdown(80)
    expect(performance.now() - before).toBeLessThan(2_000)
    await closed
    expect(stream.destroyed).toBe(true)
  })

  it('shutdown waits as long as it is told where that is more than a timer takes', async () => {
    for (const grace of [2 ** 31, Infinity]) {
      const { server, connect: connectTo } = await startEchoServer()
      const session = await connectTo()
      const stream = session.openStream()
      await stream.accepted()
      const stopped = server.shutdown(grace)
      await new Promise((resolve) => setTimeout(resolve, 50))
      stream.end('still here')
      expect(String(await buffer(stream))).toBe('still here')
      await stopped
    }
  })

  it('shutdown may be called twice, and on a server that never listened', async () => {
    const { server } = await startEchoServer()
    await Promise.all([server.shutdown(50), server.shutdown(50)])
    await server.shutdown(50)
    const certificate = await testCertificate()
    await createServer({ ...certificate, password: PASSWORD }).shutdown(50)
  })

  it('close stops listening and lets connections go on', async () => {
    const { server, port, connect: connectTo } = await startEchoServer()
    const session = await connectTo()
    const closed = once(server, 'close')
    server.close()
    expect((await failureOf(port)).code).toBe('ERR_CONNECT_FAILED')
    expect(String(await echo(session, Buffer.from('still here')))).toBe('still here')
    await session.close()
    await closed
  })

  it('shutdown ends connections that it gave to a fallback of the caller, and not that fallback', async () => {
    const fallback = createFallback()
    onTestFinished(() => fallback.close(0))
    const first = await startEchoServer({ fallback })
    const second = await startEchoServer({ fallback })
    const webs = await Promise.all([first, second].map(({ connectRaw: raw }) => raw({})))
    for (const web of webs) {
      web.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
      await once(web, 'data')
    }
    const ended = once(webs[0]!, 'close')
    await first.server.shutdown(50)
    await ended
    webs[1]!.write(REQUEST)
    expect(String(await readAll(webs[1]!))).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
  })

  it('arms no timer before it listens', async () => {
    const options = { ...(await testCertificate()), password: PASSWORD }
    let timers = 0
    const hook = createHook({ init: (_id, type) => void (timers += type === 'Timeout' ? 1 : 0) })
    hook.enable()
    createServer(options)
    hook.disable()
    expect(timers).toBe(0)
  })

  it('close ends the web site of its own, and listening again brings another', async () => {
    const closeSite = vi.spyOn(HttpServer.prototype, 'close')
    onTestFinished(() => closeSite.mockRestore())
    const { server, certificate, connectRaw: raw } = await startEchoServer()
    const visit = async (web: TLSSocket) => {
      web.write(REQUEST)
      expect(String(await readAll(web))).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    }
    await visit(await raw())
    const closed = once(server, 'close')
    server.close()
    await closed
    expect(closeSite).toHaveBeenCalledTimes(1)
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    await visit(await connectRaw(server.address().port, { ca: certificate.cert }))
  })

  it('setCertificate is for connections from now on, and changes nothing else', async () => {
    const { server, certificate, connect: connectTo, connectRaw: raw } = await startEchoServer()
    const session = await connectTo()
    const renewed = await makeTestCertificate()
    server.setCertificate(renewed.key, renewed.cert)
    expect(String(await echo(session, Buffer.from('old')))).toBe('old')
    expect(String(await echo(await connectTo({ ca: renewed.cert }), Buffer.from('new')))).toBe(
      'new',
    )
    await expect(connectTo({ ca: certificate.cert })).rejects.toMatchObject({
      code: 'ERR_CONNECT_FAILED',
    })
    const socket = await raw({ ca: renewed.cert, ALPNProtocols: ['h2'] })
    expect(socket.alpnProtocol).toBe('h2')
    expect(socket.getProtocol()).toBe('TLSv1.3')
    await expect(
      connectRaw(server.address().port, { ca: renewed.cert, maxVersion: 'TLSv1.2' }),
    ).rejects.toThrow()
  })

  it('serves a hundred connections at once', async () => {
    const { server, connect: connectTo } = await startEchoServer()
    const data = randomBytes(20_000)
    const sessions = await Promise.all(Array.from({ length: 100 }, () => connectTo()))
    const echoed = await Promise.all(sessions.map((session) => echo(session, data)))
    expect(echoed.every((back) => back.equals(data))).toBe(true)
    expect(server.sessions.size).toBe(100)
    await Promise.all(sessions.map((session) => session.close()))
    while (server.sessions.size > 0) await sleep(5)
  })

  it('survives garbage instead of a handshake, and connections that break off', async () => {
    const { server, port, connect: connectTo } = await startEchoServer()
    const errors: Error[] = []
    server.on('handshakeError', (error) => errors.push(error))
    for (const garbage of [
      randomBytes(500),
      Buffer.from(REQUEST),
      Buffer.from([0x16, 3, 1, 255, 255]),
    ]) {
      const socket = tcpConnect(port, '127.0.0.1')
      socket.on('error', () => {})
      socket.end(garbage)
      socket.resume()
      await once(socket, 'close')
    }
    for (const end of ['destroy', 'resetAndDestroy'] as const) {
      const socket = tcpConnect(port, '127.0.0.1')
      socket.on('error', () => {})
      await once(socket, 'connect')
      socket[end]()
    }
    const session = await connectTo()
    expect(String(await echo(session, Buffer.from('fine')))).toBe('fine')
    expect(errors.length).toBeGreaterThanOrEqual(2)
  })

  it('a connection that is reset ends its session and its streams, on the server too', async () => {
    const served: Stream[] = []
    const { server, port, certificate } = await startEchoServer(
      {},
      (stream) => void served.push(stream),
    )
    // The reset has to happen below TLS.
    let client: Socket | undefined
    const relay = await startTcpServer((socket) => {
      client = socket
      const upstream = tcpConnect(port, '127.0.0.1')
      upstream.on('error', () => {})
      socket.pipe(upstream).pipe(socket)
      socket.on('close', () => void upstream.resetAndDestroy())
    })
    const session = await connect({
      host: '127.0.0.1',
      port: relay,
      password: PASSWORD,
      ca: certificate.cert,
    })
    const stream = session.openStream()
    await stream.accepted()
    const failed = once(stream, 'error')
    const [serverSession] = server.sessions
    const closed = [closeOf(session), closeOf(serverSession!)]
    client?.resetAndDestroy()
    for (const error of await Promise.all(closed)) expect(error?.code).toBe('ERR_CONNECTION_LOST')
    expect(await failed).toMatchObject([{ code: 'ERR_CONNECTION_LOST' }])
    expect(served[0]?.destroyed).toBe(true)
    expect(server.sessions.size).toBe(0)
  })

  it('does not keep a connection whose records are broken, before or after authentication', async () => {
    for (const authenticate of [false, true]) {
      const { server, port, certificate } = await startEchoServer()
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
      const socket = await connectRaw(relay, { ca: certificate.cert })
      if (authenticate) {
        const peer = new FramePeer(socket)
        peer.send(encodeAuth(HASH, 0), clientNego())
        await peer.received('server-nego')
      }
      while (server.sessions.size === 0) await sleep(5)
      const [session] = server.sessions
      const closed = closeOf(session!)
      corrupt = true
      socket.write('broken')
      expect((await closed)?.code).toBe('ERR_CONNECTION_LOST')
      // The client has not gone: the server has to hang up.
      upstream?.resume()
      await once(upstream!, 'close')
      socket.destroy()
    }
  })

  it('tells of sessions that have negotiated, with the name of the client', async () => {
    const { server, connect: connectTo } = await startEchoServer()
    const told = once(server, 'session')
    const session = await connectTo()
    const [peer] = (await once(session, 'established')) as [string]
    expect(peer).toMatch(/^anytls/)
    const [serverSession] = (await told) as [Session]
    expect(serverSession.established).toBe(true)
    expect(server.sessions.has(serverSession)).toBe(true)
  })
})
