// The server poked at by strangers and by hostile clients: it never crashes, never grows, never tells.

import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { connect as connectTcp, createServer as createTcpServer } from 'node:net'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { hashPassword } from '../../src/tls/session-options.ts'
import { curl, readAll } from '../proxy/support.ts'
import { connectRaw, startTlsServer } from '../support/server.ts'
import { describeFrames, write } from '../support/v1-frames.ts'
import {
  PASSWORD,
  curlProgram,
  describeRequest,
  fileDescriptors,
  onLinux,
  residentMemory,
  run,
  serve,
  serveHttp,
  startClient,
  startServer,
  until,
} from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

const HASH = hashPassword(PASSWORD)
const NEGO = write.clientNego('version=1\nclient=test/1\npadding-md5=0\n')

describe.skipIf(curlProgram.isMissing)(
  `the server among strangers${curlProgram.note}`,
  { timeout: 40_000 },
  () => {
    let server: ServerProgram
    let client: ClientProgram
    let origin: Origin

    beforeAll(async () => {
      server = await startServer()
      client = await startClient(server.link)
      origin = await serveHttp(describeRequest)
    })

    /** A TLS connection; `protocol` is offered in ALPN. */
    async function dial(protocol = 'http/1.1'): Promise<TLSSocket> {
      const socket = connectTls({
        port: server.port,
        host: '127.0.0.1',
        rejectUnauthorized: false,
        ALPNProtocols: [protocol],
      })
      socket.on('error', () => {}).setNoDelay(true)
      onTestFinished(() => void socket.destroy())
      await once(socket, 'secureConnect')
      return socket
    }

    /** Sends each piece as a record of its own. */
    async function sendPieces(socket: TLSSocket, pieces: Iterable<Uint8Array>): Promise<void> {
      for (const piece of pieces) {
        await new Promise((resolve) => socket.write(piece, resolve))
        await setImmediate()
      }
    }

    async function expectServing(): Promise<void> {
      const url = `http://127.0.0.1:${origin.port}/`
      const { stdout } = await curl('--socks5-hostname', client.proxy, url)
      expect(String(stdout)).toMatch(/^GET /)
      const site = await curl('-k', `https://${server.address}/`)
      expect(String(site.stdout)).toContain('Brook Lane Garden')
      expect(client.connections()).toBe(1)
    }

    it.for(['http/1.1', 'h2'])(
      'D14: over %s a wrong AUTH, a near miss and a right one cut short get what any other garbage gets',
      async (protocol) => {
        const right = Buffer.from(write.auth(HASH, 30))
        const nearMiss = Buffer.from(right)
        nearMiss[33]! ^= 1
        const answerTo = async (record: Uint8Array) => {
          const socket = await dial(protocol)
          socket.write(record)
          return (await readAll(socket)).toString('latin1').replace(/^date: .*\r\n/im, '')
        }
        const expected = await answerTo(Buffer.alloc(64, 0xee))
        expect(expected).not.toBe('')
        const cases: Record<string, Uint8Array> = {
          'another password': write.auth(hashPassword('another'), 30),
          'a near miss': nearMiss,
          // The rest is not waited for.
          'a right one that stops before the end of its hash': right.subarray(0, 33),
          'a right one that stops in its hash': right.subarray(0, 20),
          'nothing but zeros': Buffer.alloc(64),
          noise: Buffer.concat([Uint8Array.of(0xff), randomBytes(63)]),
        }
        const clients = server.clients()
        for (const [name, record] of Object.entries(cases)) {
          expect(await answerTo(record), name).toBe(expected)
        }
        expect(server.clients()).toBe(clients)
        await expectServing()
      },
    )

    it('D14: an HTTP request in single bytes is answered as one in one piece', async () => {
      const request = Buffer.from(
        'GET /about.html HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n',
      )
      const answers = []
      for (const pieces of [[request], Array.from(request, (byte) => Uint8Array.of(byte))]) {
        const socket = await dial()
        const answer = readAll(socket)
        await sendPieces(socket, pieces)
        answers.push(String(await answer).replace(/^date: .*\r\n/im, ''))
      }
      expect(answers[0]).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
      expect(answers[1]).toBe(answers[0])
    })

    it('bad input: a client with the wrong password is told so, and its curl gets an error', async () => {
      const wrong = run([
        'client',
        '-l',
        '127.0.0.1:0',
        '-s',
        server.address,
        '--insecure',
        '-p',
        'not it',
        '--reply-wait',
        'exact',
      ])
      const [, proxy = ''] = await wrong.said(/listening on ([\d.:]+)/)
      const begin = performance.now()
      const { code } = await curl('--socks5-hostname', proxy, `http://127.0.0.1:${origin.port}/`)
      expect(code).toBe(97)
      expect(performance.now() - begin).toBeLessThan(5_000)
      expect(wrong.stderr()).toMatch(/did not answer .*\(wrong password/)
      await expectServing()
    })

    it('bad input: a client that has pinned another certificate does not even say its password', async () => {
      let heard = ''
      const impostor = await startTlsServer({}, (socket) => {
        socket.on('error', () => {}).on('data', (chunk: Buffer) => (heard += String(chunk)))
      })
      const to = `127.0.0.1:${impostor.port}`
      const wrong = run(['client', '-l', '127.0.0.1:0', '-s', to, '--pin', 'ab'.repeat(32)])
      const [, proxy = ''] = await wrong.said(/listening on ([\d.:]+)/)
      const { code } = await curl('--socks5-hostname', proxy, `http://127.0.0.1:${origin.port}/`)
      expect(code).toBe(97)
      expect(wrong.stderr()).toMatch(/is not the pinned one/)
      // What the client may have said comes before what is said now.
      const later = await connectRaw(impostor.port, { ca: impostor.certificate.cert })
      later.write('later')
      await until(() => heard.endsWith('later'), 'the impostor hears it')
      expect(heard).toBe('later')
    })

    it('bad input: no TLS, an old TLS, a handshake that stops: the server goes on', async () => {
      for (const bytes of [Buffer.from('GET / HTTP/1.1\r\n\r\n'), randomBytes(500).fill(0, 0, 1)]) {
        const socket = connectTcp({ port: server.port, host: '127.0.0.1' })
        socket.on('error', () => {})
        socket.write(bytes)
        await readAll(socket)
      }
      const old = await curl('-k', '--tls-max', '1.2', `https://${server.address}/`)
      expect(old.code).toBe(35)
      for (let index = 0; index < 20; index += 1) {
        const socket = connectTcp({ port: server.port, host: '127.0.0.1' })
        await once(socket, 'connect')
        // The front of a ClientHello.
        socket.write(Uint8Array.of(22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3))
        onTestFinished(() => void socket.destroy())
      }
      await expectServing()
    })

    it('D17: after AUTH, whatever is no frame, or not the next one, gets an ALERT and an end', async () => {
      const auth = write.auth(HASH)
      const negotiated = Buffer.concat([auth, NEGO])
      const hostile: Record<string, Uint8Array[]> = {
        'a type that is not known': [auth, Uint8Array.of(0x3f, 0)],
        'a type in two bytes': [auth, Uint8Array.of(0x40, 0x07, 0)],
        'OPEN before NEGO': [auth, write.open(1)],
        'a second AUTH': [auth, auth],
        'a NEGO with a key twice': [auth, write.clientNego('version=1\nversion=1\n')],
        'a NEGO that claims a gigabyte': [auth, Uint8Array.of(0x03, 0, 0xbf, 0xff, 0xff, 0xff)],
        'a second NEGO': [negotiated, NEGO],
        'an ACK from a client': [negotiated, write.ack(1)],
        'DATA for a stream that was never opened': [negotiated, write.data(5, 'x')],
        'OPEN on stream 0': [negotiated, write.open(0)],
        'credit without mux1': [negotiated, write.credit(1, 1)],
      }
      for (const [name, pieces] of Object.entries(hostile)) {
        const socket = await dial()
        socket.write(Buffer.concat(pieces))
        expect(describeFrames(await readAll(socket)).at(-1), name).toMatch(/^ALERT ./)
      }
      await expectServing()
    })

    it.skipIf(!onLinux)(
      'bad input: connections cut at every stage leave no file descriptor behind (only on Linux)',
      async () => {
        await expectServing()
        const before = fileDescriptors(server.program)
        const auth = write.auth(HASH)
        const target = Buffer.concat([Uint8Array.of(1, 127, 0, 0, 1), portBytes(origin.port)])
        const stages = [
          [],
          [auth.subarray(0, 10)],
          [Buffer.from('GET / HTTP/1.1\r\n')],
          [auth],
          [auth, NEGO],
          [auth, NEGO, write.open(1)],
          [auth, NEGO, write.open(1), write.data(1, target)],
          [auth, NEGO, write.open(1), write.data(1, target), write.data(1, 'GET / HTTP/1.1\r\n')],
          [auth, NEGO, write.open(1), write.data(1, target), write.padding(1_000).subarray(0, 500)],
        ]
        for (const pieces of [...stages, ...stages]) {
          const raw = connectTcp({ port: server.port, host: '127.0.0.1' })
          const socket = connectTls({ socket: raw, rejectUnauthorized: false })
          socket.on('error', () => {})
          await once(socket, 'secureConnect')
          if (pieces.length > 0) await sendPieces(socket, [Buffer.concat(pieces)])
          raw.resetAndDestroy()
          await once(socket, 'close')
        }
        await until(
          () => fileDescriptors(server.program) <= before,
          'the file descriptors are closed',
        )
        await expectServing()
      },
    )

    it.skipIf(!onLinux)(
      'bad input: floods from a client with the password leave the memory of the server bounded (only on Linux)',
      async () => {
        const front = Buffer.concat([write.auth(HASH), NEGO])
        const held = await serve(createTcpServer((socket) => socket.pause()))
        const target = Buffer.concat([Uint8Array.of(1, 127, 0, 0, 1), portBytes(held.port)])
        // Each far more than the server may keep: it has to be dropped, refused or held back.
        const floods: Record<string, Uint8Array[]> = {
          'pings whose answers nobody reads': [Buffer.alloc(16 << 20, write.ping())],
          'a gigabyte of padding': [
            Uint8Array.of(5, 0, 0xbf, 0xff, 0xff, 0xff),
            ...Array<Buffer>(256).fill(Buffer.alloc(1 << 20)),
          ],
          'streams without a target': [Buffer.concat(Array.from({ length: 100_000 }, openNext))],
          'data for a target that does not read': [
            write.open(1),
            write.data(1, target),
            ...Array<Uint8Array>(4_000).fill(write.data(1, Buffer.alloc(65_000))),
          ],
        }
        const before = residentMemory(server.program)
        for (const [name, flood] of Object.entries(floods)) {
          const socket = await dial()
          socket.pause()
          for (const bytes of [front, ...flood]) socket.write(bytes)
          for (let tenth = 0; tenth < 8; tenth += 1) {
            await setTimeout(100)
            expect(residentMemory(server.program) - before, name).toBeLessThan(100)
          }
          await expectServing()
          socket.destroy()
        }
      },
    )

    it('bad input: through all of this it was one process', () => {
      expect(server.program.child.exitCode).toBe(null)
      expect(server.program.stderr()).not.toMatch(/^\s+at /m)
    })
  },
)

function openNext(_: unknown, index: number): Uint8Array {
  return write.open(index + 1)
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 0xff)
}
