// The PROXY protocol header against vectors, and as a property: it names what it was given or says it cannot.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import vectors from '../../fixtures/proxy-protocol.json' with { type: 'json' }
import {
  decodeProxyProtocol,
  encodeProxyProtocol,
  PROXY_HEADER_MAX,
} from '../../src/codec/proxy-protocol.ts'
import type { Address } from '../../src/codec/address.ts'

interface Vector {
  readonly title: string
  readonly source?: Address
  readonly destination?: Address
  readonly is: string
}

function encode(version: 'v1' | 'v2', { source, destination }: Vector): Buffer {
  return Buffer.from(encodeProxyProtocol(version, { source, destination }))
}

describe('PROXY protocol version 1', () => {
  for (const vector of vectors.v1 as Vector[]) {
    it(`PROXY v1: ${vector.title}`, () => {
      expect(encode('v1', vector).toString('latin1')).toBe(vector.is)
    })
  }

  it('PROXY v1: whatever the ends are, the header is one line of at most 107 bytes', () => {
    const end = fc.record({
      host: fc.oneof(fc.ipV4(), fc.ipV6(), fc.string()),
      port: fc.integer({ min: 0, max: 65_535 }),
    })
    fc.assert(
      fc.property(end, end, (source, destination) => {
        const header = Buffer.from(encodeProxyProtocol('v1', { source, destination }))
        expect(header.length).toBeLessThanOrEqual(107)
        expect(header.toString('latin1')).toMatch(/^PROXY (?:UNKNOWN|TCP[46] [\d.:a-f ]+)\r\n$/)
      }),
    )
  })
})

describe('PROXY protocol version 2', () => {
  for (const vector of vectors.v2 as Vector[]) {
    it(`PROXY v2: ${vector.title}`, () => {
      expect(encode('v2', vector).toString('hex')).toBe(vector.is.replaceAll(' ', ''))
    })
  }
})

interface DecodeVector {
  readonly title: string
  readonly bytes: string
  readonly length?: number
  readonly source?: Address
  readonly destination?: Address
  readonly waits?: boolean
  readonly error?: string
}

function expectDecoded(bytes: Buffer, vector: DecodeVector): void {
  const { source, destination, length = bytes.length } = vector
  if (vector.error !== undefined) {
    expect(() => decodeProxyProtocol(bytes)).toThrow(
      expect.objectContaining({
        code: 'ERR_PROXY_PROTOCOL',
        message: expect.stringContaining(vector.error) as string,
      }) as Error,
    )
    return
  }
  const expected = vector.waits === true ? undefined : { ends: { source, destination }, length }
  expect(decodeProxyProtocol(bytes)).toEqual(expected)
  // However it is cut, it is waited for; nothing behind it matters.
  for (let cut = 0; cut < length && vector.waits !== true; cut += 1) {
    expect(decodeProxyProtocol(bytes.subarray(0, cut)), `${cut} bytes`).toBeUndefined()
  }
}

