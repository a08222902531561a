import { describe, expect, it } from 'vitest'
import { AnyTlsError, PeerCloseError, authRejected } from '../../src/errors.ts'
import type { ErrorCode } from '../../src/errors.ts'
import { CloseCode } from '../../src/engine/close-code.ts'
import { createTunnelOpener as makeTunnelOpener } from '../../src/proxy/client.ts'
import type { StreamSource } from '../../src/proxy/tunnel.ts'
import { encodeAddress } from '../../src/codec/address.ts'
import { makeSessionPair } from '../support/session-pair.ts'
import type { PairedStream } from './support.ts'
import { closing, readExactly, streamPair } from './support.ts'

const TARGET = { host: 'example.com', port: 443 }
const PREAMBLE = encodeAddress(TARGET)
const never = new AbortController().signal

/** Waits for the answer, however busy the machine is. */
const createTunnelOpener = (source: StreamSource) =>
  makeTunnelOpener(source, { replyWait: Infinity })

/** A source whose n-th stream is treated by the n-th of `treatments`, the last one repeated. */
function source(...treatments: ((server: PairedStream, client: PairedStream) => void)[]) {
  const opened: PairedStream[] = []
  const openStream = () => {
    const [client, server] = streamPair()
    server.on('error', () => {})
    const treat = treatments[Math.min(opened.length, treatments.length - 1)]!
    opened.push(client)
    setImmediate(() => treat(server, client))
    return Promise.resolve(client)
  }
  return { opened, openTunnel: createTunnelOpener({ openStream }) }
}

const accept = (server: PairedStream) => server.accept()
const lose = (code: ErrorCode) => (_server: PairedStream, client: PairedStream) =>
  client.lose(new AnyTlsError(code))

