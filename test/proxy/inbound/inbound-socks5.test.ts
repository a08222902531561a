import { once } from 'node:events'
import net from 'node:net'
import { describe, expect, it } from 'vitest'
import { CloseCode } from '../../../src/engine/close-code.ts'
import { encodeSocks5Reply } from '../../../src/proxy/inbound/socks5.ts'
import type { OpenTunnel } from '../../../src/proxy/tunnel.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import type { Address } from '../../../src/codec/address.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import type { Stream } from '../../../src/session/stream.ts'
import { fromHex, toHex } from '../../codec/vectors.ts'
import { makeSessionPair } from '../../support/session-pair.ts'
import {
  closedPort,
  closing,
  connectTo,
  echoServer,
  listen,
  readAll,
  readExactly,
  startInbound,
  streamPair,
} from '../support.ts'

const GREETING = fromHex('050100')
const request = (target: Address) => concatBytes([fromHex('050100'), encodeAddress(target)])
const SUCCEEDED = `0500${toHex(encodeSocks5Reply(0))}`
const ANY = { host: 'any.test', port: 80 }

/** Opens tunnels only when told to. */
function heldTunnels() {
  let open!: () => void
  const opening = new Promise<void>((resolve) => (open = resolve))
  let asked!: (signal: AbortSignal) => void
  const signal = new Promise<AbortSignal>((resolve) => (asked = resolve))
  const [client, server] = streamPair()
  server.on('error', () => {})
  const openTunnel: OpenTunnel = async (_target, abort) => {
    asked(abort)
    await opening
    return client
  }
  return { openTunnel, open, signal, client, server }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

describe('SOCKS5 on the local port', () => {
  it('greeting, request and early data in one chunk: the data reaches the target', async () => {
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const { port } = await startInbound()
    const program = await connectTo(port)
    program.end(concatBytes([GREETING, request(target), Buffer.from('early data')]))
    const received = await readAll(program)
    expect(toHex(received.subarray(0, 12))).toBe(SUCCEEDED)
    expect(received.subarray(12).toString()).toBe('early data')
  })

  it('a handshake byte by byte', async () => {
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const { port } = await startInbound()
    const program = await connectTo(port)
    program.setNoDelay(true)
    for (const byte of concatBytes([GREETING, request(target), Buffer.from('x')])) {
      program.write(Uint8Array.of(byte))
      await new Promise((resolve) => setImmediate(resolve))
    }
    expect(toHex(await readExactly(program, 13))).toBe(`${SUCCEEDED}78`)
  })

  it('data that comes while the tunnel is being opened is kept', async () => {
    const { openTunnel, open, signal, server } = heldTunnels()
    const { port } = await startInbound({ openTunnel })
    const program = await connectTo(port)
    program.write(concatBytes([GREETING, request(ANY)]))
    await signal
    program.write('while waiting')
    program.end()
    await once(program, 'finish')
    open()
    expect((await readAll(server)).toString()).toBe('while waiting')
    expect((await signal).aborted).toBe(false)
  })

  it('data and an end that come while the tunnel is being opened reach a stream of a session', async () => {
    const held = heldTunnels()
    const { client, server } = makeSessionPair()
    const openTunnel: OpenTunnel = async (target, abort) => {
      await held.openTunnel(target, abort)
      return client.openStream()
    }
    const { port } = await startInbound({ openTunnel })
    const program = await connectTo(port)
    const served = once(server, 'stream') as Promise<[Stream]>
    program.write(concatBytes([GREETING, request(ANY), Buffer.from('with it, ')]))
    const signal = await held.signal
    program.end('while waiting')
    await once(program, 'finish')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(signal.aborted).toBe(false)
    held.open()
    const [stream] = await served
    expect(String(await readAll(stream))).toBe('with it, while waiting')
    stream.end()
    expect(toHex(await readAll(program))).toBe(SUCCEEDED)
  })

  it('half-close reaches the target and its answer comes back', async () => {
    const origin = net.createServer({ allowHalfOpen: true }, (socket) => {
      void readAll(socket).then((question) => socket.end(`you said ${question.toString()}`))
    })
    const target = { host: '127.0.0.1', port: await listen(origin) }
    const { port } = await startInbound()
    const program = await connectTo(port)
    program.write(concatBytes([GREETING, request(target)]))
    await readExactly(program, 12)
    program.end('hello')
    expect((await readAll(program)).toString()).toBe('you said hello')
  })

  it('a program that leaves while the tunnel is being opened aborts it', async () => {
    for (const leave of ['destroy', 'resetAndDestroy'] as const) {
      const { openTunnel, open, signal, client } = heldTunnels()
      const { port, events } = await startInbound({ openTunnel })
      const program = await connectTo(port)
      program.write(concatBytes([GREETING, request(ANY)]))
      const opening = await signal
      // With nothing left unread, destroy sends an end and not a reset.
      await readExactly(program, 2)
      program[leave]()
      await aborted(opening)
      open()
      await closing(client)
      expect(client.resets).toEqual([{ code: CloseCode.RemoteDisconnect, reason: '' }])
      expect(events.tunnel).toEqual([])
      expect(events.refused).toEqual([])
    }
  })

  it('a program that is gone while the tunnel is being opened aborts it, whatever it had sent', async () => {
    for (const first of ['', 'with the request']) {
      const { openTunnel, signal } = heldTunnels()
      const { port } = await startInbound({ openTunnel })
      const program = await connectTo(port)
      program.write(concatBytes([GREETING, request(ANY), Buffer.from(first)]))
      const opening = await signal
      program.write('later')
      await readExactly(program, 2)
      program.resetAndDestroy()
      await aborted(opening)
    }
  })

  it('serves where Node lends no reads as well', async () => {
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const { inbound, port } = await startInbound()
    inbound.prependListener('connection', (socket: net.Socket) => {
      Object.assign(Reflect.get(socket, '_handle') as object, { useUserBuffer: undefined })
    })
    for (const bytes of [
      concatBytes([GREETING, request(target), Buffer.from('early, ')]),
      Buffer.from(`CONNECT 127.0.0.1:${target.port} HTTP/1.1\r\nHost: x\r\n\r\nearly, `),
    ]) {
      const program = await connectTo(port)
      program.write(bytes)
      await once(program, 'data')
      program.end('late')
      expect(String(await readAll(program))).toMatch(/early, late$/)
    }
  })

  it('a refusal is read even by a program that sent early data', async () => {
    const target = { host: '127.0.0.1', port: await closedPort() }
    const { inbound, port } = await startInbound()
    const connection = once(inbound, 'connection') as Promise<[net.Socket]>
    const program = await connectTo(port)
    const [socket] = await connection
    program.end(concatBytes([GREETING, request(target), Buffer.alloc(1 << 20)]))
    expect(toHex(await readAll(program))).toBe(`0500${toHex(encodeSocks5Reply(5))}`)
    await closing(socket)
    // Read to its end, so that the kernel had no reason for a reset.
    expect(socket.readableEnded).toBe(true)
  })

  it('a program that does not close after a refusal is cut off', async () => {
    const { inbound, port } = await startInbound()
    const connection = once(inbound, 'connection') as Promise<[net.Socket]>
    const program = await connectTo(port)
    program.write(fromHex('050102'))
    const [socket] = await connection
    await closing(socket)
    expect(program.writable).toBe(true)
  })

  it('a command that is not served gets reply 7 and an event', async () => {
    const { port, events } = await startInbound()
    const program = await connectTo(port)
    program.write(fromHex('0501000502000100000000'))
    expect(toHex(await readAll(program))).toBe(`0500${toHex(encodeSocks5Reply(7))}`)
    expect(events.invalid).toMatchObject([{ reason: 'SOCKS5: command 2 is not served' }])
  })

  it('SOCKS4, which has no password, is rejected on a port that wants one, and reported', async () => {
    const { port, events } = await startInbound({ auth: { username: 'a', password: 'b' } })
    const program = await connectTo(port)
    program.write(fromHex('040100500102030400'))
    expect(toHex(await readAll(program))).toBe('005b000000000000')
    expect(events.invalid[0]?.reason).toMatch(/^SOCKS4: SOCKS4 has no password/)
  })

  it('a program that is silent, or stops inside its handshake, is closed in time', async () => {
    for (const start of ['', '05', '050100', '0501000501']) {
      const { port, events } = await startInbound({ handshakeTimeout: 50 })
      const program = await connectTo(port)
      program.resume()
      program.write(fromHex(start))
      await closing(program.on('end', () => program.end()))
      expect(events.invalid, start).toMatchObject([{ reason: 'no request within the time limit' }])
    }
  })

  it('the handshake timeout does not count while the tunnel is being opened', async () => {
    const { openTunnel, open, signal, server } = heldTunnels()
    const { port } = await startInbound({ openTunnel, handshakeTimeout: 50 })
    const program = await connectTo(port)
    program.write(concatBytes([GREETING, request(ANY)]))
    await signal
    await new Promise((resolve) => setTimeout(resolve, 120))
    open()
    expect(toHex(await readExactly(program, 12))).toBe(SUCCEEDED)
    server.end('still there')
    expect((await readAll(program)).toString()).toBe('still there')
  })

  it('a program that ends inside its handshake is closed at once', async () => {
    const { port } = await startInbound()
    for (const start of ['', '05', '0501000501']) {
      const program = await connectTo(port)
      program.resume()
      program.end(fromHex(start))
      await closing(program)
    }
  })

  it('closeAllConnections ends tunnels and handshakes at once', async () => {
    const { inbound, port } = await startInbound()
    const target = { host: '127.0.0.1', port: await listen(echoServer()) }
    const [idle, tunnel] = [await connectTo(port), await connectTo(port)]
    tunnel.write(concatBytes([GREETING, request(target)]))
    await readExactly(tunnel, 12)
    inbound.close()
    const closed = once(inbound, 'close')
    for (const program of [idle, tunnel]) program.resume().on('end', () => program.end())
    inbound.closeAllConnections()
    await Promise.all([closed, closing(idle), closing(tunnel)])
  })
})
