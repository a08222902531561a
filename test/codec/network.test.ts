// Networks against what BlockList of Node makes of them, and texts that are none.
import fc from 'fast-check'
import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import { isInNetworks, parseNetwork } from '../../src/codec/network.ts'

const holds = (network: string, address: string) => isInNetworks([parseNetwork(network)], address)

describe('networks', () => {
  it('an address is in the networks whose bits it begins with', () => {
    for (const [network, address, expected] of [
      ['192.0.2.0/24', '192.0.2.255', true],
      ['192.0.2.0/24', '192.0.3.0', false],
      ['192.0.2.128/25', '192.0.2.127', false],
      ['0.0.0.0/0', '255.1.2.3', true],
      ['0.0.0.0/0', '::1', false],
      ['::/0', '::1', true],
      ['::/0', '1.2.3.4', false],
      ['192.0.2.7', '192.0.2.7', true],
      ['192.0.2.7', '192.0.2.6', false],
      ['2001:db8::/33', '2001:db8:7fff::', true],
      ['2001:db8::/33', '2001:db8:8000::', false],
      ['fe80::/10', 'fe80::1%eth0', true],
      ['127.0.0.0/8', '::ffff:127.1.2.3', true],
      ['::ffff:127.0.0.0/104', '127.1.2.3', true],
      ['::ffff:127.0.0.1', '127.0.0.1', true],
      ['10.0.0.0/8', 'localhost', false],
      ['10.0.0.0/8', '', false],
    ] as const) {
      expect(holds(network, address), `${network} ${address}`).toBe(expected)
    }
  })

  it('what is no network is refused', () => {
    const texts = [
      ...['', '/8', '10.0.0.0/', '10.0.0.0/33', '10.0.0.0/-1', '10.0.0.0/8/8', '10.0.0.0/0x8'],
      ...['10.0.0.1/8', '::1/64', '::/129', '::ffff:0.0.0.0/95', 'localhost', '10/8', 'a\n/8'],
    ]
    for (const text of texts) {
      expect(() => parseNetwork(text), text).toThrow(
        expect.objectContaining({ code: 'ERR_ADDRESS_INVALID' }) as Error,
      )
    }
  })

  it('any network and address: as BlockList says', () => {
    const network = (ip: fc.Arbitrary<string>, bits: number) =>
      fc.tuple(ip, fc.integer({ min: 0, max: bits }))
    const check = (type: 'ipv4' | 'ipv6', prefix: number, from: string, address: string) => {
      const list = new BlockList()
      list.addSubnet(from, prefix, type)
      let network
      try {
        network = parseNetwork(`${from}/${prefix}`)
      } catch {
        // Bits after the prefix.
        return
      }
      expect(isInNetworks([network], address)).toBe(list.check(address, type))
    }
    fc.assert(
      fc.property(network(fc.ipV4(), 32), fc.ipV4(), ([from, prefix], address) => {
        check('ipv4', prefix, from.replace(/\.\d+$/, '.0'), address)
      }),
    )
    const short = fc.constantFrom('2001:db8::', 'fe80::', '2000::', '::', 'ff00::')
    fc.assert(
      fc.property(network(short, 128), fc.oneof(fc.ipV6(), short), ([from, prefix], address) => {
        if (!/^::ffff:/i.test(address)) check('ipv6', prefix, from, address)
      }),
    )
  })
})
