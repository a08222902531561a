// ClientHellos of Node's own client, whole, cut, in small records and damaged.
import fc from 'fast-check'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { connect as tlsConnect } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { describe, expect, it } from 'vitest'
import { readClientHello } from '../../src/codec/client-hello.ts'

/** What Node sends first. */
async function helloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const socket = tlsConnect({ port, host: '127.0.0.1', ...options })
  socket.on('error', () => {})
  const [accepted] = (await once(server, 'connection')) as [Socket]
  const [hello] = (await once(accepted, 'data')) as [Buffer]
  accepted.destroy()
  server.close()
  return hello
}

const HELLO = await helloOf({ servername: 'Example.test', ALPNProtocols: ['h2', 'acme-tls/1'] })
const EXPECTED = { serverName: 'Example.test', protocols: ['h2', 'acme-tls/1'] }

/** The same handshake message in records of these sizes. */
function inRecords(hello: Buffer, size: number): Buffer {
  const message = hello.subarray(5)
  const records: Buffer[] = []
  for (let offset = 0; offset < message.length; offset += size) {
    const part = message.subarray(offset, offset + size)
    records.push(Buffer.of(22, 3, 1, part.length >> 8, part.length & 0xff), part)
  }
  return Buffer.concat(records)
}

describe('a look at the ClientHello', () => {
  it('names and protocols are read, with and without', async () => {
    expect(readClientHello(HELLO)).toEqual(EXPECTED)
    const bare = await helloOf({ minVersion: 'TLSv1.2', servername: '' })
    expect(readClientHello(bare)).toEqual({ serverName: undefined, protocols: [] })
  })

  it('it is waited for however it is cut, and what follows does not matter', () => {
    for (const bytes of [HELLO, inRecords(HELLO, 7)]) {
      for (let cut = 0; cut < bytes.length; cut += 1) {
        expect(readClientHello(bytes.subarray(0, cut)), `${cut}`).toBe('more')
      }
      expect(readClientHello(Buffer.concat([bytes, Buffer.from('more')]))).not.toBe('more')
      expect(readClientHello(bytes)).toEqual(EXPECTED)
    }
  })

  it('what is none is seen at its first byte, or where it is wrong', () => {
    for (const text of ['GET / HTTP/1.1', 'SSH-2.0', '\x15\x03\x01\0\x02', '\x16\x02']) {
      expect(readClientHello(Buffer.from(text, 'latin1')), text).toBe('none')
    }
    expect(readClientHello(Buffer.of(22, 3, 1, 0, 1, 2))).toBe('none')
    expect(readClientHello(Buffer.of(22, 3, 1, 0x40, 1))).toBe('none')
    expect(readClientHello(Buffer.of(22, 3, 1, 0, 4, 1, 1, 0, 0))).toBe('none')
  })

  it('damaged ones are read or are none, and never waited for beyond a full record', () => {
    const damage = fc.array(fc.tuple(fc.nat(HELLO.length - 1), fc.nat(255)), { maxLength: 8 })
    fc.assert(
      fc.property(damage, fc.uint8Array({ maxLength: 20_000 }), (changes, garbage) => {
        const bytes = Buffer.concat([HELLO, garbage])
        for (const [index, byte] of changes) bytes[index] = byte
        const result = readClientHello(bytes)
        if (result === 'more') expect(bytes.length).toBeLessThan(16_389)
      }),
    )
  })
})
