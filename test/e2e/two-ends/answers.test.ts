// What origins in the wild answer, and what programs do that ask for another protocol: one test for each kind of public
// report about forward proxies, by real programs and raw sockets, through both of ours.

import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { connectTo, curl, readAll, readExactly } from '../../proxy/support.ts'
import { curlProgram, serve, serveHttp } from '../support.ts'
import type { ClientProgram } from '../support.ts'
import { get, readUntil, serveAnswer, startPrograms, url } from './programs.ts'
import type { Ask } from './programs.ts'

const PYTHON = process.env.ANYTLS_TEST_PYTHON ?? 'python3'
const hasAiohttp = spawnSync(PYTHON, ['-c', 'import aiohttp']).status === 0
if (!hasAiohttp && process.env.CI === 'true') throw new Error('aiohttp is missing, and CI needs it')

let client: ClientProgram
let ask: Ask

beforeAll(async () => {
  ;({ client, ask } = await startPrograms())
})

describe.skipIf(curlProgram.isMissing)(`answers that curl takes${curlProgram.note}`, () => {
  it.for([
    ['bare LF', 'HTTP/1.1 200 OK\nX-A: 1\nContent-Length: 4\n\nbody'],
    ['a space before the colon', 'HTTP/1.1 200 OK\r\nX-A : 1\r\nContent-Length : 4\r\n\r\nbody'],
    [
      'one Content-Length twice',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody',
    ],
    [
      'one Content-Length as a list',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 4, 4\r\n\r\nbody',
    ],
    [
      'control characters in a value',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B: a\x01b\x7f\r\nContent-Length: 4\r\n\r\nbody',
    ],
    ['no reason', 'HTTP/1.1 200\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody'],
    [
      'a folded header',
      'HTTP/1.1 200 OK\r\nX-B: a\r\n b\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody',
    ],
    [
      'a line that is no header',
      'HTTP/1.1 200 OK\r\nnonsense\r\nX-A: 1\r\nContent-Length: 4\r\n\r\nbody',
    ],
    [
      'chunks whose lines end in LF',
      'HTTP/1.1 200 OK\nX-A: 1\nTransfer-Encoding: chunked\n\n4\nbody\n0\n\n',
    ],
    [
      'chunks with extensions and trailers',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b\r\nbody\r\n0\r\nX-T: 1\r\n\r\n',
    ],
    [
      'chunks whose sizes have many digits',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000000004\r\nbody\r\n0000\r\n\r\n',
    ],
    [
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    ],
    [
      'Transfer-Encoding: identity',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: identity\r\n\r\nbody',
    ],
    ['HTTP/1.0 without a length', 'HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nbody'],
    [
      'chunked said twice',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    ],
    [
      'a length with zeros and spaces around it',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length:  004  \r\n\r\nbody',
    ],
    [
      'an empty value, and a name that is none',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nX-B:\r\nX C@: 1\r\nContent-Length: 4\r\n\r\nbody',
    ],
  ] as const)('%s: passed on, clean', async ([, answer]) => {
    const port = await serveAnswer(answer)
    const { code, stdout, stderr } = await curl('-i', '-x', client.proxy, url(port))
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [head = '', body] = stdout.toString('latin1').split('\r\n\r\n')
    expect(body).toBe('body')
    expect(head).toMatch(/^HTTP\/1\.1 200/)
    expect(head).toMatch(/^x-a: 1\r?$/im)
    // eslint-disable-next-line no-control-regex
    expect(head).not.toMatch(/[\0-\x09\x0b\x0c\x0e-\x1f\x7f]| :/)
    expect(head.match(/content-length/gi)?.length ?? 0).toBeLessThan(2)
  })

  it.for([
    [
      'two different lengths',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nbody',
    ],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\nbody'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['an upgrade that nobody asked for', 'HTTP/1.1 101 Sure\r\nUpgrade: x\r\n\r\n'],
    ['nothing', ''],
  ] as const)('%s: 502, and one line in the log', async ([, answer]) => {
    const port = await serveAnswer(answer)
    const args = ['-o', '/dev/null', '-w', '%{http_code}', '-x', client.proxy, url(port)]
    expect(String((await curl(...args)).stdout)).toBe('502')
    const lines = client.program
      .stderr()
      .match(new RegExp(`^.*a request failed.*:${port}.*$`, 'gm'))
    expect(lines).toHaveLength(1)
  })

  it('heads of nearly 64 KiB, both ways; longer ones are 431 and 502 with their line', async () => {
    const { port } = await serve(
      http.createServer({ maxHeaderSize: 1 << 20 }, (request, response) => {
        response.setHeader('X-Long', 'y'.repeat(Number(request.headers['x-want'])))
        response.end(String(request.headers['x-long']?.length))
      }),
    )
    const long = (length: number, want: number) =>
      ask(get(url(port), `X-Long: ${'x'.repeat(length)}`, `X-Want: ${want}`))
    const answer = await long(65_000, 65_000)
    expect(answer).toMatch(
      /^HTTP\/1\.1 200 [^]*X-Long: y{65000}\r\n[^]*\r\n\r\n5\r\n65000\r\n|65000$/,
    )
    expect(answer.length).toBeGreaterThan(65_000)
    expect(await long(66_000, 1)).toMatch(/^HTTP\/1\.1 431 /)
    expect(await long(1, 66_000)).toMatch(/^HTTP\/1\.1 502 /)
    expect(client.program.stderr()).toMatch(/did not ask properly.*65536/)
    expect(client.program.stderr()).toMatch(/a request failed.*65536/)
  })

  it('Transfer-Encoding: gzip, chunked is kept', async () => {
    const zipped = gzipSync('the page')
    const chunk = Buffer.concat([Buffer.from(`${zipped.length.toString(16)}\r\n`), zipped])
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'
    const whole = Buffer.concat([Buffer.from(head), chunk, Buffer.from('\r\n0\r\n\r\n')])
    const port = await serveAnswer(whole)
    const raw = await ask(get(url(port)))
    expect(raw).toMatch(/^Transfer-Encoding: gzip, chunked\r$/m)
    const body = Buffer.from(raw.slice(raw.indexOf('\r\n\r\n') + 4), 'latin1')
    const start = body.indexOf('\r\n') + 2
    expect(String(gunzipSync(body.subarray(start, start + zipped.length)))).toBe('the page')
    const old = `GET ${url(port)} HTTP/1.0\r\n\r\n`
    expect(await ask(old)).toMatch(/^HTTP\/1\.1 502 /)
  })

  it('interim answers, 102 and 103 and unknown ones, are passed on before the last', async () => {
    const interim = 'HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n'
    const port = await serveAnswer(`${interim}HTTP/1.1 104 More\r\n\r\nHTTP/1.1 204 Fine\r\n\r\n`)
    expect(await ask(get(url(port)))).toMatch(
      /^HTTP\/1\.1 102 Processing\r\n\r\nHTTP\/1\.1 103 Early Hints\r\nLink: <\/a>\r\n\r\nHTTP\/1\.1 104 More\r\n\r\nHTTP\/1\.1 204 Fine\r\n/,
    )
    expect(await ask(`GET ${url(port)} HTTP/1.0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 204 /)
  })

  it('a status that is in no list, bytes beyond ASCII and headers of one name go through both ways', async () => {
    const received: string[] = []
    const port = await serveAnswer(
      'HTTP/1.1 999 Denied\r\nX-A: \xc3\xbc\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nno',
      received,
    )
    const request = get(url(port, '/a|b{c}"<>^`\\[]?x=|"'), 'X-B: \xc3\xbc')
    expect(await ask(Buffer.from(request, 'latin1'))).toMatch(
      /^HTTP\/1\.1 999 Denied\r\nX-A: \xc3\xbc\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n/,
    )
    expect(received[0]).toMatch(/^GET \/a\|b\{c\}"<>\^`\\\[\]\?x=\|" HTTP[^]*X-B: \xc3\xbc\r\n/)
  })

  it.for([
    ['events', 'Content-Type: text/event-stream', ''],
    ['chunks whose first is announced', 'Transfer-Encoding: chunked', '5\r\n'],
    ['a length', 'Content-Length: 5', ''],
  ])('a head that comes alone, of %s, is passed on at once', async ([, header = '', behind]) => {
    const { port } = await serve(
      net.createServer((socket) => {
        socket.once('data', () => socket.write(`HTTP/1.1 200 OK\r\n${header}\r\n\r\n${behind}`))
      }),
    )
    const program = await connectTo(client.port)
    program.write(`GET ${url(port)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(await readUntil(program, /\r\n\r\n$/)).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    program.destroy()
  })

  it('a program that goes on with its body once it has read the head of the answer', async () => {
    const { port } = await serveHttp((request, response) => {
      response.flushHeaders()
      request.pipe(response)
    })
    const program = await connectTo(client.port)
    const head = `POST ${url(port)} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`
    program.write(`${head}4\r\nping\r\n`)
    await readUntil(program, /\r\n\r\n4\r\nping\r\n$/)
    program.write('4\r\npong\r\n0\r\n\r\n')
    expect(await readUntil(program, /\r\n0\r\n\r\n$/)).toBe('4\r\npong\r\n0\r\n\r\n')
    program.destroy()
  })

  it('NTLM: the requests of one program use one connection to the origin', async () => {
    const steps: string[] = []
    let count = 0
    const { port } = await serve(
      http.createServer({ keepAlive: true }, (request, response) => {
        const socket = request.socket as Socket & { name?: number; said?: number }
        socket.name ??= count += 1
        const message = Buffer.from(request.headers.authorization?.slice(5) ?? '', 'base64')
        const type = message[8] ?? 0
        steps.push(`${socket.name}:${type}`)
        if (type === 3 && socket.said === 1) response.end('welcome')
        else if (type === 1) {
          socket.said = 1
          response.setHeader('WWW-Authenticate', `NTLM ${NTLM_CHALLENGE}`)
          response.writeHead(401).end()
        } else response.setHeader('WWW-Authenticate', 'NTLM').writeHead(401).end()
      }),
    )
    const { stdout } = await curl('--ntlm', '-u', 'user:secret', '-x', client.proxy, url(port))
    expect(String(stdout)).toBe('welcome')
    expect(steps).toEqual(['1:1', '1:3'])
    // Another program's connection is another one to the origin.
    expect(String((await curl('-x', client.proxy, url(port))).stdout)).toBe('')
    expect(steps.at(-1)).toBe('2:0')
  })
})

/** A type 2 message (MS-NLMP 2.2.1.2) with nothing in it but a challenge. */
const NTLM_CHALLENGE = Buffer.concat([
  Buffer.from('NTLMSSP\0'),
  Buffer.from([2, 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0, 0x01, 0x82, 0x08, 0x00]),
  Buffer.from('0123456789abcdef', 'hex'),
  Buffer.alloc(8),
  Buffer.from([0, 0, 0, 0, 48, 0, 0, 0]),
]).toString('base64')

const ACCEPT = (key: string) =>
  createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')

/** Answers an upgrade to WebSocket, and sends back each byte that follows. */
function serveUpgrades() {
  const server = http.createServer((request, response) => {
    request.resume().on('end', () => response.end('a page'))
  })
  server.on('upgrade', (request: http.IncomingMessage, socket: Socket, head: Buffer) => {
    if (request.url === '/no') {
      socket.end('HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nnope')
      return
    }
    const key = ACCEPT(request.headers['sec-websocket-key'] ?? '')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade ?? ''}\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\nhello`,
    )
    socket.write(head)
    socket.pipe(socket)
  })
  return serve(server)
}

describe('upgrades without CONNECT', () => {
  const upgrade = ['Host: x', 'Connection: Upgrade', 'Upgrade: websocket', 'Sec-WebSocket-Key: abc']

  it.for(['http', 'ws'])('%s://: 101 passed on, then bytes both ways', async (scheme) => {
    const { port } = await serveUpgrades()
    const program = await connectTo(client.port)
    const target = `${scheme}://127.0.0.1:${port}/`
    program.write([`GET ${target} HTTP/1.1`, ...upgrade, '', ''].join('\r\n'))
    const head = await readUntil(program, /\r\n\r\nhello$/)
    expect(head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\n/)
    expect(head).toMatch(/^Upgrade: websocket\r$/m)
    expect(head).toMatch(/^Connection: Upgrade\r$/m)
    expect(head).toContain(`Sec-WebSocket-Accept: ${ACCEPT('abc')}\r\n`)
    program.write('GET / HTTP/1.1 is no request here')
    expect(String(await readExactly(program, 33))).toBe('GET / HTTP/1.1 is no request here')
    program.end()
    expect(String(await readAll(program))).toBe('')
  })

  it('one that the origin refuses, and one with a body, get their answers', async () => {
    const { port } = await serveUpgrades()
    const refused = await ask([`GET ${url(port, '/no')} HTTP/1.1`, ...upgrade, '', ''].join('\r\n'))
    expect(refused).toMatch(/^HTTP\/1\.1 403 No\r\n[^]*\r\n\r\nnope$/)
    const received: string[] = []
    const plain = await serveAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', received)
    const body = ['Content-Length: 4', '', 'bodyGET http://next/ HTTP/1.1\r\n\r\n']
    const answer = await ask([`POST ${url(plain)} HTTP/1.1`, ...upgrade, ...body].join('\r\n'))
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nok$/)
    expect(received.join('')).not.toContain('next')
  })

  it.skipIf(!hasAiohttp)(
    'aiohttp speaks WebSocket over http (only where aiohttp is installed)',
    async () => {
      const { port } = await serve(aWebSocketEcho())
      const script = [
        'import aiohttp, asyncio, sys',
        'async def main():',
        '  async with aiohttp.ClientSession() as session:',
        '    async with session.ws_connect(sys.argv[2], proxy=sys.argv[1]) as ws:',
        '      await ws.send_str("ping")',
        '      print((await ws.receive()).data)',
        '    async with session.get(sys.argv[3], proxy=sys.argv[1]) as answer:',
        '      print(await answer.text())',
        'asyncio.run(main())',
      ].join('\n')
      const args = [`http://${client.proxy}`, `ws://127.0.0.1:${port}/`, url(port)]
      const { stdout } = await promisify(execFile)(PYTHON, ['-c', script, ...args])
      expect(stdout).toBe('ping\na page\n')
    },
  )
})

/** A server of WebSocket that sends the first, short frame of text back unmasked. */
function aWebSocketEcho(): http.Server {
  const server = http.createServer((_request, response) => response.end('a page'))
  server.on('upgrade', (request: http.IncomingMessage, socket: Socket) => {
    const key = ACCEPT(request.headers['sec-websocket-key'] ?? '')
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${key}\r\n\r\n`,
    )
    socket.once('data', (frame) => {
      const length = (frame[1] ?? 0) & 0x7f
      const mask = frame.subarray(2, 6)
      const text = frame.subarray(6, 6 + length).map((byte, at) => byte ^ (mask[at % 4] ?? 0))
      socket.write(Buffer.concat([Buffer.from([0x81, length]), text]))
      socket.once('data', () => socket.end(Buffer.from([0x88, 0])))
    })
  })
  return server
}
