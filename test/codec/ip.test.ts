import { describe, expect, it } from 'vitest'
import {
  formatIPv4,
  formatIPv6,
  parseIPv4,
  parseIPv6,
  unmapped,
  unmappedHost,
} from '../../src/codec/ip.ts'
import { fromHex, toHex } from './vectors.ts'

const hexOfIPv6 = (text: string) => {
  const bytes = parseIPv6(text)
  return bytes && toHex(bytes)
}

describe('IPv4 text', () => {
  it('four decimal parts are parsed and formatted', () => {
    for (const text of ['0.0.0.0', '127.0.0.1', '192.0.2.200', '255.255.255.255']) {
      const bytes = parseIPv4(text)
      expect(bytes, text).toEqual(Uint8Array.from(text.split('.'), Number))
      expect(formatIPv4(bytes!), text).toBe(text)
    }
  })

  it('leading zeros, octal, hexadecimal and short forms are not IPv4', () => {
    const texts = [
      ...['', '1', '1.2.3', '1.2.3.4.5', '1.2.3.', '.1.2.3', '1..2.3', '1.2.3.256', '1.2.3.1000'],
      ...['01.2.3.4', '1.2.3.04', '00.0.0.0', '0x7f.0.0.1', '017700000001', '2130706433', '127.1'],
      ...[' 1.2.3.4', '1.2.3.4 ', '1.2.3.4\n', '+1.2.3.4', '-1.2.3.4', '1e1.2.3.4', '1.2.3.4%0'],
      ...['１.2.3.4', '1.2.3.٤', '1.2.3.4.', '1'.repeat(100_000)],
    ]
    for (const text of texts) expect(parseIPv4(text), text.slice(0, 30)).toBeUndefined()
  })
})

describe('IPv6 text', () => {
  it('RFC 4291, section 2.2: full, compressed and mixed forms are parsed', () => {
    const vectors = [
      ['2001:DB8:0:0:8:800:200C:417A', '20010db80000000000080800200c417a'],
      ['2001:db8::8:800:200c:417a', '20010db80000000000080800200c417a'],
      ['ff01::101', 'ff010000000000000000000000000101'],
      ['::1', '00000000000000000000000000000001'],
      ['::', '00000000000000000000000000000000'],
      ['1::', '00010000000000000000000000000000'],
      ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
      ['::2:3:4:5:6:7:8', '00000002000300040005000600070008'],
      ['0001:02:003:4:5:6:7:8', '00010002000300040005000600070008'],
      ['::13.1.68.3', '0000000000000000000000000d014403'],
      ['::ffff:129.144.52.38', '00000000000000000000ffff81903426'],
      ['1:2:3:4:5:6:1.2.3.4', '00010002000300040005000601020304'],
      ['64:ff9b::192.0.2.33', '0064ff9b0000000000000000c0000221'],
    ] as const
    for (const [text, hex] of vectors) expect(hexOfIPv6(text), text).toBe(hex)
  })

  it('RFC 4291, section 2.2: anything else is not IPv6', () => {
    const texts = [
      ...['', ':', ':::', '::::', '1', '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '1:2:3:4:5:6:7:8::'],
      ...['::1:2:3:4:5:6:7:8', '1::2::3', ':1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8:', ':1::2', '1::2:'],
      ...['1:::2', '12345::', '::g', '::-1', '::+1', ':: 1', ' ::1', '::1\n', '[::1]', '::1%eth0'],
      ...['::1/64', '1.2.3.4', '1.2.3.4::', '::1.2.3.4:5', '::1.2.3', '::1.2.3.256', '::01.2.3.4'],
      ...['1:2:3:4:5:6:7:1.2.3.4', '1.2.3.4:1:2:3:4:5:6', ':'.repeat(100_000)],
    ]
    for (const text of texts) expect(parseIPv6(text), text.slice(0, 30)).toBeUndefined()
  })

  it('RFC 5952, section 4: the canonical text is written', () => {
    const vectors = [
      ['20010db8000000000000000000000001', '2001:db8::1', '4.1, 4.2.1'],
      ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1', '4.2.2'],
      ['20010000000000010000000000000001', '2001:0:0:1::1', '4.2.3, the longest run'],
      ['20010db8000000000001000000000001', '2001:db8::1:0:0:1', '4.2.3, the first run'],
      ['20010db8abcdef000000000000000000', '2001:db8:abcd:ef00::', '4.3, lower case'],
      ['00000000000000000000000000000000', '::', 'all zeros'],
      ['00000000000000000000000000000001', '::1', 'zeros in front'],
      ['00010000000000000000000000000000', '1::', 'zeros at the end'],
      ['ffffffffffffffffffffffffffffffff', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff', 'none'],
    ] as const
    for (const [hex, text, section] of vectors) expect(formatIPv6(fromHex(hex)), section).toBe(text)
  })

  it('RFC 5952, section 5: an IPv4-mapped address ends in decimal, others do not', () => {
    expect(formatIPv6(fromHex('00000000000000000000ffffc0000201'))).toBe('::ffff:192.0.2.1')
    expect(formatIPv6(fromHex('000000000000000000000000c0000201'))).toBe('::c000:201')
    expect(formatIPv6(fromHex('0064ff9b0000000000000000c0000221'))).toBe('64:ff9b::c000:221')
    expect(formatIPv6(fromHex('00000000000000000001ffffc0000201'))).toBe('::1:ffff:c000:201')
  })
})

describe('IPv4 mapped into IPv6', () => {
  it('RFC 4291, section 2.5.5.2: is the 4 bytes behind 80 zeros and 16 ones, and nothing else is', () => {
    const mapped = '00000000000000000000ffffc0000201'
    expect(toHex(unmapped(fromHex(mapped)))).toBe('c0000201')
    for (const other of [
      '01000000000000000000ffffc0000201',
      '00000000000000000001ffffc0000201',
      '00000000000000000000feffc0000201',
      '00000000000000000000fffec0000201',
      '000000000000000000000000c0000201',
      'c0000201',
    ]) {
      expect(toHex(unmapped(fromHex(other))), other).toBe(other)
    }
  })

  it('is the IPv4 address of a host that sockets name so, and no other host is changed', () => {
    expect(unmappedHost('::ffff:192.0.2.1')).toBe('192.0.2.1')
    for (const host of ['::ffff:c000:201', '::ffff:', '192.0.2.1', '::1', 'x::ffff:192.0.2.1']) {
      expect(unmappedHost(host)).toBe(host)
    }
  })
})
