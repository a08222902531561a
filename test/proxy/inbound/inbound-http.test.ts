import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { createBypass, parseBypass } from '../../../src/proxy/bypass.ts'
import { parseOrigin } from '../../../src/proxy/inbound/http-target.ts'
import { endToEndHeaders } from '../../../src/proxy/inbound/http-headers.ts'
import {
  closing,
  connectTo,
  echoServer,
  listen,
  localTunnels,
  readAll,
  readExactly,
  sha256,
  startInbound,
  streamPair,
} from '../support.ts'

/** A server that answers the first request on each connection with `answer`, byte for byte. */
function rawOrigin(answer: string, received: string[] = []): net.Server {
  return net.createServer((socket) => {
    socket.once('data', (chunk: Buffer) => {
      received.push(chunk.toString('latin1'))
      socket.end(answer)
    })
  })
}

/** Sends `text` to the proxy and reads until it closes. */
async function ask(port: number, ...lines: string[]): Promise<string> {
  const program = await connectTo(port)
  program.write(lines.join('\r\n'), 'latin1')
  return (await readAll(program)).toString('latin1')
}

describe('HTTP on the local port', () => {
  it('CONNECT with early data behind it: the data reaches the target', async () => {
    const origin = await listen(echoServer())
    const { port } = await startInbound()
    const program = await connectTo(port)
    program.end(`CONNECT 127.0.0.1:${origin} HTTP/1.1\r\nHost: x\r\n\r\nearly data`)
    expect((await readAll(program)).toString()).toBe(
      'HTTP/1.1 200 Connection Established\r\n\r\nearly data',
    )
  })

  it('what comes while a tunnel is being opened is kept, whatever other programs send meanwhile', async () => {
    for (const [head, wanted] of [
      ['CONNECT any.test:443 HTTP/1.1\r\nHost: x\r\n\r\n', /^first, second$/],
      [
        'POST http://any.test/ HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n',
        /\r\n\r\nfirst, second$/,
      ],
    ] as const) {
      const [client, server] = streamPair()
      server.on('error', () => {})
      let open!: () => void
      const opening = new Promise<void>((resolve) => (open = resolve))
      let asked!: () => void
      const isAsked = new Promise<void>((resolve) => (asked = resolve))
      const openTunnel = async () => {
        asked()
        await opening
        return client
      }
      const { port } = await startInbound({ openTunnel })
      const program = await connectTo(port)
      program.write(`${head}first, `)
      await isAsked
      const other = await connectTo(port)
      other.write(`GET http://other.test/${'x'.repeat(1_000)}`)
      program.write('second')
      await new Promise((resolve) => setTimeout(resolve, 50))
      open()
      let received = ''
      while (!received.endsWith('second')) received += String(await readExactly(server, 1))
      expect(received).toMatch(wanted)
      program.destroy()
      other.destroy()
    }
  })

  it('an upgrade with a body goes on with what comes behind it, however they come', async () => {
    const origin = net.createServer((socket) => {
      let received = ''
      socket.on('data', (chunk: Buffer) => {
        received += chunk.toString('latin1')
        if (!received.endsWith('body') || received.includes('101')) return
        received += '101'
        socket.write('HTTP/1.1 101 Sure\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
        socket.on('data', (data: Buffer) => void socket.write(data))
      })
    })
    const originPort = await listen(origin)
    for (const auth of [undefined, { username: 'me', password: 'secret' }]) {
      for (const pieces of [['bodyhello'], ['bo', 'dyhello'], ['', 'body', 'hello']]) {
        const { port } = await startInbound({ ...(auth && { auth }) })
        const program = await connectTo(port)
        const head = ['Host: x', 'Connection: Upgrade', 'Upgrade: x', 'Content-Length: 4']
        const line = `POST http://127.0.0.1:${originPort}/ HTTP/1.1`
        const [first = '', ...more] = pieces
        program.write(`${[line, ...head].join('\r\n')}\r\n\r\n${first}`)
        for (const piece of more) {
          await new Promise((resolve) => setTimeout(resolve, 20))
          program.write(piece)
        }
        if (auth !== undefined) {
          program.end()
          expect(String(await readAll(program))).toMatch(/^HTTP\/1\.1 407 /)
          continue
        }
        let answer = ''
        while (!answer.endsWith('hello')) answer += String(await readExactly(program, 1))
        expect(answer).toMatch(/^HTTP\/1\.1 101 /)
        program.destroy()
      }
    }
  })

  it('an upgrade loses nothing of a body, and of what comes behind it, that no buffer holds', async () => {
    const [body, behind] = [randomBytes(1 << 20), randomBytes(1 << 20)]
    const origin = net.createServer((socket) => {
      const chunks: Buffer[] = []
      let isUpgraded = false
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        const all = Buffer.concat(chunks)
        const length = all.length - (all.indexOf('\r\n\r\n') + 4)
        if (length >= body.length && !isUpgraded) {
          isUpgraded = true
          socket.write('HTTP/1.1 101 Sure\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
        }
        if (length >= body.length + behind.length) socket.end(sha256(all.subarray(-length)))
      })
    })
    const originPort = await listen(origin)
    const { port } = await startInbound()
    const program = await connectTo(port)
    const head = ['Host: x', 'Connection: Upgrade', 'Upgrade: x', `Content-Length: ${body.length}`]
    program.write(`POST http://127.0.0.1:${originPort}/ HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n`)
    program.write(Buffer.concat([body, behind]))
    const [answer, hash] = String(await readAll(program)).split('\r\n\r\n')
    expect(answer).toMatch(/^HTTP\/1\.1 101 /)
    expect(hash).toBe(sha256(Buffer.concat([body, behind])))
  })

  it('an upgrade that is granted before its body is over loses nothing of it', async () => {
    const behind = randomBytes(1 << 20)
    const bypass = createBypass([parseBypass('127.0.0.1')], localTunnels())
    for (const openTunnel of [localTunnels(), bypass]) {
      for (const chunked of [false, true]) {
        const origin = net.createServer({ allowHalfOpen: true }, (socket) => {
          const chunks: Buffer[] = []
          socket.once('data', () => {
            socket.write('HTTP/1.1 101 Sure\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nearly')
          })
          socket.on('data', (chunk: Buffer) => chunks.push(chunk))
          socket.on('end', () => {
            const received = Buffer.concat(chunks)
            socket.end(received.subarray(received.indexOf('\r\n\r\n') + 4))
          })
        })
        const { port } = await startInbound({ openTunnel })
        const program = await connectTo(port)
        const framing = chunked ? 'Transfer-Encoding: chunked' : 'Content-Length: 14'
        const line = `POST http://127.0.0.1:${await listen(origin)}/ HTTP/1.1`
        const head = ['Host: x', 'Connection: Upgrade', 'Upgrade: x', framing]
        const pieces = chunked ? ['e\r\nhal', 'f then half\r\n0\r\n\r\n'] : ['hal', 'f then half']
        program.write([line, ...head, '', pieces[0]].join('\r\n'))
        const answer = readAll(program)
        await new Promise((resolve) => setTimeout(resolve, 100))
        program.write(pieces[1] ?? '')
        program.end(behind)
        const got = await answer
        const start = got.indexOf('\r\n\r\n') + 4
        expect(String(got.subarray(0, start))).toMatch(/^HTTP\/1\.1 101 /)
        const body = chunked ? '3\r\nhal\r\nb\r\nf then half\r\n0\r\n\r\n' : 'half then half'
        expect(String(got.subarray(start, start + 5))).toBe('early')
        expect(String(got.subarray(start + 5, -behind.length))).toBe(body)
        expect(sha256(got.subarray(-behind.length))).toBe(sha256(behind))
      }
    }
  })

  it('an upgrade that is granted before its body is over stands where its origin ends behind it', async () => {
    const bypass = createBypass([parseBypass('127.0.0.1')], localTunnels())
    for (const openTunnel of [localTunnels(), bypass]) {
      for (const early of ['', 'early']) {
        const origin = net.createServer({ allowHalfOpen: true }, (socket) => {
          const granted = 'HTTP/1.1 101 Sure\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n'
          socket.once('data', () => socket.end(granted + early)).resume()
        })
        const { port } = await startInbound({ openTunnel })
        const program = await connectTo(port)
        const line = `POST http://127.0.0.1:${await listen(origin)}/ HTTP/1.1`
        const head = ['Host: x', 'Connection: Upgrade', 'Upgrade: x', 'Content-Length: 4']
        program.write([line, ...head, '', 'ha'].join('\r\n'))
        const answer = readAll(program)
        await new Promise((resolve) => setTimeout(resolve, 100))
        program.end('lf')
        const [answered, behind] = String(await answer).split('\r\n\r\n')
        expect(answered).toMatch(/^HTTP\/1\.1 101 /)
        expect(behind).toBe(early)
      }
    }
  })

  it('an upgrade is to what the server says, wherever it says so', async () => {
    for (const order of [
      ['Connection: Upgrade', 'Upgrade: x'],
      ['Upgrade: x', 'Connection: Upgrade'],
      ['Server: Upgrade', 'Upgrade: x', 'Connection: upgrade', 'Upgrade: y/1'],
    ]) {
      const answer = `HTTP/1.1 101 Sure\r\n${order.join('\r\n')}\r\n\r\n`
      const originPort = await listen(rawOrigin(answer))
      const { port } = await startInbound()
      const line = `GET http://127.0.0.1:${originPort}/ HTTP/1.1`
      const got = await ask(port, line, 'Host: x', 'Connection: Upgrade', 'Upgrade: x', '', '')
      const wanted = order.length > 2 ? 'x, y/1' : 'x'
      expect(/^Upgrade: (.*)\r$/m.exec(got)?.[1], order.join()).toBe(wanted)
      expect(got).toMatch(/^Connection: Upgrade\r$/m)
    }
  })

  it('the bytes of a head arrive as the origin sent them, with its body or before it', async () => {
    const head = [
      'HTTP/1.1 200 d\xc3\xa0',
      'X-A:\t citt\xc3\xa0 \t',
      'X-B: caf\xc3\xa9\xa0',
      'X-C: a',
      ' b\xa0 ',
    ]
    for (const [length, body] of [
      ['Content-Length: 4', ''],
      ['Content-Length: 4', 'body'],
      ['Transfer-Encoding: chunked', ''],
      ['X-D: until the end', ''],
    ] as const) {
      const origin = net.createServer((socket) => {
        socket.once('data', () => {
          socket.write(`${[...head, length].join('\r\n')}\r\n\r\n${body}`, 'latin1')
        })
        socket.on('error', () => {})
      })
      const originPort = await listen(origin)
      for (const version of length.startsWith('T') ? ['1.1'] : ['1.1', '1.0']) {
        const { port } = await startInbound()
        const program = await connectTo(port)
        program.write(`GET http://127.0.0.1:${originPort}/ HTTP/${version}\r\nHost: x\r\n\r\n`)
        const [chunk] = (await once(program, 'data')) as [Buffer]
        const lines = chunk.toString('latin1').split('\r\n')
        expect(lines[0]).toBe('HTTP/1.1 200 d\xc3\xa0')
        expect(lines).toContain('X-A: citt\xc3\xa0')
        expect(lines).toContain('X-B: caf\xc3\xa9\xa0')
        expect(lines).toContain('X-C: a b\xa0')
        program.destroy()
      }
    }
  })

  it('a line that is folded behind one that is no header belongs to no other', async () => {
    const answer =
      'HTTP/1.1 204 OK\r\nSet-Cookie: a=b\r\nBad@(Name: foo\r\n bar\r\nX: y\r\n z\r\n\r\n'
    const originPort = await listen(rawOrigin(answer))
    const { port } = await startInbound()
    const got = await ask(port, `GET http://127.0.0.1:${originPort}/ HTTP/1.0`, '', '')
    expect(got).toContain('\r\nSet-Cookie: a=b\r\nX: y z\r\n')
  })

  it('an answer that only names Transfer-Encoding is one for a program of HTTP/1.0', async () => {
    const answer = 'HTTP/1.1 200 OK\r\nVary: Transfer-Encoding\r\nContent-Length: 2\r\n\r\nok'
    const originPort = await listen(rawOrigin(answer))
    const { port } = await startInbound()
    const got = await ask(port, `GET http://127.0.0.1:${originPort}/ HTTP/1.0`, '', '')
    expect(got).toMatch(/^HTTP\/1\.1 200 OK\r\nVary: Transfer-Encoding\r\n/)
  })

  it('an answer that is cut short does not look whole to a program of HTTP/1.0', async () => {
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n'
    for (const [start, end] of [
      [chunked, (socket: net.Socket) => void socket.end()],
      ['HTTP/1.1 200 OK\r\n\r\nhello', (socket: net.Socket) => void socket.resetAndDestroy()],
    ] as const) {
      const origin = net.createServer((socket) => {
        socket.once('data', () => socket.write(start, () => setTimeout(() => end(socket), 50)))
      })
      const originPort = await listen(origin)
      const { port } = await startInbound()
      const program = await connectTo(port)
      program.write(`GET http://127.0.0.1:${originPort}/ HTTP/1.0\r\n\r\n`)
      let received = ''
      program.on('data', (chunk: Buffer) => (received += chunk.toString()))
      const [error] = (await once(program, 'error')) as [NodeJS.ErrnoException]
      expect(error.code).toBe('ECONNRESET')
      expect(received).toMatch(/^HTTP\/1\.1 200 OK\r\n[^]*hello$/)
    }
  })

  it('a 100 that waits behind an answer comes before its own', async () => {
    const origin = net.createServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        const isFirst = chunk.toString().includes('/first')
        const answer = `HTTP/1.1 200 ${isFirst ? 'First' : 'Second'}\r\nContent-Length: 2\r\n\r\n`
        if (!isFirst) socket.write('HTTP/1.1 100 Continue\r\n\r\n')
        setTimeout(() => socket.write(answer), isFirst ? 200 : 20)
        setTimeout(() => socket.write('ok'), isFirst ? 250 : 70)
      })
    })
    const originPort = await listen(origin)
    const { port } = await startInbound()
    const program = await connectTo(port)
    const url = `http://127.0.0.1:${originPort}`
    program.write(`GET ${url}/first HTTP/1.1\r\nHost: x\r\n\r\n`)
    program.write(
      `POST ${url}/second HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody`,
    )
    let received = ''
    while (!received.includes('Second')) received += String(await readExactly(program, 1))
    expect(received).toMatch(/okHTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 200 Second/)
    program.destroy()
  })

  it('an answer that is cut short leaves the one before it whole to a program of HTTP/1.0', async () => {
    const origin = net.createServer((socket) => {
      socket.once('data', (chunk: Buffer) => {
        if (chunk.toString().includes('/first')) {
          socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok')
          setTimeout(() => socket.write('ok'), 200)
        } else socket.write('HTTP/1.1 200 OK\r\n\r\nhello', () => void socket.resetAndDestroy())
      })
    })
    const url = `http://127.0.0.1:${await listen(origin)}`
    const { port } = await startInbound()
    const program = await connectTo(port)
    const head = 'HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'
    program.write(`GET ${url}/first ${head}GET ${url}/second ${head}`)
    let received = ''
    program.on('data', (chunk: Buffer) => (received += chunk.toString())).on('error', () => {})
    await once(program, 'end').catch(() => {})
    program.destroy()
    expect(received).toMatch(/\r\n\r\nokok/)
  })

  it('a program may take as long as it does to ask where there is no limit', async () => {
    const target = await listen(echoServer())
    for (const handshakeTimeout of [Infinity, 2 ** 31]) {
      const { port } = await startInbound({ handshakeTimeout })
      const program = await connectTo(port)
      await new Promise((resolve) => setTimeout(resolve, 50))
      program.write(`CONNECT 127.0.0.1:${target} HTTP/1.1\r\nHost: x\r\n\r\n`)
      expect(String(await readExactly(program, 12))).toBe('HTTP/1.1 200')
      program.destroy()
    }
  })

  it('CONNECT to something that is no host:port is 400', async () => {
    const { port } = await startInbound()
    for (const target of ['example.com', 'http://example.com/', '[::1]', ':80', 'a:99999']) {
      const answer = await ask(port, `CONNECT ${target} HTTP/1.1`, 'Host: x', '', '')
      expect(answer, target).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/)
    }
  })

  it('CONNECT after a forwarded request on the same connection', async () => {
    const plain = await listen(http.createServer((_request, response) => response.end('page')))
    const echo = await listen(echoServer())
    const { port, events } = await startInbound()
    const program = await connectTo(port)
    program.write(`GET http://127.0.0.1:${plain}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    let answer = ''
    while (!answer.includes('page')) answer += (await readExactly(program, 1)).toString()
    program.end(`CONNECT 127.0.0.1:${echo} HTTP/1.1\r\nHost: x\r\n\r\nhello`)
    expect((await readAll(program)).toString()).toMatch(/ 200 [^]*hello$/)
    expect(events.tunnel.map(({ protocol }) => protocol)).toEqual(['http', 'http-connect'])
  })

  it('RFC 9110, section 7.6.1: headers of this hop end here, in both directions', async () => {
    const received: string[] = []
    const answer = [
      'HTTP/1.1 200 Fine',
      'Connection: close, X-Hop',
      'X-Hop: 1',
      'Keep-Alive: timeout=9',
      'Set-Cookie: a=1',
      'Set-Cookie: b=2',
      'X-Bytes: \xe4',
      'Content-Length: 2',
      '',
      'ok',
    ].join('\r\n')
    const origin = await listen(
      net.createServer((socket) => {
        socket.once('data', (chunk: Buffer) => {
          received.push(chunk.toString('latin1'))
          socket.end(answer, 'latin1')
        })
      }),
    )
    const { port } = await startInbound()
    const response = await ask(
      port,
      `GET http://user:pw@127.0.0.1:${origin}/a/../b?c#d HTTP/1.1`,
      'Host: elsewhere.test',
      'Connection: close, X-Mine',
      'X-Mine: secret',
      'Proxy-Connection: keep-alive',
      'Proxy-Authorization: Basic eDp5',
      'TE: trailers',
      'Upgrade: h2c',
      'Keep-Alive: 300',
      'X-End: \xe4\xf6',
      'x-END: again',
      '',
      '',
    )
    expect(received).toEqual([
      [
        'GET /a/../b?c HTTP/1.1',
        `Host: 127.0.0.1:${origin}`,
        'X-End: \xe4\xf6',
        'x-END: again',
        'Connection: close',
        '',
        '',
      ].join('\r\n'),
    ])
    expect(response).toBe(
      [
        'HTTP/1.1 200 Fine',
        'Set-Cookie: a=1',
        'Set-Cookie: b=2',
        'X-Bytes: \xe4',
        'Content-Length: 2',
        'Connection: close',
        '',
        'ok',
      ].join('\r\n'),
    )
  })

  it('a Connection header cannot take away what frames a body', () => {
    const raw = ['Connection', 'Content-Length, Transfer-Encoding, A', 'Content-Length', '3']
    expect(endToEndHeaders([...raw, 'a', '1', 'B', '2'])).toEqual(['Content-Length', '3', 'B', '2'])
  })

  it('a POST without a body is sent with Content-Length: 0', async () => {
    const received: string[] = []
    const origin = await listen(
      rawOrigin('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n', received),
    )
    const { port } = await startInbound()
    const url = `http://127.0.0.1:${origin}/`
    const answer = await ask(port, `POST ${url} HTTP/1.1`, 'Host: x', 'Connection: close', '', '')
    expect(received[0]).toContain('\r\nContent-Length: 0\r\n')
    expect(received[0]).not.toContain('chunked')
    expect(answer).toMatch(/^HTTP\/1\.1 204 No Content\r\n/)
  })

  it('pipelined requests to two hosts are answered in order', async () => {
    const slow = http.createServer((_request, response) => {
      setTimeout(() => response.end('slow'), 50)
    })
    const fast = http.createServer((_request, response) => response.end('fast'))
    const [first, second] = [await listen(slow), await listen(fast)]
    const { port } = await startInbound()
    const answer = await ask(
      port,
      `GET http://127.0.0.1:${first}/ HTTP/1.1\r\nHost: x\r\n`,
      `GET http://127.0.0.1:${second}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
    )
    expect(answer).toMatch(/^HTTP\/1\.1 200 [^]*slow[^]*HTTP\/1\.1 200 [^]*fast/)
  })

  it('a flood of pipelined requests is cut off', async () => {
    const openTunnel = () => new Promise<never>(() => {})
    const { port, events } = await startInbound({ openTunnel })
    const program = await connectTo(port)
    program.write('GET http://any.test/ HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(100))
    program.resume().on('end', () => program.end())
    await closing(program)
    expect(events.invalid).toMatchObject([{ reason: 'HTTP: too many requests under way' }])
  })

  it('an HTTP/1.0 program gets an answer without chunks that ends with the connection', async () => {
    const origin = await listen(
      http.createServer((_request, response) => {
        response.write('in ')
        response.end('chunks')
      }),
    )
    const { port } = await startInbound()
    const answer = await ask(port, `GET http://127.0.0.1:${origin}/ HTTP/1.0`, '', '')
    expect(answer).toMatch(/\r\n\r\nin chunks$/)
    expect(answer).not.toContain('chunked')
  })

  it('an answer that is cut short closes the connection instead of looking complete', async () => {
    const short = 'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this'
    const origin = await listen(rawOrigin(short))
    const { port } = await startInbound()
    const answer = await ask(port, `GET http://127.0.0.1:${origin}/ HTTP/1.1`, 'Host: x', '', '')
    expect(answer).toMatch(/Content-Length: 100\r\n[^]*only this$/)
  })

  it('what came before an answer broke off arrives, in whatever pieces it came', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
    for (const [pieces, wanted] of [
      [[`${head}nonsense\r\n`], /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/],
      [[head, 'nonsense\r\n'], /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\n$/],
      [[`${head}5\r\nhello\r\nnonsense\r\n`], /\r\n\r\n5\r\nhello\r\n$/],
    ] as const) {
      const origin = net.createServer((socket) => {
        const send = ([piece, ...more]: readonly string[]) => {
          if (piece === undefined) return
          socket.write(piece, () => setTimeout(() => send(more), 50))
        }
        socket.once('data', () => send(pieces))
      })
      const originPort = await listen(origin)
      const { port } = await startInbound()
      const program = await connectTo(port)
      program.write(`GET http://127.0.0.1:${originPort}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
      let received = ''
      program.on('data', (chunk: Buffer) => (received += chunk.toString()))
      program.on('end', () => program.end())
      await closing(program)
      expect(received).toMatch(wanted)
    }
  })

  it('what came of an answer that broke off behind others arrives behind them', async () => {
    const origin = net.createServer((socket) => {
      socket.once('data', (request: Buffer) => {
        if (request.includes('/cut')) {
          socket.end('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this')
          return
        }
        const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow'
        setTimeout(() => socket.end(answer), 100)
      })
    })
    const originPort = await listen(origin)
    const { port } = await startInbound()
    for (const version of ['1.1', '1.0']) {
      const program = await connectTo(port)
      const asked = ['slow', 'cut'].map((path) => {
        const line = `GET http://127.0.0.1:${originPort}/${path} HTTP/${version}`
        return `${line}\r\nHost: x\r\nConnection: keep-alive\r\n\r\n`
      })
      program.write(asked.join(''))
      let received = ''
      program.on('data', (chunk: Buffer) => (received += chunk.toString()))
      program.on('end', () => program.end())
      await closing(program)
      expect(received).toMatch(/\r\n\r\nslowHTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nonly this$/)
    }
  })

  it('an origin that answers nothing, or nonsense, is 502', async () => {
    const { port } = await startInbound()
    for (const answer of ['', 'nonsense\r\n\r\n', 'HTTP/1.1 101 Sure\r\nUpgrade: x\r\n\r\n']) {
      const origin = await listen(rawOrigin(answer))
      const url = `http://127.0.0.1:${origin}/`
      const text = await ask(port, `GET ${url} HTTP/1.1`, 'Host: x', 'Connection: close', '', '')
      expect(text, answer).toMatch(/^HTTP\/1\.1 502 Bad Gateway\r\n/)
    }
  })

  it('RFC 9110, section 10.1.1: a final answer instead of 100 closes the connection', async () => {
    const refusal = 'HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n'
    const origin = await listen(rawOrigin(refusal))
    const { port } = await startInbound()
    const answer = await ask(
      port,
      `POST http://127.0.0.1:${origin}/ HTTP/1.1`,
      'Host: x',
      'Content-Length: 10',
      'Expect: 100-continue',
      '',
      '',
    )
    expect(answer).toMatch(/^HTTP\/1\.1 417 No\r\n/)
    expect(answer).toContain('Connection: close\r\n')
  })

  it('a program that leaves during a download ends the connection to the origin', async () => {
    const origin = http.createServer((_request, response) => void response.write('first bytes'))
    const originPort = await listen(origin)
    const { port } = await startInbound()
    const connection = once(origin, 'connection') as Promise<[net.Socket]>
    const program = await connectTo(port)
    program.write(`GET http://127.0.0.1:${originPort}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    const [socket] = await connection
    await once(program, 'data')
    program.resetAndDestroy()
    await closing(socket)
  })

  it('a program that leaves while the tunnel is being opened aborts it', async () => {
    for (const line of ['GET http://any.test/', 'CONNECT any.test:443']) {
      let asked!: (signal: AbortSignal) => void
      const signal = new Promise<AbortSignal>((resolve) => (asked = resolve))
      const openTunnel = (_target: unknown, abort: AbortSignal) => {
        asked(abort)
        return new Promise<never>(() => {})
      }
      const { port, events } = await startInbound({ openTunnel })
      const program = await connectTo(port)
      program.write(`${line} HTTP/1.1\r\nHost: x\r\n\r\n`)
      const opening = await signal
      // With GET an end alone is a half-close: the program may wait for its answer.
      if (line.startsWith('GET')) program.resetAndDestroy()
      else program.destroy()
      if (!opening.aborted) await once(opening, 'abort')
      expect(events.refused).toEqual([])
    }
  })

  it('a slow reader holds an origin back', async () => {
    let sent = 0
    const origin = http.createServer((_request, response) => {
      const chunk = Buffer.alloc(65_536)
      const produce = () => {
        while (sent < 256 << 20) {
          sent += chunk.length
          if (!response.write(chunk)) return
        }
      }
      response.on('drain', produce)
      produce()
    })
    const originPort = await listen(origin)
    const { port } = await startInbound({ openTunnel: localTunnels() })
    const program = await connectTo(port)
    program.pause()
    program.write(`GET http://127.0.0.1:${originPort}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
    await once(origin, 'request')
    let before = -1
    while (before !== sent) {
      before = sent
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    expect(sent).toBeLessThan(64 << 20)
    program.destroy()
  })

  it('headers that take too long are answered with 408', async () => {
    const { port } = await startInbound({ handshakeTimeout: 100 })
    expect(await ask(port, 'GET http://any.test/ HTTP/1.1', 'Host: ')).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('what is not HTTP, or too large for a header, is answered with an error', async () => {
    const { port } = await startInbound()
    expect(await ask(port, '\x00\x01\x02\x03')).toMatch(/^HTTP\/1\.1 400 /)
    const long = 'x'.repeat(70_000)
    expect(await ask(port, 'GET http://any.test/ HTTP/1.1', `X: ${long}`, '', '')).toMatch(
      /^HTTP\/1\.1 431 /,
    )
    const both = ['Host: x', 'Content-Length: 3', 'Transfer-Encoding: chunked', '', '']
    expect(await ask(port, 'POST http://any.test/ HTTP/1.1', ...both)).toMatch(/^HTTP\/1\.1 400 /)
  })
})

describe('absolute form', () => {
  it('RFC 9112, section 3.2.2: is taken apart without changing the path', () => {
    const target = { host: 'example.com', port: 80 }
    const at = (path: string, host = 'example.com') => ({ target, host, path })
    expect(parseOrigin('http://example.com')).toEqual(at('/'))
    expect(parseOrigin('HTTP://example.com?a=b')).toEqual(at('/?a=b'))
    expect(parseOrigin('http://example.com/../%2e/ä#part')).toEqual(at('/../%2e/ä'))
    expect(parseOrigin('http://a:b@c@example.com:80/')).toEqual(at('/', 'example.com:80'))
    expect(parseOrigin('http://[::1]:8080/')).toEqual({
      target: { host: '::1', port: 8080 },
      host: '[::1]:8080',
      path: '/',
    })
  })

  it('anything else is no target', () => {
    for (const url of [
      ...['', '/', '*', 'http://', 'http:///path', 'http://host:99999/', 'http://a b/'],
      ...['https://example.com/', 'ftp://example.com/', 'example.com:80', 'http://[::1/'],
    ]) {
      expect(parseOrigin(url), url).toBeUndefined()
    }
  })
})
