import net from 'node:net'
import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { serveProxyStream } from '../../../src/proxy/outbound/serve-stream.ts'
import type {
  ProxyStreamEvent,
  ServeStreamOptions,
} from '../../../src/proxy/outbound/serve-target.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import { takeUncaught } from '../../support/uncaught.ts'
import { closedPort, closing, echoServer, listen, readAll, streamPair } from '../support.ts'

/** A stream that is being served; `events` is what its observer was told. */
function served(options: ServeStreamOptions = {}) {
  const [client, server] = streamPair()
  client.on('error', () => {})
  const events: ProxyStreamEvent[] = []
  const over = serveProxyStream(server, { ...options, observe: (event) => events.push(event) })
  return { client, server, events, over }
}

describe('serving a proxy stream', () => {
  it('D7: the stream is accepted once the outbound connection stands, and data flows', async () => {
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const { client, server, events, over } = served()
    client.write(encodeAddress(target))
    client.end('early')
    await client.accepted()
    expect((await readAll(client)).toString()).toBe('early')
    await over
    expect(server.resets).toEqual([])
    expect(events).toMatchObject([
      { type: 'open', target },
      { type: 'closed', target },
    ])
  })

  it('a refused port resets the stream with code 5 and the reason', async () => {
    const target = { host: '127.0.0.1', port: await closedPort() }
    const { client, server, events, over } = served()
    client.write(encodeAddress(target))
    await expect(client.accepted()).rejects.toMatchObject({
      closeCode: CloseCode.DestinationUnreachable,
      reason: 'connection refused',
    })
    await over
    expect(server.isAccepted).toBe(false)
    expect(events).toMatchObject([{ type: 'refused', target, error: { code: 'ERR_DIAL_FAILED' } }])
  })

  it('a target that takes too long resets the stream with code 2', async () => {
    const lookup = () => new Promise<never>(() => {})
    const { client, over } = served({ dial: { lookup, timeout: 20 } })
    client.write(encodeAddress({ host: 'slow.test', port: 1 }))
    await expect(client.accepted()).rejects.toMatchObject({ closeCode: CloseCode.Timeout })
    await over
  })

  it('a target that policy forbids is reset with code 6 and never connected to', async () => {
    const lookup = () => Promise.reject(new Error('not to be called'))
    for (const allowTarget of [() => false, () => Promise.resolve(false)]) {
      const { client, events, over } = served({ allowTarget, dial: { lookup } })
      client.write(encodeAddress({ host: 'forbidden.test', port: 25 }))
      await expect(client.accepted()).rejects.toMatchObject({ closeCode: CloseCode.Rejected })
      await over
      expect(events).toMatchObject([{ type: 'refused', error: { code: 'ERR_TARGET_REJECTED' } }])
    }
  })

  it('a policy that throws, rejects or says neither yes nor no refuses the stream and nothing else', async () => {
    const broken = new Error('policy is broken')
    const lookup = () => Promise.reject(new Error('not to be called'))
    const policies: [() => unknown, unknown[]][] = [
      [
        () => {
          throw broken
        },
        [broken],
      ],
      [() => Promise.reject(broken), [broken]],
      [() => undefined, []],
      [() => Promise.resolve(1), []],
    ]
    for (const [allowTarget, expected] of policies) {
      const uncaught = takeUncaught()
      const { client, events, over } = served({
        allowTarget: allowTarget as () => boolean,
        dial: { lookup },
      })
      client.write(encodeAddress({ host: 'any.test', port: 25 }))
      await expect(client.accepted()).rejects.toMatchObject({ closeCode: CloseCode.Rejected })
      await over
      await setImmediate()
      expect(events).toMatchObject([{ type: 'refused', error: { code: 'ERR_TARGET_REJECTED' } }])
      expect(uncaught).toEqual(expected)
    }
  })

  it('a policy that has not answered after 10 s has said no', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    onTestFinished(() => void vi.useRealTimers())
    const { client, server, over } = served({ allowTarget: () => new Promise(() => {}) })
    client.write(encodeAddress({ host: 'any.test', port: 25 }))
    await setImmediate()
    await vi.advanceTimersByTimeAsync(9_999)
    expect(server.resets).toEqual([])
    await vi.advanceTimersByTimeAsync(1)
    await over
    expect(server.resets).toMatchObject([{ code: CloseCode.Rejected }])
  })

  it('an observer that throws is an uncaught exception, and harms no stream', async () => {
    const uncaught = takeUncaught()
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const [client, server] = streamPair()
    const error = new Error('observer is broken')
    const observe = () => {
      throw error
    }
    const over = serveProxyStream(server, { observe })
    client.write(encodeAddress(target))
    client.end('early')
    expect((await readAll(client)).toString()).toBe('early')
    await over
    await setImmediate()
    expect(uncaught).toEqual([error, error])
  })

  it('never rejects, whatever its options are', async () => {
    const { client, events, over } = served({ muxPro: { maxStreams: 0 } })
    client.write(encodeAddress({ host: 'mux.pro', port: 9527 }))
    await expect(client.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
    await over
    expect(events).toMatchObject([{ type: 'refused', error: { code: 'ERR_OPTION_INVALID' } }])
  })

  it('a stream that begins with no address is reset with code 3', async () => {
    const { client, events, over } = served()
    client.write('GET / HTTP/1.1\r\n')
    await expect(client.accepted()).rejects.toMatchObject({ closeCode: CloseCode.ProtocolError })
    await over
    expect(events).toMatchObject([{ type: 'refused', target: undefined }])
  })

  it('a silent stream is reset with code 2', async () => {
    const { client, over } = served({ preamble: { timeout: 20 } })
    await expect(client.accepted()).rejects.toMatchObject({ closeCode: CloseCode.Timeout })
    await over
  })

  it('a client that resets during the lookup ends the dialling', async () => {
    let called!: () => void
    const looking = new Promise<void>((resolve) => (called = resolve))
    const lookup = () => {
      called()
      return new Promise<never>(() => {})
    }
    const { client, events, over } = served({ dial: { lookup } })
    client.write(encodeAddress({ host: 'slow.test', port: 1 }))
    await looking
    client.reset(CloseCode.RemoteDisconnect)
    await over
    expect(events).toMatchObject([{ type: 'refused', error: { code: 'ERR_STREAM_RESET' } }])
  })

  it('a stream that was reset before it is served is no hang', async () => {
    const [client, server] = streamPair()
    server.on('error', () => {})
    client.reset(CloseCode.RemoteDisconnect)
    await closing(server)
    await serveProxyStream(server)
  })

  it('the target`s connection ends with the stream', async () => {
    const origin = net.createServer({ allowHalfOpen: true })
    const target = { host: '127.0.0.1', port: await listen(origin) }
    const connection = once(origin, 'connection') as Promise<[net.Socket]>
    const { client, over } = served()
    client.write(encodeAddress(target))
    const [socket] = await connection
    await client.accepted()
    const closed = closing(socket)
    client.reset(CloseCode.RemoteDisconnect)
    socket.resume()
    await Promise.all([closed, over])
  })
})
