// Happy eyeballs with sockets that do what the test says, and a fake clock.
import { Socket } from 'node:net'
import type { NetConnectOpts } from 'node:net'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { dial } from '../../../src/proxy/outbound/outbound.ts'

const attempts: { host: string; socket: Socket }[] = []

vi.mock('node:net', async (importOriginal) => ({
  ...(await importOriginal<object>()),
  connect: (options: NetConnectOpts & { host: string }) => {
    const socket = new Socket()
    attempts.push({ host: options.host, socket })
    return socket
  },
}))

const ADDRESSES = ['2001:db8::1', '2001:db8::2', '192.0.2.1', '192.0.2.2']
const TARGET = { host: 'many.test', port: 443 }
const lookup = () =>
  Promise.resolve(ADDRESSES.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))

const hosts = () => attempts.map(({ host }) => host)
const alive = () => attempts.filter(({ socket }) => !socket.destroyed).map(({ host }) => host)

beforeEach(() => {
  attempts.length = 0
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('happy eyeballs', () => {
  it('RFC 8305, section 4: the families are tried by turns, 250 ms apart', async () => {
    const dialled = dial(TARGET, { lookup })
    await vi.advanceTimersByTimeAsync(0)
    expect(hosts()).toEqual(['2001:db8::1'])
    await vi.advanceTimersByTimeAsync(249)
    expect(hosts()).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(hosts()).toEqual(['2001:db8::1', '192.0.2.1'])
    await vi.advanceTimersByTimeAsync(500)
    expect(hosts()).toEqual(['2001:db8::1', '192.0.2.1', '2001:db8::2', '192.0.2.2'])
    attempts[1]!.socket.emit('connect')
    expect(await dialled).toBe(attempts[1]!.socket)
    expect(alive()).toEqual(['192.0.2.1'])
    expect(vi.getTimerCount()).toBe(0)
  })

  it('RFC 8305, section 5: an attempt goes on beside later ones and may still win', async () => {
    const dialled = dial(TARGET, { lookup })
    await vi.advanceTimersByTimeAsync(1_000)
    for (const { socket } of attempts.slice(1)) socket.emit('error', new Error('unreachable'))
    await vi.advanceTimersByTimeAsync(3_000)
    attempts[0]!.socket.emit('connect')
    expect(await dialled).toBe(attempts[0]!.socket)
    expect(vi.getTimerCount()).toBe(0)
  })

  it('a failure brings the next attempt forward and its 250 ms begin anew', async () => {
    const dialled = dial(TARGET, { lookup })
    await vi.advanceTimersByTimeAsync(200)
    attempts[0]!.socket.emit('error', new Error('refused'))
    expect(hosts()).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(249)
    expect(hosts()).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(1)
    expect(hosts()).toHaveLength(3)
    attempts[2]!.socket.emit('connect')
    await dialled
  })

  it('an error of the winner, later, starts no further attempt', async () => {
    const dialled = dial(TARGET, { lookup })
    await vi.advanceTimersByTimeAsync(0)
    attempts[0]!.socket.emit('connect')
    const socket = await dialled
    socket.emit('error', new Error('reset'))
    expect(hosts()).toHaveLength(1)
  })

  it('D26: after 8 s without an answer every attempt ends: ERR_DIAL_TIMEOUT', async () => {
    const dialled = expect(dial(TARGET, { lookup })).rejects.toMatchObject({
      code: 'ERR_DIAL_TIMEOUT',
    })
    await vi.advanceTimersByTimeAsync(7_999)
    expect(alive()).toHaveLength(4)
    await vi.advanceTimersByTimeAsync(1)
    await dialled
    expect(alive()).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })

  it.for([
    ['a name', TARGET],
    ['an address', { host: '192.0.2.1', port: 443 }],
  ] as const)('waits for %s as long as is wanted, also without a limit', async ([, target]) => {
    const dialled = dial(target, { lookup, timeout: Infinity, attemptDelay: Infinity })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(hosts()).toHaveLength(1)
    attempts[0]!.socket.emit('connect')
    expect(await dialled).toBe(attempts[0]!.socket)
  })

  it('a signal ends every attempt', async () => {
    const controller = new AbortController()
    const dialled = expect(dial(TARGET, { lookup, signal: controller.signal })).rejects.toThrow(
      'off',
    )
    await vi.advanceTimersByTimeAsync(300)
    controller.abort(new Error('off'))
    await dialled
    expect(alive()).toEqual([])
    expect(vi.getTimerCount()).toBe(0)
  })
})
