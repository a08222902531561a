// Both wires on one port, and the client that finds out which one a server speaks (D18).
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import { text } from 'node:stream/consumers'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import type { Session } from '../../src/session/session.ts'
import { Session as ServerSession } from '../../src/session/session.ts'
import { legacyServer } from '../../src/wires/legacy/server.ts'
import { systemClock } from '../../src/session/clock.ts'
import { DEFAULT_SCHEME, parseScheme } from '../../src/shaping/scheme.ts'
import { MemorySchemeStore } from '../../src/shaping/scheme-store.ts'
import { connect } from '../../src/tls/dial.ts'
import { parseSessionSettings } from '../../src/tls/session-options.ts'
import { MemoryWireStore } from '../../src/tls/wire-store.ts'
import { takeUncaught } from '../support/uncaught.ts'
import {
  connectRaw,
  PASSWORD,
  startEchoServer,
  startTcpServer,
  startTlsServer,
} from '../support/server.ts'

async function echo(session: Session, message: string): Promise<string> {
  const stream = session.openStream()
  stream.write(message)
  let back = ''
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    back += chunk.toString()
    if (back.length >= message.length) break
  }
  return back
}

/** A server that speaks the original wire and nothing else; everybody else is hung up on. */
async function startLegacyServer() {
  const config = {
    ...parseSessionSettings({ password: PASSWORD }, DEFAULT_SCHEME),
    onViolation: 'alert',
    downlinkScheme: undefined,
  } as const
  let connections = 0
  const { port, certificate } = await startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
    connections += 1
    const machine = legacyServer(config, systemClock.now())
    const session = new ServerSession({ duplex: socket, machine })
    session.on('stream', (stream) => void stream.pipe(stream))
    onTestFinished(() => session.destroy())
  })
  return { port, certificate, connections: () => connections }
}

