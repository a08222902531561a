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

/** A number in so many bytes, big-endian. */
function number(value: number, count: number): Buffer {
  const bytes = Buffer.alloc(count)
  bytes.writeUIntBE(value, 0, count)
  return bytes
}

/** Bytes behind their length, which takes so many bytes. */
const counted = (bytes: Uint8Array, count: number): Buffer =>
  Buffer.concat([number(bytes.length, count), bytes])

const extension = (type: number, body: Uint8Array): Buffer =>
  Buffer.concat([number(type, 2), counted(body, 2)])

/** A handshake message in one record. */
const record = (message: Uint8Array): Buffer =>
  Buffer.concat([Buffer.of(22, 3, 1), counted(message, 2)])

interface HelloParts {
  readonly sessionId?: Uint8Array
  readonly suites?: Uint8Array
  readonly extensions?: readonly Uint8Array[]
}

/** A ClientHello made by hand; without `extensions` it ends before them. */
function makeHello({ sessionId, suites, extensions }: HelloParts): Buffer {
  const body = Buffer.concat([
    Buffer.alloc(34, 0xff),
    counted(sessionId ?? Buffer.alloc(0), 1),
    counted(suites ?? Buffer.of(0x13, 0x01), 2),
    Buffer.of(1, 0),
    extensions === undefined ? Buffer.alloc(0) : counted(Buffer.concat(extensions), 2),
  ])
  return record(Buffer.concat([Buffer.of(1), counted(body, 3)]))
}

const serverName = (name: string, type = 0): Buffer =>
  extension(0, counted(Buffer.concat([Buffer.of(type), counted(Buffer.from(name), 2)]), 2))

const alpn = (...protocols: string[]): Buffer =>
  extension(16, counted(Buffer.concat(protocols.map((name) => counted(Buffer.from(name), 1))), 2))

describe('a ClientHello made by hand', () => {
  it('is read behind a session id and any number of cipher suites, among other extensions', () => {
    const extensions = [
      extension(43, Buffer.of(2, 3, 4)),
      ...[alpn('h2', 'http/1.1'), extension(5, Buffer.alloc(300)), serverName('a.example')],
      extension(0xff01, Buffer.of(0)),
    ]
    for (const sessionId of [Buffer.alloc(0), Buffer.alloc(32, 1)]) {
      for (const suites of [Buffer.alloc(2), Buffer.alloc(400, 2)]) {
        expect(readClientHello(makeHello({ sessionId, suites, extensions }))).toEqual({
          serverName: 'a.example',
          protocols: ['h2', 'http/1.1'],
        })
      }
    }
  })

  it('names nothing where it has no extensions, an empty list of them, or a name that is none of a host', () => {
    const nothing = { serverName: undefined, protocols: [] }
    expect(readClientHello(makeHello({}))).toEqual(nothing)
    expect(readClientHello(makeHello({ extensions: [] }))).toEqual(nothing)
    expect(readClientHello(makeHello({ extensions: [serverName('a.example', 1)] }))).toEqual(
      nothing,
    )
    expect(readClientHello(makeHello({ extensions: [alpn()] }))).toEqual(nothing)
  })

  it('is none where something in it is longer than what is there', () => {
    const cut = [
      extension(0, Buffer.of(0, 9, 0)),
      extension(0, Buffer.of(0, 3, 0, 0, 9)),
      extension(16, Buffer.of(0, 3, 9, 0, 0)),
      Buffer.of(0, 5, 0, 9, 1),
      Buffer.of(0),
    ]
    for (const wrong of cut) {
      const hello = makeHello({ extensions: [alpn('h2'), wrong] })
      expect(readClientHello(hello), wrong.toString('hex')).toBe('none')
    }
  })

  it('has 16,384 bytes at most, which shows as soon as its length is there', () => {
    const start = (length: number): Buffer => record(Buffer.from([1, ...number(length, 3)]))
    expect(readClientHello(start(16_380))).toBe('more')
    expect(readClientHello(start(16_381))).toBe('none')
    expect(readClientHello(start(0x01_00_10))).toBe('none')
  })

  it('is waited for in a record of 16,384 bytes, and no longer than one such record has', () => {
    const full = Buffer.concat([Buffer.of(22, 3, 1, 0x40, 0), Buffer.of(1, 0, 0x3f, 0xfc)])
    expect(readClientHello(full)).toBe('more')
    // In records of a byte each the head of a record is most of what comes.
    const message = Buffer.concat([Buffer.of(1, 0, 0x3f, 0xfc), Buffer.alloc(16_380)])
    const drips = inRecords(Buffer.concat([Buffer.alloc(5), message]), 1)
    expect(readClientHello(drips.subarray(0, 16_388))).toBe('more')
    expect(readClientHello(drips.subarray(0, 16_389))).toBe('none')
    const heads = inRecords(Buffer.concat([Buffer.alloc(5), message]), 2)
    expect(readClientHello(heads.subarray(0, 6))).toBe('more')
  })

  it('is none with another message first, or in records of another protocol later', () => {
    expect(readClientHello(record(Buffer.of(2, 0, 0, 0)))).toBe('none')
    expect(readClientHello(record(Buffer.alloc(0)))).toBe('none')
    const hello = makeHello({ extensions: [] })
    const [first, second] = [hello.subarray(5, 9), hello.subarray(9)]
    expect(readClientHello(Buffer.concat([record(first), record(second)]))).not.toBe('none')
    const other = record(second)
    other[1] = 2
    expect(readClientHello(Buffer.concat([record(first), other]))).toBe('none')
    other[1] = 3
    other[0] = 23
    expect(readClientHello(Buffer.concat([record(first), other]))).toBe('none')
  })
})
