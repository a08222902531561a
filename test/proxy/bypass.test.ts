// Which targets are reached without the server, and how their connections behave.
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { UdpOverTcpHost } from '../../src/codec/udp-over-tcp.ts'
import { createBypass, isBypassed, parseBypass } from '../../src/proxy/bypass.ts'
import type { OpenTunnel } from '../../src/proxy/tunnel.ts'
import { closedPort, curl, startInbound } from './support.ts'

const none: OpenTunnel = () => Promise.reject(new Error('through the server'))

describe('rules', () => {
  it.for([
    [
      'example.com',
      ['example.com', 'EXAMPLE.com', 'example.com.'],
      ['a.example.com', 'xample.com'],
    ],
    ['.example.com', ['example.com', 'a.b.example.com'], ['notexample.com', 'example.com.evil']],
    ['*.Example.com', ['a.example.com'], ['example.org']],
    ['bücher.example', ['xn--bcher-kva.example'], ['example']],
    ['localhost', ['localhost'], ['127.0.0.1']],
    ['10.0.0.0/8', ['10.1.2.3', '::ffff:10.1.2.3'], ['11.0.0.1', '10.example', '::1']],
    ['192.168.1.1', ['192.168.1.1'], ['192.168.1.2']],
    ['fd00::/8', ['fd12::1'], ['fe80::1', '10.0.0.1']],
    ['[::1]', ['::1'], ['::2']],
    ['0.0.0.0/0', ['8.8.8.8'], ['example.com', '::1']],
  ] as const)('%s', ([rule, within, without]) => {
    const rules = [parseBypass(rule)]
    for (const host of within) expect(isBypassed(rules, host), host).toBe(true)
    for (const host of without) expect(isBypassed(rules, host), host).toBe(false)
  })

  it('bad input: what is neither name nor network', () => {
    const bad = [
      '',
      '.',
      '*',
      'a b',
      'a:80',
      '10.0.0.0/33',
      '10.0.0.1/8',
      '10.0.0',
      'a..b',
      '/8',
      'http://a',
    ]
    for (const text of bad) expect(() => parseBypass(text), text).toThrow(/write|prefix|bits/)
  })
})

describe('targets under a rule', () => {
  it('are reached directly, over SOCKS and HTTP, half-closed too; others through the server', async () => {
    const origin = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('error', () => {})
      socket.once('data', () => socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhere'))
    }).listen(0, '127.0.0.1')
    await once(origin, 'listening')
    onTestFinished(() => void origin.close())
    const { port } = origin.address() as AddressInfo
    const rules = [parseBypass('127.0.0.0/8')]
    const proxy = await startInbound({ openTunnel: createBypass(rules, none) })
    for (const scheme of ['socks5h', 'http']) {
      const answer = await curl(
        '-x',
        `${scheme}://127.0.0.1:${proxy.port}`,
        `http://127.0.0.1:${port}/`,
      )
      expect(String(answer.stdout), scheme).toBe('here')
    }
    const refused = await curl(
      '-x',
      `socks5h://127.0.0.1:${proxy.port}`,
      `http://127.0.0.1:${await closedPort()}/`,
    )
    expect(refused.code).toBe(97)
    const other = await curl(
      '-sS',
      '-x',
      `http://127.0.0.1:${proxy.port}`,
      'http://example.com/',
      '-w',
      '%{http_code}',
    )
    expect(String(other.stdout)).toContain('502')
  })

  it('end with the signal later on, too', async () => {
    const origin = createServer((socket) => void socket.on('error', () => {}).resume())
    await once(origin.listen(0, '127.0.0.1'), 'listening')
    onTestFinished(() => void origin.close())
    const { port } = origin.address() as AddressInfo
    const abort = new AbortController()
    const open = createBypass([parseBypass('127.0.0.0/8')], none)
    const tunnel = await open({ host: '127.0.0.1', port }, abort.signal)
    onTestFinished(() => void tunnel.destroy())
    const failed = once(tunnel, 'error')
    abort.abort()
    expect(tunnel.destroyed).toBe(true)
    expect(await failed).toMatchObject([{ name: 'AbortError' }])
  })

  it('are not those of datagrams, whatever their name falls under', async () => {
    const directly = () => Promise.reject(new Error('directly'))
    const open = createBypass([parseBypass('.arpa')], none, directly)
    const { signal } = new AbortController()
    for (const host of Object.values(UdpOverTcpHost)) {
      await expect(open({ host, port: 0 }, signal), host).rejects.toThrow('through the server')
    }
    await expect(open({ host: 'home.arpa', port: 80 }, signal)).rejects.toThrow('directly')
  })
})
