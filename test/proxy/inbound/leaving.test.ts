// A program that closes its socket against one that only ends its direction, over wires that know no half-close.
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import net from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { findConnections } from '../../../src/proxy/inbound/leaving.ts'
import { serveProxyStream } from '../../../src/proxy/outbound/serve-stream.ts'
import { createTunnelOpener } from '../../../src/proxy/client.ts'
import { concatBytes } from '../../../src/codec/bytes.ts'
import { encodeAddress } from '../../../src/codec/address.ts'
import { fromHex } from '../../codec/vectors.ts'
import { hasIPv6 } from '../../support/loopback.ts'
import { startEchoServer } from '../../support/server.ts'
import { connectTo, listen, readAll, readExactly, startInbound } from '../support.ts'

const onLinux = process.platform === 'linux'
const note = onLinux ? '' : ' (only on Linux)'
const REPLIES = 12

/** The local port, a server, and a way to become a program with a tunnel through both of them. */
async function startProxy(options: Parameters<typeof startEchoServer>[0], wire: 'v1' | 'legacy') {
  const server = await startEchoServer(options, (stream) => void serveProxyStream(stream))
  const session = await server.connect({ wire })
  const { port, inbound } = await startInbound({ openTunnel: createTunnelOpener(session) })
  const open = async (target: number, socket?: Socket): Promise<Socket> => {
    const program = socket ?? (await connectTo(port))
    const address = encodeAddress({ host: '127.0.0.1', port: target })
    program.write(concatBytes([fromHex('050100050100'), address]))
    await readExactly(program, REPLIES)
    return program
  }
  return { session, inbound, open }
}

/** A target that keeps its connections open, and what it has got on each. */
async function startTarget() {
  const received: Promise<Buffer>[] = []
  let open = 0
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    open += 1
    socket.once('close', () => (open -= 1))
    socket.once('data', () => socket.write('answer'))
    received.push(readAll(socket))
    socket.once('end', () => socket.end())
  })
  return { port: await listen(server), received, open: () => open }
}

async function settled(condition: () => boolean, limit: number): Promise<number> {
  const started = performance.now()
  while (!condition() && performance.now() - started < limit) await setTimeout(5)
  return performance.now() - started
}

const WIRES = [
  ['the original wire', 'legacy', {}],
  ['v1 without mux1', 'v1', { mux1: false }],
] as const

describe.skipIf(!onLinux)(`a program that closes its socket${note}`, () => {
  it.for(WIRES)(
    'on %s: stream, target and descriptors of 100 are let go at once, and all that was sent arrives',
    async ([, wire, options]) => {
      const { session, open } = await startProxy(options, wire)
      const target = await startTarget()
      const descriptors = () => readdirSync('/proc/self/fd').length
      const before = descriptors()
      const programs = await Promise.all(Array.from({ length: 100 }, () => open(target.port)))
      const question = Buffer.alloc(100_000, 'question')
      for (const program of programs.slice(0, 50)) {
        program.write('question')
        await readExactly(program, 'answer'.length)
        program.destroy()
      }
      // Says all, and does not wait for anything.
      for (const program of programs.slice(50)) program.end(question, () => program.destroy())
      const took = await settled(() => session.streamCount === 0 && target.open() === 0, 12_000)
      expect(took).toBeLessThan(6_000)
      await settled(() => descriptors() <= before, 2_000)
      expect(descriptors()).toBeLessThanOrEqual(before)
      const lengths = (await Promise.all(target.received)).map(({ length }) => length)
      expect(lengths.sort((a, b) => a - b)).toEqual([
        ...Array<number>(50).fill('question'.length),
        ...Array<number>(50).fill(question.length),
      ])
    },
  )

  it.for(['before', 'in the middle of'] as const)(
    'leaves a plain request %s its answer: the origin is told as soon',
    async (when) => {
      const { session, inbound } = await startProxy({}, 'legacy')
      let open = 0
      const origin = net.createServer((socket) => {
        open += 1
        socket.on('close', () => (open -= 1)).resume()
        if (when !== 'before') socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart')
      })
      const { port } = inbound.address() as net.AddressInfo
      const program = await connectTo(port)
      program.write(`GET http://127.0.0.1:${await listen(origin)}/ HTTP/1.1\r\nHost: x\r\n\r\n`)
      if (when === 'before') await settled(() => open === 1, 2_000)
      else await once(program, 'data')
      program.destroy()
      const took = await settled(() => session.streamCount === 0 && open === 0, 5_000)
      expect(took).toBeLessThan(2_500)
    },
  )

  it('has a request delivered that it does not wait for, however long tunnel and origin take', async () => {
    const body = Buffer.alloc(3 << 20, 'body')
    let received = 0
    const origin = net.createServer((socket) => {
      socket.on('data', ({ length }: Buffer) => {
        received += length
        socket.pause()
        void setTimeout(5).then(() => socket.resume())
      })
      socket.on('error', () => {})
    })
    const { session } = await startProxy({}, 'v1')
    const opener = createTunnelOpener(session)
    const openTunnel: typeof opener = async (...args) => {
      await setTimeout(400)
      return opener(...args)
    }
    const { port } = await startInbound({ openTunnel })
    const program = await connectTo(port)
    const line = `POST http://127.0.0.1:${await listen(origin)}/ HTTP/1.1`
    const head = `${line}\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`
    program.end(Buffer.concat([Buffer.from(head), body]), () => program.destroy())
    await settled(() => received > body.length, 10_000)
    expect(received).toBeGreaterThan(body.length)
    expect(await settled(() => session.streamCount === 0, 6_000)).toBeLessThan(5_000)
  })

  it('after a while of waiting for the answer takes the stream along', async () => {
    const { session, open } = await startProxy({}, 'legacy')
    const program = await open((await startTarget()).port)
    program.end()
    await setTimeout(300)
    expect(session.streamCount).toBe(1)
    program.destroy()
    expect(await settled(() => session.streamCount === 0, 5_000)).toBeLessThan(2_500)
  })

  it.skipIf(!hasIPv6)('is known by IPv6 as well (only where ::1 is there)', async () => {
    const { session, inbound, open } = await startProxy({}, 'legacy')
    const other = net.createServer((socket) => inbound.emit('connection', socket))
    const socket = net.connect({ host: '::1', port: await listen(other, '::') })
    await once(socket, 'connect')
    await open((await startTarget()).port, socket)
    socket.destroy()
    expect(await settled(() => session.streamCount === 0, 5_000)).toBeLessThan(1_000)
  })
})