describe('D18: one port, both wires', () => {
  it('D18: clients of ANYTLS v1 and of the original wire are served side by side', async () => {
    const { server, connect, fallbacks } = await startEchoServer()
    const wires: string[] = []
    server.on('session', (session) => wires.push(session.wire))
    const [v1, legacy] = await Promise.all([connect({ wire: 'v1' }), connect({ wire: 'legacy' })])
    expect(await Promise.all([echo(v1, 'one'), echo(legacy, 'two')])).toEqual(['one', 'two'])
    expect(wires.sort()).toEqual(['legacy', 'v1'])
    expect([v1.wire, v1.flowControlled]).toEqual(['v1', true])
    expect([legacy.wire, legacy.flowControlled]).toEqual(['legacy', false])
    expect(fallbacks).toEqual([])
  })

  it('D18: the server tells once of each session that it is over, with its error, and of strangers nothing', async () => {
    const { server, port, certificate, connect } = await startEchoServer()
    const over: unknown[] = []
    server.on('sessionClose', ({ wire }, error) => over.push([wire, error?.message]))
    const [v1, legacy] = await Promise.all([connect({ wire: 'v1' }), connect({ wire: 'legacy' })])
    await Promise.all([echo(v1, 'one'), echo(legacy, 'two')])
    const stranger = await connectRaw(port, { ca: certificate.cert })
    stranger.end('GET / HTTP/1.0\r\n\r\n').resume()
    await once(stranger, 'close')
    expect(over).toEqual([])
    await v1.close()
    await vi.waitFor(() => expect(over).toEqual([['v1', undefined]]))
    server.once('stream', (_, session) => session.destroy(new Error('enough')))
    legacy
      .openStream()
      .on('error', () => {})
      .write('now')
    await once(legacy, 'close')
    await server.shutdown(0)
    expect(over).toEqual([
      ['v1', undefined],
      ['legacy', 'enough'],
    ])
  })

  it('a megabyte arrives whole on the original wire, both ways', async () => {
    const sent = randomBytes(1_048_576)
    const { connect } = await startEchoServer()
    const stream = (await connect({ wire: 'legacy' })).openStream()
    stream.write(sent)
    const received: Buffer[] = []
    let length = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      received.push(chunk)
      length += chunk.length
      if (length >= sent.length) break
    }
    expect(Buffer.concat(received).equals(sent)).toBe(true)
  })

  it('D18: a server with `legacy: false` sends clients of the original wire to the fallback', async () => {
    const { connect, fallbacks } = await startEchoServer({ legacy: false })
    const session = await connect({ wire: 'legacy' })
    session.openStream().on('error', () => {})
    const [error] = (await once(session, 'close')) as [Error | undefined]
    expect(error?.message).toMatch(/did not answer on the original AnyTLS wire/)
    expect(fallbacks).toEqual(['auth-failed'])
  })

  it('D14, D18: the hash alone, without the length of the padding, is no authentication on either wire', async () => {
    const { connectRaw, fallbacks } = await startEchoServer()
    const hash = createHash('sha256').update(PASSWORD).digest()
    const near = Buffer.from(hash)
    near[31]! ^= 1
    for (const record of [
      hash,
      Buffer.concat([hash, Buffer.alloc(1)]),
      Buffer.concat([near, Buffer.alloc(2)]),
    ]) {
      const socket = await connectRaw()
      socket.end(record)
      expect(await text(socket)).toMatch(/^HTTP\/1.1 400/)
    }
    expect(fallbacks).toEqual(['auth-failed', 'auth-failed', 'auth-failed'])
  })

  it('a scheme reaches clients of the original wire and is used for the next connection', async () => {
    const scheme = parseScheme('stop=2\n0=100-100\n1=300-300')
    const { connect } = await startEchoServer({ scheme })
    const schemeStore = new MemorySchemeStore()
    const session = await connect({ wire: 'legacy', schemeStore })
    const update = once(session, 'scheme')
    await echo(session, 'x')
    expect(((await update) as [{ digest: string }])[0].digest).toBe(scheme.digest)
    const next = await connect({ wire: 'legacy', schemeStore })
    const updates: unknown[] = []
    next.on('scheme', (sent) => updates.push(sent))
    await echo(next, 'x')
    expect(updates).toEqual([])
  })

  it('the direction of the server is shaped by a scheme of its own when there is one', async () => {
    const shapeDownlink = parseScheme('stop=3\n1=500-500\n2=600-600')
    const { connect } = await startEchoServer({ shapeDownlink })
    for (const wire of ['v1', 'legacy'] as const) {
      expect(await echo(await connect({ wire }), 'hello')).toBe('hello')
    }
  })
})

