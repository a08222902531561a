import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { ADDRESS_MAX_LENGTH, decodeAddress, encodeAddress } from '../../src/codec/address.ts'
import { embedded, fixture, fromHex, thrownBy, toHex } from './vectors.ts'
import type { Vector } from './vectors.ts'

interface HostPort {
  readonly name: string
  readonly host: string
  readonly port: number
}
const { valid, literalNames, invalid, truncated, unencodable } = fixture('address') as {
  readonly valid: readonly (Vector & HostPort)[]
  readonly literalNames: readonly (Vector & HostPort)[]
  readonly invalid: readonly Vector[]
  readonly truncated: readonly Vector[]
  readonly unencodable: readonly HostPort[]
}

function expectInvalid(action: () => unknown, name: string): void {
  const error = thrownBy(action, name)
  expect(error, name).toBeInstanceOf(AnyTlsError)
  expect(error, name).toHaveProperty('code', 'ERR_ADDRESS_INVALID')
  expect((error as Error).message, name).toMatch(/^[\x20-\x7e]+$/)
}

describe('SOCKS address', () => {
  it('RFC 1928, section 5: every valid vector decodes to its host and port', () => {
    for (const { hex, host, port, name } of [...valid, ...literalNames]) {
      const bytes = embedded(fromHex(hex))
      const decoded = decodeAddress(bytes)
      expect(decoded, name).toEqual({ address: { host, port }, length: bytes.length })
    }
  })

  it('RFC 1928, section 5: every valid vector is encoded byte for byte', () => {
    for (const { hex, host, port, name } of valid) {
      expect(toHex(encodeAddress({ host, port })), name).toBe(hex)
    }
  })

  it('RFC 1928, section 5: a host that is an IP literal is encoded as bytes, in any of its forms', () => {
    const loopback = `04${'00'.repeat(15)}010050`
    for (const host of ['::1', '0:0:0:0:0:0:0:1', '0000::0001', '::0.0.0.1']) {
      expect(toHex(encodeAddress({ host, port: 80 })), host).toBe(loopback)
    }
  })

  it('RFC 1928, section 5: an unknown type, an empty name or a forbidden byte in a name is refused', () => {
    for (const { hex, name } of invalid) {
      expectInvalid(() => decodeAddress(embedded(fromHex(hex))), name)
    }
  })

  it('RFC 1928, section 5: an address that is cut short anywhere decodes to undefined', () => {
    for (const { hex, name } of truncated) {
      expect(decodeAddress(embedded(fromHex(hex))), name).toBeUndefined()
    }
    for (const { hex, name } of valid) {
      const bytes = fromHex(hex)
      for (let length = 0; length < bytes.length; length += 1) {
        expect(decodeAddress(bytes.subarray(0, length)), `${name}, ${length}`).toBeUndefined()
      }
    }
  })

  it('RFC 1928, section 5: exactly the bytes 0x21-0x7E are taken in a name', () => {
    for (let byte = 0; byte <= 0xff; byte += 1) {
      const decode = () => decodeAddress(Uint8Array.of(3, 1, byte, 0, 80))?.address.host
      if (byte >= 0x21 && byte <= 0x7e) expect(decode()).toBe(String.fromCharCode(byte))
      else expect(decode).toThrow(AnyTlsError)
    }
  })

  it('a host or port that cannot be encoded is refused', () => {
    for (const { host, port, name } of unencodable) {
      expectInvalid(() => encodeAddress({ host, port }), name)
    }
  })

  it('decodes at an offset and leaves what follows alone', () => {
    const bytes = fromHex('ffff017f00000100501603')
    expect(decodeAddress(bytes, 2)).toEqual({
      address: { host: '127.0.0.1', port: 80 },
      length: 7,
    })
  })

  it('the longest address has ADDRESS_MAX_LENGTH bytes', () => {
    expect(encodeAddress({ host: 'a'.repeat(255), port: 1 })).toHaveLength(ADDRESS_MAX_LENGTH)
  })
})
