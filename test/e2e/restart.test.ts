// The server killed and started again, and both programs stopped, while curl is at it. One client lives
// through all of it.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { stop } from '../cli/run-program.ts'
import { closing, connectTo, curl, readExactly } from '../proxy/support.ts'
import { curlProgram, serveHttp, startClient, startServer, until } from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

const PAGE = randomBytes(256 * 1024)

/** What curl exits with when a request was begun and not served: 22 is a status of 400 or above. */
const NOT_SERVED = [18, 22, 52, 56]
/** What curl exits with when its proxy could not connect, or is not there. */
const NOT_CONNECTED = [7, 97]

describe.skipIf(curlProgram.isMissing)(
  `the server goes and comes back${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    let origin: Origin
    let server: ServerProgram
    let client: ClientProgram
    /** Answers that were begun and wait for their second half. */
    const begun: ServerResponse[] = []

    beforeAll(async () => {
      origin = await serveHttp((request: IncomingMessage, response: ServerResponse) => {
        if (request.url === '/page') {
          response.end(PAGE)
          return
        }
        response.writeHead(200, { 'Content-Length': 2 * PAGE.length }).write(PAGE)
        begun.push(response)
      })
      server = await startServer()
      client = await startClient(server.link)
    })

    beforeEach(async () => {
      if (server.program.child.exitCode !== null || server.program.child.signalCode !== null) {
        await comeBack()
      }
      await expectPage()
    })

    async function comeBack(): Promise<void> {
      server = await startServer([], { port: server.port })
    }

    const page = () => `http://127.0.0.1:${origin.port}/page`

    async function expectPage(): Promise<void> {
      for (const how of ['--socks5-hostname', '-x']) {
        const { code, stdout, stderr } = await curl('-f', how, client.proxy, page())
        expect(stderr).toBe('')
        expect(code).toBe(0)
        expect(stdout.equals(PAGE)).toBe(true)
      }
    }

    /** A download of which the origin has sent half. */
    async function startDownload(how = '--socks5-hostname', limit = '30') {
      const before = begun.length
      const url = `http://127.0.0.1:${origin.port}/slow`
      const download = curl('-f', '-m', limit, how, client.proxy, url)
      await until(() => begun.length > before, 'the download begins')
      return { download, response: begun.at(-1)! }
    }

    it('recovery: the server killed during downloads fails those alone, and the client recovers by itself', async () => {
      const downloads = []
      for (const how of ['--socks5-hostname', '-x']) {
        downloads.push((await startDownload(how)).download)
      }
      await stop(server.program)
      const begin = performance.now()
      for (const { code } of await Promise.all(downloads)) expect(NOT_SERVED).toContain(code)
      expect(performance.now() - begin).toBeLessThan(5_000)
      await comeBack()
      await expectPage()
    })

    it('recovery: while the server is away a request fails at once, and it works when the server is back', async () => {
      await stop(server.program)
      const begin = performance.now()
      const socks = await curl('--socks5-hostname', client.proxy, page())
      expect(NOT_CONNECTED).toContain(socks.code)
      const plain = await curl('-o', '/dev/null', '-w', '%{http_code}', '-x', client.proxy, page())
      expect(String(plain.stdout)).toBe('502')
      expect(performance.now() - begin).toBeLessThan(5_000)
      await comeBack()
      await expectPage()
    })

    it('recovery: a pool of several idle sessions that all died does not cost a request', async () => {
      const before = client.connections()
      const downloads = []
      // More than share a session, also near a server, which this one is unless the machine is busy.
      for (let index = 0; index < 65; index += 1) downloads.push(await startDownload())
      for (const { response } of downloads) response.end(PAGE)
      for (const { download } of downloads) expect((await download).code).toBe(0)
      const several = client.connections()
      expect(several).toBeGreaterThan(before)
      await stop(server.program)
      await comeBack()
      await expectPage()
      expect(client.connections()).toBe(several + 1)
    })

    it('recovery: a request at the moment of the restart is served or refused, never left hanging', async () => {
      const requests: ReturnType<typeof curl>[] = []
      const ask = () => requests.push(curl('-f', '--socks5-hostname', client.proxy, page()))
      ask()
      server.program.child.kill('SIGKILL')
      ask()
      await server.program.ended
      ask()
      await comeBack()
      const begin = performance.now()
      for (const { code, stdout } of await Promise.all(requests)) {
        if (code === 0) expect(stdout.equals(PAGE)).toBe(true)
        else expect([...NOT_SERVED, ...NOT_CONNECTED]).toContain(code)
      }
      expect(performance.now() - begin).toBeLessThan(5_000)
      await expectPage()
    })

    it('recovery: a tunnel ends for its program when the server is killed', async () => {
      const socket = await connectTo(client.port)
      const port = [origin.port >> 8, origin.port & 0xff]
      socket.write(Uint8Array.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, ...port))
      await readExactly(socket, 12)
      const closed = closing(socket)
      await stop(server.program)
      await closed
    })

    it('Contract: SIGTERM ends the server after 5 s although a download would go on', async () => {
      const { download } = await startDownload()
      const begin = performance.now()
      server.program.child.kill('SIGTERM')
      expect(await server.program.ended).toEqual({ code: 0, signal: null })
      expect(performance.now() - begin).toBeGreaterThan(4_500)
      expect(performance.now() - begin).toBeLessThan(9_000)
      expect(NOT_SERVED).toContain((await download).code)
    })

    it('Contract: SIGTERM ends an idle server at once, and its client waits for it to come back', async () => {
      const begin = performance.now()
      server.program.child.kill('SIGTERM')
      expect(await server.program.ended).toEqual({ code: 0, signal: null })
      expect(performance.now() - begin).toBeLessThan(3_000)
      await comeBack()
      await expectPage()
    })

    it('departure: when curl goes in the middle of a download, so does the connection to the origin', async () => {
      const { download, response } = await startDownload('--socks5-hostname', '1')
      expect((await download).code).toBe(28)
      await until(() => response.destroyed, 'the origin is left')
      await expectPage()
    })

    it('departure: when the client is killed, the connections to the origin go and the server stays', async () => {
      const own = await startClient(server.link, [], { state: 'own' })
      const url = `http://127.0.0.1:${origin.port}/slow`
      const before = begun.length
      const download = curl('-f', '-m', '30', '-x', own.proxy, url)
      await until(() => begun.length > before, 'the download begins')
      await stop(own.program)
      await until(() => begun.at(-1)!.destroyed, 'the origin is left')
      expect(NOT_SERVED).toContain((await download).code)
      await expectPage()
    })

    it.for(['server', 'client'] as const)(
      'Contract: SIGTERM lets the %s finish a download that runs, take no new one, and exit with 0',
      async (which) => {
        const { program } = { server, client }[which]
        const { download, response } = await startDownload()
        program.child.kill('SIGTERM')
        await program.said(/SIGTERM: stopping/)
        // Served is what the client asked for before it heard of it, for a second at most (N41).
        const stopping = performance.now()
        let served: number
        do {
          served = performance.now()
          const { code } = await curl('--socks5-hostname', client.proxy, page())
          expect([0, ...NOT_CONNECTED]).toContain(code)
          if (code !== 0) break
        } while (served - stopping < 3_000)
        expect(served - stopping).toBeLessThan(which === 'server' ? 1_500 : 500)
        response.end(PAGE)
        const { code, stdout } = await download
        expect(code).toBe(0)
        expect(stdout.equals(Buffer.concat([PAGE, PAGE]))).toBe(true)
        const begin = performance.now()
        expect(await program.ended).toEqual({ code: 0, signal: null })
        expect(performance.now() - begin).toBeLessThan(3_000)
      },
    )
  },
)
