// Targets that cannot be reached: what curl is told, and that nothing else suffers from it.

import { beforeAll, describe, expect, it } from 'vitest'
import { connect } from '../../src/tls/dial.ts'
import { closedPort, connectTo, curl, readAll, readExactly } from '../proxy/support.ts'
import {
  PASSWORD,
  curlProgram,
  describeRequest,
  serveHttp,
  startClient,
  startServer,
} from './support.ts'
import type { ClientProgram, Origin, ServerProgram } from './support.ts'

/** No name has a label of 64 bytes, so nobody is asked for it. */
const NO_SUCH_NAME = `${'a'.repeat(64)}.test`
/** TCP cannot go to a broadcast address; no packet leaves. */
const UNREACHABLE = '255.255.255.255'

/** A client that waits for the exact answer, however busy the machine is. */
async function startPair(flags: readonly string[]) {
  const server = await startServer(flags)
  return { server, client: await startClient(server.link, [...flags, '--reply-wait', 'exact']) }
}

describe.skipIf(curlProgram.isMissing)(`targets out of reach${curlProgram.note}`, () => {
  let server: ServerProgram
  let client: ClientProgram
  let origin: Origin

  beforeAll(async () => {
    ;({ server, client } = await startPair(['--log-level', 'debug']))
    origin = await serveHttp(describeRequest)
  })

  it('bad input: a target that refuses or is not there gets its SOCKS5 reply, and the session lives on', async () => {
    const replyFor = async (url: string) => {
      const { code, stderr } = await curl('--socks5-hostname', client.proxy, url)
      expect(code, stderr).toBe(97)
      return Number(/\((\d+)\)\s*$/.exec(stderr)?.[1])
    }
    expect(await replyFor(`http://127.0.0.1:${await closedPort()}/`)).toBe(5)
    expect(await replyFor(`http://${UNREACHABLE}/`)).toBe(3)
    expect(await replyFor(`http://${NO_SUCH_NAME}/`)).toBe(4)
    await expectOneSession()
    expect(client.program.stderr()).toMatch(/a tunnel could not be opened.*connection refused/)
    expect(server.program.stderr()).toMatch(/a stream was refused.*127\.0\.0\.1/)
  })

  it('bad input: a target that refuses or is not there is 502 in HTTP, and the session lives on', async () => {
    const statusFor = async (url: string) => {
      const args = ['-o', '/dev/null', '-x', client.proxy, url]
      const plain = await curl('-w', '%{http_code}', ...args)
      expect(plain.code).toBe(0)
      const connect = await curl('-p', '-w', '%{http_connect}', ...args)
      expect(connect.code).toBe(56)
      expect(connect.stdout).toEqual(plain.stdout)
      return Number(plain.stdout)
    }
    expect(await statusFor(`http://127.0.0.1:${await closedPort()}/`)).toBe(502)
    expect(await statusFor(`http://${UNREACHABLE}/`)).toBe(502)
    expect(await statusFor(`http://${NO_SUCH_NAME}/`)).toBe(502)
    await expectOneSession()
  })

  it('bad input: what is no proxy request is told so, and the session lives on', async () => {
    const { stdout } = await curl('-i', `http://${client.proxy}/`)
    expect(String(stdout)).toMatch(/^HTTP\/1\.1 400 [^]*this is a proxy/)
    // SOCKS4 is served like SOCKS5.
    const socks4 = await curl('--socks4a', client.proxy, `http://localhost:${origin.port}/`)
    expect(socks4.code).toBe(0)
    await expectOneSession()
  })

  it('bad input: nothing hostile in a target name reaches a text log raw', async () => {
    await expectCleanLogs(server, client)
    await expectOneSession()
  })

  it('bad input: nothing hostile in a target name reaches a JSON log raw', async () => {
    const json = await startPair(['--log-level', 'debug', '--log-format', 'json'])
    await expectCleanLogs(json.server, json.client)
    for (const { program } of [json.server, json.client]) {
      for (const line of program.stderr().trimEnd().split('\n')) {
        expect(JSON.parse(line)).toHaveProperty('level')
      }
    }
  })

  async function expectOneSession(): Promise<void> {
    const url = `http://127.0.0.1:${origin.port}/after`
    const { stdout } = await curl('--socks5-hostname', client.proxy, url)
    expect(String(stdout)).toContain(' /after ')
    expect(client.connections()).toBe(1)
  }
})

/** Names that would draw on a terminal or forge lines: as they are, and as escapes that a log might undo. */
const HOSTILE_NAMES = [
  'raw\x1b[2J\n[1] INFO: forged\r\x07\x00\x7f\u009b\u202e\u2028.test',
  'printable\\u001b[2J"},\\n[1]%s\\x1b.test',
]

async function expectCleanLogs(server: ServerProgram, client: ClientProgram): Promise<void> {
  for (const name of HOSTILE_NAMES) {
    await askByHand(client, name)
    await requestByHand(client, name)
    await openByHand(server, name)
  }
  for (const { program } of [client, server]) {
    const line = await program.said(/.*printable.*\n/)
    expect(line[0]).not.toContain('forged')
    // eslint-disable-next-line no-control-regex -- that is what must not be there
    expect(program.stderr()).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2028]/)
    expect(program.stderr()).not.toMatch(/^\[1\]/m)
  }
}

/** A SOCKS5 request for a name that curl would not take. Resolves once it is answered. */
async function askByHand(client: ClientProgram, name: string): Promise<void> {
  const socket = await connectTo(client.port)
  const bytes = Buffer.from(name)
  socket.write(Uint8Array.of(5, 1, 0))
  await readExactly(socket, 2)
  socket.write(Buffer.concat([Uint8Array.of(5, 1, 0, 3, bytes.length), bytes, Buffer.of(0, 80)]))
  const [, reply] = await readExactly(socket, 2)
  expect(reply).not.toBe(0)
}

/** The same with both kinds of HTTP request, the name in UTF-8. Resolves once they are answered. */
async function requestByHand(client: ClientProgram, name: string): Promise<void> {
  for (const line of [`GET http://${name}/ HTTP/1.1`, `CONNECT ${name}:80 HTTP/1.1`]) {
    const socket = await connectTo(client.port)
    socket.end(`${line}\r\nHost: x.test\r\n\r\n`)
    expect(String(await readAll(socket))).toMatch(/^HTTP\/1\.1 [45]/)
  }
}

/** A stream for a name that our client would not send. Resolves once it is refused. */
async function openByHand(server: ServerProgram, name: string): Promise<void> {
  const bytes = Buffer.from(name)
  const options = { host: '127.0.0.1', port: server.port, password: PASSWORD, insecure: true }
  const session = await connect(options)
  const stream = session.openStream().on('error', () => {})
  stream.write(Buffer.concat([Uint8Array.of(3, bytes.length), bytes, Buffer.of(0, 80)]))
  await expect(stream.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
  await session.close()
}
