// Networks against what BlockList of Node makes of them, and texts that are none.
import fc from 'fast-check'
import { BlockList } from 'node:net'
import { describe, expect, it } from 'vitest'
import { isInNetworks, isLoopback, parseNetwork } from '../../src/codec/network.ts'

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

  it.each([
    ['localhost', '"localhost" is not a network: write ADDRESS or ADDRESS/BITS'],
    ['10.0.0.0/8/8', '"10.0.0.0/8/8" is not a network: write ADDRESS or ADDRESS/BITS'],
    ['10.0.0.0/33', '"10.0.0.0/33" is not a network: it has no such prefix'],
    ['10.0.0.0/x8', '"10.0.0.0/x8" is not a network: it has no such prefix'],
    ['::/1000', '"::/1000" is not a network: it has no such prefix'],
    ['::ffff:0.0.0.0/95', '"::ffff:0.0.0.0/95" is not a network: it has no such prefix'],
    ['10.0.0.1/8', '"10.0.0.1/8" is not a network: its address has bits after the prefix'],
    ['grüße\n', '"gr??e?" is not a network: write ADDRESS or ADDRESS/BITS'],
    ['x'.repeat(99), `"${'x'.repeat(60)}" is not a network: write ADDRESS or ADDRESS/BITS`],
  ])('says what is wrong with %j', (text, message) => {
    expect(() => parseNetwork(text)).toThrow(expect.objectContaining({ message }) as Error)
  })

  it('are read to their first bits and how many those are', () => {
    for (const [text, ip, prefix] of [
      ['192.0.2.0/24', [192, 0, 2, 0], 24],
      ['192.0.2.7', [192, 0, 2, 7], 32],
      ['::ffff:127.0.0.0/104', [127, 0, 0, 0], 8],
      ['::ffff:127.0.0.1', [127, 0, 0, 1], 32],
      ['::ffff:0.0.0.0/96', [0, 0, 0, 0], 0],
      ['8000::/1', [128, ...new Array<number>(15).fill(0)], 1],
      ['::', new Array<number>(16).fill(0), 128],
    ] as const) {
      expect(parseNetwork(text), text).toEqual({ ip: Uint8Array.from(ip), prefix })
    }
    expect(isInNetworks([], '192.0.2.1')).toBe(false)
  })

  it('of loopback are those that lead to this machine', () => {
    for (const address of ['127.0.0.1', '127.255.0.9', '::1', '::ffff:127.0.0.1', '::1%lo']) {
      expect(isLoopback(address), address).toBe(true)
    }
    for (const address of ['128.0.0.1', '126.0.0.1', '::2', '::', 'localhost', '']) {
      expect(isLoopback(address), address).toBe(false)
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
