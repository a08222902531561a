// A path that dies without a word, as when a box on the way forgets its connections: what was idle is found
// out before it costs a request, what was in use fails alone and in time. On both wires.

import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Frame } from '../../src/wires/legacy/frame.ts'
import type { LegacyServerConfig } from '../../src/wires/legacy/config.ts'
import { serverRole } from '../../src/wires/legacy/server.ts'
import type { Input } from '../../src/wires/legacy/state-tables.ts'
import { Engine } from '../../src/engine/engine.ts'
import { systemClock } from '../../src/session/clock.ts'
import { SessionPool } from '../../src/session/pool.ts'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import { Session } from '../../src/session/session.ts'
import type { Stream } from '../../src/session/stream.ts'
import { DEFAULT_SCHEME } from '../../src/shaping/scheme.ts'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { connect } from '../../src/tls/dial.ts'
import type { ConnectOptions } from '../../src/tls/dial.ts'
import { parseSessionSettings } from '../../src/tls/session-options.ts'
import { closing, curl, readExactly } from '../proxy/support.ts'
import { startEchoServer, startTlsServer } from '../support/server.ts'
import { startMiddlebox } from './middlebox.ts'
import type { Middlebox } from './middlebox.ts'
import {
  PASSWORD,
  curlProgram,
  describeRequest,
  serveHttp,
  startClient,
  startServer,
} from './support.ts'

const WIRES = ['v1', 'legacy'] as const

/** What a dial and a round trip on loopback may take on a busy machine, in ms. */
const SOME_TIME = 2_000

/** The first byte of what a server does not answer. */
const IGNORED = 0

