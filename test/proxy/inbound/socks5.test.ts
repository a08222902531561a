import { describe, expect, it } from 'vitest'
import { credentialsCheck } from '../../../src/proxy/inbound/credentials.ts'
import type { Credentials } from '../../../src/proxy/inbound/credentials.ts'
import type { Socks5Event } from '../../../src/proxy/inbound/socks5.ts'
import { encodeSocks5Reply, Socks5Handshake } from '../../../src/proxy/inbound/socks5.ts'
import { fixture, fromHex, toHex } from '../../codec/vectors.ts'
import type { Vector } from '../../codec/vectors.ts'

interface Socks5Vector extends Vector {
  readonly credentials?: Credentials
  readonly events: readonly object[]
}
const { valid, invalid, truncated } = fixture('socks5') as Record<
  'valid' | 'invalid' | 'truncated',
  readonly Socks5Vector[]
>

/** Events as the fixtures write them. */
function written(event: Socks5Event): object {
  switch (event.type) {
    case 'send':
      return { send: toHex(event.bytes) }
    case 'connect':
      return { connect: event.target, rest: toHex(event.rest) }
    case 'associate':
      return { associate: event.source }
    case 'refuse':
      return { refuse: event.reason }
  }
}

function handshakeFor({ credentials }: Socks5Vector): Socks5Handshake {
  return new Socks5Handshake(credentials && credentialsCheck(credentials))
}

function eventsOf(vector: Socks5Vector): object[] {
  return handshakeFor(vector).receive(fromHex(vector.hex)).map(written)
}

describe('SOCKS5 handshake', () => {
  it('RFC 1928 and RFC 1929: every valid vector leads to its target', () => {
    for (const vector of valid) expect(eventsOf(vector), vector.name).toEqual(vector.events)
  })

  it('RFC 1928, section 6: every invalid vector gets its reply and ends the handshake', () => {
    for (const vector of invalid) {
      const handshake = handshakeFor(vector)
      const events = handshake.receive(fromHex(vector.hex))
      expect(events.map(written), vector.name).toEqual(vector.events)
      expect(handshake.receive(fromHex('050100')), vector.name).toEqual([])
    }
  })

  it('RFC 1928, section 4: a handshake that is cut short waits, wherever the cut is', () => {
    for (const vector of truncated) expect(eventsOf(vector), vector.name).toEqual(vector.events)
    for (const vector of valid) {
      const rest = vector.events.map((event) => ('rest' in event ? (event.rest as string) : ''))
      const length = (vector.hex.length - rest.join('').length) / 2
      for (let cut = 0; cut < length; cut += 1) {
        const events = handshakeFor(vector).receive(fromHex(vector.hex).subarray(0, cut))
        const types = events.map(({ type }) => type)
        expect(types, `${vector.name}, ${cut}`).not.toContain('connect')
        expect(types, `${vector.name}, ${cut}`).not.toContain('associate')
        expect(types, `${vector.name}, ${cut}`).not.toContain('refuse')
      }
    }
  })

  it('nothing of what it was given is needed any more when the rest comes', () => {
    for (const vector of valid) {
      const bytes = fromHex(vector.hex)
      for (let cut = 1; cut < bytes.length; cut += 1) {
        const handshake = handshakeFor(vector)
        const front = bytes.slice(0, cut)
        const events = handshake.receive(front)
        if (events.some(({ type }) => type !== 'send')) break
        const first = events.map(written)
        front.fill(0)
        const rest = handshake.receive(bytes.subarray(cut)).map(written)
        expect([...first, ...rest], `${vector.name}, ${cut}`).toEqual(vector.events)
      }
    }
  })

  it('RFC 1928, section 6: a reply carries its code and an IPv4 address of zeros', () => {
    expect(toHex(encodeSocks5Reply(0))).toBe('05000001000000000000')
    expect(toHex(encodeSocks5Reply(5))).toBe('05050001000000000000')
  })

  it('RFC 1928, section 6: the reply to UDP ASSOCIATE carries where datagrams are to be sent', () => {
    const ipv4 = encodeSocks5Reply(0, { host: '127.0.0.1', port: 1080 })
    expect(toHex(ipv4)).toBe('050000017f0000010438')
    const ipv6 = encodeSocks5Reply(0, { host: '::1', port: 1080 })
    expect(toHex(ipv6)).toBe(`05000004${'00'.repeat(15)}010438`)
  })

  it('RFC 1928, section 4: what follows UDP ASSOCIATE on its connection is not looked at', () => {
    const handshake = new Socks5Handshake()
    const events = handshake.receive(fromHex('05010005030001000000000000ffff'))
    expect(events.at(-1)).toEqual({ type: 'associate', source: { host: '0.0.0.0', port: 0 } })
    expect(handshake.receive(fromHex('050100'))).toEqual([])
  })
})
