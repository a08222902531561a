// A server that is replaced while requests run through it all the time: it says GOAWAY, the client moves on,
// and nobody notices. A box in front leads new connections to the newer server, as one in front of a site does.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import type { IncomingMessage } from 'node:http'
import net from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { createTunnelOpener } from '../../src/proxy/client.ts'
import { serveProxyStream } from '../../src/proxy/outbound/serve-stream.ts'
import { SessionPool } from '../../src/session/pool.ts'
import type { SessionPoolOptions } from '../../src/session/pool.ts'
import { connect } from '../../src/tls/dial.ts'
import { createServer } from '../../src/tls/listen.ts'
import type { Server } from '../../src/tls/listen.ts'
import { startInbound } from '../proxy/support.ts'
import { makeTestCertificate } from '../support/certificate.ts'
import type { TestCertificate } from '../support/certificate.ts'
import { startMiddlebox } from './middlebox.ts'
import type { Middlebox } from './middlebox.ts'
import { PASSWORD, serve, serveHttp, startClient, startServer, until } from './support.ts'
import type { Origin, ServerProgram } from './support.ts'

const FILE = randomBytes(256 * 1024)
const LENGTH = 32 * 1024
const AT_ONCE = 12
/** Milliseconds: programs may speak before the server has heard of them, and then nothing can be opened again. */
const AT_ONCE_TOLD = 0

describe('a server that is replaced under load', { timeout: 60_000 }, () => {
  let origin: Origin

  beforeAll(async () => {
    // Answers take a while, so that some are under way at any time.
    origin = await serveHttp((request, response) => {
      const offset = Number(request.url?.slice(1))
      response.setHeader('Content-Length', LENGTH)
      response.write(FILE.subarray(offset, offset + LENGTH / 2))
      void setTimeout(1 + (offset % 40)).then(() =>
        response.end(FILE.subarray(offset + LENGTH / 2, offset + LENGTH)),
      )
    })
  })

  it('mux1, GOAWAY: six servers in turn and not one request fails, those under way included', async () => {
    const { box, replace, port } = await startInProcess(AT_ONCE_TOLD)
    const load = new Load(port, origin)
    for (let turn = 0; turn < 5; turn += 1) {
      await load.answersMore(60)
      await load.isUnderWay()
      const begin = performance.now()
      await replace()
      // They ran to their end: none was cut off at the end of the grace period.
      expect(performance.now() - begin).toBeLessThan(4_000)
    }
    await load.answersMore(60)
    expect(await load.finish()).toEqual([])
    expect(load.answered).toBeGreaterThanOrEqual(360)
    // Each server had clients of its own.
    expect(box.connections).toBeGreaterThanOrEqual(6)
  })

  it('mux1, GOAWAY: not one request fails although connections are made at any moment of it', async () => {
    const warnings: Error[] = []
    const onWarning = (warning: Error) => warnings.push(warning)
    process.on('warning', onWarning)
    onTestFinished(() => void process.off('warning', onWarning))
    const { box, replace, port } = await startInProcess(AT_ONCE_TOLD, {
      streamsPerSession: 1,
      idleTimeout: 5,
    })
    const load = new Load(port, origin)
    for (let turn = 0; turn < 20; turn += 1) {
      await load.answersMore(8)
      await replace()
    }
    expect(await load.finish()).toEqual([])
    expect(box.connections).toBeGreaterThan(100)
    // More dials at once than Node takes for sane listeners of one signal.
    expect(warnings).toEqual([])
  })

  it('GOAWAY: a handshake that a stopping server breaks off costs no request', async () => {
    // What a program may have sent data on is not opened again: here each waits for its answer.
    const { box, port, serverPort } = await startInProcess(Infinity)
    const stopping = await serve(
      net.createServer((socket) => {
        box.leadTo(serverPort)
        socket.once('data', () => socket.resetAndDestroy())
      }),
    )
    box.leadTo(stopping.port)
    const load = new Load(port, origin)
    await load.answersMore(8)
    expect(await load.finish()).toEqual([])
    expect(box.connections).toBeGreaterThan(1)
  })

  it('mux1, GOAWAY: programs stopped with SIGTERM in turn exit with 0, and not one request fails', async () => {
    let server: ServerProgram = await startServer()
    const box = await boxInFrontOf(server.port)
    const link = server.link.replace(`:${server.port}`, `:${box.port}`)
    const client = await startClient(link)

    const load = new Load(client.port, origin)
    for (let turn = 0; turn < 3; turn += 1) {
      await load.answersMore(60)
      const next = await startServer()
      box.leadTo(next.port)
      await load.isUnderWay()
      const begin = performance.now()
      server.program.child.kill('SIGTERM')
      expect(await server.program.ended).toEqual({ code: 0, signal: null })
      expect(performance.now() - begin).toBeLessThan(4_000)
      await until(() => next.clients() > 0, 'the client moves on')
      server = next
    }
    await load.answersMore(60)
    expect(await load.finish()).toEqual([])
    expect(load.answered).toBeGreaterThanOrEqual(240)
    expect(client.program.stderr()).not.toMatch(/could not be opened/)
  })
})

