// The client and its servers: several of them, one that goes, and what is said of one that cannot be used.

import { readFileSync } from 'node:fs'
import { createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { curl } from '../proxy/support.ts'
import {
  PASSWORD,
  curlProgram,
  describeRequest,
  folder,
  onLinux,
  run,
  serve,
  serveHttp,
  startServer,
  until,
} from './support.ts'
import type { Origin } from './support.ts'
import type { Program } from '../cli/run-program.ts'

/** What a loaded machine may take on top, in ms. */
const SOME_TIME = 1_500

let origin: Origin

beforeAll(async () => {
  origin = await serveHttp(describeRequest)
})

/** `anytls client` with whatever `flags` say of servers. */
async function startWith(...flags: string[]): Promise<{ program: Program; get: typeof curl }> {
  const state = ['--state-dir', join(folder, 'client')]
  const program = run(['client', '-l', '127.0.0.1:0', ...state, ...flags])
  const [, proxy = ''] = await program.said(/listening on ([\d.:]+)/)
  const url = `http://127.0.0.1:${origin.port}/`
  return { program, get: (...args) => curl('--socks5-hostname', proxy, url, ...args) }
}

function linesWith(program: Program, text: string): string[] {
  return program
    .stderr()
    .split('\n')
    .filter((line) => line.includes(text))
}

describe.skipIf(curlProgram.isMissing || !onLinux)(
  `several servers (only on Linux)${curlProgram.note}`,
  { timeout: 60_000 },
  () => {
    it('within a second the next one when one falls silent or is killed, and the first again when it is back', async () => {
      const servers = [await startServer(), await startServer()]
      const { program, get } = await startWith(...servers.flatMap(({ link }) => ['-s', link]))
      await until(() => servers.every((server) => server.clients() > 0), 'both are measured')
      expect(String((await get()).stdout)).toMatch(/^GET /)
      const first = () => {
        const [, address] =
          [...program.stderr().matchAll(/this server first.*?"server":"([^"]+)/g)].at(-1) ?? []
        return servers.find((server) => server.address === address)!.program.child
      }
      const silent = first()
      silent.kill('SIGSTOP')
      let began = performance.now()
      // A program that was told already that it may speak is reset, and tries again.
      const again = ['--retry', '3', '--retry-all-errors', '--retry-delay', '0']
      expect(String((await get(...again)).stdout)).toMatch(/^GET /)
      // curl itself waits a second before it tries again.
      expect(performance.now() - began).toBeLessThan(1_500 + SOME_TIME)
      silent.kill('SIGCONT')
      await program.said(/answers again/)
      expect(String((await get()).stdout)).toMatch(/^GET /)
      first().kill('SIGKILL')
      began = performance.now()
      expect(String((await get(...again)).stdout)).toMatch(/^GET /)
      expect(performance.now() - began).toBeLessThan(1_000 + SOME_TIME)
    })
  },
)

describe.skipIf(curlProgram.isMissing)(
  `a server that cannot be used${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    it('a wrong password is one line a minute, with one code', async () => {
      const server = await startServer()
      for (const wire of ['auto', 'v1']) {
        const { program, get } = await startWith(
          '-s',
          server.address,
          '--insecure',
          '-p',
          'no',
          '--wire',
          wire,
          // Whoever is told before the answer that it may speak is reset, which is another code of curl's.
          '--reply-wait',
          'exact',
        )
        for (let request = 0; request < 3; request += 1) expect((await get()).code).toBe(97)
        const lines = program
          .stderr()
          .split('\n')
          .filter((line) => /WARN|ERROR/.test(line))
        expect(lines, wire).toHaveLength(1)
        expect(lines[0], wire).toMatch(
          /cannot be used: .*wrong password.*compare the password.*ERR_AUTH_REJECTED/,
        )
      }
    })

    it('a certificate that does not fit names the option that would help, and that option helps', async () => {
      const server = await startServer()
      const cert = join(folder, 'server', 'certificate.pem')
      expect(readFileSync(cert, 'utf8')).toContain('CERTIFICATE')
      const { port } = server
      const cases: [string[], RegExp][] = [
        [
          ['-s', `localhost:${port}`],
          /self-signed.*share link.*pins it, as --pin does; --ca names a file/,
        ],
        [
          ['-s', `localhost:${port}`, '--ca', cert, '--sni', 'other.example'],
          /is for localhost.*not for other\.example.*; --sni asks/,
        ],
        [
          ['-s', `localhost:${port}`, '--pin', 'ab'.repeat(32)],
          /not the pinned one; .*--pin, or hpkp in the share link/,
        ],
      ]
      for (const [flags, says] of cases) {
        const { program, get } = await startWith(...flags)
        expect((await get()).code, flags.join(' ')).toBe(97)
        expect(program.stderr()).toMatch(says)
        expect(linesWith(program, 'cannot be used')).toHaveLength(1)
      }
      const { get } = await startWith('-s', `localhost:${port}`, '--ca', cert)
      expect(String((await get()).stdout)).toMatch(/^GET /)
    })

    it('a server without TLS, one that hangs up, nobody: one readable line each', async () => {
      const talks = await serve(
        createTcpServer((socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n')),
      )
      const hangsUp = await serve(createTcpServer((socket) => void socket.end()))
      const cases: [string, RegExp][] = [
        [
          `127.0.0.1:${talks.port}`,
          /cannot be used: could not connect to \S+: what answers there does not speak TLS.*; look at the port/,
        ],
        [
          `127.0.0.1:${hangsUp.port}`,
          /cannot be used: could not connect to \S+: the connection was closed during the TLS handshake/,
        ],
        ['127.0.0.1:1', /cannot be used: could not connect to \S+: connection refused/],
      ]
      for (const [server, says] of cases) {
        const { program, get } = await startWith('-s', server)
        await get()
        await get()
        expect(program.stderr()).toMatch(says)
        expect(linesWith(program, 'cannot be used'), server).toHaveLength(1)
        expect(program.stderr()).not.toMatch(/SSL routines|\.c:\d/)
      }
    })
  },
)

describe.skipIf(curlProgram.isMissing)(
  `targets under --bypass${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    it('are reached although the server is not there', async () => {
      const { get } = await startWith(
        '-s',
        '127.0.0.1:1',
        '-p',
        PASSWORD,
        '--bypass',
        '127.0.0.0/8',
      )
      expect(String((await get()).stdout)).toMatch(/^GET /)
    })
  },
)
