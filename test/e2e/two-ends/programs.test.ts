// What programs and origins in the wild expect of a forward proxy, one test for each kind of public report: real programs
// and raw sockets, through both of ours.

import { execFile, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import http from 'node:http'
import net from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { promisify } from 'node:util'
import { gunzipSync, gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { closedPort, connectTo, curl, readAll, readExactly } from '../../proxy/support.ts'
import { associate, bindUdp } from '../../support/socks5-udp.ts'
import {
  curlProgram,
  serve,
  serveHttp,
  startClient,
  startServer,
  until,
  whenDone,
} from '../support.ts'
import type { ClientProgram } from '../support.ts'

const PYTHON = process.env.ANYTLS_TEST_PYTHON ?? 'python3'
const hasAiohttp = spawnSync(PYTHON, ['-c', 'import aiohttp']).status === 0
if (!hasAiohttp && process.env.CI === 'true') throw new Error('aiohttp is missing, and CI needs it')

let client: ClientProgram

beforeAll(async () => {
  // The exact answers, however busy the machine is.
  client = await startClient((await startServer()).link, ['--reply-wait', 'exact'])
})

/** An origin that answers each connection's first bytes with `answer`, as it is. */
async function serveAnswer(answer: string | Buffer, received: string[] = []): Promise<number> {
  const { port } = await serve(
    net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.once('data', (chunk) => {
        received.push(chunk.toString('latin1'))
        socket.end(answer, 'latin1')
      })
    }),
  )
  return port
}

function url(port: number, path = '/'): string {
  return `http://127.0.0.1:${port}${path}`
}

/** Everything that comes for `text`, a request of a program that then waits. */
async function ask(text: string | Buffer): Promise<string> {
  const program = await connectTo(client.port)
  program.write(text)
  return (await readAll(program)).toString('latin1')
}

function get(target: string, ...headers: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: x', ...headers, 'Connection: close', '', ''].join('\r\n')
}

async function readUntil(socket: Socket, pattern: RegExp): Promise<string> {
  let text = ''
  while (!pattern.test(text)) text += (await readExactly(socket, 1)).toString('latin1')
  return text
}

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
      'a length beside chunks',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n',
    ],
    [
      'Transfer-Encoding: identity',
      'HTTP/1.1 200 OK\r\nX-A: 1\r\nTransfer-Encoding: identity\r\n\r\nbody',
    ],
    ['HTTP/1.0 without a length', 'HTTP/1.0 200 OK\r\nX-A: 1\r\n\r\nbody'],
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