describe.for(WIRES)('a path that dies without a word, on %s', (wire) => {
  it('D26: after a pause a request on an idle session costs the probe and a dial, no more', async () => {
    const { pool, box, sessions } = await startPool(
      { wire },
      { probeAfter: 100, probeTimeout: 300 },
    )
    await conversation(await pool.openStream())
    box.forget()
    await setTimeout(150)

    const closed = once(sessions[0]!, 'close')
    const begin = performance.now()
    await conversation(await pool.openStream())
    expect(performance.now() - begin).toBeGreaterThan(250)
    expect(performance.now() - begin).toBeLessThan(300 + SOME_TIME)
    expect(await closed).toMatchObject([{ code: 'ERR_PING_TIMEOUT' }])
    expect(box.connections).toBe(2)
  })

  it('after a pause over a path that is there the idle session is used again', async () => {
    const { pool, box } = await startPool({ wire }, { probeAfter: 50, probeTimeout: 2_000 })
    await conversation(await pool.openStream())
    await setTimeout(100)
    await conversation(await pool.openStream())
    expect(box.connections).toBe(1)
  })

  it('several requests at once after a pause wait for one probe together', async () => {
    const { pool, box } = await startPool({ wire }, { probeAfter: 50, probeTimeout: 300 })
    await conversation(await pool.openStream())
    box.forget()
    await setTimeout(100)
    const begin = performance.now()
    const requests = Array.from({ length: 6 }, async () => conversation(await pool.openStream()))
    await Promise.all(requests)
    expect(performance.now() - begin).toBeLessThan(300 + SOME_TIME)
    expect(box.connections).toBe(2)
  })

  it('after a pause a session in use is probed as well: the request goes elsewhere, its streams are left alone', async () => {
    const { pool, box } = await startPool({ wire }, { probeAfter: 100, probeTimeout: 800 })
    const standing = await openAndTalk(pool)
    await setTimeout(150)
    await openAndTalk(pool)
    expect(box.connections).toBe(1)
    box.forget()
    await setTimeout(150)

    const begin = performance.now()
    await conversation(await pool.openStream())
    expect(performance.now() - begin).toBeGreaterThan(700)
    expect(performance.now() - begin).toBeLessThan(800 + SOME_TIME)
    expect(box.connections).toBe(2)
    expect(standing.destroyed).toBe(false)
    // Nobody waits for it a second time.
    const again = performance.now()
    await conversation(await pool.openStream())
    expect(performance.now() - again).toBeLessThan(700)
  })

  it('D26: with streams open a new one fails alone when it is not answered, and the next goes elsewhere', async () => {
    const timeouts = { streamOpen: 300, keepalive: 500, ping: 1_500 }
    const { pool, box, sessions } = await startPool({ wire, timeouts })
    const standing = await Promise.all([openAndTalk(pool), openAndTalk(pool)])
    const ends = standing.map((stream) => closing(stream))
    box.forget()

    const begin = performance.now()
    const unanswered = await pool.openStream()
    unanswered.on('error', () => {})
    await expect(unanswered.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_OPEN_TIMEOUT' })
    expect(performance.now() - begin).toBeLessThan(300 + SOME_TIME)
    for (const stream of standing) expect(stream.destroyed).toBe(false)

    await conversation(await pool.openStream())
    expect(box.connections).toBe(2)

    // Those that stood learn it from the ping that nobody answers.
    await Promise.all(ends)
    expect(performance.now() - begin).toBeLessThan(500 + 1_500 + SOME_TIME)
    for (const { errored } of standing) expect(errored).toMatchObject({ code: 'ERR_PING_TIMEOUT' })
    expect(sessions[0]!.mayOpen).toBe(false)
  })

  it('D26: a path that died right after its last use costs a tunnel the silence, the question and a dial', async () => {
    const { pool, box } = await startPool({ wire }, { silence: 300, probeTimeout: 300 })
    const openTunnel = createTunnelOpener(pool, { replyWait: Infinity })
    const target = { host: 'hello.test', port: 80 }
    const { signal } = new AbortController()
    const standing = await openTunnel(target, signal)
    box.forget()
    const begin = performance.now()
    await openTunnel(target, signal)
    expect(performance.now() - begin).toBeGreaterThan(550)
    expect(performance.now() - begin).toBeLessThan(600 + SOME_TIME)
    expect(box.connections).toBe(2)
    // What was accepted may be in the middle of something: it is left alone.
    expect(standing.destroyed).toBe(false)
  })

  it('a stream that the server never answers ends alone; its siblings go on, and so does the session', async () => {
    const timeouts = { streamOpen: 300 }
    const { pool, box } = await startPool({ wire, timeouts }, {}, (stream) => {
      stream.once('data', (first: Buffer) => {
        if (first[0] === IGNORED) return
        stream.write(first)
        stream.pipe(stream)
      })
    })
    const sibling = await openAndTalk(pool)
    const ignored = await pool.openStream()
    ignored.on('error', () => {})
    ignored.write(Uint8Array.of(IGNORED))
    await expect(ignored.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_OPEN_TIMEOUT' })

    await talk(sibling)
    // The session has shown that it lives, so it takes streams again.
    await conversation(await pool.openStream())
    await talk(sibling)
    expect(box.connections).toBe(1)
  })
})

describe('the active heartbeat of the original wire', () => {
  it('D26: comes at its interval, with a stream open and without, and its answers keep the session', async () => {
    const timeouts = { keepalive: 100, ping: 400, connection: 1_000 }
    const { port, certificate, machines } = await startCountingServer()
    const session = await connect({
      ...{ host: '127.0.0.1', port, password: PASSWORD, ca: certificate.cert },
      ...{ servername: 'localhost', wire: 'legacy', timeouts },
    })
    onTestFinished(() => session.destroy())
    await once(session, 'established')
    const [machine] = machines as [CountingMachine]
    for (const withStream of [true, false]) {
      const stream = session.openStream()
      await talk(stream)
      if (!withStream) stream.destroy()
      const before = machine.heartbeats
      // Longer than the connection may be silent.
      await setTimeout(1_200)
      const counted = machine.heartbeats - before
      expect(counted).toBeGreaterThanOrEqual(4)
      // Each is drawn from half of the interval to all of it.
      expect(counted).toBeLessThanOrEqual(25)
      if (withStream) await talk(stream)
      expect(session.closed).toBe(false)
      stream.destroy()
    }
  })
})

describe.skipIf(curlProgram.isMissing)(
  `a path that dies behind programs${curlProgram.note}`,
  () => {
    it('D26: both wires: a client that was idle for 16 s over a path that died serves curl within 3 s and a dial', async () => {
      const origin = await serveHttp(describeRequest)
      const server = await startServer()
      const box = await middleboxInFrontOf(server.port)
      const link = server.link.replace(`:${server.port}`, `:${box.port}`)
      const clients = await Promise.all(
        WIRES.map((wire) => startClient(link, ['--wire', wire], { state: `client-${wire}` })),
      )
      const fetchThroughAll = () =>
        Promise.all(
          clients.map(async ({ proxy }) => {
            const url = `http://127.0.0.1:${origin.port}/`
            const { code, stderr } = await curl('-f', '--socks5-hostname', proxy, url)
            expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
          }),
        )
      await fetchThroughAll()
      expect(box.connections).toBe(2)
      box.forget()
      await setTimeout(16_000)
      const begin = performance.now()
      await fetchThroughAll()
      expect(performance.now() - begin).toBeLessThan(3_000 + SOME_TIME)
      expect(box.connections).toBe(4)
    }, 40_000)
  },
)

/** A pool of sessions to a server behind a box; streams are echoed unless `onStream` serves them. */
async function startPool(
  options: Partial<ConnectOptions>,
  poolOptions: Partial<SessionPoolOptions> = {},
  onStream = (stream: Stream): void => void stream.pipe(stream),
) {
  const server = await startEchoServer({ autoAccept: false }, (stream) => {
    // Whoever writes first has accepted.
    onStream(stream)
  })
  const box = await middleboxInFrontOf(server.port)
  const sessions: Session[] = []
  const pool = new SessionPool({
    // Connections are counted here, and a busy machine makes every server look far.
    spread: 1,
    connect: async (signal) => {
      const session = await server.connect({ ...options, port: box.port, signal })
      sessions.push(session)
      return session
    },
    ...poolOptions,
  })
  onTestFinished(() => pool.destroy())
  return { pool, box, sessions }
}

async function middleboxInFrontOf(port: number): Promise<Middlebox> {
  const box = await startMiddlebox(port)
  onTestFinished(() => box.stop())
  return box
}

/** Says something and hears it. */
async function talk(stream: Stream): Promise<void> {
  stream.write('hello')
  expect(String(await readExactly(stream, 5))).toBe('hello')
}

async function openAndTalk(pool: SessionPool): Promise<Stream> {
  const stream = await pool.openStream()
  stream.on('error', () => {})
  await talk(stream)
  return stream
}

/** Says something, hears it, and ends the stream. */
async function conversation(stream: Stream): Promise<void> {
  await talk(stream)
  stream.destroy()
}

/** Counts what its client asks for. */
class CountingMachine extends Engine<Frame, Input> {
  heartbeats = 0

  constructor(config: LegacyServerConfig, now: number) {
    const role = serverRole(config)
    super(
      {
        ...role,
        handle: (connection, frame) => {
          if (frame.type === 'heartbeat-request') this.heartbeats += 1
          role.handle(connection, frame)
        },
      },
      now,
    )
  }
}

async function startCountingServer() {
  const config = {
    ...parseSessionSettings({ password: PASSWORD }, DEFAULT_SCHEME),
    onViolation: 'alert',
    downlinkScheme: undefined,
  } as const
  const machines: CountingMachine[] = []
  const { port, certificate } = await startTlsServer({ minVersion: 'TLSv1.3' }, (socket) => {
    const machine = new CountingMachine(config, systemClock.now())
    machines.push(machine)
    const session = new Session({ duplex: socket, machine })
    session.on('stream', (stream) => void stream.pipe(stream))
    onTestFinished(() => session.destroy())
  })
  return { port, certificate, machines }
}
