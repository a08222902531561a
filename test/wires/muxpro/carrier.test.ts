// The Duplex that an application gives to a Mux.Pro or net-mux session.
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { PassThrough, Readable, Writable } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { muxProClient, MuxProPool, muxProServer } from '../../../src/session/muxpro.ts'
import { netMuxClient, netMuxServer } from '../../../src/session/netmux.ts'
import { createDuplexPair } from '../../support/duplex-pair.ts'

interface Ended {
  destroy(error?: Error): void
}

const FACTORIES: Readonly<Record<string, (duplex: Duplex) => Ended>> = {
  muxProClient: (duplex) => muxProClient(duplex),
  muxProServer: (duplex) => muxProServer(duplex),
  netMuxClient: (duplex) => netMuxClient(duplex),
  netMuxServer: (duplex) => netMuxServer(duplex),
}

const NO_DUPLEX: readonly unknown[] = [
  undefined,
  null,
  'x',
  9527,
  {},
  createServer(),
  new Readable(),
  new Writable(),
]

/** A socket that is still connecting, to a server that keeps silent. */
async function makeSocket(): Promise<Socket> {
  const server = createServer((socket) => socket.on('error', () => {}).resume())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
  onTestFinished(() => {
    socket.destroy()
    server.close()
  })
  return socket
}

describe('the Duplex of a session', () => {
  for (const [name, make] of Object.entries(FACTORIES)) {
    it(`${name} turns TCP_NODELAY on for a socket, and for a TLSSocket`, async () => {
      const plain = await makeSocket()
      const secure = new TLSSocket(await makeSocket())
      for (const socket of [plain, secure]) {
        const setNoDelay = vi.spyOn(socket, 'setNoDelay')
        const session = make(socket)
        expect(setNoDelay.mock.calls).toEqual([[true]])
        session.destroy()
      }
    })

    it(`${name} takes a Duplex that is no socket`, () => {
      const [near] = createDuplexPair()
      for (const duplex of [near, new PassThrough()]) {
        expect(() => make(duplex).destroy()).not.toThrow()
      }
    })

    it(`${name} refuses what is no Duplex, in clear words`, () => {
      for (const wrong of NO_DUPLEX) {
        expect(() => make(wrong as Duplex), String(wrong)).toThrow(
          expect.objectContaining({
            code: 'ERR_OPTION_INVALID',
            message: 'what carries a session must be a Duplex, such as a socket',
          }),
        )
      }
    })
  }

  it('a pool looks at what its connect function makes, too', async () => {
    const socket = await makeSocket()
    const setNoDelay = vi.spyOn(socket, 'setNoDelay')
    const made: unknown[] = [socket, undefined]
    const pool = new MuxProPool({
      connect: () => Promise.resolve(made.shift() as Duplex),
      maxConcurrency: 1,
    })
    onTestFinished(() => pool.destroy())
    const where = { target: { host: 'example.com', port: 80 } }
    const stream = await pool.openStream(where)
    stream.on('error', () => {})
    expect(setNoDelay.mock.calls).toEqual([[true]])
    await expect(pool.openStream(where)).rejects.toMatchObject({ code: 'ERR_OPTION_INVALID' })
  })
})