describe('requests as programs write them', () => {
  it('OPTIONS without a path asks the origin itself; http://host:/ is its default port', async () => {
    const received: string[] = []
    const port = await serveAnswer('HTTP/1.1 204 Fine\r\n\r\n', received)
    const target = `http://127.0.0.1:${port}`
    expect(await ask(get(target).replace('GET', 'OPTIONS'))).toMatch(/^HTTP\/1\.1 204 /)
    expect(received[0]).toMatch(/^OPTIONS \* HTTP\/1\.1\r\n/)
    // Nobody listens on port 80 of this address.
    await ask(get('http://127.0.0.9:/'))
    await until(() => /127\.0\.0\.9:80/.test(client.program.stderr()), 'port 80 was asked for')
  })

  it('a program that half-closes behind its request gets its answer', async () => {
    const { port } = await serveHttp((_request, response) => {
      void setTimeout(300).then(() => response.end('late'))
    })
    const program = await connectTo(client.port)
    program.end(`GET ${url(port)} HTTP/1.1\r\nHost: x\r\n\r\n`)
    expect(String(await readAll(program))).toMatch(/^HTTP\/1\.1 200 OK[^]*late/)
  })

  it('a kept connection outlives 7 s without a request', async () => {
    const port = await serveAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    const program = await connectTo(client.port)
    const request = `GET ${url(port)} HTTP/1.1\r\nHost: x\r\n\r\n`
    program.write(request)
    expect(await readUntil(program, /\r\n\r\nok$/)).toMatch(/^Keep-Alive: timeout=75\r$/m)
    await setTimeout(7_000)
    program.write(request)
    expect(await readUntil(program, /\r\n\r\nok$/)).toMatch(/^HTTP\/1\.1 200 OK/)
  })

  it('CONNECT to an IPv6 address without brackets', async () => {
    const port = await closedPort()
    expect(await ask(`CONNECT ::1:${port} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1\.1 502 /)
    expect(client.program.stderr()).toContain(`[::1]:${port}`)
  })

  it('names beyond ASCII go out in their ASCII form, paths percent-encoded, on any request', async () => {
    const sees = (name: string) =>
      until(() => client.program.stderr().includes(name), `${name} was asked for`)
    const answers = [
      ask(get('http://b\u00fccher.invalid/')),
      ask(get('http://b%C3%BCcher2.invalid/')),
      ask('CONNECT m\u00fcnchen.invalid:443 HTTP/1.1\r\nHost: x\r\n\r\n'),
    ]
    for (const answer of await Promise.all(answers)) expect(answer).toMatch(/^HTTP\/1\.1 502 /)
    await sees('xn--bcher-kva.invalid:80')
    await sees('xn--bcher2-3ya.invalid:80')
    await sees('xn--mnchen-3ya.invalid:443')
    const name = Buffer.from('stra\u00dfe.invalid')
    const program = await connectTo(client.port)
    program.write(
      Buffer.concat([Buffer.from([5, 1, 0, 5, 1, 0, 3, name.length]), name, Buffer.from([0, 80])]),
    )
    await readExactly(program, 4)
    await sees('xn--strae-oqa.invalid:80')
    const received: string[] = []
    const port = await serveAnswer('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', received)
    // The second one comes on a kept connection, and again on its own.
    const { code } = await curl('-x', client.proxy, url(port, '/a'), url(port, '/\u00fc'))
    expect(code).toBe(0)
    expect(received.map((text) => text.split(' ')[1])).toEqual(['/a', '/%C3%BC'])
  })

  it('what the parser refuses leaves one line in the log', async () => {
    const lines = () => client.program.stderr().match(/did not ask properly/g)?.length ?? 0
    const hostless = 'GET http://a.test/ HTTP/1.1\r\nConnection: close\r\n\r\n'
    for (const request of ['nonsense\r\n\r\n', hostless, get('/')]) {
      const before = lines()
      expect(await ask(request)).toMatch(/^HTTP\/1\.1 400 /)
      expect(lines()).toBe(before + 1)
    }
  })
})

describe('SOCKS as programs write it', () => {
  it.skipIf(curlProgram.isMissing).for([
    ['--socks4', '127.0.0.1'],
    ['--socks4a', 'localhost'],
  ] as const)('curl %s fetches a page (only where curl is installed)', async ([way, host]) => {
    const { port } = await serveHttp((request, response) => response.end(request.headers.host))
    const { code, stdout } = await curl(way, client.proxy, `http://${host}:${port}/`)
    expect(code).toBe(0)
    expect(String(stdout)).toBe(`${host}:${port}`)
    const failed = await curl(way, client.proxy, `http://${host}:${await closedPort()}/`)
    expect(failed.code).toBe(97)
  })

  it('SOCKS5 with only user and password offered is served on an open port', async () => {
    const { port } = await serveHttp((_request, response) => response.end('a page'))
    const program = await connectTo(client.port)
    program.write(
      Buffer.from([5, 1, 2, 1, 1, 97, 1, 98, 5, 1, 0, 1, 127, 0, 0, 1, port >> 8, port & 255]),
    )
    expect([...(await readExactly(program, 6))]).toEqual([5, 2, 1, 0, 5, 0])
  })

  it('UDP to ::ffff:127.0.0.1 goes over IPv4, and the answer comes from there', async () => {
    const echo = await bindUdp()
    whenDone(() => echo.close())
    echo.on('message', (data, { port, address }) => echo.send(data, port, address))
    const program = await associate(client.port)
    whenDone(() => program.close())
    const { port } = echo.address()
    program.send({ host: '::ffff:127.0.0.1', port }, 'ping')
    const [back] = await program.waitFor(1)
    expect(back?.address).toEqual({ host: '127.0.0.1', port })
    expect(String(Buffer.from(back?.data ?? []))).toBe('ping')
  })
})
