// One direction ended and the other open, from a program through both of ours to an origin: netcat that has
// sent all and waits, origins that close behind their answer.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import type { Socket } from 'node:net'
import { beforeAll, describe, expect, it } from 'vitest'
import { curl, readAll, sha256 } from '../proxy/support.ts'
import { requireProgram } from '../support/programs.ts'
import { curlProgram, serve, startPair, until } from './support.ts'
import type { ClientProgram, Origin } from './support.ts'

const netcat = requireProgram('nc.openbsd')

const MIB = 1 << 20
const BYTES = randomBytes(4 * MIB)

/** How a program asks for its tunnel. */
const NETCAT_WAYS = [
  ['SOCKS5', '5'],
  ['CONNECT', 'connect'],
] as const

const CURL_WAYS = [
  ['SOCKS5', '--socks5-hostname'],
  ['CONNECT', '-px'],
  ['plain http', '-x'],
] as const

function serveTcp(onConnection: (socket: Socket) => void): Promise<Origin> {
  return serve(net.createServer({ allowHalfOpen: true }, onConnection))
}

describe.skipIf(netcat.isMissing)(
  `netcat that ends its direction first${netcat.note}`,
  { timeout: 30_000 },
  () => {
    let client: ClientProgram
    /** Answers once it has seen the end of what was sent. */
    let counting: Origin
    /** Sends the same back, but nothing before the end. */
    let returning: Origin
    /** Connections to the origins that are open. */
    let open = 0

    beforeAll(async () => {
      ;({ client } = await startPair())
      const serveAfterEnd = (answer: (request: Buffer) => string | Buffer) =>
        serveTcp((socket) => {
          open += 1
          socket.once('close', () => (open -= 1))
          void readAll(socket).then((request) => socket.end(answer(request)))
        })
      counting = await serveAfterEnd((request) => `${request.length} ${sha256(request)}\n`)
      returning = await serveAfterEnd((request) => request)
    })

    /** `nc -N` through the proxy: what it printed for `input` once it had ended by itself. */
    async function nc(how: string, { port }: Origin, input: Uint8Array): Promise<Buffer> {
      const way = ['-N', '-X', how, '-x', client.proxy, '127.0.0.1', String(port)]
      const program = spawn(netcat.path, way, { timeout: 15_000 })
      const printed = readAll(program.stdout as unknown as Socket)
      program.stdin.end(input)
      const [code] = (await once(program, 'close')) as [number | null]
      expect(code).toBe(0)
      return printed
    }

    it.for(NETCAT_WAYS)(
      'half-close: nc -N through %s is answered by an origin that waits for the end of the request',
      async ([, how]) => {
        expect(String(await nc(how, counting, Buffer.from('question')))).toBe(
          `8 ${sha256(Buffer.from('question'))}\n`,
        )
        expect(String(await nc(how, counting, BYTES))).toBe(`${BYTES.length} ${sha256(BYTES)}\n`)
        await until(() => open === 0, 'the origin is left')
      },
    )

    it.for(NETCAT_WAYS)(
      'half-close: nc -N through %s gets 4 MiB after it has sent 4 MiB and their end',
      async ([, how]) => {
        expect(sha256(await nc(how, returning, BYTES))).toBe(sha256(BYTES))
        await until(() => open === 0, 'the origin is left')
      },
    )

    it('half-close: nc -N that sends nothing but the end is answered', async () => {
      const nothing = Buffer.alloc(0)
      expect(String(await nc('5', counting, nothing))).toBe(`0 ${sha256(nothing)}\n`)
      await until(() => open === 0, 'the origin is left')
    })

    it('half-close: all of that took one TLS connection to the server', () => {
      expect(client.connections()).toBe(1)
    })
  },
)

describe.skipIf(curlProgram.isMissing)(
  `origins whose answer ends with their side of the connection${curlProgram.note}`,
  { timeout: 30_000 },
  () => {
    let client: ClientProgram

    beforeAll(async () => {
      ;({ client } = await startPair())
    })

    /** Answers the first request with `head` and 4 MiB, and ends its side; the length stands nowhere. */
    function serveUntilClose(head: string): Promise<Origin> {
      return serveTcp((socket) => {
        socket.once('data', () => {
          socket.write(`${head}\r\nContent-Type: application/octet-stream\r\n\r\n`)
          socket.end(BYTES)
        })
      })
    }

    it.for(CURL_WAYS)(
      'half-close: the answer of an HTTP/1.0 origin that closes behind it is whole through %s',
      async ([, how]) => {
        const { port } = await serveUntilClose('HTTP/1.0 200 OK')
        const url = `http://127.0.0.1:${port}/`
        const { code, stdout, stderr } = await curl('-f', '-0', how, client.proxy, url)
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        expect(sha256(stdout)).toBe(sha256(BYTES))
      },
    )

    it.for(CURL_WAYS)(
      'half-close: the answer of an HTTP/1.1 origin with Connection: close is whole through %s',
      async ([, how]) => {
        const { port } = await serveUntilClose('HTTP/1.1 200 OK\r\nConnection: close')
        const url = `http://127.0.0.1:${port}/`
        const { code, stdout, stderr } = await curl('-f', how, client.proxy, url)
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
        expect(sha256(stdout)).toBe(sha256(BYTES))
      },
    )
  },
)
