// The PROXY protocol header against vectors, and as a property: it names what it was given or says it cannot.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import vectors from '../../fixtures/proxy-protocol.json' with { type: 'json' }
import { encodeProxyProtocol } from '../../src/fallback/proxy-protocol.ts'
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
