// SOCKS4, 4a and 5, UDP with it, as programs in the wild write them, through both of ours.

import { beforeAll, describe, expect, it } from 'vitest'
import { closedPort, connectTo, curl, readExactly } from '../../proxy/support.ts'
import { associate, bindUdp, echoUdp } from '../../support/socks5-udp.ts'
import { curlProgram, hasIPv6, serveHttp, whenDone } from '../support.ts'
import type { ClientProgram } from '../support.ts'
import { startPrograms } from './programs.ts'
import type { Ask } from './programs.ts'

let client: ClientProgram
let ask: Ask

beforeAll(async () => {
  ;({ client, ask } = await startPrograms())
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

  /** The reply to CONNECT for a host in the form of a type of address. */
  async function replyTo(type: number, host: string | Buffer, port: number): Promise<number> {
    const program = await connectTo(client.port)
    const bytes = Buffer.from(host)
    const length = type === 3 ? [bytes.length] : []
    // What is reserved is not looked at.
    const address = [type, ...length, ...bytes, port >> 8, port & 255]
    program.write(Buffer.from([5, 1, 0, 5, 1, 7, ...address]))
    const [, , , reply = -1] = await readExactly(program, 4)
    program.destroy()
    return reply
  }

  it('addresses as programs write them: a literal for a name, IPv4 as IPv6, capitals', async () => {
    const { port } = await serveHttp((_request, response) => response.end('a page'))
    const mapped = Buffer.from('00000000000000000000ffff7f000001', 'hex')
    const names = ['127.0.0.1', '::ffff:127.0.0.1', 'LOCALHOST']
    for (const name of names) expect(await replyTo(3, name, port), name).toBe(0)
    expect(await replyTo(4, mapped, port)).toBe(0)
  })

  it.skipIf(!hasIPv6)(
    'an IPv6 literal for a name, by SOCKS5 and SOCKS4a (only where ::1 is there)',
    async () => {
      const { port } = await serveHttp((_request, response) => response.end('a page'), '::1')
      expect(await replyTo(3, '::1', port)).toBe(0)
      const program = await connectTo(client.port)
      const head = Buffer.from([4, 1, port >> 8, port & 255, 0, 0, 0, 1])
      program.write(Buffer.concat([head, Buffer.from('me\0::1\0')]))
      expect([...(await readExactly(program, 2))]).toEqual([0, 90])
      program.destroy()
    },
  )

  it('what is not served gets its reply: BIND, the lookups of Tor, GSSAPI alone, no method', async () => {
    const answer = async (hex: string) => (await ask(Buffer.from(hex, 'hex'))).slice(-10)
    const reply = async (hex: string) => Buffer.from(await answer(hex), 'latin1').toString('hex')
    expect(await reply('0501000502000101020304' + '0050')).toMatch(/^0507/)
    expect(await reply('05010005f00003' + '09' + '6c6f63616c686f7374' + '0000')).toMatch(/^0507/)
    expect(await reply('050101')).toBe('05ff')
    expect(await reply('0500')).toBe('05ff')
  })

  it('an association outlives datagrams that cannot go anywhere', async () => {
    const echo = await echoUdp()
    whenDone(() => echo.close())
    const { port } = echo.address()
    const program = await associate(client.port)
    whenDone(() => program.close())
    program.send({ host: '127.0.0.1', port }, 'first')
    await program.waitFor(1)
    for (const target of [
      { host: '127.0.0.1', port: 0 },
      { host: '255.255.255.255', port: 9 },
      { host: '240.0.0.1', port: 9 },
      { host: '224.0.0.1', port: 9 },
      { host: '2001:db8::1', port: 9 },
      { host: '127.0.0.1', port: await closedPort() },
      { host: 'nothing.invalid', port: 9 },
    ]) {
      program.send(target, 'lost')
    }
    // A fragment, what is no head, a name without characters, one with a space.
    for (const hex of ['000001017f000001', '0000', '000000030000', '00000003036120620009']) {
      program.sendRaw(Buffer.from(hex, 'hex'))
    }
    program.send({ host: '127.0.0.1', port }, '')
    program.send({ host: 'localhost', port }, 'last')
    const received = await program.waitFor(3)
    const said = received.slice(1).map(({ data }) => String(Buffer.from(data)))
    expect(said.sort()).toEqual(['', 'last'])
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