/** A server, a client with its local port, and a box between them, all in this process. */
async function startInProcess(replyWait: number, options: Partial<SessionPoolOptions> = {}) {
  const certificate = await makeTestCertificate()
  let server = await listeningServer(certificate)
  const serverPort = server.address().port
  const box = await boxInFrontOf(serverPort)
  const where = { host: '127.0.0.1', port: box.port, ca: certificate.cert, servername: 'localhost' }
  const pool = new SessionPool({
    connect: (signal) => connect({ ...where, password: PASSWORD, signal }),
    ...options,
  })
  onTestFinished(() => pool.destroy())
  const { port } = await startInbound({ openTunnel: createTunnelOpener(pool, { replyWait }) })
  return {
    box,
    port,
    serverPort,
    /** Has another server take the place of the one that serves; resolves when the old one has stopped. */
    replace: async (): Promise<void> => {
      const next = await listeningServer(certificate)
      box.leadTo(next.address().port)
      await server.shutdown()
      server = next
    },
  }
}

async function listeningServer(certificate: TestCertificate): Promise<Server> {
  const server = createServer({ ...certificate, password: PASSWORD, autoAccept: false })
  server.on('stream', (stream) => void serveProxyStream(stream))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => server.shutdown(0))
  return server
}

async function boxInFrontOf(port: number): Promise<Middlebox> {
  const box = await startMiddlebox(port)
  onTestFinished(() => box.stop())
  return box
}

/** Requests through a local port, {@link AT_ONCE} at any time, each checked, until it is told to finish. */
class Load {
  answered = 0
  readonly #failures: string[] = []
  readonly #proxy: number
  readonly #origin: Origin
  readonly #workers: Promise<void>[]
  #asked = 0
  #underWay = 0
  #finishing = false

  constructor(proxy: number, origin: Origin) {
    this.#proxy = proxy
    this.#origin = origin
    this.#workers = Array.from({ length: AT_ONCE }, () => this.#work())
  }

  /** Resolves when `count` requests more have been answered, or one has failed. */
  async answersMore(count: number): Promise<void> {
    const enough = this.answered + count
    const isEnough = () => this.answered >= enough || this.#failures.length > 0
    await until(isEnough, `${count} answers`, 20_000)
  }

  async isUnderWay(): Promise<void> {
    await until(() => this.#underWay > 2, 'requests are under way')
  }

  /** Asks for nothing more, and tells what failed once all are over. */
  async finish(): Promise<readonly string[]> {
    this.#finishing = true
    await Promise.all(this.#workers)
    return this.#failures
  }

  async #work(): Promise<void> {
    while (!this.#finishing) {
      this.#asked += 1
      const offset = (this.#asked * 997) % (FILE.length - LENGTH)
      try {
        await this.#fetch(offset)
        this.answered += 1
      } catch (error) {
        this.#failures.push(`request ${this.#asked}: ${String(error)}`)
      }
    }
  }

  async #fetch(offset: number): Promise<void> {
    const path = `http://127.0.0.1:${this.#origin.port}/${offset}`
    const request = http.get({ host: '127.0.0.1', port: this.#proxy, path, agent: false })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    this.#underWay += 1
    try {
      const chunks: Buffer[] = []
      for await (const chunk of response) chunks.push(chunk as Buffer)
      const body = Buffer.concat(chunks)
      if (response.statusCode !== 200) throw new Error(`${response.statusCode}: ${String(body)}`)
      if (!body.equals(FILE.subarray(offset, offset + LENGTH))) throw new Error('not what was sent')
    } finally {
      this.#underWay -= 1
    }
  }
}
