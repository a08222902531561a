import net from 'node:net'
import { once } from 'node:events'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { serveProxyStream } from '../../../src/proxy/outbound/serve-stream.ts'
import type {
  ProxyStreamEvent,
  ServeStreamOptions,
} from '../../../src/proxy/outbound/serve-stream.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
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
    expect(events).toEqual([
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

  it('a policy that throws refuses the stream and nothing else', async () => {
    const allowTarget = () => {
      throw new Error('policy is broken')
    }
    const { client, over } = served({ allowTarget })
    client.write(encodeAddress({ host: 'any.test', port: 25 }))
    await expect(client.accepted()).rejects.toMatchObject({ code: 'ERR_STREAM_RESET' })
    await over
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
