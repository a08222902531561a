import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { dial } from '../../../src/proxy/outbound/outbound.ts'
import type { Lookup } from '../../../src/proxy/outbound/outbound.ts'
import { failureOf } from '../../../src/proxy/failure.ts'
import { closedPort, echoServer, listen, readAll } from '../support.ts'

const found =
  (...addresses: string[]): Lookup =>
  () =>
    Promise.resolve(addresses.map((address) => ({ address, family: net.isIP(address) })))

/** The error that dialling ends with. */
async function failure(...args: Parameters<typeof dial>): Promise<unknown> {
  try {
    const socket = await dial(...args)
    socket.destroy()
  } catch (error) {
    return error
  }
  throw new Error('dialling succeeded')
}

describe('dial', () => {
  it('connects to an IP address without a lookup, half-open allowed', async () => {
    const port = await listen(echoServer())
    const lookup = () => Promise.reject(new Error('not to be called'))
    const socket = await dial({ host: '127.0.0.1', port }, { lookup })
    socket.end('hello')
    expect((await readAll(socket)).toString()).toBe('hello')
  })

  it('connects to a name of the system', async () => {
    const port = await listen(echoServer(), 'localhost')
    const socket = await dial({ host: 'localhost', port })
    socket.end('hello')
    expect((await readAll(socket)).toString()).toBe('hello')
  })

  it('happy eyeballs: an address that fails is followed by the next at once', async () => {
    const port = await listen(echoServer())
    const lookup = found('127.0.0.2', '::1', '127.0.0.1')
    const started = performance.now()
    const socket = await dial({ host: 'two.test', port }, { lookup, attemptDelay: 5_000 })
    expect(socket.remoteAddress).toBe('127.0.0.1')
    expect(performance.now() - started).toBeLessThan(2_000)
    socket.destroy()
  })

  it('a refused port is ERR_DIAL_FAILED: refused', async () => {
    const port = await closedPort()
    const error = await failure({ host: '127.0.0.1', port })
    expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED', cause: { code: 'ECONNREFUSED' } })
    expect(failureOf(error)).toBe('refused')
  })

  it('when every address fails, the cause names all of them', async () => {
    const port = await closedPort()
    const error = await failure(
      { host: 'two.test', port },
      { lookup: found('127.0.0.1', '127.0.0.2') },
    )
    expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED', cause: { errors: [{}, {}] } })
    expect(failureOf(error)).toBe('refused')
  })

  it('a name that does not exist is ERR_DIAL_FAILED: name not found', async () => {
    const lookup = () =>
      Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }))
    const error = await failure({ host: 'nowhere.test', port: 80 }, { lookup })
    expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED', cause: { code: 'ENOTFOUND' } })
    expect(failureOf(error)).toBe('name-not-found')
  })

  it('a name without addresses is ERR_DIAL_FAILED', async () => {
    const error = await failure({ host: 'empty.test', port: 80 }, { lookup: found() })
    expect(error).toMatchObject({ code: 'ERR_DIAL_FAILED' })
  })

  it('the time limit covers the lookup', async () => {
    const lookup: Lookup = () => new Promise(() => {})
    const error = await failure({ host: 'slow.test', port: 80 }, { lookup, timeout: 20 })
    expect(error).toMatchObject({ code: 'ERR_DIAL_TIMEOUT' })
    expect(failureOf(error)).toBe('timeout')
  })

  it('a signal ends it with its reason, before and during', async () => {
    const reason = new Error('no longer wanted')
    const before = await failure(
      { host: '127.0.0.1', port: 9 },
      { signal: AbortSignal.abort(reason) },
    )
    expect(before).toBe(reason)
    const controller = new AbortController()
    const lookup: Lookup = () => {
      setImmediate(() => controller.abort(reason))
      return new Promise(() => {})
    }
    const during = await failure(
      { host: 'slow.test', port: 9 },
      { lookup, signal: controller.signal },
    )
    expect(during).toBe(reason)
  })

  it('a signal that is aborted after connecting leaves the socket alone', async () => {
    const port = await listen(echoServer())
    const controller = new AbortController()
    const socket = await dial({ host: '127.0.0.1', port }, { signal: controller.signal })
    controller.abort()
    socket.end('still here')
    expect((await readAll(socket)).toString()).toBe('still here')
  })

  it('tries at most 16 addresses of one name', async () => {
    const port = await closedPort()
    const many = Array.from({ length: 40 }, (_, index) => `127.0.0.${index + 1}`)
    const error = await failure({ host: 'many.test', port }, { lookup: found(...many) })
    expect((error as { cause: AggregateError }).cause.errors).toHaveLength(16)
  })
})
