// The server killed and started again, and both programs stopped, while curl is at it.

import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { beforeAll, describe, expect, it } from 'vitest'
import { stop } from '../cli/run-program.ts'
import { closing, connectTo, curl, readExactly } from '../proxy/support.ts'
import { curlProgram, serveHttp, startClient, startPair, startServer, until } from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

const PAGE = randomBytes(256 * 1024)

/** What curl exits with when an answer stops before its end: a part of it, or a broken connection. */
const CUT_OFF = [18, 52, 56]

describe.skipIf(curlProgram.isMissing)(
  `the server goes and comes back${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    let origin: Origin
    /** Answers that were begun and wait for `finish`. */
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
    })

    const page = () => `http://127.0.0.1:${origin.port}/page`

    /** A download of which half has been sent. */
    async function startDownload(client: ClientProgram, how = '--socks5-hostname') {
      const before = begun.length
      const url = `http://127.0.0.1:${origin.port}/slow`
      const download = curl('-m', '30', how, client.proxy, url)
      await until(() => begun.length > before, 'the download begins')
      return { download, response: begun.at(-1)! }
    }

    async function expectPage(client: ClientProgram): Promise<void> {
      for (const how of ['--socks5-hostname', '-x']) {
        const { code, stdout, stderr } = await curl(how, client.proxy, page())
        expect(stderr).toBe('')
        expect(code).toBe(0)
        expect(stdout.equals(PAGE)).toBe(true)
      }
    }

    it('recovery: the server killed during downloads fails those alone, and the client recovers by itself', async () => {
      const { server: first, client } = await startPair()
      await expectPage(client)
      let server: ServerProgram = first
      for (let round = 0; round < 2; round += 1) {
        const downloads = []
        for (const how of ['--socks5-hostname', '-x']) {
          downloads.push((await startDownload(client, how)).download)
        }
        await stop(server.program)
        const begin = performance.now()
        for (const { code } of await Promise.all(downloads)) expect(CUT_OFF).toContain(code)
        expect(performance.now() - begin).toBeLessThan(5_000)

        server = await startServer([], { port: server.port })
        await expectPage(client)
      }
    })

    it('recovery: while the server is away a request fails at once, and it works when the server is back', async () => {
      const { server, client } = await startPair()
      await expectPage(client)
      await stop(server.program)
      const begin = performance.now()
      const socks = await curl('--socks5-hostname', client.proxy, page())
      expect(socks.code).toBe(97)
      const plain = await curl('-o', '/dev/null', '-w', '%{http_code}', '-x', client.proxy, page())
      expect(String(plain.stdout)).toBe('502')
      expect(performance.now() - begin).toBeLessThan(5_000)
      await startServer([], { port: server.port })
      await expectPage(client)
    })

    it('recovery: a pool of several idle sessions that all died does not cost a request', async () => {
      const server = await startServer()
      const client = await startClient(server.link, ['--min-idle', '3'])
      const downloads = []
      for (let index = 0; index < 20; index += 1) downloads.push(await startDownload(client))
      for (const { response } of downloads) response.end(PAGE)
      for (const { download } of downloads) expect((await download).code).toBe(0)
      expect(client.connections()).toBe(3)
      await stop(server.program)
      await startServer([], { port: server.port })
      await expectPage(client)
      expect(client.connections()).toBe(4)
    })

    it('recovery: a request that comes at the moment of the restart is served or refused, never left hanging', async () => {
      const { server, client } = await startPair()
      await expectPage(client)
      const requests: ReturnType<typeof curl>[] = []
      const ask = () => requests.push(curl('--socks5-hostname', client.proxy, page()))
      ask()
      server.program.child.kill('SIGKILL')
      ask()
      await server.program.ended
      ask()
      await startServer([], { port: server.port })
      const begin = performance.now()
      for (const { code, stdout } of await Promise.all(requests)) {
        if (code === 0) expect(stdout.equals(PAGE)).toBe(true)
        else expect([...CUT_OFF, 97]).toContain(code)
      }
      expect(performance.now() - begin).toBeLessThan(5_000)
      await expectPage(client)
    })

    it.for(['server', 'client'] as const)(
      'Contract: SIGTERM lets the %s finish a download that runs, take no new one, and exit with 0',
      async (which) => {
        const programs = await startPair()
        const { client } = programs
        const { program } = programs[which]
        const { download, response } = await startDownload(client)
        program.child.kill('SIGTERM')
        await program.said(/SIGTERM: stopping/)
        const refused = await curl('--socks5-hostname', client.proxy, page())
        expect([7, 97]).toContain(refused.code)
        response.end(PAGE)
        const { code, stdout } = await download
        expect(code).toBe(0)
        expect(stdout.equals(Buffer.concat([PAGE, PAGE]))).toBe(true)
        const begin = performance.now()
        expect(await program.ended).toEqual({ code: 0, signal: null })
        expect(performance.now() - begin).toBeLessThan(3_000)
      },
    )

    it('Contract: SIGTERM ends the server after 5 s although a download would go on', async () => {
      const { server, client } = await startPair()
      const { download } = await startDownload(client)
      const begin = performance.now()
      server.program.child.kill('SIGTERM')
      expect(await server.program.ended).toEqual({ code: 0, signal: null })
      expect(performance.now() - begin).toBeGreaterThan(4_500)
      expect(performance.now() - begin).toBeLessThan(9_000)
      expect(CUT_OFF).toContain((await download).code)
    })

    it('Contract: an idle server ends at once on SIGTERM, and so does its client after it', async () => {
      const { server, client } = await startPair()
      await expectPage(client)
      const begin = performance.now()
      for (const { program } of [server, client]) {
        program.child.kill('SIGTERM')
        expect(await program.ended).toEqual({ code: 0, signal: null })
      }
      expect(performance.now() - begin).toBeLessThan(3_000)
    })

    it('recovery: a tunnel ends for the program when its server is killed', async () => {
      const { server, client } = await startPair()
      const socket = await connectTo(client.port)
      socket.write(Uint8Array.of(5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, origin.port >> 8, origin.port))
      await readExactly(socket, 12)
      await stop(server.program)
      await closing(socket)
    })
  },
)