describe('a program that only ends its direction', () => {
  it.for(WIRES)('on %s: half-close: is answered all the same', async ([, wire, options]) => {
    const slow = net.createServer({ allowHalfOpen: true }, (socket) => {
      socket.once('data', () => void setTimeout(700).then(() => socket.end('late answer')))
    })
    const { session, open } = await startProxy(options, wire)
    const program = await open(await listen(slow))
    program.end('question')
    expect((await readAll(program)).toString()).toBe('late answer')
    await settled(() => session.streamCount === 0, 1_000)
    expect(session.streamCount).toBe(0)
  })
})

describe("the kernel's table of connections", () => {
  const HEAD =
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
  const row = (ends: string, state: string, inode: string) =>
    `   7: ${ends} ${state} 00000000:00000000 00:00000000 00000000     0        0 ${inode} 1 000000003a0545de 100 0 0 10 0   `

  it('bytes: an orphan is a row without an inode, in either table', () => {
    const mapped = '0000000000000000FFFF00000100007F'
    const table = [
      HEAD,
      row('0100007F:C350 0100007F:0438', '05', '0'),
      row('0100007F:C351 0100007F:0438', '05', '4711'),
      row(`${mapped}:C352 ${mapped}:0438`, '05', '0'),
      '   9: 0100007F:C353 0100007F:0438 06 00000000:00000000 03:00000C67 00000000     0        0 0 3 00000000be43b59b',
      row(`${'0'.repeat(24)}01000000:C354 ${'0'.repeat(24)}01000000:0438`, '01', '4712'),
    ].join('\n')
    const connections = [
      ['0100007F:C350 0100007F:0438', 'orphan'],
      ['0100007F:C351 0100007F:0438', 'held'],
      ['0100007F:C352 0100007F:0438', 'orphan'],
      ['0100007F:C353 0100007F:0438', 'orphan'],
      [`${'0'.repeat(24)}01000000:C354 ${'0'.repeat(24)}01000000:0438`, 'held'],
    ] as const
    const asked = new Set<string>(connections.map(([ends]) => ends))
    expect([...(findConnections(table, asked) ?? [])]).toEqual(connections)
    expect([...(findConnections(table, new Set([connections[1][0], 'another'])) ?? [])]).toEqual([
      connections[1],
    ])
  })

  it('bad input: anything else has none', () => {
    const asked = new Set(['0100007F:C350 0100007F:0438'])
    expect(findConnections('', asked)).toBeUndefined()
    expect(findConnections(HEAD, asked)).toBeUndefined()
    for (const cut of ['0100007F:C350 0100007F', '0100007F:C350 0100007F:0438', ' ', '']) {
      expect(findConnections(`${HEAD}\n   0: ${cut}`, asked)?.size).toBe(0)
    }
  })
})