describe('opening a tunnel', () => {
  it('writes the address, and nothing else, before the stream is accepted', async () => {
    const { opened, openTunnel } = source(accept)
    const stream = await openTunnel(TARGET, never)
    expect(stream).toBe(opened[0])
    const server = opened[0]!.peer
    expect(new Uint8Array(await readExactly(server, PREAMBLE.length))).toEqual(PREAMBLE)
    expect(server.readableLength).toBe(0)
  })

  it('a session that dies before acceptance is replaced, twice at most', async () => {
    const codes: ErrorCode[] = [
      'ERR_CONNECTION_LOST',
      'ERR_CONNECTION_TIMEOUT',
      'ERR_PING_TIMEOUT',
      'ERR_SESSION_CLOSED',
      'ERR_SESSION_DRAINING',
    ]
    for (const code of codes) {
      const recovering = source(lose(code), lose(code), accept)
      await recovering.openTunnel(TARGET, never)
      expect(recovering.opened, code).toHaveLength(3)
      const hopeless = source(lose(code))
      await expect(hopeless.openTunnel(TARGET, never), code).rejects.toMatchObject({ code })
      expect(hopeless.opened, code).toHaveLength(3)
    }
  })

  it('a server that hung up without a word is asked again, one that answered something else is not', async () => {
    for (const [heard, attempts] of [
      [false, 3],
      [true, 1],
    ] as const) {
      const refusing = source((_server, client) => client.lose(authRejected('refused', heard)))
      await expect(refusing.openTunnel(TARGET, never)).rejects.toMatchObject({
        code: 'ERR_AUTH_REJECTED',
      })
      expect(refusing.opened).toHaveLength(attempts)
    }
  })

  it('a source whose session died while it opened the stream is asked again', async () => {
    let calls = 0
    const openTunnel = createTunnelOpener({
      openStream: () => {
        calls += 1
        if (calls === 1) return Promise.reject(new AnyTlsError('ERR_SESSION_DRAINING'))
        const [client, server] = streamPair()
        server.accept()
        return Promise.resolve(client)
      },
    })
    await openTunnel(TARGET, never)
    expect(calls).toBe(2)
  })

  it('a handshake that a stopping server breaks off is tried again, a refused connection is not', async () => {
    const failing = (code: string) => {
      const cause = Object.assign(new Error(code), { code })
      let calls = 0
      const openTunnel = createTunnelOpener({
        openStream: () => {
          calls += 1
          return Promise.reject(new AnyTlsError('ERR_CONNECT_FAILED', code, { cause }))
        },
      })
      return { openTunnel, calls: () => calls }
    }
    for (const [code, expected] of [
      ['ECONNRESET', 3],
      ['ECONNREFUSED', 1],
    ] as const) {
      const { openTunnel, calls } = failing(code)
      await expect(openTunnel(TARGET, never)).rejects.toMatchObject({ code: 'ERR_CONNECT_FAILED' })
      expect(calls(), code).toBe(expected)
    }
  })

  it('a refusal is final', async () => {
    const { opened, openTunnel } = source((server) =>
      server.reset(CloseCode.DestinationUnreachable, 'connection refused'),
    )
    await expect(openTunnel(TARGET, never)).rejects.toBeInstanceOf(PeerCloseError)
    expect(opened).toHaveLength(1)
  })

  it('a server that cannot be reached is final', async () => {
    let calls = 0
    const openTunnel = createTunnelOpener({
      openStream: () => {
        calls += 1
        return Promise.reject(new AnyTlsError('ERR_CONNECT_FAILED'))
      },
    })
    await expect(openTunnel(TARGET, never)).rejects.toMatchObject({ code: 'ERR_CONNECT_FAILED' })
    expect(calls).toBe(1)
  })

  it('a stream whose connection falls silent before it is accepted is opened on another one', async () => {
    const { opened, openTunnel } = source((_server, client) => client.emit('silent'), accept)
    const stream = await openTunnel(TARGET, never)
    expect(opened).toHaveLength(2)
    expect(stream).toBe(opened[1])
    expect(opened[0]!.destroyed).toBe(true)
  })

  it('a silence after the stream was accepted ends nothing: there may be payload under way', async () => {
    const { openTunnel } = source(accept)
    const stream = await openTunnel(TARGET, never)
    stream.emit('silent')
    expect(stream.destroyed).toBe(false)
  })

  it('takes a session as well as a pool, as its doc says', async () => {
    const { client, server } = makeSessionPair()
    server.removeAllListeners('stream')
    server.on('stream', (stream) => void stream.on('data', () => stream.write('served')))
    const stream = await makeTunnelOpener(client)(TARGET, never)
    expect(String(await readExactly(stream, 6))).toBe('served')
  })

  it('D26: a stream that is not accepted in time is reset, and not opened again', async () => {
    const [client, server] = streamPair()
    server.on('error', () => {})
    const timeout = new AnyTlsError('ERR_STREAM_OPEN_TIMEOUT')
    Object.assign(client, { accepted: () => Promise.reject(timeout) })
    const openTunnel = createTunnelOpener({ openStream: () => Promise.resolve(client) })
    await expect(openTunnel(TARGET, never)).rejects.toBe(timeout)
    expect(client.resets).toEqual([{ code: CloseCode.RemoteDisconnect, reason: '' }])
  })

  it('a signal resets the stream and is not retried', async () => {
    const controller = new AbortController()
    const reason = new Error('the program has left')
    const { opened, openTunnel } = source(() => controller.abort(reason))
    await expect(openTunnel(TARGET, controller.signal)).rejects.toBe(reason)
    expect(opened).toHaveLength(1)
    expect(opened[0]!.resets).toEqual([{ code: CloseCode.RemoteDisconnect, reason: '' }])
  })

  it('a signal that comes while the source opens a stream resets it afterwards', async () => {
    const controller = new AbortController()
    const [client, server] = streamPair()
    server.on('error', () => {})
    const openTunnel = createTunnelOpener({
      openStream: () => {
        controller.abort(new Error('gone'))
        return Promise.resolve(client)
      },
    })
    await expect(openTunnel(TARGET, controller.signal)).rejects.toThrow('gone')
    expect(client.resets).toHaveLength(1)
    expect(server.readableLength).toBe(0)
  })

  it('a target that cannot be encoded opens no stream', async () => {
    const { opened, openTunnel } = source(accept)
    const target = { host: 'a name', port: 80 }
    await expect(openTunnel(target, never)).rejects.toMatchObject({ code: 'ERR_ADDRESS_INVALID' })
    expect(opened).toHaveLength(0)
  })

  it('a stream that breaks later has an error listener already', async () => {
    const { opened, openTunnel } = source(accept)
    await openTunnel(TARGET, never)
    expect(opened[0]!.listenerCount('error')).toBe(1)
  })

  it('without an answer in time the stream is given away, and a refusal ends it then', async () => {
    const [client, server] = streamPair()
    server.on('error', () => {})
    const openTunnel = makeTunnelOpener(
      { openStream: () => Promise.resolve(client) },
      { replyWait: 5 },
    )
    const stream = await openTunnel(TARGET, never)
    expect(stream).toBe(client)
    expect(stream.destroyed).toBe(false)
    const closed = closing(stream)
    server.reset(CloseCode.DestinationUnreachable, 'connection refused')
    await closed
    expect(stream.errored).toBeInstanceOf(PeerCloseError)
  })

  it('what was given away is not opened again: it is ended when its connection falls silent', async () => {
    const { opened, openTunnel } = lateSource()
    const stream = await openTunnel(TARGET, never)
    stream.emit('silent')
    expect(stream.errored).toMatchObject({ code: 'ERR_PING_TIMEOUT' })
    expect(opened).toHaveLength(1)
  })

  it('where no answer comes that fast, none is waited for, until one does', async () => {
    const { opened, openTunnel } = lateSource(300)
    let given = 0
    const first = openTunnel(TARGET, never).then(() => (given += 1))
    await new Promise((resolve) => setTimeout(resolve, 330))
    opened[0]!.peer.accept()
    await first
    // Not by a timer: 300 ms are far from over.
    const second = openTunnel(TARGET, never).then(() => (given += 1))
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(given).toBe(2)
    await second
    opened[1]!.peer.accept()
    await new Promise((resolve) => setImmediate(resolve))
    void openTunnel(TARGET, never).then(() => (given += 1))
    for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    expect(given).toBe(2)
  })

  it('bad input: a wait that is none', () => {
    for (const replyWait of [-1, NaN]) {
      expect(() =>
        makeTunnelOpener({ openStream: () => Promise.reject(new Error()) }, { replyWait }),
      ).toThrow(expect.objectContaining({ code: 'ERR_OPTION_INVALID' }))
    }
  })
})

/** Streams that nobody answers. */
function lateSource(replyWait = 5) {
  const opened: PairedStream[] = []
  const openStream = () => {
    const [client, server] = streamPair()
    server.on('error', () => {})
    opened.push(client)
    return Promise.resolve(client)
  }
  return { opened, openTunnel: makeTunnelOpener({ openStream }, { replyWait }) }
}
