import { describe, expect, it } from 'vitest'
import { AnyTlsError } from '../../src/errors.ts'
import { formatHostPort, parseHostPort } from '../../src/codec/host-port.ts'
import { thrownBy } from './vectors.ts'

function messageFor(text: string, defaultPort?: number): string {
  const error = thrownBy(() => parseHostPort(text, defaultPort), text.slice(0, 40))
  expect(error).toBeInstanceOf(AnyTlsError)
  expect(error).toHaveProperty('code', 'ERR_ADDRESS_INVALID')
  return (error as Error).message
}

describe('host:port', () => {
  it('names, IPv4 and IPv6 in brackets are parsed and written back', () => {
    const vectors = [
      ['example.com:443', 'example.com', 443],
      ['localhost:0', 'localhost', 0],
      ['_dns.Example.COM.:65535', '_dns.Example.COM.', 65535],
      ['xn--bcher-kva.example:80', 'xn--bcher-kva.example', 80],
      ['1password.com:443', '1password.com', 443],
      ['192.0.2.1:80', '192.0.2.1', 80],
      ['[::1]:8443', '::1', 8443],
      ['[2001:db8::1]:1', '2001:db8::1', 1],
      [`${'a'.repeat(255)}:65535`, 'a'.repeat(255), 65535],
    ] as const
    for (const [text, host, port] of vectors) {
      expect(parseHostPort(text), text).toEqual({ host, port })
      expect(formatHostPort({ host, port })).toBe(text)
    }
  })

  it('RFC 5952: an IPv6 address comes out in canonical form', () => {
    expect(parseHostPort('[2001:DB8:0:0:0:0:0:1]:80').host).toBe('2001:db8::1')
    expect(parseHostPort('[::FFFF:192.0.2.1]:80').host).toBe('::ffff:192.0.2.1')
  })

  it('the default port is taken only when the text has none', () => {
    expect(parseHostPort('example.com', 443)).toEqual({ host: 'example.com', port: 443 })
    expect(parseHostPort('[::1]', 443)).toEqual({ host: '::1', port: 443 })
    expect(parseHostPort('[::1]:80', 443)).toEqual({ host: '::1', port: 80 })
    expect(messageFor('example.com:', 443)).toContain('the port is not a number')
    expect(messageFor('example.com')).toBe('"example.com" is not an address: the port is missing')
  })

  it('a port that is not a number from 0 to 65535 is refused', () => {
    for (const port of [
      '65536',
      '99999',
      '100000',
      '-1',
      '+1',
      '080',
      '8O',
      '0x50',
      ' 80',
      '80 ',
    ]) {
      expect(messageFor(`a:${port}`), port).toContain('the port is not a number from 0 to 65535')
    }
  })

  it('a host that ends in a number but is not IPv4 is refused', () => {
    const hosts = [
      '127.1',
      '10.0.0.256',
      '2130706433',
      '0x7f000001',
      '1.2.3.04',
      '1.2.3.4.',
      'a.0X',
    ]
    for (const host of hosts) {
      expect(messageFor(`${host}:80`), host).toContain('ends in a number but is not an IPv4')
    }
  })

  it('IPv6 without brackets, zone ids and half brackets are refused', () => {
    for (const text of [
      '::1',
      '::1:80',
      '2001:db8::1',
      '[::1',
      '::1]:80',
      '[::1]80',
      'a[::1]:80',
    ]) {
      expect(messageFor(text, 443), text).toContain('write NAME:PORT, IPV4:PORT or [IPV6]:PORT')
    }
    for (const text of ['[fe80::1%eth0]:80', '[192.0.2.1]:80', '[]:80', '[a]:80']) {
      expect(messageFor(text), text).toContain('what stands in brackets is not an IPv6 address')
    }
  })

  it('a host that is missing, too long or has other characters is refused', () => {
    expect(messageFor(':80')).toContain('the host is missing')
    expect(messageFor('', 80)).toContain('the host is missing')
    expect(messageFor(`${'a'.repeat(256)}:80`)).toContain('the name is too long')
    expect(messageFor('a'.repeat(1_000_000))).toContain('it is too long')
    for (const host of ['a b', 'a/b', 'user@a', 'bücher.example', 'a\n', 'a%00', '*', 'a?']) {
      expect(messageFor(`${host}:80`), host).toContain('a name has only letters, digits')
    }
  })

  it('an error is one line of printable ASCII and of bounded length, whatever the text', () => {
    for (const text of [
      'a\r\nb:80',
      '\x1b[31m:80',
      'a\u2028:80',
      '\x9b1m',
      '\ud800',
      'é'.repeat(9999),
    ]) {
      const message = messageFor(text, 80)
      expect(message).toMatch(/^[\x20-\x7e]+$/)
      expect(message.length).toBeLessThan(600)
    }
  })

  it('a name has 255 characters at most, and a text what such a name and a port have', () => {
    const name = 'a'.repeat(255)
    expect(parseHostPort(`${name}:65535`)).toEqual({ host: name, port: 65_535 })
    expect(messageFor(`${name}a:6553`)).toContain('the name is too long')
    expect(messageFor(`${name}:655350`)).toContain('it is too long')
  })

  it('an error shows 60 characters at most, and what is not printable by its number', () => {
    const all = 'x'.repeat(60)
    expect(messageFor(all)).toBe(`"${all}" is not an address: the port is missing`)
    expect(messageFor(`${all}y`)).toBe(`"${all}..." is not an address: the port is missing`)
    expect(messageFor('a\u007fb"\u2028:80')).toContain('"a\\u007fb\\"\\u2028:80" is not')
  })
})
