import { describe, expect, it } from 'vitest'
import {
  decodeSocks5Datagram,
  encodeSocks5Datagram,
} from '../../../src/proxy/udp/socks5-datagram.ts'
import type { Address } from '../../../src/codec/address.ts'
import { embedded, fixture, fromHex, toHex } from '../../codec/vectors.ts'
import type { Vector } from '../../codec/vectors.ts'

interface DatagramVector extends Vector {
  readonly address: Address
  readonly data: string
}
const { datagrams } = fixture('socks5') as {
  readonly datagrams: {
    readonly valid: readonly DatagramVector[]
    readonly reserved: readonly DatagramVector[]
    readonly dropped: readonly Vector[]
  }
}

describe('SOCKS5 datagrams', () => {
  it('RFC 1928, section 7: every valid vector decodes to its address and data', () => {
    for (const { hex, address, data, name } of [...datagrams.valid, ...datagrams.reserved]) {
      const decoded = decodeSocks5Datagram(embedded(fromHex(hex)))
      expect(decoded?.address, name).toEqual(address)
      expect(decoded && toHex(decoded.data), name).toBe(data)
    }
  })

  it('RFC 1928, section 7: every valid vector is encoded byte for byte', () => {
    for (const { hex, address, data, name } of datagrams.valid) {
      expect(toHex(encodeSocks5Datagram({ address, data: fromHex(data) })), name).toBe(hex)
    }
  })

  it('RFC 1928, section 7: fragments, and what has no valid address, are dropped', () => {
    for (const { hex, name } of datagrams.dropped) {
      expect(decodeSocks5Datagram(embedded(fromHex(hex))), name).toBeUndefined()
    }
  })
})