describe('a PROXY protocol header that comes in', () => {
  for (const vector of vectors.decode.v1 as DecodeVector[]) {
    it(`PROXY v1 in: ${vector.title}`, () => {
      expectDecoded(Buffer.from(vector.bytes, 'latin1'), vector)
    })
  }

  for (const vector of vectors.decode.v2 as DecodeVector[]) {
    it(`PROXY v2 in: ${vector.title}`, () => {
      expectDecoded(Buffer.from(vector.bytes.replaceAll(' ', ''), 'hex'), vector)
    })
  }

  it('PROXY v1 in: a line of 107 bytes is read, a longer one refused as soon as it is', () => {
    const line = (length: number) =>
      Buffer.from(`PROXY UNKNOWN ${'x'.repeat(length - 16)}\r\n`, 'latin1')
    expect(decodeProxyProtocol(line(107))?.length).toBe(107)
    expect(decodeProxyProtocol(line(107).subarray(0, 106))).toBeUndefined()
    expect(() => decodeProxyProtocol(line(108))).toThrow('CR LF')
    // Its CR is where the LF would have to be: nothing that follows can mend that.
    expect(() => decodeProxyProtocol(line(108).subarray(0, 107))).toThrow('CR LF')
    expect(() => decodeProxyProtocol(line(109))).toThrow('too long')
    expect(() => decodeProxyProtocol(line(300).subarray(0, 107))).toThrow('too long')
  })

  it.each(['GET / HTTP', 'x', 'TCP5', 'TCP4\r', 'UNKNOWNS'])(
    'PROXY v1 in: another word than a protocol`s is refused at its first wrong byte: %j',
    (word) => {
      expect(() => decodeProxyProtocol(Buffer.from(`PROXY ${word}`))).toThrow('names no two ends')
    },
  )

  it('PROXY v1 in: a line names what it says and nothing before it', () => {
    const line = (text: string) => decodeProxyProtocol(Buffer.from(`${text}\r\n`, 'latin1'))
    expect(line('PROXY TCP4 192.0.2.1 192.0.2.2 65535 0')?.ends).toEqual({
      source: { host: '192.0.2.1', port: 65_535 },
      destination: { host: '192.0.2.2', port: 0 },
    })
    expect(() => line('PROXY x PROXY UNKNOWN')).toThrow('names no two ends')
    expect(() => line('PROXY x PROXY TCP4 192.0.2.1 192.0.2.2 1 2')).toThrow('names no two ends')
  })

  it('PROXY v2 in: a header of 4,096 bytes is read, one of 4,097 is not', () => {
    const header = (length: number): Buffer => {
      const bytes = Buffer.alloc(length)
      bytes.set([13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x21, 0x11])
      bytes.writeUInt16BE(length - 16, 14)
      return bytes
    }
    expect(decodeProxyProtocol(header(PROXY_HEADER_MAX))?.length).toBe(4_096)
    expect(() => decodeProxyProtocol(header(PROXY_HEADER_MAX + 1))).toThrow('it is too long')
  })

  it('PROXY in: what was encoded is read back, wherever it is cut and whatever follows', () => {
    const port = fc.integer({ min: 0, max: 65_535 })
    const pair = (host: fc.Arbitrary<string>) => {
      const end = fc.record({ host, port })
      return fc.record({ source: end, destination: end })
    }
    fc.assert(
      fc.property(
        fc.constantFrom('v1' as const, 'v2' as const),
        fc.oneof(pair(fc.ipV4()), pair(fc.ipV6())),
        fc.uint8Array({ maxLength: 20 }),
        fc.nat(),
        (version, ends, rest, cut) => {
          const header = encodeProxyProtocol(version, ends)
          const decoded = decodeProxyProtocol(Buffer.concat([header, rest]))
          expect(decoded?.length).toBe(header.length)
          expect(encodeProxyProtocol(version, decoded!.ends)).toEqual(header)
          const piece = header.subarray(0, cut % header.length)
          expect(decodeProxyProtocol(piece)).toBeUndefined()
        },
      ),
    )
  })

  it('PROXY in: garbage is refused or read, and never waited for beyond the longest header', () => {
    const start = fc.constantFrom('PROXY ', 'PROXY TCP4 ', `\r\n\r\n\0\r\nQUIT\n`, '')
    fc.assert(
      fc.property(start, fc.uint8Array({ maxLength: 2 * PROXY_HEADER_MAX }), (text, garbage) => {
        const bytes = Buffer.concat([Buffer.from(text, 'latin1'), garbage])
        let decoded
        try {
          decoded = decodeProxyProtocol(bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_PROXY_PROTOCOL' })
          return
        }
        if (decoded === undefined) expect(bytes.length).toBeLessThan(PROXY_HEADER_MAX)
        else expect(decoded.length).toBeLessThanOrEqual(bytes.length)
      }),
    )
  })
})