describe('wire: auto', () => {
  it('a server that knows ANYTLS v1 is spoken to on it, and that is remembered', async () => {
    const { connect, port, server } = await startEchoServer()
    const wireStore = new MemoryWireStore()
    let sessions = 0
    server.on('session', () => (sessions += 1))
    const first = await connect({ wire: 'auto', wireStore })
    expect([first.wire, first.established]).toEqual(['v1', true])
    expect(wireStore.get(`127.0.0.1:${port}`)).toBe('v1')
    expect(await echo(first, 'hello')).toBe('hello')
    expect(await echo(await connect({ wire: 'auto', wireStore }), 'again')).toBe('again')
    expect(sessions).toBe(2)
  })

  it('a server that does not answer with a NEGO is asked once more on the original wire, and that is remembered', async () => {
    const { port, certificate, connections } = await startLegacyServer()
    const wireStore = new MemoryWireStore()
    const options = { host: '127.0.0.1', port, password: PASSWORD, ca: certificate.cert, wireStore }
    const first = await connect({ ...options, wire: 'auto' })
    onTestFinished(() => first.destroy())
    expect(await echo(first, 'hello')).toBe('hello')
    expect(first.wire).toBe('legacy')
    expect(wireStore.get(`127.0.0.1:${port}`)).toBe('legacy')
    expect(connections()).toBe(2)
    const second = await connect({ ...options, wire: 'auto' })
    onTestFinished(() => second.destroy())
    expect(await echo(second, 'again')).toBe('again')
    expect(connections()).toBe(3)
  })

  it('what was remembered and holds no longer is forgotten, so that the next connection finds out anew', async () => {
    const { port, certificate } = await startLegacyServer()
    const wireStore = new MemoryWireStore()
    wireStore.set(`127.0.0.1:${port}`, 'v1')
    const options = { host: '127.0.0.1', port, password: PASSWORD, ca: certificate.cert, wireStore }
    const wrong = await connect({ ...options, wire: 'auto' })
    wrong.openStream().on('error', () => {})
    await once(wrong, 'close')
    expect(wireStore.get(`127.0.0.1:${port}`)).toBeUndefined()
    const right = await connect({ ...options, wire: 'auto' })
    onTestFinished(() => right.destroy())
    expect(await echo(right, 'hello')).toBe('hello')
  })

  it('a wrong password is remembered as nothing', async () => {
    const { connect, port, fallbacks } = await startEchoServer()
    const wireStore = new MemoryWireStore()
    const session = await connect({ wire: 'auto', wireStore, password: 'wrong' })
    session.openStream().on('error', () => {})
    await once(session, 'close')
    expect(wireStore.get(`127.0.0.1:${port}`)).toBeUndefined()
    expect(fallbacks).toEqual(['auth-failed', 'auth-failed'])
  })

  it('a connection that was lost says nothing of the wire: the next one asks again', async () => {
    const { port, certificate } = await startEchoServer()
    let connections = 0
    const relay = await startTcpServer((socket) => {
      connections += 1
      const isFirst = connections === 1
      const upstream = createConnection(port, '127.0.0.1')
      upstream.on('error', () => {})
      upstream.pipe(socket)
      let flights = 0
      socket.on('data', (data: Buffer) => {
        flights += 1
        // ClientHello, Finished, and then AUTH: the first connection is reset instead of passing that on.
        if (isFirst && flights === 3) socket.resetAndDestroy()
        else upstream.write(data)
      })
      socket.on('close', () => upstream.destroy())
    })
    const wireStore = new MemoryWireStore()
    const options = {
      host: '127.0.0.1',
      port: relay,
      password: PASSWORD,
      ca: certificate.cert,
      wire: 'auto',
      wireStore,
      timeouts: { hold: 100 },
    } as const
    const guessed = await connect(options)
    onTestFinished(() => guessed.destroy())
    expect(await echo(guessed, 'hello')).toBe('hello')
    expect([guessed.wire, connections]).toEqual(['legacy', 2])
    expect(wireStore.get(`127.0.0.1:${relay}`)).toBeUndefined()
    const session = await connect(options)
    onTestFinished(() => session.destroy())
    expect(session.wire).toBe('v1')
  })

  it('a server that answers nonsense and stays is not waited for', async () => {
    const { port, certificate } = await startTlsServer({}, (socket) => {
      socket.on('data', () => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    })
    const before = performance.now()
    const session = await connect({
      host: '127.0.0.1',
      port,
      password: PASSWORD,
      ca: certificate.cert,
      wire: 'auto',
      wireStore: new MemoryWireStore(),
    })
    onTestFinished(() => session.destroy())
    expect(performance.now() - before).toBeLessThan(2_000)
    expect(session.wire).toBe('legacy')
  })

  it('an abort while the first answer is awaited ends the attempt', async () => {
    const { port, certificate } = await startTlsServer({}, (socket) => socket.resume())
    const stop = new AbortController()
    const connecting = connect({
      host: '127.0.0.1',
      port,
      password: PASSWORD,
      ca: certificate.cert,
      wire: 'auto',
      wireStore: new MemoryWireStore(),
      signal: stop.signal,
    })
    setTimeout(() => stop.abort(new Error('enough')), 100)
    await expect(connecting).rejects.toThrow('enough')
  })

  it('a wire that nobody knows is refused', async () => {
    const { connect } = await startEchoServer()
    await expect(connect({ wire: 'v2' as 'v1' })).rejects.toMatchObject({
      code: 'ERR_OPTION_INVALID',
    })
  })
})

describe('D48: servers of protocol version 1 of the original wire', () => {
  /** A server that reads and answers, but never sends settings: it echoes what the first stream says. */
  async function startOldServer() {
    return startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
      let first = true
      socket.on('data', () => {
        // PSH on stream 1 of one byte, once the client has said anything behind its authentication.
        if (!first) socket.write(Buffer.from('0200000001000178', 'hex'))
        first = false
      })
    })
  }

  it('D48: are remembered, for the wire is the same and for auto', async () => {
    const { port, certificate } = await startOldServer()
    const wireStore = new MemoryWireStore()
    const options = { host: '127.0.0.1', port, password: PASSWORD, ca: certificate.cert, wireStore }
    const session = await connect({ ...options, wire: 'legacy', timeouts: { answer: 100 } })
    onTestFinished(() => session.destroy())
    const stream = session.openStream()
    stream.on('error', () => {}).write('x')
    setTimeout(() => stream.write('y'), 50)
    await once(stream, 'data')
    expect(wireStore.get(`127.0.0.1:${port}`)).toBeUndefined()
    await vi.waitFor(() => expect(wireStore.get(`127.0.0.1:${port}`)).toBe('legacy-1'))
    const next = await connect({ ...options, wire: 'auto' })
    onTestFinished(() => next.destroy())
    expect(next.wire).toBe('legacy')
  })

  it('D48: that turn out to send settings are forgotten', async () => {
    const { port, certificate } = await startLegacyServer()
    const wireStore = new MemoryWireStore()
    wireStore.set(`127.0.0.1:${port}`, 'legacy-1')
    const options = { host: '127.0.0.1', port, password: PASSWORD, ca: certificate.cert, wireStore }
    const session = await connect({ ...options, wire: 'legacy', timeouts: { answer: 100 } })
    onTestFinished(() => session.destroy())
    expect(await echo(session, 'hello')).toBe('hello')
    await vi.waitFor(() => expect(wireStore.get(`127.0.0.1:${port}`)).toBeUndefined())
  })
})

describe('stores that throw', () => {
  it('harm themselves alone: nothing is known, and the session stands', async () => {
    const uncaught = takeUncaught()
    const error = new Error('store is broken')
    const fail = (): never => {
      throw error
    }
    const scheme = parseScheme('stop=2\n0=100-100\n1=300-300')
    const { connect } = await startEchoServer({ scheme })
    const session = await connect({
      wire: 'auto',
      wireStore: { get: fail, set: fail, delete: fail },
      schemeStore: { get: fail, set: fail },
    })
    expect(await echo(session, 'hello')).toBe('hello')
    expect(session.wire).toBe('v1')
    // Asked for the wire and the scheme, told of both.
    await vi.waitFor(() => expect(uncaught).toEqual([error, error, error, error]))
  })
})

describe('MemoryWireStore', () => {
  it('that a server speaks the original wire alone is believed for an hour', () => {
    let now = 0
    const store = new MemoryWireStore(10, () => now)
    store.set('a:1', 'legacy')
    store.set('b:1', 'v1')
    now = 3_600_000 - 1
    expect(store.get('a:1')).toBe('legacy')
    now += 1
    expect(store.get('a:1')).toBeUndefined()
    expect(store.get('b:1')).toBe('v1')
  })

  it('keeps as many servers as it may, those learnt last', () => {
    const store = new MemoryWireStore(2)
    store.set('a:1', 'v1')
    store.set('b:1', 'legacy')
    store.set('a:1', 'legacy')
    store.set('c:1', 'v1')
    expect([store.get('a:1'), store.get('b:1'), store.get('c:1')]).toEqual([
      'legacy',
      undefined,
      'v1',
    ])
    store.delete('a:1')
    expect(store.get('a:1')).toBeUndefined()
    expect(() => new MemoryWireStore(0)).toThrow(/at least 1/)
  })
})
